"""STIR/SHAKEN: with what calls are signed, and whose signatures are believed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from gateway.settings.kinds import Host, Seconds, Section, at_key

_NEEDED: Final = (
    ("sign", "key_file"),
    ("sign", "certificate_url"),
    ("verify", "trust_anchors"),
)


def _https(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if (
        parts.scheme != "https"
        or not parts.hostname
        or port == 0
        or "@" in parts.netloc
        or parts.fragment
        or not url.isascii()
        or not url.isprintable()
        or set(url) & set(' <>"\\')
        or len(url) > 1024
    ):
        raise ValueError(
            f"{url[:80]!r} is not the URL of a certificate; right is https://cert.example.org/a.pem"
        )
    return url


class StirSection(Section):
    """``sign`` and ``verify`` are apart: either may be there without the other."""

    sign: bool = Field(False, description="calls to trunks")
    key_file: Path | None = Field(None, description="PEM private key, of P-256")
    certificate_url: Annotated[str, AfterValidator(_https)] | None = Field(
        None, description="where everybody gets the certificate of that key"
    )
    certificate_file: Path | None = Field(
        None, description="PEM of the same, to see that key and certificate belong together"
    )
    verify: bool = Field(False, description="calls from trunks")
    trust_anchors: Path | None = Field(
        None, description="PEM file, or directory of such: the authorities that are believed"
    )
    require_tnauthlist: bool = Field(
        True, description="a certificate has to say for which numbers or provider it is (RFC 8226)"
    )
    max_age_s: Annotated[float, Field(ge=1, le=3600)] = Field(
        60, description="an older PASSporT is stale (RFC 8224 §6.2)"
    )
    on_failed: Literal["mark", "refuse"] = "mark"
    allow_hosts: tuple[Host, ...] = Field(
        (), description="of certificates: these may have addresses that are not public"
    )
    ca_file: Path | None = Field(
        None, description="PEM, for the https of certificates; else the system's authorities"
    )
    fetch_s: Annotated[float, Field(gt=0, le=30)] = Field(
        3, description="for a certificate to come"
    )
    cache_entries: Annotated[int, Field(ge=1, le=100_000)] = 1000
    cache_min_s: Seconds = Field(300, description="a certificate is kept for so long at least")
    cache_max_s: Seconds = Field(86_400, description="and no longer, whatever its server says")
    cache_failures_s: Seconds = Field(
        60, description="a URL that gave no certificate is not asked again for so long"
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for switch, key in _NEEDED:
            if getattr(self, switch) and getattr(self, key) is None:
                raise at_key(switch, f"needs {key}")
        if self.cache_min_s > self.cache_max_s:
            raise at_key("cache_min_s", f"is above cache_max_s, {self.cache_max_s:g}")
        return self
