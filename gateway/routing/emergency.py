"""Emergency numbers, however they are dialled.

A call to one that goes out like any other may reach a wrong control room, or none; so none may
pass unseen.  What is taken for one too many is refused aloud, what is missed may cost a life.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import phonenumbers as pn

from gateway.routing.numbers import Spelling, known_region, parsed

EVERYWHERE: Final = frozenset({"112", "911"})
_OUTSIDE_LINE: Final = ("0", "9")
_INTERNATIONAL: Final = ("00", "011")
_MOST_PREFIXES: Final = 4
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
    known = known_region(region)
    here = () if known is None else (known,)
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
    international = dialled.startswith("+")
    return _behind(_Rest(dialled.lstrip("+"), here, international))


@dataclass(frozen=True, slots=True)
class _Rest:
    """What is left behind prefixes, dialled in ``regions``; or where a country code may begin."""

    digits: str
    regions: tuple[str, ...]
    international: bool = False


def _behind(first: _Rest) -> str | None:
    """Each rest is looked at once, however many ways there are to it."""
    seen = {first}
    left = [first]
    for _ in range(_MOST_PREFIXES + 1):
        for rest in left:
            if _is_one(rest.digits, rest.regions):
                return rest.digits
        found = dict.fromkeys(r for rest in left for r in _rests(rest) if len(r.digits) > 1)
        left = [r for r in found if r not in seen]
        seen.update(left)
    return None


def _is_one(digits: str, regions: tuple[str, ...]) -> bool:
    return digits in EVERYWHERE or any(pn.is_emergency_number(digits, r) for r in regions)


def _rests(rest: _Rest) -> Iterator[_Rest]:
    """Without each prefix that begins it."""
    digits = rest.digits
    if rest.international:
        for length in (1, 2, 3):
            there = pn.COUNTRY_CODE_TO_REGION_CODE.get(int(digits[:length]), ())
            known = tuple(r for r in there if r in pn.SUPPORTED_REGIONS)
            if known:
                yield _Rest(digits[length:], known)
    for region in rest.regions:
        about = pn.PhoneMetadata.metadata_for_region(region)
        if about is None:
            continue
        match = re.match(about.international_prefix or "(?!)", digits)
        if match:
            yield _Rest(digits[match.end() :], rest.regions, True)
        if about.national_prefix and digits.startswith(about.national_prefix):
            yield _Rest(digits[len(about.national_prefix) :], rest.regions)
    for prefix in _INTERNATIONAL:
        if digits.startswith(prefix):
            yield _Rest(digits[len(prefix) :], rest.regions, True)
    for prefix in _OUTSIDE_LINE:
        if digits.startswith(prefix):
            yield _Rest(digits[len(prefix) :], rest.regions)
