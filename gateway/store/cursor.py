"""Where a page of history ends: opaque to clients, and nothing that they could not know."""

from __future__ import annotations

import base64
import json
import math
import re
from typing import Final

_LONGEST: Final = 200
_CALL: Final = re.compile(r"[!-~]{1,64}")

Place = tuple[float, str]
"""When a call was made, and its id: unique, and in the order of history."""


def write(created_at: float, call: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([created_at, call]).encode()).decode()


def read(text: str) -> Place | None:
    """``None`` for what ``write`` never wrote."""
    if len(text) > _LONGEST:
        return None
    try:
        at, call = json.loads(base64.urlsafe_b64decode(text.encode("ascii")))
        place = float(at), str(call)
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None
    return place if math.isfinite(place[0]) and _CALL.fullmatch(place[1]) else None
