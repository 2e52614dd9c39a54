"""Where a SIP domain is served (RFC 3263), and whose a number is (RFC 6116)."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout

from gateway.calls.ports import Clock
from gateway.dns.resolver import NoAnswer, Resolver
from gateway.errors import Unlocatable
from gateway.settings import DnsSection
from gateway.sip.errors import SipSyntaxError
from gateway.sip.locating import (
    DEFAULT_PORTS,
    MAX_HOPS,
    PREFIXES,
    Naptr,
    Place,
    Srv,
    Transport,
    chosen,
    enum_domain,
    enum_uri,
    in_order,
    read_place,
)
from gateway.values import Hop, HostPort

_KINDS = {"ipv4": "A", "ipv6": "AAAA"}


class DnsLocator:
    """Implements ``ports.Locator``; ``chance`` draws among SRV records of one priority."""

    def __init__(
        self,
        settings: DnsSection,
        resolver: Resolver,
        clock: Clock,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._resolver = resolver
        self._clock = clock
        self._chance = chance

    async def locate(self, place: str, transport: Transport | None = None) -> tuple[Hop, ...]:
        try:
            wanted = read_place(place)
        except SipSyntaxError as e:
            raise Unlocatable(f"{place[:80]!r}: {e}") from e
        if wanted.numeric:
            spoken = transport or "udp"
            port = wanted.port or DEFAULT_PORTS[spoken]
            return (Hop(spoken, HostPort(wanted.host, port), wanted.host),)
        looking = Deferred.fromCoroutine(self._named(wanted, transport))
        looking.addTimeout(self._settings.timeout_s, self._clock)  # type: ignore[arg-type]
        try:
            hops: tuple[Hop, ...] = await looking
        except DeferredTimeout as e:
            limit = f"nothing within {self._settings.timeout_s:g} s"
            raise Unlocatable(f"{wanted.host}: {limit}") from e
        except NoAnswer as e:
            raise Unlocatable(f"{wanted.host}: {e}") from e
        if not hops:
            tried = "A or AAAA" if wanted.port else "NAPTR, SRV, A or AAAA"
            raise Unlocatable(f"{wanted.host} has no {tried} record that leads anywhere")
        return hops[:MAX_HOPS]

    async def _named(self, wanted: Place, transport: Transport | None) -> tuple[Hop, ...]:
        host = wanted.host
        if wanted.port is not None:
            return await self._addresses(host, transport or "udp", wanted.port, host)
        services = await self._services(host, transport)
        hops: list[Hop] = []
        gone = False
        for spoken, name in services:
            records = [_srv(r) for r in await self._resolver.ask(name, "SRV")]
            gone = gone or any(r.target == "." for r in records)
            for record in in_order(records, self._chance):
                if len(hops) < MAX_HOPS:
                    hops += await self._addresses(record.target, spoken, record.port, host)
        if hops or gone:
            return tuple(hops)
        spoken = transport or "udp"
        return await self._addresses(host, spoken, DEFAULT_PORTS[spoken], host)

    async def _services(
        self, host: str, transport: Transport | None
    ) -> tuple[tuple[Transport, str], ...]:
        """The SRV names to ask for (§4.1)."""
        if transport is not None:
            return ((transport, f"{PREFIXES[transport]}.{host}"),)
        found = chosen(_naptr(r) for r in await self._resolver.ask(host, "NAPTR"))
        if found:
            return found
        plain: tuple[Transport, ...] = ("udp", "tcp", "tls")
        return tuple((t, f"{PREFIXES[t]}.{host}") for t in plain)

    async def _addresses(
        self, host: str, transport: Transport, port: int, name: str
    ) -> tuple[Hop, ...]:
        found: list[str] = []
        for family in self._settings.families:
            found += [r.address for r in await self._resolver.ask(host, _KINDS[family])]
        return tuple(Hop(transport, HostPort(a, port), name) for a in found)

    async def enum(self, number: str) -> tuple[str, ...]:
        domain = enum_domain(number, self._settings.enum_suffix)
        try:
            records = [_naptr(r) for r in await self._resolver.ask(domain, "NAPTR")]
        except NoAnswer:
            return ()
        records.sort(key=lambda r: (r.order, r.preference))
        return tuple(uri for r in records if (uri := enum_uri(r, number)) is not None)[:MAX_HOPS]


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _srv(r: Any) -> Srv:
    target = r.target.to_text()
    return Srv(r.priority, r.weight, r.port, target if target == "." else target.rstrip("."))


def _naptr(r: Any) -> Naptr:
    return Naptr(
        r.order,
        r.preference,
        _text(r.flags),
        _text(r.service),
        _text(r.regexp),
        r.replacement.to_text(),
    )
