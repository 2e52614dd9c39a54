"""A domain looked up once, for the command line."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred

from gateway.dns.locator import DnsLocator
from gateway.dns.resolver import Resolver
from gateway.errors import Unlocatable
from gateway.settings import DnsSection
from gateway.sip.locating import Transport
from gateway.values import Hop


@dataclass(slots=True)
class Located:
    """``lines`` are for people: what was asked, and what came of it."""

    hops: tuple[Hop, ...] = ()
    lines: list[str] = field(default_factory=list)

    def dns_asked(self, kind: str, result: str, took_s: float) -> None:
        self.lines.append(f"asked for {kind}: {result}, {took_s * 1000:.0f} ms")


async def located(settings: DnsSection, place: str, transport: Transport | None) -> Located:
    clock: Any = _reactor
    found = Located()
    locator = DnsLocator(settings, Resolver(settings, clock, found), clock)
    looking: Deferred[tuple[Hop, ...]] = Deferred.fromCoroutine(locator.locate(place, transport))
    try:
        found.hops = await looking.asFuture(asyncio.get_running_loop())
    except Unlocatable as e:
        found.lines.append(str(e))
    found.lines += [f"{n}. {h.transport} {h.address}" for n, h in enumerate(found.hops, 1)]
    return found
