"""What is right by itself and wrong together: twice the same, or one that excludes another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.settings.sections import Settings

Path = tuple[str | int, ...]

_WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104  # compared, not bound


_ONCE: Final[tuple[tuple[str, str, str | None], ...]] = (
    ("trunks", "", "name"),
    ("routing", "routes", "name"),
    ("routing", "numbers", "number"),
    ("sip", "accounts", "user"),
    ("sip", "trusted", "name"),
    ("sip", "trusted", "address"),
    ("sip", "digest_algorithms", None),
    ("stir", "allow_hosts", None),
    ("dns", "servers", None),
    ("dns", "families", None),
    ("http", "allowed_origins", None),
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


def contradictions(s: Settings) -> Iterator[Contradiction]:
    """Every contradiction between settings that are each right by themselves."""
    yield from _same_port(s)
    yield from _nowhere(s)
    yield from _beyond(s)
    yield from _no_such_trunk(s)


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


def _no_such_trunk(s: Settings) -> Iterator[Contradiction]:
    known = {trunk.name for trunk in s.trunks}
    named: list[tuple[Path, str]] = [
        (("routing", "routes", at, "trunks", place), use.trunk)
        for at, route in enumerate(s.routing.routes)
        for place, use in enumerate(route.trunks)
    ]
    if s.routing.emergency.trunk is not None:
        named.append((("routing", "emergency", "trunk"), s.routing.emergency.trunk))
    for path, name in named:
        if name not in known:
            choice = f"; there are {', '.join(sorted(known))}" if known else "; there are none"
            yield Contradiction(path, f"no trunk is called {name!r}{choice}", frozenset({"trunks"}))
