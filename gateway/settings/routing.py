"""The dial plan: which number goes where, as whom, for whom and when."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from gateway.errors import BadAddress
from gateway.settings.kinds import Section, at_key
from gateway.values import ServiceAddress, SipAddress, TelAddress, UserAddress, parse_address

_E164: Final = re.compile(r"\+[1-9][0-9]{1,14}")
_PREFIX: Final = re.compile(r"\+[0-9]{0,15}")
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]|24:00")

NumberClass = Literal[
    "fixed_line",
    "mobile",
    "toll_free",
    "premium_rate",
    "shared_cost",
    "voip",
    "personal",
    "pager",
    "uan",
    "voicemail",
    "unknown",
]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: Final[tuple[Day, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _number(text: str) -> str:
    if not _E164.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no E.164 number; right is +14155550123, in quotes")
    return text


def _prefix(text: str) -> str:
    if not _PREFIX.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no prefix; right are '+49' and '+', which is any")
    return text


def _clock(text: str) -> str:
    if not _CLOCK.fullmatch(text):
        raise ValueError(f"{text[:20]!r} is no time of day; right is '08:30', in quotes")
    return text


def _zone(text: str) -> str:
    try:
        zoneinfo.ZoneInfo(text)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"{text[:40]!r} is no time zone; right is Europe/Berlin") from None
    return text


def _inside(text: str) -> str:
    try:
        address = parse_address(text)
    except BadAddress as e:
        raise ValueError(str(e)) from None
    if not isinstance(address, UserAddress | SipAddress | ServiceAddress):
        raise ValueError(f"{text[:40]!r} is not within this gateway")
    return str(address)


def _someone(text: str) -> str:
    try:
        address = parse_address(text)
    except BadAddress as e:
        raise ValueError(str(e)) from None
    if isinstance(address, TelAddress):
        raise ValueError("a number belongs to a user or an account, not to a number")
    return str(address)


E164 = Annotated[str, AfterValidator(_number)]
Region = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
Zone = Annotated[str, AfterValidator(_zone)]
TrunkName = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]


class TrunkUse(Section):
    """Of trunks with the same priority (the lowest first) one is drawn by weight (RFC 2782)."""

    trunk: TrunkName
    priority: Annotated[int, Field(ge=0, le=65_535)] = 1
    weight: Annotated[int, Field(ge=0, le=65_535)] = 1


class Hours(Section):
    """Of each of these days; ``to`` before ``from`` is on the next one."""

    days: Annotated[tuple[Day, ...], Field(min_length=1)] = DAYS
    from_: Annotated[str, AfterValidator(_clock)] = Field("00:00", alias="from")
    to: Annotated[str, AfterValidator(_clock)] = "24:00"


class Route(Section):
    """Every condition that is set has to hold.  Of several routes the longest prefix wins, then
    the order of the file."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
    prefixes: Annotated[tuple[Annotated[str, AfterValidator(_prefix)], ...], Field(min_length=1)]
    classes: tuple[NumberClass, ...] = ()
    regions: tuple[Region, ...] = Field((), description="of the caller")
    groups: tuple[str, ...] = Field((), description="the caller is in one of them")
    hours: tuple[Hours, ...] = ()
    timezone: Zone = "UTC"
    action: Literal["dial", "refuse"] = "dial"
    text: Annotated[str, Field(max_length=200)] = Field("", description="why it refuses")
    trunks: tuple[TrunkUse, ...] = ()
    caller_id: E164 | None = Field(None, description="instead of one from the pool")
    verified: bool = Field(False, description="a caller's own verified number may be shown")
    attestation: Literal["A", "B", "C"] | None = None
    confirm: Literal["none", "press-1"] = "none"
    early_media: Literal["off", "pass"] | None = Field(None, description="else as the trunk says")

    @field_validator("trunks", mode="before")
    @classmethod
    def _bare_names(cls, value: object) -> object:
        """A bare name is a trunk with priority and weight 1."""
        if isinstance(value, list | tuple):
            return [{"trunk": v} if isinstance(v, str) else v for v in value]
        return value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.action == "dial" and not self.trunks:
            raise at_key("trunks", "is empty: a route that dials names at least one")
        if self.action == "refuse" and self.trunks:
            raise at_key("trunks", "are of no use to a route that refuses")
        return self


class OwnNumber(Section):
    """A number of ours, and who is reached by it: one, or several together or in turn."""

    number: E164
    to: Annotated[tuple[Annotated[str, AfterValidator(_inside)], ...], Field(min_length=1)]
    order: Literal["together", "in_turn"] = "together"

    @field_validator("to", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value


class CallerIdSection(Section):
    """What telephones see of our callers; no user's number unless it is verified here."""

    pool: tuple[E164, ...] = ()
    verified: Mapping[Annotated[str, AfterValidator(_someone)], E164] = {}


class EmergencySection(Section):
    """Emergency numbers never leave silently: refused with a clear word, or by a named trunk."""

    trunk: TrunkName | None = None
    caller_id: E164 | None = None


class RoutingSection(Section):
    home_country: Region = Field("US", description="of callers whose region is not known")
    routes: tuple[Route, ...] = ()
    numbers: tuple[OwnNumber, ...] = ()
    caller_id: CallerIdSection = CallerIdSection()
    emergency: EmergencySection = EmergencySection()
