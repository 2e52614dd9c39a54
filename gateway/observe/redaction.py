"""Striking out secrets: by the name of what holds them, and by what they look like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

STRUCK: Final = "[struck out]"
DEEPEST: Final = 6

_KEYS = re.compile(
    r"password|passwd|secret|token|authorization|credential|cookie|jwt|sdp|crypto|ice.?pwd", re.I
)
_TEXT = re.compile(
    r"eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"  # a JWT
    r"|(?<=inline:)[A-Za-z0-9+/=|:]+"  # an SDES key (RFC 4568)
    r"|(?<=ice-pwd:)\S+"
    r"|(?<=response=\")[0-9a-f]+"  # a digest
    r"|(?<=://)[^/\s@]+:[^/\s@]+(?=@)"  # user and password of a URL
    r"|(?<=Bearer )\S+"
    r"|(?i:(?<=password=)|(?<=passwd=)|(?<=secret=)|(?<=token=)|(?<=credential=))[^\s&,;]+",
)


def struck(value: Any, key: str = "", depth: int = 0) -> Any:
    """``value`` without secrets; what is neither text, number nor collection becomes text."""
    if key and _KEYS.search(key):
        return STRUCK
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return _TEXT.sub(STRUCK, value)
    if depth >= DEEPEST:
        return "[too deep]"
    if isinstance(value, Mapping):
        return {str(k): struck(v, str(k), depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [struck(v, "", depth + 1) for v in value]
    if isinstance(value, bytes):
        return _TEXT.sub(STRUCK, value.decode("utf-8", "backslashreplace"))
    return _TEXT.sub(STRUCK, str(value))
