"""A place that SIP is sent to: ``host``, ``host:port``, ``[v6]:port``."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from gateway.sip.errors import SipSyntaxError

_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_\-]{0,61}[A-Za-z0-9_])?"
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_PLACE: Final = re.compile(r"(\[[^\[\]]*\]|[^\[\]:]+)(?::([0-9]{1,5}))?")
LONGEST_NAME: Final = 253


@dataclass(frozen=True, slots=True)
class Place:
    """``host`` in lower case without a final dot; an IPv6 address without brackets."""

    host: str
    port: int | None = None
    numeric: bool = False

    @property
    def is_ipv6(self) -> bool:
        return self.numeric and ":" in self.host

    def __str__(self) -> str:
        host = f"[{self.host}]" if self.is_ipv6 else self.host
        return host if self.port is None else f"{host}:{self.port}"


def parse_place(text: str) -> Place:
    """Read a place; ``SipSyntaxError`` says what would be right."""
    match = _PLACE.fullmatch(text) if len(text) <= 300 else None
    if match is not None:
        host, digits = match[1], match[2]
        port = None if digits is None else int(digits)
        numeric = _numeric(host)
        if port is None or 0 < port < 65_536:
            if numeric is not None:
                return Place(numeric, port, numeric=True)
            if is_name(host):
                return Place(host.rstrip(".").lower(), port)
    raise SipSyntaxError(
        f"not a place: {text[:80]!r}; right are sip.example.org, sip.example.org:5070, "
        "203.0.113.5, [2001:db8::1]:5061"
    )


def _numeric(host: str) -> str | None:
    try:
        if host.startswith("["):
            return str(ipaddress.IPv6Address(host[1:-1])) if "%" not in host else None
        return str(ipaddress.IPv4Address(host))
    except ValueError:
        return None


def is_name(host: str) -> bool:
    """Could it be asked for in DNS, and is it no IPv4 address gone wrong?"""
    bare = host.removesuffix(".")
    if not _NAME.fullmatch(host) or len(bare) > LONGEST_NAME:
        return False
    return not bare.rpartition(".")[2].isdigit()
