"""ENUM as a first route (RFC 6116): what is found in DNS may choose among our trunks, no more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.routing.plans import Step
from gateway.settings import Trunk
from gateway.sip.errors import SipSyntaxError
from gateway.sip.uri import SipUri, parse_uri
from gateway.values import E164


@dataclass(frozen=True, slots=True)
class EnumWay:
    """``number`` is what this trunk calls it by."""

    trunk: str
    number: str


def domain_of(trunk: Trunk) -> str:
    """The domain of From, To and Request-URI."""
    if trunk.domain:
        return trunk.domain
    place = trunk.address
    return place.partition("]")[0] + "]" if place.startswith("[") else place.partition(":")[0]


def domains_of(trunks: Iterable[Trunk]) -> dict[str, str]:
    """Domain → trunk; of several with the same one the first counts."""
    found: dict[str, str] = {}
    for trunk in trunks:
        found.setdefault(domain_of(trunk).lower(), trunk.name)
    return found


def enum_ways(
    uris: Sequence[str], domains: Mapping[str, str]
) -> tuple[tuple[EnumWay, ...], tuple[Step, ...]]:
    """Those URIs that name a number at the domain of a trunk, in their order, each once.

    Any other would make calls go wherever a stranger's records say.
    """
    ways: dict[EnumWay, None] = {}
    steps: list[Step] = []
    for text in uris:
        way, why = _way(text, domains)
        steps.append(Step("enum", way is not None, f"{text} {why}"))
        if way is not None:
            ways[way] = None
    return tuple(ways), tuple(steps)


def _way(text: str, domains: Mapping[str, str]) -> tuple[EnumWay | None, str]:
    try:
        uri = parse_uri(text)
    except SipSyntaxError:
        return None, "cannot be read"
    if not isinstance(uri, SipUri):
        return None, "is no SIP URI"
    number = (uri.user or "").partition(";")[0]
    if not E164.fullmatch(number):
        return None, "names no number"
    trunk = domains.get(uri.host.lower())
    if trunk is None:
        return None, "is at the domain of no trunk"
    return EnumWay(trunk, number), f"is trunk {trunk}"
