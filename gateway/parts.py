"""Parts that only some gateways have, each imported where it is wanted: they are megabytes."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.web.resource import Resource

from gateway.app.http import Mountable
from gateway.app.jwks import KeyRing
from gateway.app.revocations import RevokedTokens
from gateway.app.sessions import Sessions
from gateway.app.tokens import Tokens
from gateway.calls.identity_ports import Attestor
from gateway.errors import CannotStart, NotAllowed, StoreUnavailable, Unlocatable
from gateway.observe.logs import listen
from gateway.observe.metrics import Metrics
from gateway.settings import (
    ApiSection,
    ConsoleSection,
    DnsSection,
    Settings,
    StirSection,
    Webhook,
    secret,
)
from gateway.store.database import Database
from gateway.store.outbox import Outbox
from gateway.store.revocations import RevocationStore
from gateway.store.usage import DAY_S
from gateway.values import Hop

if TYPE_CHECKING:
    from gateway.calls.registry import CallRegistry
    from gateway.calls.rollout import Rollout
    from gateway.dns.resolver import Resolver
    from gateway.edge.edge import Edge
    from gateway.media.pool import Pool
    from gateway.observe.traces import Recorder
    from gateway.stir.verifier import Verifier
    from gateway.store.audit import AuditStore
    from gateway.store.bans import BanStore
    from gateway.store.limits import LimitStore
    from gateway.store.passes import PassStore
    from gateway.store.people import PeopleStore
    from gateway.store.pins import PinStore
    from gateway.store.reviews import ReviewStore
    from gateway.trunks.carriers import Trunks
    from gateway.webhooks.couriers import Couriers

AUDIT_SWEEP_S = 3600.0


async def api(
    section: ApiSection,
    database: Database,
    calls: CallRegistry,
    pins: PinStore,
    people: PeopleStore,
    reviews: ReviewStore,
    bans: BanStore,
    passes: PassStore,
    rollout: Rollout,
    entry: Entry,
    reactor: Any,
    metrics: Metrics,
) -> Resource:
    """What everything under ``/v1`` but the WebSocket is answered by."""
    from gateway.api.access import Access  # noqa: PLC0415
    from gateway.api.repeats import Repeats  # noqa: PLC0415
    from gateway.api.resources import Ports, operations  # noqa: PLC0415
    from gateway.api.router import Router  # noqa: PLC0415
    from gateway.store.answers import AnswerStore  # noqa: PLC0415
    from gateway.store.records import RecordStore  # noqa: PLC0415

    now = reactor.seconds
    answers = AnswerStore(database)
    await answers.forget_unfinished()
    records, revoked, clients = RecordStore(database), entry.revoked, entry.sessions
    book = (pins, people, reviews, bans, revoked, passes, clients, rollout)
    ports = Ports(calls, records, *book, now)
    access = Access(section.tokens, now)
    return Router(operations(ports), access, Repeats(answers, now), metrics, now)


@dataclass(frozen=True, slots=True)
class Entry:
    """Who may sign in."""

    sessions: Sessions
    tokens: Tokens
    revoked: RevokedTokens

    async def start(self) -> None:
        await self.revoked.start()
        await self.tokens.start()

    async def stop(self) -> None:
        await self.tokens.stop()
        await self.revoked.stop()


def entry(
    settings: Settings, database: Database, sessions: Sessions, reactor: Any, metrics: Metrics
) -> Entry:
    """``CannotStart`` where the keys of tokens can never be used."""
    section, ring = settings.app.token, None
    if section.refreshed:
        from gateway.app.jwks_source import source_of  # noqa: PLC0415

        ring = KeyRing(section, source_of(section, reactor), reactor, metrics)
    revoked = RevokedTokens(RevocationStore(database), sessions, reactor, metrics)
    return Entry(sessions, Tokens(section, reactor.seconds, ring, revoked.covers), revoked)


class GateValve:
    """Implements ``console_ports.Valve``.  Once the gateway ends it stays shut."""

    def __init__(
        self, calls: CallRegistry, edge: Edge, not_ready: Callable[[], Sequence[str]]
    ) -> None:
        self._calls = calls
        self._edge = edge
        self._ending = False
        self.not_ready = not_ready

    @property
    def draining(self) -> bool:
        return self._calls.draining

    def shut(self) -> None:
        self._turn(shut=True)

    def open(self) -> None:
        if self._ending:
            raise NotAllowed("the gateway is about to end")
        self._turn(shut=False)

    def end(self) -> None:
        self._ending = True
        self._turn(shut=True)

    def _turn(self, *, shut: bool) -> None:
        self._calls.refuse_new(shut)
        self._edge.refuse_new(shut)


def recorder(section: ConsoleSection, reactor: Any) -> Recorder | None:
    """``None`` where there is no console to look at what it keeps."""
    if not section.accounts:
        return None
    from gateway.observe.traces import Recorder  # noqa: PLC0415

    return Recorder(section.traced_calls, section.traced_bytes, reactor.seconds)


def hearing(traces: Recorder) -> Callable[[], Awaitable[None]]:
    """The log is heard from now on, until what is returned is called."""
    end = listen(traces.noted)

    async def stop() -> None:
        end()

    return stop


@dataclass(frozen=True, slots=True)
class Console:
    pages: Mountable
    start: Callable[[], Awaitable[None]]
    stop: Callable[[], Awaitable[None]]


def console(
    section: ConsoleSection,
    seen: tuple[Recorder, CallRegistry, Pool, Trunks, Edge, GateValve],
    kept: tuple[Database, ReviewStore, BanStore, LimitStore],
    reactor: Any,
    metrics: Metrics,
) -> Console:
    """What operators see and may do; ``CannotStart`` where a password cannot be read."""
    from gateway.console.desk import Desk, Ports  # noqa: PLC0415
    from gateway.console.doors import Doors  # noqa: PLC0415
    from gateway.console.http import ConsoleApi  # noqa: PLC0415
    from gateway.store.audit import AuditStore  # noqa: PLC0415
    from gateway.store.product import ProductStore  # noqa: PLC0415
    from gateway.store.records import RecordStore  # noqa: PLC0415
    from gateway.web.console_pages import ConsolePages  # noqa: PLC0415

    traces, calls, pool, trunks, edge, valve = seen
    database, reports, bans, limits = kept
    product, audit, now = ProductStore(database), AuditStore(database), reactor.seconds

    def in_thread(work: Callable[[], bool]) -> Deferred[bool]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), work)

    desk = Desk(
        Ports(
            calls=calls,
            records=RecordStore(database),
            traces=traces,
            workers=pool,
            trunks=trunks,
            registrations=edge,
            valve=valve,
            product=product,
            safety=product,
            reports=reports,
            bans=bans,
            holds=limits,
            audit=audit,
            now=now,
        )
    )
    doors = Doors(section, now, in_thread, metrics.console_login)
    forgetting = LoopingCall(_forget_actions, audit, section.audit_days, now)
    forgetting.clock = reactor

    async def start() -> None:
        if section.audit_days is not None:
            forgetting.start(AUDIT_SWEEP_S)

    async def stop() -> None:
        if forgetting.running:
            forgetting.stop()

    return Console(ConsolePages(ConsoleApi(doors, desk)), start, stop)


async def _forget_actions(audit: AuditStore, days: int, now: Callable[[], float]) -> None:
    try:
        await audit.forget(now() - days * DAY_S)
    except StoreUnavailable:
        return  # readiness tells of it; the next turn goes on


def couriers(
    webhooks: Sequence[Webhook], outbox: Outbox, reactor: Any, metrics: Metrics
) -> Couriers:
    from gateway.webhooks.couriers import Couriers  # noqa: PLC0415

    return Couriers(webhooks, outbox, reactor, metrics, random.random)


def resolver(section: DnsSection, reactor: Any, metrics: Metrics) -> Resolver:
    from gateway.dns.resolver import Resolver  # noqa: PLC0415

    return Resolver(section, reactor, metrics)


class Nowhere:
    """The locator of a gateway without trunks, which has nothing to locate."""

    async def locate(
        self, place: str, transport: Literal["udp", "tcp", "tls"] | None = None
    ) -> tuple[Hop, ...]:
        raise Unlocatable(f"{place}: there are no trunks")

    async def enum(self, number: str) -> tuple[str, ...]:
        return ()


def signer(section: StirSection, metrics: Metrics) -> Attestor:
    from gateway.stir.signer import Signer  # noqa: PLC0415

    return Signer(section, metrics)


def verifier(section: StirSection, reactor: Any, metrics: Metrics) -> Verifier:
    from gateway.stir.verifier import Verifier  # noqa: PLC0415

    return Verifier(section, reactor, metrics)


def usable(settings: Settings) -> DnsSection:
    """Addresses of IPv6 lead nowhere where the edge has none itself."""
    if settings.sip.host6 is not None or "ipv4" not in settings.dns.families:
        return settings.dns
    return settings.dns.model_copy(update={"families": ("ipv4",)})


def passwords(settings: Settings) -> dict[str, str]:
    """Each account's digest password; ``CannotStart`` names the file that cannot be read."""
    found: dict[str, str] = {}
    for account in settings.sip.accounts:
        try:
            found[account.user] = secret(account.password, account.password_file)
        except OSError as e:
            problem = f"sip.accounts: {account.password_file} cannot be read: {e.strerror}"
            raise CannotStart(problem) from e
    return found


def trunk_passwords(settings: Settings) -> dict[str, str]:
    """Each trunk's password, where it has one; ``CannotStart`` names what cannot be read."""
    found: dict[str, str] = {}
    for trunk in settings.trunks:
        if trunk.password is None and trunk.password_file is None:
            continue
        try:
            found[trunk.name] = secret(trunk.password, trunk.password_file)
        except OSError as e:
            problem = f"trunks: {trunk.password_file} cannot be read: {e.strerror}"
            raise CannotStart(problem) from e
    return found
