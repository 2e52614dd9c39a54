"""Rollout, age and regions: who has calls at all, and with whom; one row a case."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.policy.chain import REFUSED, Attempt
from gateway.policy.people import Claims, Person
from gateway.policy.rollout import includes, place
from gateway.policy.rules import SILENT, chain_of
from gateway.settings import RolloutSection
from gateway.values import NumberClass, Reason, ServiceAddress, SipAddress
from tests.calls.outside import people_settings
from tests.policy.scene import ALICE, BOB, FAILED, STRANGER, at, attempt, dial, person, phone_call

EMERGENCY = dial("112", None, classes=(NumberClass.EMERGENCY,))
ECHO, DIAL_IN = Person(ServiceAddress("echo")), Person(ServiceAddress("dial-in"))
PHONE = Person(SipAddress("1001", "dm.localhost"))


@pytest.mark.parametrize(
    ("rollout", "claims", "included"),
    [
        ({}, {}, True),
        ({"enabled": False}, {}, False),
        ({"enabled": False, "allow": ["alice"]}, {}, False),
        ({"regions": ["DE"]}, {}, False),
        ({"regions": ["DE"]}, {"region": "DE"}, True),
        ({"regions": ["DE"]}, {"region": "FR"}, False),
        ({"groups": ["beta", "staff"]}, {"groups": frozenset({"beta"})}, True),
        ({"groups": ["beta"]}, {"groups": frozenset({"alpha"})}, False),
        ({"regions": ["DE"], "groups": ["beta"]}, {"region": "DE"}, False),
        ({"percent": 0}, {}, False),
        ({"percent": 0, "allow": ["alice"]}, {}, True),
        ({"regions": ["DE"], "allow": ["alice"]}, {}, True),
        ({"percent": 0, "allow": ["bob"]}, {}, False),
    ],
)
def test_who_has_calls(rollout: dict[str, Any], claims: dict[str, Any], included: bool) -> None:
    section = RolloutSection.model_validate(rollout)
    assert includes(section, "alice", Claims(**claims)) is included
    caller, callee = Person(ALICE.address, Claims(**claims)), person(ALICE, **claims)
    verdict = chain_of(people_settings()).judge(attempt(caller, ECHO, section))
    assert verdict.rule == ("allowed" if included else "rollout")
    # called, they are not there
    verdict = chain_of(people_settings()).judge(attempt(PHONE, callee, section))
    if included:
        assert verdict.allowed
    elif section.enabled:
        assert (verdict.rule, verdict.reason) == ("rollout", Reason.UNREACHABLE)


def test_a_percentage_is_steady_and_even() -> None:
    handles = [f"user{n}" for n in range(10_000)]
    for salt in ("", "autumn"):
        share = sum(place(h, salt) < 20 for h in handles) / len(handles)
        assert 0.18 < share < 0.22
        # more percent keep whoever had calls before
        section = [RolloutSection(percent=p, salt=salt) for p in (20, 50)]
        few, many = ({h for h in handles if includes(s, h, Claims())} for s in section)
        assert few < many
    assert sum(place(h, "") < 20 and place(h, "autumn") < 20 for h in handles) < 600
    assert place("alice", "autumn") == place("alice", "autumn")


def test_the_switch_stops_all_but_emergencies() -> None:
    off = RolloutSection(enabled=False)
    chain = chain_of(people_settings())
    for asked in (
        attempt(ALICE, BOB, off),
        attempt(STRANGER, BOB, off, trunk="carrier"),
        attempt(PHONE, PHONE, off),
        attempt(PHONE, ECHO, off),
    ):
        verdict = chain.judge(asked)
        assert (verdict.rule, verdict.reason, verdict.text) == (
            "rollout",
            Reason.NOT_ALLOWED,
            REFUSED,
        )
    facts = EMERGENCY.facts
    emergency = attempt(facts.caller, facts.callee, off, dialled=EMERGENCY.dialled)
    assert chain.judge(emergency).allowed


CHILD = {"age": "13-15"}
TEEN = {"age": "16-17"}
FRIEND = {"knows": True}


@pytest.mark.parametrize(
    ("asked", "rule"),
    [
        # the caller is a minor
        (attempt(person(ALICE, **CHILD)), "age_contacts"),
        (attempt(person(ALICE, **CHILD, **FRIEND)), "allowed"),
        (attempt(person(ALICE, **TEEN)), "allowed"),
        (attempt(person(ALICE, age="18+")), "allowed"),
        (dial(caller=person(ALICE, **CHILD, **FRIEND)), "age_phone"),
        (dial(caller=person(ALICE, **TEEN, **FRIEND)), "allowed"),
        (attempt(person(ALICE, **CHILD), ECHO), "allowed"),
        (attempt(person(ALICE, **CHILD), person(ALICE)), "not_oneself"),
        (attempt(person(ALICE, **CHILD, **FRIEND, talked_s=3599)), "allowed"),
        (attempt(person(ALICE, **CHILD, **FRIEND, talked_s=3600)), "age_minutes"),
        (attempt(person(ALICE, **TEEN, talked_s=90_000)), "allowed"),
        # the callee is
        (attempt(callee=person(**CHILD)), "age_strangers"),
        (attempt(person(ALICE, **FRIEND), person(**CHILD)), "age_strangers"),
        (attempt(callee=person(**CHILD, **FRIEND)), "allowed"),
        (attempt(callee=person(**TEEN)), "age_strangers"),
        (attempt(callee=person(**TEEN, **FRIEND)), "allowed"),
        (phone_call(person(**CHILD, **FRIEND)), "age_phone"),
        (phone_call(person(**TEEN, **FRIEND)), "allowed"),
        (phone_call(person(**TEEN, **FRIEND), verification=FAILED), "age_strangers"),
        (phone_call(person(**TEEN), means="pin"), "allowed"),
        (phone_call(person(**CHILD), means="pin"), "age_phone"),
        (attempt(DIAL_IN, person(**CHILD), means="pin"), "allowed"),
        (attempt(callee=person(**CHILD, **FRIEND, talked_s=3600)), "minutes"),
        (attempt(callee=person(**CHILD, **FRIEND, talked_s=3600, blocks=True)), "blocked"),
        # both
        (attempt(person(ALICE, **CHILD, **FRIEND), person(**TEEN, **FRIEND)), "allowed"),
        (attempt(person(ALICE, **CHILD, **FRIEND), person(**TEEN)), "age_strangers"),
    ],
)
def test_age(asked: Attempt, rule: str) -> None:
    """Nobody can tell it from another refusal, or from no answer."""
    age = {
        "from_13": {"minutes_per_day": 60},
        "from_16": {"contacts_only": False, "phone": True, "minutes_per_day": None},
    }
    chain = chain_of(people_settings(age=age))
    verdict = chain.judge(asked)
    assert verdict.rule == rule
    if rule in SILENT:
        assert (verdict.reason, verdict.text) == (Reason.UNAVAILABLE, "")
    elif rule.startswith("age"):
        assert (verdict.reason, verdict.text) == (Reason.NOT_ALLOWED, REFUSED)


@pytest.mark.parametrize(
    ("when", "night"),
    [
        ("2026-11-23 21:59", False),
        ("2026-11-23 22:00", True),
        ("2026-11-24 05:59", True),
        ("2026-11-24 06:00", False),
    ],
)
def test_the_night_of_minors(when: str, night: bool) -> None:
    chain = chain_of(people_settings(age={"timezone": "Europe/Berlin"}))
    for zone, known in (("Europe/Berlin", {}), ("Asia/Tokyo", {"timezone": "Asia/Tokyo"})):
        claims = Claims(age="13-15", **known)
        child = Person(ALICE.address, claims, knows=True)
        now = at(when, zone)
        assert chain.judge(attempt(child, now=now)).rule == ("age_night" if night else "allowed")
        called = attempt(BOB, child, now=now)
        assert chain.judge(called).rule == ("night" if night else "allowed")
        # a zone of their own choice moves nothing
        moved = person(child, set_zone="Pacific/Apia")
        assert chain.judge(attempt(moved, now=now)).rule == ("age_night" if night else "allowed")
    none = {"from_13": {"night_from": None, "night_to": None}}
    child = Person(ALICE.address, Claims(age="13-15"), knows=True)
    assert chain_of(people_settings(age=none)).judge(attempt(child, now=at(when))).allowed


def test_the_band_of_who_has_none() -> None:
    for unknown, rule in (("18+", "allowed"), ("13-15", "age_contacts")):
        chain = chain_of(people_settings(age={"unknown": unknown}))
        assert chain.judge(attempt()).rule == rule
        assert chain.judge(attempt(PHONE, STRANGER)).allowed  # no people of the app


def test_what_the_day_has_left_bounds_a_call() -> None:
    chain = chain_of(people_settings(age={"from_13": {"minutes_per_day": 60}}))
    child = person(ALICE, age="13-15", knows=True, talked_s=3000)
    other = person(age="13-15", knows=True, talked_s=3300)
    assert chain.longest_s(attempt(child)) == 600
    assert chain.longest_s(attempt(BOB, child)) == 600
    assert chain.longest_s(attempt(child, other)) == 300
    assert chain.longest_s(attempt()) is None
    assert chain.longest_s(attempt(child, ECHO)) is None
    facts = EMERGENCY.facts
    emergency = attempt(child, facts.callee, dialled=EMERGENCY.dialled)
    assert chain.longest_s(emergency) is None
    assert chain.judge(emergency).allowed


@pytest.mark.parametrize(
    ("asked", "rule"),
    [
        (attempt(person(ALICE, region="DE"), person(region="FR")), "region"),
        (attempt(person(ALICE, region="FR"), person(region="DE")), "region"),
        (attempt(person(ALICE, region="DE"), person(region="DE")), "allowed"),
        (attempt(person(ALICE, region="CN"), person(region="CN")), "region"),
        (attempt(person(ALICE, region="DE"), BOB), "allowed"),
        (attempt(ALICE, person(region="DE")), "allowed"),
        (dial(country="FR", caller=person(ALICE, region="DE")), "region"),
        (dial(country="US", caller=person(ALICE, region="DE")), "allowed"),
        (phone_call(person(region="FR"), caller_country="DE"), "region"),
        (attempt(person(ALICE, region="DE"), ECHO), "allowed"),
    ],
)
def test_countries_apart(asked: Attempt, rule: str) -> None:
    regions = {"apart": ["DE-FR", "CN-CN"]}
    verdict = chain_of(people_settings(regions=regions)).judge(asked)
    assert verdict.rule == rule
    assert chain_of(people_settings()).judge(asked).allowed


STAFF = {"groups": frozenset({"staff"})}
PREMIUM = (NumberClass.PREMIUM_RATE,)
EITHER = (NumberClass.FIXED_LINE, NumberClass.MOBILE)


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        (dial(country="DE"), True),
        (dial(country="US"), False),
        (dial(country="DE", classes=EITHER), True),
        (dial(country="DE", classes=PREMIUM), False),
        (dial(country="DE", classes=PREMIUM, caller=person(ALICE, **STAFF)), True),
        (dial(country="US", caller=person(ALICE, **STAFF)), True),
        (dial(country=None, classes=(NumberClass.SHORT,)), False),
        (dial(country=None, classes=(NumberClass.SHORT,), caller=person(ALICE, **STAFF)), True),
        (EMERGENCY, True),
        (attempt(), True),
    ],
)
def test_numbers_that_may_be_dialled(asked: Attempt, allowed: bool) -> None:
    numbers = [
        {"classes": ["mobile", "fixed_line"], "countries": ["DE"]},
        {"groups": ["staff"]},
    ]
    verdict = chain_of(people_settings(regions={"numbers": numbers})).judge(asked)
    assert verdict.allowed is allowed
    if not allowed:
        assert (verdict.rule, verdict.reason) == ("number", Reason.NOT_ALLOWED)
