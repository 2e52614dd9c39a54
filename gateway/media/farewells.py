"""A worker's last words: what it sends for its dialogs when the daemon has died."""

from __future__ import annotations

import re
import socket
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import DatagramProtocol, Protocol

REPEAT_S: Final = 0.4
REPEATS: Final = 3
CONNECT_S: Final = 1
MAX_KEPT: Final = 200
"""Dialogs of one worker: more than a worker has legs, by far."""

Address = tuple[str, int]

_CALL_ID: Final = re.compile(rb"^(?:call-id|i)[ \t]*:[ \t]*(\S+)", re.I | re.M)


def _call_id(message: bytes) -> bytes:
    found = _CALL_ID.search(message)
    return found[1] if found else b""


class _Speaker(DatagramProtocol):
    """Sends each datagram until it is answered, three times at most."""

    def __init__(self, reactor: Any, words: list[tuple[Address, bytes]]) -> None:
        self._reactor = reactor
        self._words = words
        self._left = REPEATS
        self.done: Deferred[None] = Deferred()

    def startProtocol(self) -> None:
        self._say()

    def _say(self) -> None:
        if self.done.called:
            return
        if not self._left or not self._words:
            self.done.callback(None)
            return
        self._left -= 1
        transport: Any = self.transport
        for to, payload in self._words:
            transport.write(payload, to)
        self._reactor.callLater(REPEAT_S, self._say)

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        answered = _CALL_ID.search(datagram) if datagram.startswith(b"SIP/2.0 ") else None
        if answered is not None:
            self._words = [w for w in self._words if _call_id(w[1]) != answered[1]]
            if not self._words and not self.done.called:
                self.done.callback(None)


class Farewells:
    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._kept: dict[str, tuple[str, Address, Address, bytes]] = {}

    def keep(
        self, dialog: str, transport: str, source: Address, to: Address, payload: bytes
    ) -> None:
        """Replace what is kept for a dialog; an empty payload drops it."""
        self._kept.pop(dialog, None)
        if payload and len(self._kept) < MAX_KEPT:
            self._kept[dialog] = (transport, source, to, payload)

    def send(self) -> Deferred[Any]:
        """Say all of it; fires when it is answered, or has been said often enough."""
        by_source: dict[Address, list[tuple[Address, bytes]]] = {}
        waiting: list[Deferred[Any]] = []
        for transport, source, to, payload in self._kept.values():
            if transport == "udp":
                by_source.setdefault(source, []).append((to, payload))
            else:
                waiting.append(self._by_tcp(to, payload))
        waiting += [self._by_udp(source, words) for source, words in by_source.items()]
        return DeferredList(waiting, consumeErrors=True)

    def _by_udp(self, source: Address, words: list[tuple[Address, bytes]]) -> Deferred[None]:
        """From the daemon's own address, which NATs and peers know, if that is free."""
        speaker = _Speaker(self._reactor, words)
        bound = _bound(source)
        if bound is None:
            return succeed(None)
        with bound:
            self._reactor.adoptDatagramPort(bound.fileno(), socket.AF_INET, speaker)
        return speaker.done

    def _by_tcp(self, to: Address, payload: bytes) -> Deferred[Any]:
        endpoint = TCP4ClientEndpoint(self._reactor, to[0], to[1], timeout=CONNECT_S)

        def said(protocol: Any) -> Deferred[None]:
            protocol.transport.write(payload)
            gone: Deferred[None] = Deferred()
            self._reactor.callLater(REPEAT_S, gone.callback, None)
            return gone

        connected: Deferred[Any] = connectProtocol(endpoint, Protocol())
        return connected.addCallback(said)


def _bound(source: Address) -> socket.socket | None:
    """A socket at this address, which all workers may share, or at any; ``None``: no network."""
    for address in (source, ("", 0)):
        found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        found.setblocking(False)
        try:
            found.bind(address)
        except OSError:
            found.close()
        else:
            return found
    return None
