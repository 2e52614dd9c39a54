"""Parts that only some gateways have, each imported where it is wanted: they are megabytes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from twisted.web.resource import Resource

from gateway.app.jwks import KeyRing
from gateway.app.revocations import RevokedTokens
from gateway.app.sessions import Sessions
from gateway.app.tokens import Tokens
from gateway.calls.identity_ports import Attestor
from gateway.errors import Unlocatable
from gateway.observe.metrics import Metrics
from gateway.settings import ApiSection, DnsSection, Settings, StirSection, Webhook
from gateway.store.database import Database
from gateway.store.outbox import Outbox
from gateway.store.revocations import RevocationStore
from gateway.values import Hop

if TYPE_CHECKING:
    from gateway.calls.registry import CallRegistry
    from gateway.calls.rollout import Rollout
    from gateway.dns.resolver import Resolver
    from gateway.stir.verifier import Verifier
    from gateway.store.bans import BanStore
    from gateway.store.passes import PassStore
    from gateway.store.people import PeopleStore
    from gateway.store.pins import PinStore
    from gateway.store.reviews import ReviewStore
    from gateway.webhooks.couriers import Couriers


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
