"""What is right by itself and wrong together: twice the same, or one that excludes another."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from gateway.settings.routing import RoutingSection, inside
from gateway.settings.sections import Settings
from gateway.values import NumberClass, SipAddress

Path = tuple[str | int, ...]

_WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104  # compared, not bound


_ONCE: Final[tuple[tuple[str, str, str | None], ...]] = (
    ("trunks", "", "name"),
    ("webhooks", "", "name"),
    ("api", "tokens", "name"),
    ("api", "tokens", "hash"),
    ("console", "accounts", "name"),
    ("routing", "numbers", "number"),
    ("routing", "routes", "name"),
    ("sip", "accounts", "user"),
    ("sip", "trusted", "name"),
    ("sip", "trusted", "address"),
    ("sip", "digest_algorithms", None),
    ("stir", "allow_hosts", None),
    ("dns", "servers", None),
    ("dns", "families", None),
    ("http", "allowed_origins", None),
    ("rollout", "allow", None),
    ("regions", "apart", None),
    ("media", "codecs", None),
    ("webrtc", "codecs", None),
    ("webrtc", "rtpengine", None),
)
"""Lists in which a value, or the value of a key, may be there once."""


@dataclass(frozen=True, slots=True)
class Contradiction:
    """``path`` is the setting to change; ``others`` the sections it was held against."""

    path: Path
    problem: str
    others: frozenset[str] = frozenset()


def repeated(data: Mapping[str, Any]) -> Iterator[Contradiction]:
    """What is there twice in data that may have other faults besides."""
    for section, name, key in _ONCE:
        held = data.get(section)
        listed = held.get(name) if isinstance(held, Mapping) else held if not name else None
        path: Path = (section, name) if name else (section,)
        seen: set[str] = set()
        for at, entry in enumerate(listed if isinstance(listed, list) else ()):
            value = entry.get(key) if key and isinstance(entry, Mapping) else entry
            if not isinstance(value, str):
                continue
            if value in seen:
                where = (*path, at) if key is None else (*path, at, key)
                yield Contradiction(where, f"{value!r} is there twice; keep one")
            seen.add(value)


def nameless(data: Mapping[str, Any]) -> Iterator[Contradiction]:
    """Trunks that routing names and that are not there, in data that may have other faults."""
    trunks = data.get("trunks", [])
    if not _is_list(trunks):
        return
    found = [t.get("name") if isinstance(t, Mapping) else None for t in trunks]
    names = [n for n in found if isinstance(n, str)]
    if len(names) < len(found):
        return  # what they are called is not known
    routing = data.get("routing")
    for path, name in _named_trunks(routing) if isinstance(routing, Mapping) else ():
        if isinstance(name, str) and name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            yield Contradiction(("routing", *path), f"there is no trunk {name!r}{hint}")


def _named_trunks(routing: Mapping[str, Any]) -> Iterator[tuple[Path, object]]:
    emergency = routing.get("emergency")
    if isinstance(emergency, Mapping):
        yield ("emergency", "trunk"), emergency.get("trunk")
    routes = routing.get("routes")
    for at, route in enumerate(routes if _is_list(routes) else ()):
        trunks = route.get("trunks") if isinstance(route, Mapping) else None
        for place, trunk in enumerate(trunks if _is_list(trunks) else ()):
            path: Path = ("routes", at, "trunks", place)
            if isinstance(trunk, Mapping):
                yield (*path, "name"), trunk.get("name")
            else:
                yield path, trunk


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def contradictions(s: Settings) -> Iterator[Contradiction]:
    """Every contradiction between settings that are each right by themselves."""
    yield from _same_port(s)
    yield from _nowhere(s)
    yield from _beyond(s)
    yield from _never_reached(s.routing)
    yield from _not_here(s)
    yield from _unverifiable(s)
    yield from _unheard(s)
    if s.routing.enum and s.dns.enum_suffix is None:
        yield Contradiction(("routing", "enum"), "needs dns.enum_suffix, as e164.arpa")


def _same_port(s: Settings) -> Iterator[Contradiction]:
    listeners = (
        ("sip", s.sip.host, s.sip.port),
        ("http", s.http.host, s.http.port),
        ("metrics", s.metrics.host, s.metrics.port),
    )
    for at, (name, host, port) in enumerate(listeners):
        for other, its_host, its_port in listeners[:at]:
            if port and port == its_port and _meet(host, its_host):
                problem = f"{port} is {other}.port too, and both listen at {host} with TCP"
                yield Contradiction((name, "port"), problem, frozenset({other}))


def _meet(a: str, b: str) -> bool:
    return a == b or bool(_WILDCARDS & {a, b}) or {a, b} == {"127.0.0.1", "localhost"}


def _nowhere(s: Settings) -> Iterator[Contradiction]:
    if s.sip.host in _WILDCARDS and s.sip.public_host is None:
        problem = f"{s.sip.host} cannot be written into Via and Contact; set sip.public_host too"
        yield Contradiction(("sip", "host"), problem)
    publics: Sequence[tuple[str, str | None]] = (
        ("sip", s.sip.public_host),
        ("media", s.media.public_host),
        ("webrtc", s.webrtc.public_host),
    )
    for name, host in publics:
        if host in _WILDCARDS:
            problem = f"{host} is no address that anybody can send to"
            yield Contradiction((name, "public_host"), problem)


def _beyond(s: Settings) -> Iterator[Contradiction]:
    if s.app.clients_per_user > s.app.max_clients:
        problem = f"is above max_clients, {s.app.max_clients}"
        yield Contradiction(("app", "clients_per_user"), problem)
    if s.calls.calls_per_user > s.calls.max_calls:
        problem = f"is above max_calls, {s.calls.max_calls}"
        yield Contradiction(("calls", "calls_per_user"), problem)


def _never_reached(routing: RoutingSection) -> Iterator[Contradiction]:
    """Of routes with the same prefix the first that fits is taken."""
    taken: dict[str, dict[NumberClass, str]] = {}
    for at, route in enumerate(routing.routes):
        before = taken.setdefault(route.prefix, {})
        if all(c in before for c in route.classes):
            names = ", ".join(sorted({before[c] for c in route.classes}))
            problem = f"is never reached: {names} before it takes every such number"
            yield Contradiction(("routing", "routes", at), problem)
        elif not (route.regions or route.groups or route.times):
            for kind in route.classes:
                before.setdefault(kind, route.name)


def _not_here(s: Settings) -> Iterator[Contradiction]:
    """Telephone calls are not passed on to SIP domains of others."""
    for at, number in enumerate(s.routing.numbers):
        for text in number.to:
            address = inside(text)
            if isinstance(address, SipAddress) and address.host != s.sip.domain.lower():
                problem = f"{text} is not in sip.domain, {s.sip.domain}"
                yield Contradiction(("routing", "numbers", at, "to"), problem, frozenset({"sip"}))


def _unverifiable(s: Settings) -> Iterator[Contradiction]:
    if s.people.unverified == "refuse" and not s.stir.verify:
        problem = "would refuse every call by a trunk: stir.verify is off"
        yield Contradiction(("people", "unverified"), problem, frozenset({"stir"}))


def _unheard(s: Settings) -> Iterator[Contradiction]:
    for at, trunk in enumerate(s.trunks):
        if trunk.hears_tones and s.webrtc.rtpengine == "off":
            problem = "inband takes rtpengine, which is off; media: direct sends tones, hears none"
            yield Contradiction(("trunks", at, "dtmf"), problem, frozenset({"webrtc"}))
