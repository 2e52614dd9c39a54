"""Trunks: the carriers and other gateways that telephone calls go to and come from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from gateway.settings.kinds import Host, Network, PjsipCodec, Place, Seconds, Section, at_key

_TOKEN: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]{1,64}")
OURS: Final = frozenset(
    {
        *("via", "from", "to", "call-id", "cseq", "contact", "route", "record-route"),
        *("content-type", "content-length", "max-forwards", "identity"),
        *("authorization", "proxy-authorization"),
    }
)
"""Headers that the protocol needs as they are; rules about them would break calls."""


def _header_name(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name[:80]!r} is no header name")
    if name.lower() in OURS or name.lower().startswith("x-dmgw-"):
        raise ValueError(f"{name} is not to be changed by a rule")
    return name


def _header_value(value: str) -> str:
    if not value.isprintable() or len(value) > 500:
        raise ValueError("holds what no header can: control characters, or over 500 of any")
    return value


EngineCodec = Literal["opus", "G729"]
ENGINE_CODECS: Final = frozenset({"opus", "G729"})
"""What rtpengine adds to the codecs of the workers."""

HeaderName = Annotated[str, AfterValidator(_header_name)]


class HeaderRules(Section):
    """What is done to the headers of INVITEs to the trunk."""

    add: Mapping[HeaderName, Annotated[str, AfterValidator(_header_value)]] = {}
    remove: tuple[HeaderName, ...] = ()


class TrunkRegistration(Section):
    """Our registration to the trunk; its user is the trunk's username unless set."""

    user: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.+\-]{1,64}$")] | None = None
    expires_s: Annotated[int, Field(ge=60, le=86_400)] = 3600


class Trunk(Section):
    """One carrier: where it is, who we are there, and what may pass."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
    address: Place = Field(description="host or host:port; a bare name is looked up by RFC 3263")
    transport: Literal["udp", "tcp", "tls"] | None = Field(
        None, description="where DNS is not to choose it"
    )
    domain: Host | None = Field(None, description="of From and To; else that of the address")
    username: Annotated[str, Field(max_length=100)] = ""
    password: SecretStr | None = None
    password_file: Path | None = None
    register_: TrunkRegistration | None = Field(None, alias="register")
    sources: tuple[Network, ...] = Field((), description="networks its calls come from")
    certificate_names: tuple[Host, ...] = Field(
        (), description="names in a client certificate by which its calls are known"
    )
    ca_file: Path | None = Field(None, description="PEM; else the system's authorities")
    trusted: bool = Field(False, description="its asserted identity is believed; it gets ours")
    codecs: tuple[PjsipCodec | EngineCodec, ...] = Field((), description="else media.codecs")
    media: Literal["direct", "rtpengine", "auto"] = "auto"
    srtp: Literal["off", "optional", "mandatory", "dtls"] = "off"
    dtmf: Literal["rfc4733", "info", "inband"] = "rfc4733"
    early_media: Literal["off", "pass"] = "off"
    reliable: Literal["off", "optional", "mandatory"] = Field(
        "optional", description="provisional responses by RFC 3262"
    )
    session_expires_s: Annotated[int, Field(ge=90, le=86_400)] = 1800
    max_calls: Annotated[int, Field(ge=1, le=100_000)] = 100
    calls_per_s: Annotated[float, Field(gt=0, le=10_000)] = 10
    first_response_s: Annotated[float, Field(ge=0.5, le=32)] = Field(
        4, description="a target silent for so long is given up for the next one"
    )
    blacklist_s: Seconds = Field(60, description="how long a failed target is tried last, at first")
    options_s: Annotated[float, Field(ge=0, le=3600)] = Field(
        30, description="between OPTIONS that ask for its health; 0: it is not asked"
    )
    redirects: bool = Field(False, description="follow its 3xx, to its own addresses")
    transfers: bool = Field(False, description="take its REFER")
    headers: HeaderRules = HeaderRules()

    @property
    def hears_tones(self) -> bool:
        """Whether digits that are sound are digits, which takes rtpengine."""
        return self.dtmf == "inband" and self.media != "direct"

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.password is not None and self.password_file is not None:
            raise at_key("password_file", "is there beside password; keep one")
        secret = self.password is not None or self.password_file is not None
        if secret and not self.username:
            raise at_key("username", "is missing: a password goes with one")
        if self.register_ is not None and not (self.username or self.register_.user):
            raise at_key("register", "needs a username here, or a user in it")
        beyond = [c for c in self.codecs if c in ENGINE_CODECS]
        if self.media == "direct" and (beyond or self.srtp == "dtls"):
            needing = beyond[0] if beyond else "srtp: dtls"
            raise at_key("media", f"cannot be direct: {needing} takes rtpengine")
        if self.certificate_names and self.transport not in (None, "tls"):
            raise at_key("certificate_names", f"are of no use over {self.transport}")
        return self
