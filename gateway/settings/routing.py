"""Routing of telephone numbers: the dial plan, our own numbers, caller ID, emergency numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Final, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from phonenumbers import SUPPORTED_REGIONS
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gateway.errors import BadAddress
from gateway.settings.kinds import Section, at_key
from gateway.values import (
    E164,
    NumberClass,
    ServiceAddress,
    SipAddress,
    UserAddress,
    parse_address,
)

InsideAddress = UserAddress | SipAddress | ServiceAddress

DIAL_IN: Final = "service:dial-in"
_PREFIX: Final = re.compile(r"\+(?:[1-9][0-9]{0,14})?|[0-9]{1,6}")
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]|[0-9]):([0-5][0-9])|24:00")


def inside(text: str) -> InsideAddress:
    """Whom a number of ours rings; ``ValueError`` for what is not on this gateway."""
    if text == DIAL_IN:
        return ServiceAddress("dial-in")
    try:
        address = parse_address(text)
    except BadAddress:
        address = None
    if isinstance(address, UserAddress | SipAddress | ServiceAddress):
        return address
    raise ValueError(
        f"{text[:80]!r} is nobody here; right are user:HANDLE, sip:USER@DOMAIN, service:echo, "
        f"{DIAL_IN}"
    )


def minutes(clock: str) -> int:
    """``HH:MM`` as minutes since midnight, 0 to 1440."""
    hours, _, rest = clock.partition(":")
    return int(hours) * 60 + int(rest)


def _number(text: str) -> str:
    if not E164.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is no number; right is +14155550123")
    return text


def _region(text: str) -> str:
    if text not in SUPPORTED_REGIONS:
        raise ValueError(f"{text[:80]!r} is no country; right is ISO 3166 alpha-2, as DE")
    return text


def _prefix(text: str) -> str:
    if not _PREFIX.fullmatch(text):
        raise ValueError(
            f"{text[:80]!r} is no prefix; right are + for every number, +49, +1415, or up to 6 "
            "digits for short numbers"
        )
    return text


def _clock(text: str) -> str:
    if not _CLOCK.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is no time of day; right is 08:30")
    return text


def _timezone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{text[:80]!r} is no time zone; right is Europe/Berlin") from None
    return text


def _inside(text: str) -> str:
    inside(text)
    return text


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("holds control characters")
    return text


def _twice(texts: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for text in texts:
        if text in seen:
            return text
        seen.add(text)
    return None


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _named(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


Number = Annotated[str, AfterValidator(_number)]
Region = Annotated[str, AfterValidator(_region)]
TimeZone = Annotated[str, AfterValidator(_timezone)]
Clock = Annotated[str, AfterValidator(_clock)]
TrunkName = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
Group = Annotated[str, Field(min_length=1, max_length=64)]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Attestation = Literal["A", "B", "C"]
Order = Literal["together", "in_turn"]
RefusalReason = Literal["not_allowed", "unreachable", "unavailable"]

DAYS: Final[tuple[Day, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class RouteTrunk(Section):
    """One trunk of a route; the lowest priority is tried first (as RFC 2782)."""

    name: TrunkName
    priority: Annotated[int, Field(ge=0, le=1000)] = 1
    weight: Annotated[int, Field(ge=1, le=1000)] = 1


class Period(Section):
    """When a route holds, by the clock on the wall; ``to`` before ``from`` is the next day."""

    days: Annotated[tuple[Day, ...], Field(min_length=1)] = DAYS
    from_: Clock = Field("00:00", alias="from")
    to: Clock = "24:00"
    timezone: TimeZone | None = None

    @model_validator(mode="after")
    def _some_time(self) -> Self:
        if minutes(self.from_) == minutes(self.to):
            raise at_key("to", "is the same as from; leave both out for the whole day")
        if self.from_ == "24:00":
            raise at_key("from", "24:00 begins no day; right is 00:00")
        return self


class Route(Section):
    """Calls to numbers with a prefix, from some callers, at some times: where they go."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
    prefix: Annotated[str, AfterValidator(_prefix)]
    classes: Annotated[tuple[NumberClass, ...], Field(min_length=1)] = (
        NumberClass.FIXED_LINE,
        NumberClass.MOBILE,
        NumberClass.TOLL_FREE,
        NumberClass.SHARED_COST,
        NumberClass.VOIP,
        NumberClass.PERSONAL,
        NumberClass.PAGER,
        NumberClass.UAN,
        NumberClass.VOICEMAIL,
    )
    regions: tuple[Region, ...] = Field((), description="of the caller; empty: every one")
    groups: tuple[Group, ...] = Field((), description="one of them is the caller's; empty: all")
    times: tuple[Period, ...] = Field((), description="empty: always")
    trunks: tuple[Annotated[RouteTrunk, BeforeValidator(_named)], ...] = ()
    action: Literal["refuse"] | None = None
    reason: RefusalReason = "not_allowed"
    text: Annotated[str, Field(max_length=200), AfterValidator(_printable)] = ""
    attestation: Attestation | None = Field(None, description="else by the rule")
    confirm: Literal["press-1"] | None = None
    caller_id: Number | None = None
    use_verified: bool = False
    early_media: Literal["off", "pass"] | None = Field(None, description="else the trunk's")

    @property
    def short(self) -> bool:
        """Whether it is for short numbers, which have no E.164 form."""
        return not self.prefix.startswith("+")

    @model_validator(mode="after")
    def _one_outcome(self) -> Self:
        if self.action is None and not self.trunks:
            raise ValueError("needs trunks, or action: refuse")
        if self.action is not None:
            for key in sorted(_OUTWARD & self.model_fields_set):
                raise at_key(key, "is of no use beside action: refuse")
        else:
            for key in sorted({"reason", "text"} & self.model_fields_set):
                raise at_key(key, "is of no use without action: refuse")
        if twice := _twice(t.name for t in self.trunks):
            raise at_key("trunks", f"{twice!r} is there twice; keep one")
        return self

    @model_validator(mode="after")
    def _can_match(self) -> Self:
        if NumberClass.EMERGENCY in self.classes:
            raise at_key("classes", "emergency numbers go by routing.emergency alone")
        if "classes" in self.model_fields_set:
            if self.short and set(self.classes) != {NumberClass.SHORT}:
                raise at_key("classes", f"numbers without a plus, as {self.prefix}, are short ones")
            if not self.short and NumberClass.SHORT in self.classes:
                raise at_key("classes", "short numbers have no plus: their prefix is plain digits")
        return self


