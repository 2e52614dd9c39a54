"""From what was dialled to a number."""

from __future__ import annotations

import string

import phonenumbers as pn
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.emergency import emergency_number
from gateway.routing.numbers import LONGEST, NoNumber, Number, country_of, normalise, spell
from gateway.values import E164, NumberClass

REGIONS = sorted(pn.SUPPORTED_REGIONS)


def number(text: str, region: str | None) -> Number | NoNumber:
    spelling = spell(text)
    assert spelling is not None
    return normalise(spelling, region)


@pytest.mark.parametrize(
    ("text", "local", "full"),
    [
        ("0301234567", "0301234567", "0301234567"),
        ("+49 (30) 123-45.67", "+49301234567", "+49301234567"),
        ("(415) 555-0123", "4155550123", "4155550123"),
        ("030/1234567", "0301234567", "0301234567"),
        ("%2B4930123456", "+4930123456", "+4930123456"),
        ("030%20123", "030123", "030123"),
        ("110", "110", "110"),
        ("15", "15", "15"),
        ("112;phone-context=+49", "112", "+49112"),
        ("1234;phone-context=+49-6151-16", "1234", "+496151161234"),
        ("1234;phone-context=example.org", "1234", "1234"),
        ("+4930123456;phone-context=+1", "+4930123456", "+4930123456"),
        ("+4930123456;npdi;user=phone", "+4930123456", "+4930123456"),
    ],
)
def test_what_is_dialled_by_a_user_part(text: str, local: str, full: str) -> None:
    spelling = spell(text)
    assert spelling is not None
    assert (spelling.local, spelling.full) == (local, full)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "5",
        "alice",
        "1a2",
        "1-800-FLOWERS",
        "++49",
        "49+30",
        "*67",
        "-030",
        "%00112",
        "112%0D%0A",
        "٠٣٠١٢٣",
        "1" * (LONGEST + 1),
        ";phone-context=+49",
    ],
)
def test_what_is_no_number(text: str) -> None:
    assert spell(text) is None


DE, US = "DE", "US"


@pytest.mark.parametrize(
    ("text", "region", "digits", "classes", "country"),
    [
        # the ways to dial one number
        ("+49301234567", None, "+49301234567", "fixed_line", DE),
        ("030 1234567", DE, "+49301234567", "fixed_line", DE),
        ("0049301234567", DE, "+49301234567", "fixed_line", DE),
        ("0049 30 1234567", "FR", "+49301234567", "fixed_line", DE),
        ("011 49 30 1234567", US, "+49301234567", "fixed_line", DE),
        ("30123456;phone-context=+49", US, "+4930123456", "fixed_line", DE),
        ("(415) 555-0123", US, "+14155550123", "fixed_line/mobile", US),
        ("1-415-555-0123", US, "+14155550123", "fixed_line/mobile", US),
        ("001 415 555 0123", DE, "+14155550123", "fixed_line/mobile", US),
        ("8 (495) 123-45-67", "RU", "+74951234567", "fixed_line", "RU"),
        ("02 1234 5678", "IT", "+390212345678", "fixed_line", "IT"),
        ("2079460958", "GB", "+442079460958", "fixed_line", "GB"),
        # the classes
        ("+4915123456789", None, "+4915123456789", "mobile", DE),
        ("0800 1234567", DE, "+498001234567", "toll_free", DE),
        ("900 555 0123", US, "+19005550123", "premium_rate", US),
        ("0180 1234567", DE, "+491801234567", "shared_cost", DE),
        ("+80012345678", None, "+80012345678", "toll_free", None),
        ("070 1234 5678", "GB", "+447012345678", "personal", "GB"),
        ("07640 123456", "GB", "+447640123456", "pager", "GB"),
        ("056 1234 5678", "GB", "+445612345678", "voip", "GB"),
        ("055 1234 5678", "GB", "+445512345678", "uan", "GB"),
        ("0860 12 345 67 89", "CH", "+41860123456789", "voicemail", "CH"),
        ("+12345678901", None, "+12345678901", "fixed_line/mobile", US),
        ("+15555555555", None, "+15555555555", "unknown", None),
        # short ones
        ("411", US, "411", "short", US),
        ("115", DE, "115", "short", DE),
        ("411", None, "411", "short", None),
        ("411", "AQ", "411", "short", None),
        ("1001", US, "1001", "short", US),
    ],
)
def test_a_number_by_the_callers_country(
    text: str, region: str | None, digits: str, classes: str, country: str | None
) -> None:
    found = number(text, region)
    assert isinstance(found, Number)
    assert (found.digits, "/".join(found.classes), found.country) == (digits, classes, country)
    assert found.short == (classes == "short")


