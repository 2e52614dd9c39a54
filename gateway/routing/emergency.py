"""Emergency numbers, however they are dialled.

A call to one that goes out like any other may reach a wrong control room, or none; so none may
pass unseen.  What is taken for one too many is refused aloud, what is missed may cost a life.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import phonenumbers as pn

from gateway.routing.numbers import Spelling, known_region, parsed

EVERYWHERE: Final = frozenset({"112", "911"})
_OUTSIDE_LINE: Final = ("0", "9")
_INTERNATIONAL: Final = ("00", "011")
_MOST_PREFIXES: Final = 3
_LONGEST: Final = 16


def emergency_number(spelling: Spelling, region: str | None) -> str | None:
    """The emergency number that is dialled in ``region``, or ``None``.

    Recognised with whatever digits follow it, as networks do, and behind an outside line's 0 or
    9, a national prefix, an international prefix, a plus, a country code.  A number that is
    valid as a whole is what it says.
    """
    for dialled in dict.fromkeys((spelling.local, spelling.full)):
        found = _in(dialled, region)
        if found is not None:
            return found
    return None


def _in(dialled: str, region: str | None) -> str | None:
    here = [] if known_region(region) is None else [str(region)]
    if _is_one(dialled, here):
        return dialled
    whole = parsed(dialled, region)
    if whole is not None and pn.is_valid_number(whole):
        return None
    if any(pn.connects_to_emergency_number(dialled, r) for r in here):
        begins = (dialled[:n] for n in range(2, len(dialled)))
        return next((b for b in begins if _is_one(b, here)), dialled)
    if len(dialled) > _LONGEST:
        return None
    if dialled.startswith("+"):
        return _abroad(dialled[1:], here, _MOST_PREFIXES)
    return _behind(dialled, here, _MOST_PREFIXES)


def _is_one(digits: str, regions: list[str]) -> bool:
    return digits in EVERYWHERE or any(pn.is_emergency_number(digits, r) for r in regions)


def _behind(digits: str, regions: list[str], depth: int) -> str | None:
    if _is_one(digits, regions):
        return digits
    if depth == 0 or len(digits) < 3:
        return None
    for prefix, international in _prefixes(digits, regions):
        rest = digits[len(prefix) :]
        found = _behind(rest, regions, depth - 1)
        if found is None and international:
            found = _abroad(rest, regions, depth - 1)
        if found is not None:
            return found
    return None


def _abroad(digits: str, regions: list[str], depth: int) -> str | None:
    """``digits`` follow a plus or an international prefix; a country code may begin them."""
    for length in (1, 2, 3):
        there = pn.COUNTRY_CODE_TO_REGION_CODE.get(int(digits[:length] or 0))
        if there is not None and len(digits) > length:
            known = [r for r in there if r in pn.SUPPORTED_REGIONS]
            found = _behind(digits[length:], known, depth)
            if found is not None:
                return found
    return _behind(digits, regions, depth)


def _prefixes(digits: str, regions: list[str]) -> Iterator[tuple[str, bool]]:
    """Prefixes that these digits begin with, and whether a country code may follow."""
    for region in regions:
        about = pn.PhoneMetadata.metadata_for_region(region)
        if about is None:
            continue
        match = re.match(about.international_prefix or "(?!)", digits)
        if match:
            yield match[0], True
        if about.national_prefix and digits.startswith(about.national_prefix):
            yield about.national_prefix, False
    for prefix in _INTERNATIONAL:
        if digits.startswith(prefix):
            yield prefix, True
    for prefix in _OUTSIDE_LINE:
        if digits.startswith(prefix):
            yield prefix, False
