"""rtpengine's NG protocol over UDP: ``<cookie> <bencoded dictionary>`` each way.

A request that is not answered is sent again with the same cookie; rtpengine answers a cookie
it has seen from its memory, so that nothing is done twice.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Any, Final, Protocol, cast

from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol

from gateway.calls.ports import Clock, DelayedCall
from gateway.errors import MediaFailed, NoCapacity
from gateway.values import HostPort

MAX_DATAGRAM: Final = 65_000
_MAX_DEPTH: Final = 16
_MAX_ITEMS: Final = 10_000
_INTEGER: Final = re.compile(rb"i(0|-?[1-9][0-9]{0,18})e")
_LENGTH: Final = re.compile(rb"(0|[1-9][0-9]{0,5}):")


class BencodeError(ValueError):
    """Bytes that are not bencode; says where."""


class NgSilent(NoCapacity):
    """rtpengine did not answer in time, or nothing listens at its address."""


class NgRefused(MediaFailed):
    """rtpengine answered ``result: error``; ``reason`` is its ``error-reason``."""

    def __init__(self, command: str, reason: str) -> None:
        super().__init__(f"rtpengine refused {command}: {reason[:200]}")
        self.reason = reason


def encode(value: object) -> bytes:
    """Bencode ``int``, ``str`` (UTF-8), ``bytes``, sequences, and mappings with ``str`` keys."""
    out: list[bytes] = []
    _encode(value, out)
    return b"".join(out)


def _encode(value: object, out: list[bytes]) -> None:
    match value:
        case bool():
            raise TypeError("bencode has no booleans")
        case int():
            out.append(b"i%de" % value)
        case str():
            _encode(value.encode("utf-8", "surrogateescape"), out)
        case bytes():
            out.append(b"%d:%s" % (len(value), value))
        case list() | tuple():
            out.append(b"l")
            for item in value:
                _encode(item, out)
            out.append(b"e")
        case Mapping():
            out.append(b"d")
            for key in sorted(value):
                _encode(key, out)
                _encode(value[key], out)
            out.append(b"e")
        case _:
            raise TypeError(f"bencode has no {type(value).__name__}")


def decode(data: bytes) -> Any:
    """Read one bencoded value that fills ``data``; strings become ``str`` (surrogateescape)."""
    reader = _Reader(data)
    value = reader.value(0)
    if reader.at != len(data):
        raise BencodeError(f"{len(data) - reader.at} bytes after the value, at {reader.at}")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self._items = 0

    def value(self, depth: int) -> Any:
        self._items += 1
        if depth > _MAX_DEPTH or self._items > _MAX_ITEMS:
            raise BencodeError(f"too deep or too long, at {self.at}")
        head = self.data[self.at : self.at + 1]
        if head == b"i":
            match = _INTEGER.match(self.data, self.at)
            if match is None:
                raise BencodeError(f"bad integer at {self.at}")
            self.at = match.end()
            return int(match[1])
        if head == b"l":
            self.at += 1
            items = []
            while not self._end():
                items.append(self.value(depth + 1))
            return items
        if head == b"d":
            self.at += 1
            table: dict[str, Any] = {}
            while not self._end():
                key = self._string()
                table[key] = self.value(depth + 1)
            return table
        return self._string()

    def _end(self) -> bool:
        if self.data[self.at : self.at + 1] != b"e":
            return False
        self.at += 1
        return True

    def _string(self) -> str:
        match = _LENGTH.match(self.data, self.at)
        if match is None:
            raise BencodeError(f"no value at {self.at}")
        end = match.end() + int(match[1])
        if end > len(self.data):
            raise BencodeError(f"string at {self.at} is cut off")
        self.at = end
        return self.data[match.end() : end].decode("utf-8", "surrogateescape")


class NgReactor(Clock, Protocol):
    """Twisted's UDP and time, as far as they are used here."""

    def listenUDP(
        self, port: int, protocol: DatagramProtocol, interface: str, max_packet: int, /
    ) -> object: ...


class _Transport(Protocol):
    """A Twisted UDP port; its zope interface says nothing to a type checker."""

    def connect(self, host: str, port: int) -> None: ...
    def write(self, datagram: bytes) -> None: ...
    def stopListening(self) -> object: ...


