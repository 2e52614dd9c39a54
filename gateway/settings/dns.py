"""The resolver: whom it asks, how long it waits, how long it remembers."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from gateway.settings.kinds import Host, Seconds, Section, at_key

_SERVER: Final = re.compile(r"(?:([0-9.]+)|\[([0-9A-Fa-f:.]+)\])(?::([0-9]{1,5}))?")
DNS_PORT: Final = 53


def _known_server(text: str) -> str:
    match = _SERVER.fullmatch(text)
    port = int(match[3] or DNS_PORT) if match else 0
    try:
        if match and 0 < port < 65_536:
            v4, v6 = match[1], match[2]
            host = str(ipaddress.IPv4Address(v4)) if v4 else f"[{ipaddress.IPv6Address(v6)}]"
            return f"{host}:{port}"
    except ValueError:
        pass
    raise ValueError(
        f"{text[:80]!r} is no name server; right are 192.0.2.53, 192.0.2.53:5353, [2001:db8::53]:53"
    )


NameServer = Annotated[str, AfterValidator(_known_server)]
"""Numeric, as ``address:port`` with IPv6 in brackets."""

Family = Literal["ipv4", "ipv6"]


class DnsSection(Section):
    """How SIP domains (RFC 3263) and telephone numbers (RFC 6116) are looked up."""

    servers: tuple[NameServer, ...] = Field(
        (), description="asked in this order; else those of /etc/resolv.conf"
    )
    timeout_s: Annotated[float, Field(ge=0.1, le=60)] = Field(
        5, description="for all lookups that one place or number needs"
    )
    ttl_min_s: Annotated[float, Field(ge=0, le=3600)] = 5
    ttl_max_s: Seconds = 3600
    negative_ttl_max_s: Annotated[float, Field(ge=0, le=10_800)] = 60
    cache_entries: Annotated[int, Field(ge=16, le=1_000_000)] = 10_000
    families: Annotated[tuple[Family, ...], Field(min_length=1)] = Field(
        ("ipv4", "ipv6"), description="of addresses that can be used, the better one first"
    )
    enum_suffix: Host | None = Field(
        None, description="where telephone numbers are looked up, as e164.arpa; else they are not"
    )

    @model_validator(mode="after")
    def _ttl_order(self) -> Self:
        if self.ttl_min_s > self.ttl_max_s:
            raise at_key("ttl_min_s", f"is above ttl_max_s, {self.ttl_max_s}")
        return self
