"""The rules of RFC 3263: what to look up for a SIP domain, and in which order to try what comes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Literal

from gateway.sip.errors import SipSyntaxError
from gateway.sip.uri import split_hostport

Transport = Literal["udp", "tcp", "tls"]

DEFAULT_PORTS: Final[dict[Transport, int]] = {"udp": 5060, "tcp": 5060, "tls": 5061}
SERVICES: Final[dict[str, Transport]] = {
    "sips+d2t": "tls",
    "sip+d2u": "udp",
    "sip+d2t": "tcp",
}
"""Of NAPTR records (RFC 3263 §4.1), and what is spoken then."""
PREFIXES: Final[dict[Transport, str]] = {
    "tls": "_sips._tcp",
    "udp": "_sip._udp",
    "tcp": "_sip._tcp",
}
MAX_HOPS: Final = 16


@dataclass(frozen=True, slots=True)
class Place:
    """``host``, ``host:port`` or ``[v6]:port``; ``numeric`` needs no DNS at all."""

    host: str
    port: int | None
    numeric: bool


@dataclass(frozen=True, slots=True)
class Srv:
    """RFC 2782.  A target of ``.`` says that the service is not there."""

    priority: int
    weight: int
    port: int
    target: str


@dataclass(frozen=True, slots=True)
class Naptr:
    """RFC 3403."""

    order: int
    preference: int
    flags: str
    service: str
    regexp: str
    replacement: str


def read_place(text: str) -> Place:
    """``SipSyntaxError`` for what is no host."""
    host, port = split_hostport(text)
    bare = host.strip("[]")
    try:
        return Place(str(ip_address(bare)), port, True)
    except ValueError:
        if bare.replace(".", "").isdigit():
            raise SipSyntaxError(f"{bare[:40]!r} is no address") from None
        return Place(bare.lower().rstrip("."), port, False)


def chosen(records: Iterable[Naptr]) -> tuple[tuple[Transport, str], ...]:
    """The SRV names that NAPTR records lead to, in order, for what can be spoken here."""
    found: list[tuple[Transport, str]] = []
    for record in sorted(records, key=lambda r: (r.order, r.preference)):
        transport = SERVICES.get(record.service.lower())
        name = record.replacement.rstrip(".").lower()
        if transport is not None and record.flags.lower() == "s" and name:
            found.append((transport, name))
    return tuple(found)


def in_order(records: Sequence[Srv], chance: Callable[[], float]) -> tuple[Srv, ...]:
    """RFC 2782: by priority, and among equals drawn by weight; ``chance`` is from 0 to 1."""
    out: list[Srv] = []
    for priority in sorted({r.priority for r in records}):
        # those of weight 0 first, so that they have a small chance
        left = sorted((r for r in records if r.priority == priority), key=lambda r: r.weight)
        while left:
            mark = chance() * sum(r.weight for r in left)
            running = 0
            drawn = left[-1]
            for record in left:
                running += record.weight
                if running >= mark:
                    drawn = record
                    break
            left.remove(drawn)
            out.append(drawn)
    return tuple(r for r in out if r.target not in ("", "."))


_ENUM: Final = re.compile(r"\^(.{0,64})\$")
_PLAIN: Final = re.compile(r"(?:\.\*|\(\.\*\)|\\?\+?[0-9]*(?:\.\*|\(\.\*\))?)")


def enum_domain(number: str, suffix: str) -> str:
    """RFC 6116 §3.2: the digits backwards, with dots between."""
    return ".".join(reversed(number.lstrip("+"))) + "." + suffix


def enum_uri(record: Naptr, number: str) -> str | None:
    """What a terminal ENUM record makes of a number; ``None`` where it is not for SIP.

    Patterns are held to what registries write: digits and one ``.*``, which cannot be made to
    take long.
    """
    services = record.service.lower().split("+")
    if record.flags.lower() != "u" or "e2u" not in services or "sip" not in record.service.lower():
        return None
    text = record.regexp
    if len(text) < 4 or len(text) > 300:
        return None
    parts = text[1:].split(text[0])
    if len(parts) != 3:
        return None
    pattern, replacement, flags = parts
    match = _ENUM.fullmatch(pattern)
    if match is None or not _PLAIN.fullmatch(match[1]) or flags not in ("", "i"):
        return None
    inner = match[1].replace("\\+", "+")
    fixed = inner.replace("(.*)", "").replace(".*", "")
    if not number.startswith(fixed) or (not inner.endswith((".*", ".*)")) and number != fixed):
        return None
    uri = replacement.replace("\\1", number[len(fixed) :] if "(" in inner else "")
    return uri if uri.lower().startswith(("sip:", "sips:")) else None
