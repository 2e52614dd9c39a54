"""ENUM without DNS: names, services, order, chains, and what cannot be used."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Unlocatable
from gateway.sip.e164 import MOST_LOOKUPS, MOST_RULES, MOST_URIS, enum_domain, enum_lookups
from gateway.sip.errors import SipSyntaxError
from gateway.sip.records import Absent
from gateway.sip.uri import SipUri, parse_uri
from tests.dns.rules import SILENT, Driven, Zone

NUMBER = "+441632960083"
NAME = "3.8.0.0.6.9.2.3.6.1.4.4.e164.arpa"
ALL = "!^.*$!sip:{}@example.org!"


def uris(zone: Zone, number: str = NUMBER) -> tuple[str, ...]:
    return Driven(zone).run(enum_lookups(number, "e164.arpa"))


def rule(order: int, preference: int, who: str, service: str = "E2U+sip", flags: str = "u") -> str:
    return f'{order} {preference} "{flags}" "{service}" "{ALL.format(who)}" .'


@pytest.mark.parametrize(
    ("number", "suffix", "name"),
    [
        (NUMBER, "e164.arpa", NAME),
        ("+12", "E164.Example.", "2.1.e164.example"),
        ("+999999999999999", "x", "9." * 15 + "x"),
    ],
)
def test_names(number: str, suffix: str, name: str) -> None:
    assert enum_domain(number, suffix) == name


@pytest.mark.parametrize(
    "number",
    [
        *("", "+", "441632960083", "+0123", "+1", "+1234567890123456", "+44 1632", "+44a"),
        *("+\u0661\u0662", "+12\n"),
    ],
)
def test_no_numbers(number: str) -> None:
    with pytest.raises(Unlocatable, match=r"^not an E\.164 number: .* right is \+14155550123$"):
        uris({}, number)


@pytest.mark.parametrize(
    ("service", "taken"),
    [
        ("E2U+sip", True),
        ("e2u+SIP", True),
        ("sip+E2U", True),
        ("SIP+e2u", True),
        ("E2U+voice:tel+sip", True),
        ("E2U+sip+email:mailto", True),
        ("E2U+email:mailto", False),
        ("E2U+pstn:sip", False),
        ("E2U+x-sip", False),
        ("E2U+h323", False),
        ("E2U", False),
        ("sip", False),
        ("SIP+D2U", False),
        ("", False),
        ("x+E2U+sip", False),
    ],
)
def test_services(service: str, taken: bool) -> None:
    found = uris({f"NAPTR {NAME}": rule(1, 1, "a", service)})
    assert found == (("sip:a@example.org",) if taken else ())


def test_order_then_preference() -> None:
    rules = (rule(200, 1, "d"), rule(100, 20, "b"), rule(100, 10, "a"), rule(150, 99, "c"))
    found = uris({f"NAPTR {NAME}": "\n".join(rules)})
    assert found == tuple(f"sip:{who}@example.org" for who in "abcd")


def test_the_number_goes_through_the_expression() -> None:
    zone = {f"NAPTR {NAME}": '1 1 "U" "E2U+sip" "!^\\+44(.*)$!sips:0\\1@example.org:5071!" .'}
    assert uris(zone) == ("sips:01632960083@example.org:5071",)


@pytest.mark.parametrize(
    "text",
    [
        '1 1 "u" "E2U+sip" "!^.*$!mailto:a@example.org!" .',
        '1 1 "u" "E2U+sip" "!^.*$!tel:+441632960083!" .',
        '1 1 "u" "E2U+sip" "!^.*$!sip:!" .',
        '1 1 "u" "E2U+sip" "!^.*$!a@example.org!" .',
        '1 1 "u" "E2U+sip" "!^.*$!sip:a@example.org?Route=%3Csip:evil%3E!" .',
        '1 1 "u" "E2U+sip" "!^.*$!sip:a:secret@example.org!" .',
        '1 1 "u" "E2U+sip" "!^.*$!sip:a@exa<mple.org!" .',
        '1 1 "u" "E2U+sip" "!^\\+49!sip:a@example.org!" .',
        '1 1 "u" "E2U+sip" "!^(!sip:a@example.org!" .',
        '1 1 "u" "E2U+sip" "" .',
        '1 1 "u" "E2U+sip" "!^.*$!sip:a@example.org!" elsewhere.example.',
        '1 1 "s" "E2U+sip" "!^.*$!sip:a@example.org!" .',
        '1 1 "" "E2U+sip" "" .',
        '1 1 "" "E2U+sip" "!^.*$!not/a/name!" .',
    ],
)
def test_a_rule_that_cannot_be_used_is_passed_over(text: str) -> None:
    zone = {f"NAPTR {NAME}": f"{text}\n{rule(2, 1, 'next')}"}
    assert uris(zone) == ("sip:next@example.org",)


def test_line_ends_do_not_come_through() -> None:
    from gateway.sip.records import Found, NaptrRecord

    record = NaptrRecord(1, 1, "u", "E2U+sip", "!^.*$!sip:a@example.org\r\nX: y!", "")
    assert Driven({f"NAPTR {NAME}": Found((record,))}).run(enum_lookups(NUMBER, "e164.arpa")) == ()


def test_chains_in_their_place() -> None:
    zone = {
        f"NAPTR {NAME}": f"""\
            {rule(1, 1, "a")}
            1 2 "" "E2U+sip" "" Chain.Example.
            {rule(1, 3, "d")}
            1 4 "" "" "!^\\+(.*)$!n\\1.example!" .""",
        "NAPTR chain.example": f"{rule(9, 1, 'c')}\n{rule(1, 9, 'b')}\n{rule(9, 9, 'a')}",
        "NAPTR n441632960083.example": rule(1, 1, "e"),
    }
    assert uris(zone) == tuple(f"sip:{who}@example.org" for who in "abcde")


def test_nothing_there_is_no_fault() -> None:
    assert uris({}) == ()
    assert uris({f"NAPTR {NAME}": Absent("no such record")}) == ()
    assert uris({f"NAPTR {NAME}": '1 1 "" "" "" gone.example.'}) == ()


def test_what_cannot_be_known_is_told() -> None:
    with pytest.raises(Unlocatable) as told:
        uris({f"NAPTR {NAME}": SILENT})
    assert str(told.value) == f"{NUMBER} cannot be looked up: NAPTR {NAME}: no answer in time"


def test_loops_are_named() -> None:
    zone = {
        f"NAPTR {NAME}": '1 1 "" "" "" b.example.',
        "NAPTR b.example": f'1 1 "" "" "" {NAME}.',
    }
    with pytest.raises(Unlocatable, match=f"a loop, {NAME} to b.example to {NAME}$"):
        uris(zone)
    # what was found on the way counts
    zone["NAPTR b.example"] += "\n" + rule(1, 2, "a")
    assert uris(zone) == ("sip:a@example.org",)


def test_chains_and_uris_are_bounded() -> None:
    web = "\n".join(f'1 1 "" "" "" n{n}.example.' for n in range(30))
    driven = Driven({f"NAPTR {NAME}": web, **{f"NAPTR n{n}.example": web for n in range(30)}})
    with pytest.raises(Unlocatable, match=f"up: given up after {MOST_LOOKUPS} lookups; ") as told:
        driven.run(enum_lookups(NUMBER, "e164.arpa"))
    assert len(driven.asked) == MOST_LOOKUPS
    assert len(str(told.value)) < 1200
    many = "\n".join(rule(1, n, f"u{n}") for n in range(100))
    assert len(uris({f"NAPTR {NAME}": many})) == MOST_URIS
    late = [f'1 {n} "u" "E2U+sip" "!^[[:digit:]]{{9}}{n}$!x!" .' for n in range(MOST_RULES)]
    assert uris({f"NAPTR {NAME}": "\n".join([*late[1:], rule(2, 1, "a")])})
    assert not uris({f"NAPTR {NAME}": "\n".join([*late, rule(2, 1, "a")])})


_rules = st.builds(
    '{} {} "{}" "{}" "{}" {}.'.format,
    *(st.integers(0, 2), st.integers(0, 2), st.sampled_from(["", "u", "U", "s"])),
    st.sampled_from(["E2U+sip", "sip+E2U", "E2U+email:mailto", ""]),
    st.text("!^.*$()\\1sip:@a?;=<+4", max_size=30),
    st.sampled_from(["", "b.example", NAME]),
).filter(lambda text: len(text.split()) == 6)


@given(*[st.lists(_rules, min_size=1, max_size=5).map("\n".join)] * 2)
def test_any_zone_ends_in_uris_that_can_be_called(first: str, second: str) -> None:
    try:
        found = uris({f"NAPTR {NAME}": first, "NAPTR b.example": second})
    except Unlocatable as e:
        assert "cannot be looked up" in str(e)
        return
    except SipSyntaxError:
        raise AssertionError("a stranger's fault is told as ours") from None
    for uri in found:
        parsed = parse_uri(uri)
        assert isinstance(parsed, SipUri)
        assert (parsed.headers, parsed.password) == ("", None)