@pytest.mark.parametrize(
    ("text", "region", "why"),
    [
        ("0301234567", None, "needs + and a country code: the caller's country is not known"),
        (
            "0301234567",
            "AQ",
            "needs + and a country code: the caller's country is AQ, whose numbers are not known",
        ),
        ("5550123", US, "5550123 in US lacks its area code"),
        ("+999123456", None, "+999123456 has no country code that exists"),
        ("+1415", None, "+1415 is too short"),
        ("+14155550123456", None, "+14155550123456 is too long"),
        ("0301234567890123456789", DE, "0301234567890123456789 in DE has no country code"),
    ],
)
def test_what_leads_nowhere_says_what_would_be_right(
    text: str, region: str | None, why: str
) -> None:
    found = number(text, region)
    assert isinstance(found, NoNumber)
    assert found.why.startswith(why)


@pytest.mark.parametrize(
    ("digits", "country"),
    [("+4930123456", "DE"), ("+14155550123", "US"), ("+80012345678", None), ("+999", None)],
)
def test_the_country_of_a_number(digits: str, country: str | None) -> None:
    assert country_of(digits) == country


# --- against every country's example numbers ------------------------------------------------

EXAMPLES = [
    (region, found)
    for region in REGIONS
    for kind in pn.PhoneNumberType.values()
    if (found := pn.example_number_for_type(region, kind)) is not None
]


@pytest.mark.parametrize(
    "form",
    [pn.PhoneNumberFormat.E164, pn.PhoneNumberFormat.NATIONAL, pn.PhoneNumberFormat.INTERNATIONAL],
)
def test_every_countrys_numbers_as_they_are_written(form: int) -> None:
    for region, found in EXAMPLES:
        text = pn.format_number(found, form)
        spelling = spell(text)
        assert spelling is not None, text
        assert emergency_number(spelling, region) is None, (region, text)
        read = normalise(spelling, region)
        assert isinstance(read, Number), (region, text)
        assert read.digits == pn.format_number(found, pn.PhoneNumberFormat.E164)
        assert NumberClass.SHORT not in read.classes


def test_every_countrys_numbers_dialled_from_germany() -> None:
    for region, found in EXAMPLES:
        if region == DE:
            continue
        text = pn.format_out_of_country_calling_number(found, DE)
        assert text.startswith("00"), text
        spelling = spell(text)
        assert spelling is not None, text
        assert emergency_number(spelling, DE) is None, (region, text)
        read = normalise(spelling, DE)
        assert isinstance(read, Number), (region, text)
        assert read.digits == pn.format_number(found, pn.PhoneNumberFormat.E164)


# --- anything -------------------------------------------------------------------------------

dialled = st.text(alphabet="+0123456789()-. /;%", max_size=40) | st.text(
    alphabet=string.printable, max_size=20
)
somewhere = st.sampled_from([None, "AQ", "XX", *REGIONS])


@given(dialled, somewhere)
def test_nothing_that_is_dialled_does_harm(text: str, region: str | None) -> None:
    spelling = spell(text)
    if spelling is None:
        return
    emergency_number(spelling, region)
    found = normalise(spelling, region)
    if isinstance(found, NoNumber):
        assert found.why
    elif found.short:
        assert found.digits.isdigit()
        assert 2 <= len(found.digits) <= 6
        assert found.classes == (NumberClass.SHORT,)
    else:
        assert E164.fullmatch(found.digits)


@given(st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True), somewhere)
def test_an_e164_number_stays_what_it_is(text: str, region: str | None) -> None:
    """Wherever its caller is; and what comes out comes out again."""
    spelling = spell(text)
    assert spelling is not None
    found, at_home = normalise(spelling, region), normalise(spelling, None)
    assert found == at_home
    if isinstance(found, Number):
        again = spell(found.digits)
        assert again is not None
        assert normalise(again, region) == found


@given(st.sampled_from(EXAMPLES), st.data())
def test_separators_make_no_difference(
    example: tuple[str, pn.PhoneNumber], data: st.DataObject
) -> None:
    region, found = example
    bare = spell(pn.format_number(found, pn.PhoneNumberFormat.NATIONAL))
    assert bare is not None
    pieces = [d + data.draw(st.sampled_from(["", "-", " ", ".", "/"])) for d in bare.full]
    assert spell("".join(pieces)) == bare
    assert isinstance(normalise(bare, region), Number)
