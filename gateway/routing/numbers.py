"""Telephone numbers: what a caller means by what was dialled (E.164, ITU-T E.123)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import phonenumbers
from phonenumbers import PhoneNumberFormat, PhoneNumberType, shortnumberinfo

from gateway.settings.routing import NumberClass

LONGEST: Final = 40
_DIALABLE: Final = re.compile(r"\+?[0-9 ().\-/]{1,40}")
_EVERYWHERE: Final = frozenset({"112", "911"})
_CLASSES: Final[dict[int, NumberClass]] = {
    PhoneNumberType.FIXED_LINE: "fixed_line",
    PhoneNumberType.MOBILE: "mobile",
    PhoneNumberType.FIXED_LINE_OR_MOBILE: "fixed_line",
    PhoneNumberType.TOLL_FREE: "toll_free",
    PhoneNumberType.PREMIUM_RATE: "premium_rate",
    PhoneNumberType.SHARED_COST: "shared_cost",
    PhoneNumberType.VOIP: "voip",
    PhoneNumberType.PERSONAL_NUMBER: "personal",
    PhoneNumberType.PAGER: "pager",
    PhoneNumberType.UAN: "uan",
    PhoneNumberType.VOICEMAIL: "voicemail",
}


@dataclass(frozen=True, slots=True)
class Number:
    """``e164`` with its plus sign; ``region`` is ISO 3166 alpha-2, ``None`` where unknown."""

    e164: str
    region: str | None
    kind: NumberClass


@dataclass(frozen=True, slots=True)
class EmergencyNumber:
    digits: str


@dataclass(frozen=True, slots=True)
class NotANumber:
    why: str


def is_dialable(text: str) -> bool:
    """Whether a text can be what somebody dials: digits, and what people write between them."""
    return _DIALABLE.fullmatch(text) is not None and any(c.isdigit() for c in text)


def read_number(text: str, region: str) -> Number | EmergencyNumber | NotANumber:
    """What a caller in ``region`` dials: national, with an international prefix, or E.164."""
    if not is_dialable(text):
        return NotANumber("it is not made of digits")
    digits = re.sub(r"\D", "", text)
    if _is_emergency(digits, text.startswith("+"), region):
        return EmergencyNumber(digits)
    try:
        parsed = phonenumbers.parse(text, None if text.startswith("+") else region)
    except phonenumbers.NumberParseException as e:
        return NotANumber(str(e))
    if _is_emergency(str(parsed.national_number), False, _region(parsed) or region):
        return EmergencyNumber(digits)
    if not phonenumbers.is_possible_number(parsed):
        return NotANumber(f"it has not the length of a number in {_region(parsed) or region}")
    kind = _CLASSES.get(phonenumbers.number_type(parsed), "unknown")
    e164 = phonenumbers.format_number(parsed, PhoneNumberFormat.E164)
    return Number(e164, _region(parsed), kind)


def _region(parsed: phonenumbers.PhoneNumber) -> str | None:
    found = phonenumbers.region_code_for_number(parsed)
    return None if found in (None, "001", "ZZ") else str(found)


def _is_emergency(digits: str, international: bool, region: str) -> bool:
    """Also as people dial it who are used to another country, or put a prefix before it."""
    if digits in _EVERYWHERE:
        return True
    if international:
        return False
    bare = digits.lstrip("0") or digits
    return any(
        bool(shortnumberinfo.is_emergency_number(candidate, region)) or candidate in _EVERYWHERE
        for candidate in {digits, bare}
    )
