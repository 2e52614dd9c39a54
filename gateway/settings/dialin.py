"""Dial-in: telephones reach people by PIN."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.settings.kinds import Seconds, Section


class DialInSection(Section):
    pin_digits: Annotated[int, Field(ge=6, le=12)] = 8
    pins_per_user: Annotated[int, Field(ge=1, le=1000)] = 10
    tries: Annotated[int, Field(ge=1, le=10)] = Field(3, description="in one call")
    digit_s: Seconds = Field(5, description="between digits")
    caller_failures: Annotated[int, Field(ge=1, le=1000)] = Field(
        9, description="wrong PINs of one caller until it is locked out"
    )
    all_failures: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        200, description="wrong PINs of all callers together until nobody gets in"
    )
    lock_s: Seconds = Field(3600, description="until so many failures are forgotten")
