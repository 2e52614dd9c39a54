"""No call to an emergency number passes unseen, and none that is not one is taken for it."""

from __future__ import annotations

import phonenumbers as pn
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from phonenumbers import shortnumberinfo

from gateway.routing import emergency
from gateway.routing.numbers import parsed, spell

REGIONS = sorted(pn.SUPPORTED_REGIONS)


def meant_by(text: str, region: str | None) -> str | None:
    spelling = spell(text)
    assert spelling is not None
    return emergency.emergency_number(spelling, region)


@pytest.mark.parametrize(
    ("text", "region", "meant"),
    [
        ("112", None, "112"),
        ("911", None, "911"),
        ("911", "DE", "911"),
        ("112", "US", "112"),
        ("112", "AQ", "112"),
        ("110", "DE", "110"),
        ("999", "GB", "999"),
        ("000", "AU", "000"),
        ("15", "FR", "15"),
        ("1-1-2", "DE", "112"),
        ("%31%31%32", "DE", "112"),
        # as networks take it: with digits after it
        ("9116666666", "US", "911"),
        ("110 9", "DE", "110"),
        # an outside line
        ("9911", "US", "911"),
        ("9 911", None, "911"),
        ("0112", "DE", "112"),
        ("0110", "DE", "110"),
        ("0-112", None, "112"),
        # a national prefix
        ("1911", "US", "911"),
        ("9-1-911", "US", "911"),
        ("8112", "RU", "112"),
        # an international prefix, a plus, a country code
        ("00112", "DE", "112"),
        ("011911", "US", "911"),
        ("+112", None, "112"),
        ("+911", None, "911"),
        ("+1911", None, "911"),
        ("+49110", None, "110"),
        ("+49112", "US", "112"),
        ("0049110", "FR", "110"),
        ("00 49 112", None, "112"),
        ("011 44 999", "US", "999"),
        ("9 011 44 999", "US", "999"),
        ("+490112", None, "112"),
        ("+1 119", None, "119"),  # Jamaica's is of country code 1 too
        # RFC 3966
        ("112;phone-context=+49", None, "112"),
        ("110;phone-context=+49", "US", "110"),
        ("911;phone-context=+1-914-555", None, "911"),
    ],
)
def test_an_emergency_number_however_it_is_dialled(
    text: str, region: str | None, meant: str
) -> None:
    assert meant_by(text, region) == meant


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("110", "US"),
        ("999", "US"),
        ("115", "DE"),
        ("411", "US"),
        ("1001", "US"),
        ("19", "FR"),
        ("3315", "FR"),
        ("+14155550911", None),
        ("+4930112", "DE"),
        ("0301121121", "DE"),
        ("153123456", "FR"),  # 01 53 12 34 56 without its 0: valid as a whole
        ("011 2345678", "IT"),
        ("+911123456789", None),
        ("+112345678901", None),
        ("10", None),
    ],
)
def test_what_is_none(text: str, region: str | None) -> None:
    assert meant_by(text, region) is None


def _emergency_numbers(region: str) -> list[str]:
    return [
        digits
        for n in (*range(10, 100), *range(100, 1000), 0, 8, 85, 60, 61)
        for digits in ({str(n), f"{n:03}"} if n > 9 else {f"{n:03}"})
        if shortnumberinfo.is_emergency_number(digits, region)
    ]


BY_REGION = {region: found for region in REGIONS if (found := _emergency_numbers(region))}


def test_there_are_emergency_numbers_to_try() -> None:
    assert len(BY_REGION) > 200


@pytest.mark.parametrize("prefix", ["", "0", "9", "00", "+"])
def test_those_of_every_country_behind_every_prefix(prefix: str) -> None:
    for region, numbers in BY_REGION.items():
        code = pn.country_code_for_region(region)
        for digits in numbers:
            assert meant_by(prefix + digits, region) is not None, (region, digits)
            if prefix in ("00", "+"):
                assert meant_by(f"{prefix}{code}{digits}", None) is not None, (region, digits)


@given(
    st.sampled_from(REGIONS),
    st.sampled_from(["112", "911"]),
    st.lists(st.sampled_from(["0", "9"]), max_size=3),
)
def test_the_two_that_are_known_everywhere(region: str, digits: str, before: list[str]) -> None:
    dialled = "".join(before) + digits
    whole = parsed(dialled, region)
    # numbers of small countries are as short as this
    assume(not before or whole is None or not pn.is_valid_number(whole))
    assert meant_by(dialled, region) is not None


@given(
    st.sampled_from(["+", "", "0", "+1"]),
    st.lists(st.sampled_from(["011", "00", "0", "1", "9", "7", "44", "8"]), max_size=14),
    st.sampled_from([None, "US", "DE", "RU"]),
)
def test_no_pile_of_prefixes_costs_much(first: str, rest: list[str], region: str | None) -> None:
    """Each prefix may be two things; what is left is looked at once all the same."""
    spelling = spell(first + "".join(rest))
    if spelling is None:
        return
    looks = 0
    asked = emergency._is_one

    def counted(digits: str, regions: tuple[str, ...]) -> bool:
        nonlocal looks
        looks += 1
        return asked(digits, regions)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(emergency, "_is_one", counted)
        emergency.emergency_number(spelling, region)
    assert looks < 100
