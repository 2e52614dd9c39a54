"""Who may ring, and when: what callees allow, one row a case."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.policy.chain import REFUSED, Attempt
from gateway.policy.people import Person
from gateway.policy.permission import FirstContact
from gateway.policy.rules import SILENT, chain_of
from gateway.values import Reason, ServiceAddress, SipAddress
from tests.calls.outside import people_settings
from tests.policy.scene import (
    ALICE,
    BOB,
    FAILED,
    NONE,
    PASSED,
    STRANGER,
    at,
    attempt,
    dial,
    person,
    phone_call,
    quiet,
)

BERLIN = "Europe/Berlin"
ECHO = Person(ServiceAddress("echo"))
DIAL_IN = Person(ServiceAddress("dial-in"))
HIDDEN = Person(SipAddress("anonymous", "anonymous.invalid"))


def rule_of(asked: Attempt, **sections: Any) -> str:
    verdict = chain_of(people_settings(**sections)).judge(asked)
    if verdict.rule in SILENT:
        assert (verdict.reason, verdict.text) == (Reason.UNAVAILABLE, "")
    elif not verdict.allowed and verdict.rule != "own_block":
        assert (verdict.reason, verdict.text) == (Reason.NOT_ALLOWED, REFUSED)
    return verdict.rule


@pytest.mark.parametrize(
    ("asked", "rule"),
    [
        (attempt(), "allowed"),
        # blocks, both ways
        (attempt(callee=person(blocks=True)), "blocked"),
        (attempt(callee=person(blocks=True, knows=True, favours=True)), "blocked"),
        (attempt(person(ALICE, blocks=True)), "own_block"),
        (attempt(person(ALICE, blocks=True), person(blocks=True)), "own_block"),
        (phone_call(person(blocks=True)), "blocked"),
        (phone_call(person(blocks=True), means="pin"), "blocked"),
        # whom they take calls from; a block is told by nothing
        (attempt(callee=person(allow_from="nobody")), "allow_from"),
        (attempt(callee=person(allow_from="nobody", knows=True)), "allow_from"),
        (attempt(callee=person(allow_from="contacts")), "allow_from"),
        (attempt(callee=person(allow_from="contacts", blocks=True)), "allow_from"),
        (attempt(callee=person(allow_from="contacts", knows=True)), "allowed"),
        (attempt(callee=person(allow_from="contacts", knows=True, blocks=True)), "blocked"),
        (attempt(person(ALICE, knows=True), person(allow_from="contacts")), "allow_from"),
        (phone_call(person(allow_from="contacts"), means="pin"), "allowed"),
        (attempt(person(ALICE, allow_from="nobody"), ECHO), "allowed"),
        (attempt(DIAL_IN, person(allow_from="nobody"), means="pin"), "allowed"),
        (attempt(person(ALICE, allow_from="nobody"), person(ALICE)), "not_oneself"),
        (dial(caller=person(ALICE, allow_from="nobody")), "allowed"),
        # a forged number is nobody's contact
        (phone_call(person(allow_from="contacts", knows=True)), "allowed"),
        (phone_call(person(allow_from="contacts", knows=True), verification=PASSED), "allowed"),
        (phone_call(person(allow_from="contacts", knows=True), verification=NONE), "allowed"),
        (phone_call(person(allow_from="contacts", knows=True), verification=FAILED), "allow_from"),
        # telephones
        (phone_call(person(allow_phone=False)), "allow_phone"),
        (phone_call(person(allow_phone=False), means="pin"), "allowed"),
        (attempt(STRANGER, person(allow_phone=False)), "allow_phone"),
        (attempt(HIDDEN, person(allow_phone=False)), "allow_phone"),
        (attempt(callee=person(allow_phone=False)), "allowed"),
        # by a number of hers, from a telephone
        (attempt(ALICE, person(allow_phone=False), trunk="carrier"), "allow_phone"),
        # not now
        (attempt(callee=person(do_not_disturb=True)), "do_not_disturb"),
        (attempt(callee=person(do_not_disturb=True, favours=True, knows=True)), "do_not_disturb"),
        (attempt(callee=person(do_not_disturb=True, blocks=True)), "blocked"),
        (attempt(callee=person(do_not_disturb=True, allow_from="nobody")), "allow_from"),
        (phone_call(person(do_not_disturb=True), means="pin"), "do_not_disturb"),
        (attempt(person(ALICE, do_not_disturb=True)), "allowed"),
        # busy before silent: whoever is blocked sees what all others see
        (attempt(callee=person(blocks=True), callee_calls=4), "callee_calls"),
    ],
)
def test_permission(asked: Attempt, rule: str) -> None:
    verdict = chain_of(people_settings()).judge(asked)
    assert verdict.rule == rule
    if rule == "own_block":
        assert (verdict.reason, verdict.text) == (
            Reason.NOT_ALLOWED,
            "you have blocked whom you call",
        )
    elif rule not in ("allowed", "callee_calls", "not_oneself"):
        assert rule_of(asked) == rule


@pytest.mark.parametrize(
    ("asked", "rule"),
    [
        (phone_call(), "unverified"),
        (phone_call(verification=NONE), "unverified"),
        (phone_call(verification=FAILED), "unverified"),
        (phone_call(verification=PASSED), "allowed"),
        (phone_call(means="transfer"), "allowed"),  # was judged as they came in
        (phone_call(ECHO), "allowed"),
        (attempt(), "allowed"),
        (attempt(HIDDEN, trunk="carrier", means="sip_invite", verification=PASSED), "anonymous"),
        (attempt(HIDDEN), "anonymous"),
        (attempt(HIDDEN, means="pin"), "allowed"),
        (attempt(HIDDEN, ECHO), "allowed"),
    ],
)
def test_telephones_that_hide_or_lie(asked: Attempt, rule: str) -> None:
    refusing = {"anonymous": "refuse", "unverified": "refuse"}
    assert rule_of(asked, people=refusing) == rule
    assert rule_of(asked) == "allowed"


@pytest.mark.parametrize(
    ("asked", "rule"),
    [
        (attempt(ALICE, BOB, FirstContact(2)), "allowed"),
        (attempt(ALICE, BOB, FirstContact(3)), "first_contact"),
        (attempt(ALICE, person(knows=True), FirstContact(3)), "allowed"),
        (attempt(person(ALICE, knows=True), BOB, FirstContact(3)), "first_contact"),
        (attempt(ALICE, person(blocks=True), FirstContact(3)), "first_contact"),
        (attempt(ALICE, person(blocks=True), FirstContact(2)), "blocked"),
        (attempt(ALICE, BOB), "allowed"),
        (attempt(ALICE, ECHO, FirstContact(3)), "allowed"),
        (phone_call(BOB, FirstContact(3)), "first_contact"),
        (phone_call(person(knows=True), FirstContact(3), verification=FAILED), "first_contact"),
        (phone_call(BOB, FirstContact(3), means="pin"), "allowed"),
    ],
)
def test_first_contact(asked: Attempt, rule: str) -> None:
    assert rule_of(asked, people={"stranger_rings": 3}) == rule
    if rule == "first_contact":
        assert rule_of(asked, people={"stranger_rings": 0}) != rule


NIGHT = quiet("22:00", "07:00")


@pytest.mark.parametrize(
    ("when", "zone", "hours", "silent"),
    [
        ("2026-11-23 21:59", BERLIN, NIGHT, False),
        ("2026-11-23 22:00", BERLIN, NIGHT, True),
        ("2026-11-24 00:00", BERLIN, NIGHT, True),
        ("2026-11-24 06:59", BERLIN, NIGHT, True),
        ("2026-11-24 07:00", BERLIN, NIGHT, False),
        # a night belongs to the day on which it begins
        ("2026-11-23 23:00", BERLIN, quiet("22:00", "07:00", "mon"), True),
        ("2026-11-24 06:00", BERLIN, quiet("22:00", "07:00", "mon"), True),
        ("2026-11-23 06:00", BERLIN, quiet("22:00", "07:00", "mon"), False),
        ("2026-11-24 23:00", BERLIN, quiet("22:00", "07:00", "mon"), False),
        ("2026-11-22 23:59", BERLIN, quiet("00:00", "24:00", "sun"), True),
        ("2026-11-23 00:00", BERLIN, quiet("00:00", "24:00", "sun"), False),
        # other zones than the gateway's
        ("2026-11-23 22:30", "America/New_York", NIGHT, True),
        ("2026-11-23 22:30", "Asia/Kathmandu", NIGHT, True),
        ("2026-11-23 12:00", "Asia/Kathmandu", NIGHT, False),
        # spring: from 02:00 to 03:00 there is no time
        ("2026-03-29 01:59", BERLIN, quiet("02:00", "03:00"), False),
        ("2026-03-29 03:00", BERLIN, quiet("02:00", "03:00"), False),
        ("2026-03-29 03:00", BERLIN, quiet("02:30", "03:30"), True),
        ("2026-03-29 06:59", BERLIN, NIGHT, True),
        ("2026-03-29 07:00", BERLIN, NIGHT, False),
        # autumn: from 02:00 to 03:00 comes twice
        ("2026-10-25 02:30", BERLIN, quiet("02:00", "03:00"), True),
        ("2026-10-25 03:00", BERLIN, quiet("02:00", "03:00"), False),
        ("2026-10-25 06:59", BERLIN, NIGHT, True),
        ("2026-10-25 07:00", BERLIN, NIGHT, False),
        # several
        ("2026-11-23 13:00", BERLIN, (*NIGHT, *quiet("12:30", "14:00")), True),
        ("2026-11-23 14:00", BERLIN, (*NIGHT, *quiet("12:30", "14:00")), False),
    ],
)
def test_quiet_hours(when: str, zone: str, hours: Any, silent: bool) -> None:
    expected = "quiet_hours" if silent else "allowed"
    for fold in (0, 1):
        callee = person(quiet_hours=hours, set_zone=zone)
        assert rule_of(attempt(callee=callee, now=at(when, zone, fold))) == expected
    # the zone they have set goes before that of their token, and that before none
    now = at(when, zone)
    by_token = person(quiet_hours=hours, timezone=zone)
    assert rule_of(attempt(callee=by_token, now=now)) == expected
    both = person(quiet_hours=hours, timezone="Pacific/Apia", set_zone=zone)
    assert rule_of(attempt(callee=both, now=now)) == expected


@pytest.mark.parametrize(
    ("known", "through", "more", "rule"),
    [
        ({}, "favourites", {}, "quiet_hours"),
        ({"knows": True}, "favourites", {}, "quiet_hours"),
        ({"knows": True, "favours": True}, "favourites", {}, "allowed"),
        ({"knows": True, "favours": True}, "nobody", {}, "quiet_hours"),
        ({"knows": True, "favours": True}, "favourites", {"verification": FAILED}, "quiet_hours"),
        ({"knows": True, "favours": True, "blocks": True}, "favourites", {}, "blocked"),
    ],
)
def test_favourites_get_through(
    known: dict[str, Any], through: str, more: dict[str, Any], rule: str
) -> None:
    callee = person(quiet_hours=quiet("00:00", "24:00"), quiet_breakthrough=through, **known)
    asked = phone_call(callee, **more) if more else attempt(callee=callee)
    assert rule_of(asked) == rule
