"""Limits: how often and how long people call, and what telephone calls may cost."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, model_validator

from gateway.settings.kinds import Seconds, Section

_PREFIX: Final = re.compile(r"\+(?:[1-9][0-9]{0,14})?")

Count = Annotated[int, Field(ge=1, le=1_000_000)]
Money = Annotated[float, Field(ge=0, le=1_000_000)]


def _prefix(text: str) -> str:
    if not _PREFIX.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is no prefix; right are +, +49, +1415")
    return text


class Tariff(Section):
    """What calls to numbers of this prefix cost; the longest prefix holds."""

    prefix: Annotated[str, AfterValidator(_prefix)]
    per_minute: Money
    per_call: Money = 0.0


class TelephoneLimits(Section):
    """Against fraud; of one person, over all their channels."""

    tariffs: tuple[Tariff, ...] = ()
    spend_per_day: Money | None = None
    new_countries_per_day: Count | None = Field(
        3, description="countries not called in the 30 days before"
    )
    short_calls_per_hour: Count | None = 20
    short_s: Seconds = Field(6, description="a connected call that is shorter is short")
    numbers_in_a_row: Annotated[int, Field(ge=2, le=1000)] | None = Field(
        5, description="neighbouring numbers called within an hour"
    )
    hold_s: Seconds = Field(86_400, description="for which a breach stops telephone calls")

    @model_validator(mode="after")
    def _priced(self) -> TelephoneLimits:
        prefixes = [t.prefix for t in self.tariffs]
        for prefix in prefixes:
            if prefixes.count(prefix) > 1:
                raise ValueError(f"tariffs: {prefix} is there twice")
        if self.spend_per_day is not None and "+" not in prefixes:
            raise ValueError(
                "spend_per_day needs a tariff of prefix +, for numbers that no other one is for"
            )
        return self


class LimitsSection(Section):
    """Each ``null``: no limit."""

    calls_per_minute: Count | None = Field(20, description="of one person, attempts included")
    calls_per_hour: Count | None = 200
    pair_per_hour: Count | None = Field(30, description="from one person to another")
    address_per_minute: Count | None = Field(60, description="from one network address")
    talk_minutes_per_day: Count | None = Field(None, description="of calls that one person made")
    notice_s: Annotated[float, Field(ge=0, le=600)] = Field(
        60, description="before a call's longest length; 0: no notice"
    )
    telephone: TelephoneLimits = TelephoneLimits()
