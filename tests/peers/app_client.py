"""An in-app client: the DM call protocol over a real WebSocket, with plain RTP as its media."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from autobahn.twisted.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    connectWS,
)
from twisted.internet.defer import Deferred

from tests.peers.gateway import Gateway
from tests.peers.rtp import RtpStream
from tests.peers.waiting import Happenings, NotSeen, reactor

Json = dict[str, Any]
SUBPROTOCOL = "dm-call.v1"


class RpcError(Exception):
    """An error answer of the gateway."""

    def __init__(self, error: Json) -> None:
        super().__init__(f"{error.get('code')}: {error.get('message')} {error.get('data', '')}")
        self.code: int = error["code"]
        self.data: Json = error.get("data") or {}


class _Socket(WebSocketClientProtocol):
    def onOpen(self) -> None:
        self.factory.client.opened(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.factory.client.received(json.loads(payload))

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.factory.client.closed(self, code)


class AppClient:
    """One signed-in client.  ``events`` holds notifications as (method, params)."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.events: Happenings[tuple[str, Json]] = Happenings(f"app client {user}")
        self.session = ""
        self.opening: Json = {}
        self.close_code: int | None = None
        self.media: dict[str, RtpStream] = {}
        self._streams: list[RtpStream] = []
        self._socket: _Socket | None = None
        self._next = 0
        self._pending: dict[int, Deferred[Any]] = {}
        self._opened: Deferred[None] | None = None
        self._gone: list[Deferred[int | None]] = []
        self.on_event: Callable[[str, Json], None] | None = None

    # -- the session

    @classmethod
    async def sign_in(cls, gateway: Gateway, user: str, **claims: Any) -> AppClient:
        client = cls(user)
        await client.connect(gateway)
        await client.open(gateway.token(user, **claims))
        return client

    async def connect(self, gateway: Gateway, **options: Any) -> None:
        """Open the socket only; ``session.open`` is the next thing to say."""
        url = f"ws://{gateway.http}/v1/dm"
        protocols = options.pop("protocols", [SUBPROTOCOL])
        factory = WebSocketClientFactory(url, protocols=protocols, **options)
        factory.protocol = _Socket
        factory.client = self
        factory.noisy = False
        self.close_code = None
        self._opened = Deferred()
        connectWS(factory, timeout=5)
        self._opened.addTimeout(8, reactor)
        await self._opened

    async def open(self, token: str, resume: str | None = None) -> Json:
        extra: Json = {"resume": resume} if resume else {}
        self.opening = await self.request("session.open", token=token, **extra)
        self.session = self.opening["session"]
        return self.opening

    async def resume(self, gateway: Gateway) -> Json:
        await self.connect(gateway)
        return await self.open(gateway.token(self.user), resume=self.session)

    def opened(self, socket: _Socket) -> None:
        self._socket = socket
        if self._opened is not None and not self._opened.called:
            self._opened.callback(None)

    def closed(self, socket: _Socket, code: int | None) -> None:
        if self._opened is not None and not self._opened.called:
            self._opened.errback(NotSeen(f"the socket was refused ({code})"))
        if self._socket not in (None, socket):
            return  # an older socket of a resumed session
        self._socket = None
        self.close_code = code
        gone, self._gone = self._gone, []
        for done in gone:
            done.callback(code)
        pending, self._pending = self._pending, {}
        for waiting in pending.values():
            waiting.errback(NotSeen(f"the socket closed ({code}) before the answer"))

    async def was_closed(self, timeout_s: float = 5) -> int | None:
        """Wait until the gateway closed the socket; its close code."""
        if self._socket is None:
            return self.close_code
        done: Deferred[int | None] = Deferred()
        self._gone.append(done)
        done.addTimeout(timeout_s, reactor)
        return await done

    def drop(self) -> None:
        """Lose the connection without a word, as a phone in a tunnel does."""
        if self._socket is not None:
            self._socket.transport.abortConnection()

    async def leave(self) -> None:
        """Close the socket and every stream."""
        if self._socket is not None:
            self._socket.sendClose(1000)
            try:
                await self.was_closed(3)
            except Exception:  # it is being thrown away: how it ends is of no interest
                self.drop()
        for stream in self._streams:
            await stream.close()

    # -- requests and events

    def say(self, text: str | bytes) -> None:
        """Send raw text: for what no proper client says."""
        assert self._socket is not None
        self._socket.sendMessage(text.encode() if isinstance(text, str) else text)

    async def request(self, method: str, timeout_s: float = 8, **params: Any) -> Any:
        self._next += 1
        number = self._next
        done: Deferred[Any] = Deferred()
        self._pending[number] = done
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        self.say(json.dumps(message))
        done.addTimeout(timeout_s, reactor)
        return await done

    def received(self, message: Json) -> None:
        if "method" in message:
            method, params = message["method"], message.get("params", {})
            self._on_event(method, params)
            self.events.add((method, params))
            return
        waiting = self._pending.pop(message.get("id") or 0, None)
        if waiting is None:
            self.events.add(("stray answer", message))
        elif "error" in message:
            waiting.errback(RpcError(message["error"]))
        else:
            waiting.callback(message["result"])

    def _on_event(self, method: str, params: Json) -> None:
        if method == "call.media" and "sdp" in params:
            stream = self.media.get(params["call"])
            if stream is not None:
                take_answer(stream, params["sdp"])
        if method == "call.ended" and params["call"] in self.media:
            self.media[params["call"]].quiet()  # the port may be another call's in a moment
        if self.on_event is not None:
            self.on_event(method, params)

    async def event(
        self, method: str, timeout_s: float = 5, since: int = 0, **matching: Any
    ) -> Json:
        """The first notification of this method whose params include ``matching``."""

        def wanted(event: tuple[str, Json]) -> bool:
            name, params = event
            return name == method and matching.items() <= params.items()

        what = f"{method} {matching or ''}"
        return (await self.events.expect(wanted, what, timeout_s, since))[1]

    def told(self, method: str, call: str | None = None) -> list[Json]:
        """Params of every notification of this method so far (of one call)."""
        events = [p for m, p in self.events.seen if m == method]
        return [p for p in events if call is None or p.get("call") == call]

    def when(self, method: str, call: str) -> float:
        """Reactor time at which this notification of this call came."""
        index = self.events.find(lambda e: e[0] == method and e[1].get("call") == call)
        assert index is not None, f"{self.user}: no {method} of {call}"
        return self.events.times[index]

    # -- calls with plain RTP

    def stream(self, codec: str = "PCMU", hz: float | None = 1000) -> RtpStream:
        stream = RtpStream(codec, hz)
        self._streams.append(stream)
        return stream

    async def invite(
        self, to: str, stream: RtpStream | None = None, sdp: str | None = None, **params: Any
    ) -> str:
        """Call somebody with plain RTP; the call's id."""
        stream = stream or self.stream()
        offer = plain_offer(stream) if sdp is None else sdp
        result = await self.request("call.invite", to=to, sdp=offer, **params)
        assert result["state"] == "inviting", result
        call: str = result["call"]
        self.media[call] = stream
        for answered in self.told("call.media", call):
            take_answer(stream, answered["sdp"])
        return call

    async def incoming(self, timeout_s: float = 5, since: int = 0) -> Json:
        return await self.event("call.incoming", timeout_s, since)

    async def accept(self, call: str, stream: RtpStream | None = None) -> RtpStream:
        stream = stream or self.stream()
        self.media[call] = stream
        result = await self.request("call.accept", call=call, sdp=plain_offer(stream))
        assert result == {}, result
        return stream

    async def connected(self, call: str, timeout_s: float = 5) -> Json:
        return await self.event("call.connected", timeout_s, call=call)

    async def hangup(self, call: str) -> None:
        assert await self.request("call.hangup", call=call) == {}

    async def ended(self, call: str, timeout_s: float = 5) -> Json:
        return await self.event("call.ended", timeout_s, call=call)

    def digits(self, call: str) -> str:
        return "".join(d["digit"] for d in self.told("call.dtmf", call))


