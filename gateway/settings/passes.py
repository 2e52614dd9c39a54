"""Passes: calls as a reward."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.settings.kinds import Section


class PassesSection(Section):
    creators: tuple[str, ...] = Field(
        (), description="groups whose members may grant passes; none: everybody may"
    )
    per_creator: Annotated[int, Field(ge=1, le=100_000)] = 1000
    refund_s: Annotated[float, Field(ge=0, le=600)] = Field(
        10, description="a call that fails so soon after connecting costs no pass"
    )
