"""People: what they may keep, and who may call them."""

from __future__ import annotations

import re
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field

from gateway.settings.kinds import Section

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
