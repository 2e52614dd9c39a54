"""The app's server over loopback, with calls and history that tests script."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol, connectWS
from twisted.internet.defer import Deferred

from gateway.app.http import AppServer
from gateway.app.pass_methods import PassMethods
from gateway.app.people_methods import PeopleMethods
from gateway.app.review_methods import ReviewMethods
from gateway.app.sessions import Sessions
from gateway.app.tokens import Tokens, mint
from gateway.calls.pass_ports import Grant, Pass, PassPage
from gateway.calls.people_ports import BlockPage, ContactPage
from gateway.calls.pin_ports import Pin, PinKind, Redeemed
from gateway.calls.record import HistoryItem, HistoryPage
from gateway.calls.review_ports import Category, Rating, Report, Tag
from gateway.errors import GatewayError
from gateway.policy.identity import Identities
from gateway.policy.people import Preferences
from gateway.settings import Settings
from gateway.values import (
    Address,
    CallId,
    Client,
    ClientId,
    Direction,
    Principal,
    UserAddress,
)
from gateway.web.pages import Pages
from tests.peers.waiting import Happenings, reactor

SECRET = "a secret of the tests, long enough for HS256"
Json = dict[str, Any]


def settings(**app: Any) -> Settings:
    sections: Json = {
        "http": {"port": 0, **app.pop("http", {})},
        "sip": {"accounts": [{"user": "1001", "password": "secret1001"}]},
        "app": {"token": {"secret": SECRET, "leeway_s": 0}, **app},
    }
    return Settings.model_validate(sections)


class ScriptedCalls:
    """``DmCalls`` that records.  ``answers[method]`` is a result, an error to raise, or a
    function of the arguments; it may return a Deferred."""

    def __init__(self) -> None:
        self.asked: Happenings[tuple[Any, ...]] = Happenings("calls asked")
        self.answers: dict[str, Any] = {}

    async def _do(self, method: str, client: Client, *args: Any) -> Any:
        self.asked.add((method, client.principal.handle, *args))
        answer = self.answers.get(method)
        if callable(answer):
            answer = answer(client, *args)
        if isinstance(answer, Deferred):
            answer = await answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def invite(self, client: Client, to: Address, thread: str | None, sdp: str | None) -> Any:
        return await self._do("invite", client, str(to), thread, sdp) or CallId("c1")

    async def accept(self, client: Client, call: CallId, sdp: str | None) -> None:
        await self._do("accept", client, call, sdp)

    async def decline(self, client: Client, call: CallId, reason: str) -> None:
        await self._do("decline", client, call, reason)

    async def hangup(self, client: Client, call: CallId) -> None:
        await self._do("hangup", client, call)

    async def mute(self, client: Client, call: CallId, muted: bool) -> None:
        await self._do("mute", client, call, muted)

    async def hold(self, client: Client, call: CallId, held: bool) -> None:
        await self._do("hold", client, call, held)

    async def dtmf(self, client: Client, call: CallId, digits: str, duration_ms: int) -> None:
        await self._do("dtmf", client, call, digits, duration_ms)

    async def media(self, client: Client, call: CallId, sdp: str) -> str:
        return str(await self._do("media", client, call, sdp))

    async def transfer(self, client: Client, call: CallId, to: Address) -> None:
        await self._do("transfer", client, call, str(to))

    def client_gone(self, client: ClientId) -> None:
        self.asked.add(("gone", client))

    def client_joined(self, client: Client) -> None:
        self.asked.add(("joined", client.principal.handle))

    async def was(self, *wanted: Any, timeout_s: float = 5) -> tuple[Any, ...]:
        """Wait until something was asked that begins with these."""
        n = len(wanted)
        return await self.asked.expect(lambda a: a[:n] == wanted, f"{wanted}", timeout_s)


class ScriptedHistory:
    def __init__(self) -> None:
        self.items: list[HistoryItem] = []
        self.asked: list[tuple[Any, ...]] = []
        self.error: Exception | None = None

    async def list(
        self,
        user: UserAddress,
        before: str | None,
        limit: int,
        with_: Address | None,
        missed: bool | None,
    ) -> HistoryPage:
        self.asked.append((str(user), before, limit, with_ and str(with_), missed))
        if self.error is not None:
            raise self.error
        items = [i for i in self.items if with_ is None or i.with_ == with_]
        return HistoryPage(tuple(items[:limit]), "more" if len(items) > limit else None)

    async def hide(self, user: UserAddress, calls_: Sequence[CallId] | None) -> int:
        self.asked.append((str(user), calls_))
        return len(calls_ or self.items)


class ScriptedPins:
    """``Pins`` of one person, in memory."""

    def __init__(self) -> None:
        self.made: dict[str, Pin] = {}

    async def create(
        self, owner: str, kind: PinKind, label: str, expires_at: float | None, now: float
    ) -> tuple[Pin, str]:
        pin = Pin(f"{owner}{len(self.made)}", kind, label, now, expires_at, 0)
        self.made[pin.id] = pin
        return pin, "12345678"

    async def list(self, owner: str, now: float) -> tuple[Pin, ...]:
        return tuple(p for p in self.made.values() if p.id.startswith(owner))

    async def revoke(self, owner: str, pin: str) -> bool:
        return pin.startswith(owner) and self.made.pop(pin, None) is not None

    async def redeem(self, digits: str, caller: str, now: float) -> Redeemed | None:
        raise AssertionError("clients never redeem")

    async def used(self, pin: str) -> None:
        raise AssertionError("clients never use")

    async def give_back(self, pin: str) -> None:
        raise AssertionError("clients never use")


class ScriptedReviews:
    """``Reviews`` of people who were in the call ``c1`` alone, and ``ReviewMeters``."""

    def __init__(self) -> None:
        self.ratings: list[Rating] = []
        self.told: list[tuple[Report, bool]] = []
        self.metered: list[tuple[Any, ...]] = []

    async def rate(self, rating: Rating) -> Direction | None:
        if rating.call != "c1":
            return None
        self.ratings.append(rating)
        return Direction.APP_TO_SIP

    async def report(
        self, call: CallId, by: UserAddress, category: Category, comment: str, now: float
    ) -> Report | None:
        if call != "c1":
            return None
        return Report("r1", call, by, UserAddress("bob"), category, comment, now)

    async def tell(self, report: Report, block: bool) -> None:
        self.told.append((report, block))

    def rated(self, direction: Direction, score: int, tags: tuple[Tag, ...]) -> None:
        self.metered.append((direction, score, tags))

    def reported(self, category: Category) -> None:
        self.metered.append((category,))


class ScriptedBook:
    """``PeopleBook`` of somebody who has set nothing, and keeps nobody."""

    def __init__(self) -> None:
        self.tokens: list[Principal] = []
        self.error: GatewayError | None = None

    async def seen(self, principal: Principal, now: float) -> None:
        self.tokens.append(principal)
        if self.error is not None:
            raise self.error

    async def preferences(self, handle: str) -> Preferences:
        return Preferences()

    async def prefer(self, handle: str, changes: dict[str, object], now: float) -> Preferences:
        raise AssertionError("nothing is changed here")

    async def contacts(self, owner: str, after: str | None, limit: int) -> ContactPage:
        return ContactPage()

    async def put_contact(
        self, owner: str, address: Address, name: str, favourite: bool, now: float
    ) -> None:
        raise AssertionError("nobody is kept here")

    async def remove_contact(self, owner: str, address: Address) -> bool:
        return False

    async def blocks(self, owner: str, after: str | None, limit: int) -> BlockPage:
        return BlockPage()

    async def block(self, owner: str, who: Address, now: float) -> None:
        raise AssertionError("nobody is blocked here")

    async def unblock(self, owner: str, who: Address) -> bool:
        return False


class ScriptedPasses:
    """``PassBook`` of nobody: what passes do is tested with the store."""

    async def grant(self, creator: str, follower: str, grant: Grant, now: float) -> Pass:
        return Pass("p1", creator, follower, grant, now, grant.calls, grant.seconds)

    async def passes(self, *asked: object) -> PassPage:
        return PassPage(())

    async def revoke(self, creator: str, pass_: str) -> bool:
        return False


class Server:
    def __init__(
        self,
        settings_: Settings | None = None,
        ready: Callable[[], Sequence[str]] = lambda: (),
        clock: Any = reactor,
        tokens: Tokens | None = None,
    ) -> None:
        self.clock = clock
        self.settings = settings_ or settings()
        self.clients: list[WsClient] = []
        self.calls = ScriptedCalls()
        self.history = ScriptedHistory()
        self.pins = ScriptedPins()
        self.reviews = ScriptedReviews()
        self.book = ScriptedBook()
        self.outside: set[str] = set()  # people who have no calls
        self.sessions = Sessions(self.settings.app, clock)
        self.tokens = tokens or Tokens(self.settings.app.token, clock.seconds)
        self.server = AppServer(
            self.settings,
            reactor,
            self.sessions,
            self.calls,
            self.history,
            self.pins,
            ReviewMethods(
                self.reviews, self.history, self.reviews, clock.seconds, self.reviews.tell
            ),
            PeopleMethods(
                self.book,
                Identities(self.settings),
                lambda p: p.handle not in self.outside,
                45,
                clock.seconds,
            ),
            PassMethods(ScriptedPasses(), self.sessions, self.settings.passes, clock.seconds),
            ready,
            Pages(self.settings, reactor.seconds),
            self.tokens,
            clock,
        )

    @property
    def url(self) -> str:
        return f"http://{self.server.address}"

    def token(self, user: str = "alice", **claims: Any) -> str:
        section = self.settings.app.token
        return mint(section, user, now=self.clock.seconds(), **{"ttl_s": 3600, **claims})

    async def client(self, user: str = "alice", **options: Any) -> WsClient:
        """Signed in."""
        client = await self.socket(**options)
        await client.open(self.token(user))
        return client

    async def socket(self, **options: Any) -> WsClient:
        client = WsClient()
        self.clients.append(client)
        await client.connect(f"ws://{self.server.address}/v1/dm", **options)
        return client


class Refused(GatewayError):
    """The WebSocket handshake was refused; ``str`` is why."""


class _Protocol(WebSocketClientProtocol):
    def onOpen(self) -> None:
        self.factory.owner.opened.callback(None)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.factory.owner.heard(json.loads(payload))

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.factory.owner.closed_with(code, reason)


class WsClient:
    """One WebSocket.  ``frames`` has every message; ``closes`` the close code."""

    def __init__(self) -> None:
        self.frames: Happenings[Json] = Happenings("frames")
        self.closes: Happenings[int | None] = Happenings("closes")
        self.opened: Deferred[None] = Deferred()
        self.protocol: Any = None
        self.session = ""
        self._next = 0

    async def connect(self, url: str, protocols: Sequence[str] = ("dm-call.v1",), **o: Any) -> None:
        factory: Any = WebSocketClientFactory(url, protocols=list(protocols), **o)
        factory.protocol = _Protocol
        factory.noisy = False
        factory.owner = self
        factory.setProtocolOptions(openHandshakeTimeout=5, closeHandshakeTimeout=2)
        connector = connectWS(factory, timeout=5)
        self.opened.addTimeout(6, reactor)
        await self.opened
        self.protocol = connector.transport.protocol

    def closed_with(self, code: int | None, reason: str | None) -> None:
        if not self.opened.called:
            self.opened.errback(Refused(str(reason)))
        self.closes.add(code)

    def heard(self, message: Json) -> None:
        self.frames.add(message)

    def say(self, message: Any) -> None:
        text = message if isinstance(message, str) else json.dumps(message)
        self.protocol.sendMessage(text.encode())

    async def answer(self, id_: Any, timeout_s: float = 5) -> Json:
        return await self.frames.expect(
            lambda m: "method" not in m and m["id"] == id_, f"the answer to {id_}", timeout_s
        )

    async def ask(self, method: str, params: Any = None, timeout_s: float = 5) -> Json:
        """The whole answer."""
        id_ = self.begin(method, params)
        return await self.answer(id_, timeout_s)

    def begin(self, method: str, params: Any = None) -> int:
        self._next += 1
        message = {"jsonrpc": "2.0", "id": self._next, "method": method, "params": params or {}}
        self.say(message)
        return self._next

    async def open(self, token: str, resume: str | None = None) -> Json:
        params = {"token": token} | ({} if resume is None else {"resume": resume})
        answer = await self.ask("session.open", params)
        if "result" in answer:
            self.session = answer["result"]["session"]
        return answer

    async def event(self, method: str, timeout_s: float = 5) -> Json:
        found = await self.frames.expect(lambda m: m.get("method") == method, method, timeout_s)
        params: Json = found["params"]
        return params

    async def closed(self, timeout_s: float = 5) -> int | None:
        return await self.closes.expect(lambda _: True, "the close", timeout_s)

    def drop(self) -> None:
        """The network is gone: no close frame."""
        self.protocol.transport.abortConnection()


class Started:
    """Starts servers; ``end`` stops them and cuts what is left of their clients."""

    def __init__(self) -> None:
        self.servers: list[Server] = []

    async def __call__(self, *args: Any, **kwargs: Any) -> Server:
        server = Server(*args, **kwargs)
        self.servers.append(server)
        await server.server.start()
        return server

    async def end(self) -> None:
        for server in self.servers:
            for client in server.clients:
                if client.protocol is not None and not client.closes.seen:
                    client.drop()
            await server.server.stop()