class AppServer(AppClient):
    """Takes every call at once, each with a stream of its own: many calls at a time."""

    def __init__(self, user: str) -> None:
        super().__init__(user)
        self.on_event = self._take
        self.failures: list[str] = []

    def _take(self, method: str, params: Json) -> None:
        if method == "call.incoming":
            done = Deferred.fromCoroutine(self.accept(params["call"]))
            done.addErrback(lambda f: self.failures.append(f"{params['call']}: {f.value}"))


def plain_offer(stream: RtpStream, codecs: tuple[str, ...] | None = None) -> str:
    """``RTP/AVP`` with the stream's codec (or others), and telephone-event if it announces it."""
    named = {"PCMU": (0, "PCMU/8000"), "PCMA": (8, "PCMA/8000"), "QCELP": (12, "QCELP/8000")}
    chosen = [named[c] for c in codecs or (stream.codec,)]
    events = stream.event_pt if stream.announces_events else None
    formats = " ".join(str(pt) for pt in (*(pt for pt, _ in chosen), events) if pt is not None)
    lines = [
        "v=0",
        f"o=- {stream.port} 1 IN IP4 127.0.0.1",
        "s=-",
        "c=IN IP4 127.0.0.1",
        "t=0 0",
        f"m=audio {stream.port} RTP/AVP {formats}",
        *(f"a=rtpmap:{pt} {name}" for pt, name in chosen),
        *([] if events is None else [f"a=rtpmap:{events} telephone-event/8000"]),
        *([] if events is None else [f"a=fmtp:{events} 0-15"]),
        "a=ptime:20",
        "a=sendrecv",
    ]
    return "\r\n".join(lines) + "\r\n"


def media_address(sdp: str) -> tuple[str, int]:
    """Where an SDP wants its audio."""
    host = re.search(r"^c=IN IP4 (\S+)", sdp, re.M)
    port = re.search(r"^m=audio (\d+) ", sdp, re.M)
    assert host and port, sdp
    return host[1], int(port[1])


def event_type(sdp: str) -> int | None:
    """The payload type of telephone-event at 8000 Hz, if any."""
    found = re.search(r"^a=rtpmap:(\d+) telephone-event/8000", sdp, re.M | re.I)
    return int(found[1]) if found else None


def take_answer(stream: RtpStream, sdp: str) -> None:
    """Send where the answer says, with its payload types."""
    stream.send_event_pt = event_type(sdp) or stream.event_pt
    stream.send_to(*media_address(sdp))
