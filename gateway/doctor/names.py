"""DNS: do the trunks' names lead anywhere?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.dns.once import once
from gateway.dns.resolver import Resolver
from gateway.doctor.finding import Finding
from gateway.errors import CannotStart, Unlocatable
from gateway.settings import Settings, Trunk
from gateway.sip.places import parse_place

SHOWN = 4


def trunks(settings: Settings) -> Iterator[Finding]:
    """Nothing is asked where every trunk has a numeric address."""
    named = [t for t in settings.trunks if not parse_place(t.address).numeric]
    if not named:
        return

    async def located(resolver: Resolver) -> list[Finding]:
        return [await _located(resolver, trunk) for trunk in named]

    try:
        yield from once(settings.dns, located)
    except CannotStart as e:
        yield Finding("name servers", "fail", str(e), "set dns.servers, or mend /etc/resolv.conf")


async def _located(resolver: Resolver, trunk: Trunk) -> Finding:
    what = f"trunk {trunk.name} at {trunk.address}"
    try:
        hops = await resolver.locate(trunk.address, trunk.transport)
    except Unlocatable as e:
        mend = f"check trunks[].address, dns.servers, and what DNS has for {trunk.address}"
        return Finding(what, "fail", str(e), mend)
    return Finding(what, "ok", _shown([f"{hop.transport} {hop.address}" for hop in hops]))


def _shown(hops: Sequence[str]) -> str:
    more = f" and {len(hops) - SHOWN} more" if len(hops) > SHOWN else ""
    return ", ".join(hops[:SHOWN]) + more