_OUTWARD: Final = frozenset(
    {"trunks", "attestation", "confirm", "caller_id", "use_verified", "early_media"}
)


class OwnNumber(Section):
    """A number of ours, and whom it rings."""

    number: Number
    to: Annotated[
        tuple[Annotated[str, AfterValidator(_inside)], ...],
        BeforeValidator(_listed),
        Field(min_length=1, max_length=16),
    ]
    order: Order = "together"

    @model_validator(mode="after")
    def _group(self) -> Self:
        if len(self.to) > 1:
            for text in self.to:
                if text.startswith("service:"):
                    raise at_key("to", f"{text} answers at once; it can be no part of a group")
        elif "order" in self.model_fields_set:
            raise at_key("order", "is of no use with one to ring")
        if twice := _twice(self.to):
            raise at_key("to", f"{twice!r} is there twice; keep one")
        return self


def _caller_address(text: str) -> str:
    if text.startswith("service:"):
        raise ValueError(f"{text[:80]!r} calls nobody; right are user:HANDLE, sip:USER@DOMAIN")
    return _inside(text)


class CallerIdSection(Section):
    """The numbers that callees are shown."""

    pool: tuple[Number, ...] = ()
    verified: Mapping[Annotated[str, AfterValidator(_caller_address)], Number] = Field(
        {}, description="who has shown that the number is theirs"
    )

    @model_validator(mode="after")
    def _once(self) -> Self:
        if twice := _twice(self.pool):
            raise at_key("pool", f"{twice!r} is there twice; keep one")
        return self


class EmergencySection(Section):
    """What becomes of calls to emergency numbers."""

    action: Literal["refuse"] | None = None
    trunk: TrunkName | None = Field(None, description="the trunk that takes them")

    @model_validator(mode="after")
    def _one_outcome(self) -> Self:
        if self.trunk is not None and self.action is not None:
            raise at_key("trunk", "is there beside action: refuse; keep one")
        return self


class RoutingSection(Section):
    """The dial plan."""

    home_country: Region | None = Field(None, description="of callers whose country is not known")
    timezone: TimeZone = Field("UTC", description="of periods that name none")
    emergency: EmergencySection = EmergencySection()
    caller_id: CallerIdSection = CallerIdSection()
    enum: bool = Field(
        False, description="numbers are looked up in DNS; one at a trunk's domain goes there first"
    )
    numbers: tuple[OwnNumber, ...] = ()
    routes: tuple[Route, ...] = ()
