"""From what was dialled to a number: E.164 by the caller's country, or a short number."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import phonenumbers as pn
from phonenumbers import PhoneNumberType as Kind

from gateway.sip.uri import unescape
from gateway.values import E164, NumberClass

LONGEST: Final = 128
MOST_SHORT_DIGITS: Final = 6

# RFC 3966 §5.1.1 visual separators; a slash and a space are written by people
_WRITTEN: Final = re.compile(r"\+?[(]?[0-9][0-9().\-/ ]*")
_SEPARATORS: Final = re.compile(r"[().\-/ ]")
_CONTEXT: Final = "phone-context"

_CLASSES: Final[dict[int, tuple[NumberClass, ...]]] = {
    Kind.FIXED_LINE: (NumberClass.FIXED_LINE,),
    Kind.MOBILE: (NumberClass.MOBILE,),
    # where a country's numbers do not tell them apart, as in North America
    Kind.FIXED_LINE_OR_MOBILE: (NumberClass.FIXED_LINE, NumberClass.MOBILE),
    Kind.TOLL_FREE: (NumberClass.TOLL_FREE,),
    Kind.PREMIUM_RATE: (NumberClass.PREMIUM_RATE,),
    Kind.SHARED_COST: (NumberClass.SHARED_COST,),
    Kind.VOIP: (NumberClass.VOIP,),
    Kind.PERSONAL_NUMBER: (NumberClass.PERSONAL,),
    Kind.PAGER: (NumberClass.PAGER,),
    Kind.UAN: (NumberClass.UAN,),
    Kind.VOICEMAIL: (NumberClass.VOICEMAIL,),
}


@dataclass(frozen=True, slots=True)
class Spelling:
    """The bare digits of what was dialled, with its plus; ``full`` has the RFC 3966 context."""

    local: str
    full: str


@dataclass(frozen=True, slots=True)
class Number:
    """``digits`` is E.164 with its plus, or a short number without; ``country`` where it is."""

    digits: str
    classes: tuple[NumberClass, ...]
    country: str | None = None

    @property
    def short(self) -> bool:
        return not self.digits.startswith("+")


@dataclass(frozen=True, slots=True)
class NoNumber:
    """It leads nowhere; ``why`` says what would be right."""

    why: str


def spell(text: str) -> Spelling | None:
    """What a user part or a ``tel:`` number dials; ``None`` for what is no number.

    Escapes, visual separators and parameters are taken off (RFC 3261 §19.1.6, RFC 3966 §3).
    """
    if len(text) > LONGEST:
        return None
    written, *params = unescape(text).split(";")
    if not _WRITTEN.fullmatch(written):
        return None
    local = _SEPARATORS.sub("", written)
    if len(local.lstrip("+")) < 2:
        return None
    context = ""
    for param in params:
        name, _, value = param.partition("=")
        if name.lower() == _CONTEXT and value.startswith("+") and _WRITTEN.fullmatch(value):
            context = _SEPARATORS.sub("", value)
    return Spelling(local, local if local.startswith("+") else context + local)


def known_region(region: str | None) -> str | None:
    """The region, where the numbers of it are known."""
    return region if region in pn.SUPPORTED_REGIONS else None


def parsed(digits: str, region: str | None) -> pn.PhoneNumber | None:
    """As the library reads it; digits without a plus need the region they are dialled in."""
    try:
        return pn.parse(digits, known_region(region))
    except pn.NumberParseException:
        return None


def country_of(number: str) -> str | None:
    """ISO 3166 alpha-2 of an E.164 number; ``None`` where it belongs to no one country."""
    found = parsed(number, None)
    return None if found is None else known_region(pn.region_code_for_number(found))


def normalise(spelling: Spelling, region: str | None) -> Number | NoNumber:
    """The number that is meant by somebody in ``region`` (ISO 3166 alpha-2)."""
    digits = spelling.full
    found = parsed(digits, region)
    if found is not None and pn.is_valid_number(found):
        return _full(found)
    if digits.startswith("+"):
        return _doubtful(found, digits)
    if len(digits) <= MOST_SHORT_DIGITS:
        return Number(digits, (NumberClass.SHORT,), known_region(region))
    if known_region(region) is None:
        where = "not known" if region is None else f"{region}, whose numbers are not known"
        return NoNumber(f"needs + and a country code: the caller's country is {where}")
    return _doubtful(found, f"{digits} in {region}")


def _doubtful(found: pn.PhoneNumber | None, shown: str) -> Number | NoNumber:
    """Numbers of a right length that no metadata knows may still be given out one day."""
    if found is None:
        return NoNumber(f"{shown} has no country code that exists")
    match pn.is_possible_number_with_reason(found):
        case pn.ValidationResult.IS_POSSIBLE:
            return _full(found)
        case pn.ValidationResult.IS_POSSIBLE_LOCAL_ONLY:
            return NoNumber(f"{shown} lacks its area code")
        case pn.ValidationResult.TOO_LONG:
            return NoNumber(f"{shown} is too long")
        case _:
            return NoNumber(f"{shown} is too short")


def _full(found: pn.PhoneNumber) -> Number | NoNumber:
    digits = pn.format_number(found, pn.PhoneNumberFormat.E164)
    if not E164.fullmatch(digits):
        return NoNumber(f"{digits} is longer than E.164 allows")
    classes = _CLASSES.get(pn.number_type(found), (NumberClass.UNKNOWN,))
    return Number(digits, classes, known_region(pn.region_code_for_number(found)))
