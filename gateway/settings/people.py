"""People: what they may keep, and who of them may call whom."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, model_validator

from gateway.settings.kinds import Seconds, Section, at_key
from gateway.settings.routing import Clock, Group, Region, TimeZone, minutes
from gateway.values import HANDLE, AgeBand, NumberClass

_ZONE: Final = re.compile(r"[A-Za-z0-9_+\-]{1,32}(/[A-Za-z0-9_+\-]{1,32}){0,2}")


def is_zone(text: str) -> bool:
    """Whether it names a time zone (IANA) that this host knows."""
    if len(text) > 64 or not _ZONE.fullmatch(text):
        return False
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


class PeopleSection(Section):
    contacts_per_user: Annotated[int, Field(ge=1, le=100_000)] = 1000
    blocks_per_user: Annotated[int, Field(ge=1, le=100_000)] = 1000
    anonymous: Literal["allow", "refuse"] = Field(
        "allow", description="calls from telephones that hide their number"
    )
    unverified: Literal["allow", "refuse"] = Field(
        "allow", description="calls from trunks whose signature does not vouch for the number"
    )
    stranger_rings: Annotated[int, Field(ge=0, le=1000)] = Field(
        5, description="of one who is no contact, without an answer, until refused; 0: no limit"
    )
    stranger_wait_s: Seconds = Field(86_400, description="for how long then")


Handle = Annotated[str, Field(pattern=f"^{HANDLE.pattern}$")]


class RolloutSection(Section):
    """Who has calls at all; what is set while running goes before this."""

    enabled: bool = Field(True, description="false: nobody, whatever else is set")
    regions: tuple[Region, ...] = Field((), description="of people; empty: every one")
    groups: tuple[Group, ...] = Field((), description="one of them is the person's; empty: all")
    percent: Annotated[float, Field(ge=0, le=100)] = 100
    salt: Annotated[str, Field(max_length=64)] = Field(
        "", description="another one chooses other people for the same percentage"
    )
    allow: tuple[Handle, ...] = Field((), description="people who have calls in any case")


class MinorRules(Section):
    """What people of one age may do."""

    contacts_only: bool = Field(True, description="they call their contacts alone")
    strangers: bool = Field(False, description="those may call them who are no contacts of theirs")
    phone: bool = Field(False, description="calls to and from telephone numbers")
    night_from: Clock | None = "22:00"
    night_to: Clock | None = "06:00"
    minutes_per_day: Annotated[int, Field(ge=1, le=1440)] | None = 120

    @model_validator(mode="after")
    def _a_night(self) -> Self:
        if (self.night_from is None) != (self.night_to is None):
            missing = "night_from" if self.night_from is None else "night_to"
            raise at_key(missing, "is missing; a night has both ends, or none")
        if self.night_from and self.night_to and minutes(self.night_from) == minutes(self.night_to):
            raise at_key("night_to", "is the same as night_from; none: there is no night")
        return self


class AgeSection(Section):
    unknown: AgeBand = Field("18+", description="of people whose token says nothing of it")
    timezone: TimeZone = Field("UTC", description="of people whose token names none")
    from_13: MinorRules = Field(MinorRules(), description="13 to 15 years")
    from_16: MinorRules = Field(MinorRules(), description="16 and 17 years")

    def rules(self, band: AgeBand | None) -> MinorRules | None:
        """``None``: of age."""
        match band or self.unknown:
            case "13-15":
                return self.from_13
            case "16-17":
                return self.from_16
            case _:
                return None


def _pair(text: str) -> str:
    first, dash, second = text.partition("-")
    if not dash or any(not re.fullmatch(r"[A-Z]{2}", part) for part in (first, second)):
        raise ValueError(f"{text[:80]!r} is no pair of countries; right is DE-FR")
    return text


class NumberRule(Section):
    """Numbers that people of these groups may dial."""

    groups: tuple[Group, ...] = Field((), description="empty: everybody")
    classes: tuple[NumberClass, ...] = Field((), description="empty: all")
    countries: tuple[Region, ...] = Field((), description="empty: all")


class RegionsSection(Section):
    apart: tuple[Annotated[str, AfterValidator(_pair)], ...] = Field(
        (), description="pairs of countries whose people may not call each other"
    )
    numbers: tuple[NumberRule, ...] = Field(
        (), description="who may dial what; empty: as the dial plan says"
    )