class _Pending:
    """One request that waits for its answer."""

    def __init__(self, command: str, payload: bytes) -> None:
        self.command = command
        self.payload = payload
        self.answered: Deferred[dict[str, Any]] = Deferred()
        self.again: DelayedCall | None = None


class NgClient(DatagramProtocol):
    """Speaks with one rtpengine.

    ``address.host`` is numeric.  At most ``MAX_PENDING`` requests wait at a time.
    """

    MAX_PENDING: Final = 512
    RESEND_S: Final = (0.25, 0.5, 1.0)
    """Waits between sendings."""
    GIVE_UP_S: Final = 1.25
    """Wait after the last sending."""
    IN_ALL_S: Final = sum(RESEND_S) + GIVE_UP_S

    def __init__(self, address: HostPort, reactor: NgReactor) -> None:
        self.address = address
        self._reactor = reactor
        self._socket: _Transport | None = None
        self._pending: dict[bytes, _Pending] = {}

    def open(self) -> None:
        self._reactor.listenUDP(0, self, "", MAX_DATAGRAM + 500)

    def close(self) -> None:
        """Every request that waits fails with ``NgSilent``.  Idempotent."""
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.stopListening()
        self._fail_all("the connection was closed")

    async def request(self, command: str, **fields: object) -> dict[str, Any]:
        """Send a command; names take ``_`` for ``-``.  ``NgSilent``, ``NgRefused``."""
        body = {name.replace("_", "-"): value for name, value in fields.items()}
        return await self.send({"command": command, **body})

    async def send(self, message: Mapping[str, object]) -> dict[str, Any]:
        """Send a dictionary with a ``command``; the answer, when it is no error."""
        command = str(message["command"])
        if self._socket is None:
            raise NgSilent(f"rtpengine {self.address}: not connected")
        if len(self._pending) >= self.MAX_PENDING:
            raise NgSilent(f"rtpengine {self.address}: {self.MAX_PENDING} requests wait already")
        cookie = secrets.token_hex(8).encode()
        payload = cookie + b" " + encode(message)
        if len(payload) > MAX_DATAGRAM:
            raise NgRefused(command, f"{len(payload)} bytes; {MAX_DATAGRAM} fit a datagram")
        pending = self._pending[cookie] = _Pending(command, payload)
        try:
            self._send(pending, 0)
            answer = await pending.answered
        finally:
            self._pending.pop(cookie, None)
            if pending.again is not None and pending.again.active():
                pending.again.cancel()
        if answer.get("result") == "error":
            raise NgRefused(command, str(answer.get("error-reason", "no reason given")))
        return answer

    def _send(self, pending: _Pending, sent: int) -> None:
        if sent > len(self.RESEND_S):
            self._fail(pending, "no answer")
            return
        if self._socket is not None:
            try:
                self._socket.write(pending.payload)
            except OSError as e:
                self._fail(pending, e.strerror or "cannot send")
                return
        wait = self.RESEND_S[sent] if sent < len(self.RESEND_S) else self.GIVE_UP_S
        pending.again = self._reactor.callLater(wait, lambda: self._send(pending, sent + 1))

    def _fail(self, pending: _Pending, why: str) -> None:
        if not pending.answered.called:
            text = f"rtpengine {self.address}: {pending.command}: {why}"
            pending.answered.errback(NgSilent(text))

    def _fail_all(self, why: str) -> None:
        for pending in tuple(self._pending.values()):
            self._fail(pending, why)

    # -- DatagramProtocol

    def startProtocol(self) -> None:
        socket = cast(_Transport, self.transport)
        socket.connect(self.address.host, self.address.port)
        self._socket = socket

    def datagramReceived(self, datagram: bytes, addr: object) -> None:
        cookie, _, body = datagram.partition(b" ")
        pending = self._pending.get(cookie)
        if pending is None or pending.answered.called:
            return  # late, or a second answer to one cookie
        try:
            answer = decode(body)
        except BencodeError as e:
            self._fail(pending, f"answer is not bencode: {e}")
            return
        if not isinstance(answer, dict):
            self._fail(pending, "answer is no dictionary")
            return
        pending.answered.callback(answer)

    def connectionRefused(self) -> None:
        """ICMP said that nothing listens there."""
        self._fail_all("nothing listens there")
