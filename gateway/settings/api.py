"""The app's own servers: whom the API lets in, and where events are sent."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from gateway.settings.kinds import Network, Seconds, Section, at_key

Scope = Literal[
    "calls:read",
    "calls:write",
    "people:read",
    "people:write",
    "reports:read",
    "reports:write",
    "tokens:read",
    "tokens:write",
    "rollout:read",
    "rollout:write",
]
EventFilter = Literal[
    "call.*",
    "call.created",
    "call.ringing",
    "call.accepted",
    "call.connected",
    "call.ended",
    "report.*",
    "limit.*",
]

_HASH: Final = re.compile(r"[0-9a-f]{64}")
_URL: Final = re.compile(
    r"(https?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.\-]{1,253})(:[0-9]{1,5})?(/[!-~]*)?"
)


def _hash(text: str | None) -> str | None:
    if text is not None and not _HASH.fullmatch(text):
        raise ValueError("is no SHA-256 in hexadecimal: 64 of 0-9 and a-f")
    return text


def safe_url(text: str) -> str:
    match = _URL.fullmatch(text)
    if match is None or len(text) > 1000 or not 0 < int((match[3] or ":1")[1:]) < 65_536:
        raise ValueError(f"{text[:80]!r} is no URL; right is https://app.example.org/path")
    if match[1] == "http" and not _loopback(match[2].strip("[]")):
        raise ValueError("goes unencrypted to another host; right are https, or a loopback address")
    return text


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class ServiceToken(Section):
    """One server of the app's, and what it may do."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
    token_file: Path | None = None
    hash: Annotated[str | None, AfterValidator(_hash)] = Field(
        None, description="SHA-256 of the token, hexadecimal"
    )
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]
    networks: tuple[Network, ...] = Field((), description="it may come from; none: from anywhere")
    requests_per_s: Annotated[float, Field(gt=0)] = 20
    requests_burst: Annotated[int, Field(ge=1)] = 100

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if self.token_file is None and self.hash is None:
            raise ValueError("needs token_file or hash")
        if self.token_file is not None and self.hash is not None:
            raise at_key("hash", "is there beside token_file; keep one")
        return self


class ApiSection(Section):
    """Without tokens there is no API."""

    tokens: Annotated[tuple[ServiceToken, ...], Field(max_length=100)] = ()


class Webhook(Section):
    """One receiver of events."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
    url: Annotated[str, AfterValidator(safe_url)]
    secret_files: Annotated[tuple[Path, ...], Field(min_length=1, max_length=5)] = Field(
        description="newest first: the first one signs"
    )
    events: Annotated[tuple[EventFilter, ...], Field(min_length=1)] = ("call.*",)
    private: bool = Field(False, description="its addresses may be private (RFC 6890)")
    timeout_s: Seconds = 10
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    max_waiting: Annotated[int, Field(ge=10, le=1_000_000)] = Field(
        100_000, description="events; the oldest give way"
    )
