"""How domains of trunks are looked up."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from gateway.settings.kinds import Seconds, Section

_SERVER: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9.]+)(?::([0-9]{1,5}))?")


def _server(text: str) -> str:
    match = _SERVER.fullmatch(text)
    if match is None or not 0 < int(match[2] or 53) < 65_536:
        raise ValueError(f"{text[:60]!r} is no server; right are 192.0.2.53 and 127.0.0.1:5353")
    try:
        ipaddress.ip_address(match[1].strip("[]"))
    except ValueError:
        raise ValueError(f"{match[1][:60]!r} is not an IP address") from None
    return text


class DnsSection(Section):
    servers: tuple[Annotated[str, AfterValidator(_server)], ...] = Field(
        (), description="else the system's"
    )
    timeout_s: Seconds = Field(4, description="for all look-ups of one domain together")
    cache_entries: Annotated[int, Field(ge=0, le=1_000_000)] = 10_000
    stale_s: Annotated[float, Field(ge=0, le=86_400)] = Field(
        600, description="an old answer is used for so long when no server answers"
    )
    families: Annotated[tuple[Literal["ipv4", "ipv6"], ...], Field(min_length=1)] = ("ipv4",)
    enum_suffix: Annotated[str, Field(pattern=r"^[A-Za-z0-9.\-]{1,200}$")] = "e164.arpa"
