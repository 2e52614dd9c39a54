"""How much is too much, over tables of what was used before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.chain import ANONYMOUS, Attempt, Chain, Dialled, Facts, Verdict
from gateway.policy.limits import (
    DAY_S,
    Bucket,
    Overflow,
    TelephoneCall,
    Usage,
    buckets,
    cost,
    limit_bounds,
    limit_rules,
    longest_row,
    tariff_of,
)
from gateway.policy.people import Person
from gateway.settings import LimitsSection, Tariff
from gateway.values import NumberClass, Reason, TelAddress, UserAddress

NOW = 1_800_000_000.0
ALICE, NUMBER = UserAddress("alice"), "+4930901820"


def attempt(usage: Usage, number: str | None = NUMBER, country: str = "DE", **more: Any) -> Attempt:
    callee = UserAddress("bob") if number is None else TelAddress(number)
    classes = more.pop("classes", (NumberClass.FIXED_LINE,))
    return Attempt(
        caller=ALICE,
        callee=callee,
        caller_calls=more.pop("caller_calls", 0),
        callee_calls=0,
        all_calls=0,
        draining=False,
        now=NOW,
        facts=Facts(Person(ALICE), Person(callee), (usage,)),
        dialled=None if number is None else Dialled(number, classes, country),
    )


def limits(**telephone: Any) -> LimitsSection:
    return LimitsSection.model_validate({"telephone": telephone})


def called(
    number: str = NUMBER, ago_s: float = 60, talk_s: float | None = 60, cost_: float = 0
) -> TelephoneCall:
    country = {"+49": "DE", "+33": "FR", "+44": "GB", "+39": "IT"}[number[:3]]
    return TelephoneCall(number, country, NOW - ago_s, talk_s, cost_)


def judged(a: Attempt, section: LimitsSection) -> Verdict:
    return Chain(limit_rules(section)).judge(a)


PRICED = {"tariffs": [{"prefix": "+", "per_minute": 0.5}], "spend_per_day": 5}
SHORT = tuple(called(talk_s=2, ago_s=i) for i in range(20))
ROW = tuple(called(f"+493090182{i}") for i in range(1, 6))
HELD = Usage(held_until=NOW + 1)
FOREIGN = (called("+33123456789"), called("+441234567890"), called("+390123456789"))


@pytest.mark.parametrize(
    ("usage", "section", "rule"),
    [
        (Usage(), LimitsSection(), "allowed"),
        (Usage(overflow=Overflow("pair_per_hour", 3.2)), LimitsSection(), "pair_per_hour"),
        (Usage(talk_s=3599), LimitsSection(talk_minutes_per_day=60), "allowed"),
        (Usage(talk_s=3600), LimitsSection(talk_minutes_per_day=60), "talk_minutes_per_day"),
        (Usage(talk_s=9e9), LimitsSection(), "allowed"),
        (HELD, LimitsSection(), "telephone_held"),
        (Usage(held_until=NOW), LimitsSection(), "allowed"),
        (Usage(telephone=(called(cost_=4.99),)), limits(**PRICED), "allowed"),
        (Usage(telephone=(called(cost_=5),)), limits(**PRICED), "spend_per_day"),
        (Usage(telephone=(called(cost_=3), called(cost_=2))), limits(**PRICED), "spend_per_day"),
        (Usage(telephone=FOREIGN[:2]), LimitsSection(), "allowed"),
        (Usage(telephone=FOREIGN), LimitsSection(), "new_countries_per_day"),
        (Usage(telephone=FOREIGN, known_countries=frozenset({"FR"})), LimitsSection(), "allowed"),
        (Usage(telephone=FOREIGN), limits(new_countries_per_day=None), "allowed"),
        (Usage(telephone=SHORT), LimitsSection(), "short_calls_per_hour"),
        (Usage(telephone=SHORT[1:]), LimitsSection(), "allowed"),
        (Usage(telephone=SHORT), limits(short_s=2), "allowed"),
        (Usage(telephone=tuple(called(talk_s=None) for _ in SHORT)), LimitsSection(), "allowed"),
        (Usage(telephone=tuple(called(talk_s=1, ago_s=3601) for _ in SHORT)), limits(), "allowed"),
        (Usage(telephone=ROW), LimitsSection(), "numbers_in_a_row"),
        (Usage(telephone=ROW[1:]), LimitsSection(), "allowed"),
        (Usage(telephone=ROW), limits(numbers_in_a_row=6), "allowed"),
    ],
)
def test_rules(usage: Usage, section: LimitsSection, rule: str) -> None:
    verdict = judged(attempt(usage), section)
    assert verdict.rule == rule
    if rule in {"spend_per_day", "new_countries_per_day", "numbers_in_a_row"}:
        assert verdict.alarm
    if verdict.reason is Reason.RATE_LIMITED:
        assert verdict.retry_after_s
        assert verdict.text


@pytest.mark.parametrize("usage", [HELD, Usage(telephone=FOREIGN + SHORT + ROW)])
def test_calls_within_the_app_are_no_telephone_calls(usage: Usage) -> None:
    assert judged(attempt(usage, None), LimitsSection()).allowed


@pytest.mark.parametrize("usage", [HELD, Usage(telephone=FOREIGN + SHORT + ROW)])
def test_emergency_calls_are_never_held_back(usage: Usage) -> None:
    assert judged(attempt(usage, "112", classes=(NumberClass.EMERGENCY,)), limits(**PRICED)).allowed


@pytest.mark.parametrize(
    ("usage", "section", "calls", "longest_s"),
    [
        (Usage(), LimitsSection(), 0, None),
        (Usage(talk_s=600), LimitsSection(talk_minutes_per_day=60), 0, 3000),
        (Usage(talk_s=600), LimitsSection(talk_minutes_per_day=60), 2, 1000),
        (Usage(), limits(**PRICED), 0, 600),
        (Usage(telephone=(called(cost_=4),)), limits(**PRICED), 0, 120),
        (Usage(telephone=(called(cost_=4.9),)), limits(**PRICED), 0, 60),
    ],
)
def test_what_is_left_bounds_a_call(
    usage: Usage, section: LimitsSection, calls: int, longest_s: float | None
) -> None:
    chain = Chain((), limit_bounds(section))
    assert chain.longest_s(attempt(usage, caller_calls=calls)) == longest_s


def test_tariffs() -> None:
    tariffs = [Tariff(prefix=p, per_minute=0.1) for p in ("+", "+49", "+4930", "+1")]
    found = {n: tariff_of(n, tariffs) for n in ("+49301", "+4940", "+331", "+1415")}
    assert [t and t.prefix for t in found.values()] == ["+4930", "+49", "+", "+1"]
    assert tariff_of("+331", tariffs[1:]) is None


@pytest.mark.parametrize(
    ("talk_s", "price"), [(None, 0), (0, 0.1), (0.5, 0.6), (60, 0.6), (61, 1.1), (3600, 30.1)]
)
def test_each_begun_minute_costs(talk_s: float | None, price: float) -> None:
    assert cost(talk_s, 0.5, 0.1) == pytest.approx(price)


@pytest.mark.parametrize(
    ("numbers", "row"),
    [
        ([], 0),
        (["+491"], 1),
        (["+4910", "+4911", "+4911", "+4913"], 3),
        (["+4910", "+4914", "+4918"], 1),
        (["+4920", "+4910", "+4921", "+4911", "+4922"], 3),
    ],
)
def test_rows_of_numbers(numbers: list[str], row: int) -> None:
    assert longest_row(numbers) == row


def test_a_bucket_leaks_evenly() -> None:
    bucket = Bucket("r", "k", 6, 60.0)
    assert bucket.wait_s(5) == 0
    assert bucket.wait_s(6) == 10
    assert bucket.level(6, NOW, NOW + 10) == 5
    assert bucket.level(6, NOW, NOW + DAY_S) == 0
    assert bucket.level(6, NOW, NOW - 5) == 6  # a clock that was set back forgives nothing


@given(st.lists(st.floats(0, 30), max_size=60))
def test_no_more_than_its_size_and_what_leaks_gets_through(pauses: list[float]) -> None:
    bucket, level, at, now, taken = Bucket("r", "k", 5, 60.0), 0.0, 0.0, 0.0, 0
    for pause in pauses:
        now += pause
        level, at = bucket.level(level, at, now), now
        if bucket.wait_s(level) == 0:
            level, taken = level + 1, taken + 1
    assert taken <= 5 + now * 5 / 60 + 1e-6


def test_which_buckets_there_are() -> None:
    found = buckets(LimitsSection(), "user:a", "user:b", "192.0.2.1")
    assert [b.key for b in found] == [
        "calls_per_minute:user:a",
        "calls_per_hour:user:a",
        "pair_per_hour:user:a>user:b",
        "address_per_minute:192.0.2.1",
    ]
    few = LimitsSection(calls_per_minute=None, calls_per_hour=None)
    assert [b.rule for b in buckets(few, "user:a", "user:b", None)] == ["pair_per_hour"]


@pytest.mark.parametrize(
    ("source", "keys"),
    [
        (
            "trunk:a",
            {
                "pair_per_hour:sip:anonymous@anonymous.invalid trunk:a>user:b",
                "address_per_minute:trunk:a",
            },
        ),
        (
            "192.0.2.1",
            {
                "pair_per_hour:sip:anonymous@anonymous.invalid 192.0.2.1>user:b",
                "address_per_minute:192.0.2.1",
            },
        ),
        (  # nothing tells them apart
            None,
            {
                "calls_per_minute:sip:anonymous@anonymous.invalid",
                "calls_per_hour:sip:anonymous@anonymous.invalid",
                "pair_per_hour:sip:anonymous@anonymous.invalid>user:b",
            },
        ),
    ],
)
def test_callers_without_a_name_are_not_one_person(source: str | None, keys: set[str]) -> None:
    found = buckets(LimitsSection(), str(ANONYMOUS), "user:b", source)
    assert {b.key for b in found} == keys


def test_callers_without_a_name_share_no_talk_time() -> None:
    section = LimitsSection(talk_minutes_per_day=1)
    nobody = replace(attempt(Usage(talk_s=60)), caller=ANONYMOUS, caller_calls=9)
    assert judged(attempt(Usage(talk_s=60)), section).rule == "talk_minutes_per_day"
    assert judged(nobody, section).allowed
    assert Chain(limit_rules(section), limit_bounds(section)).longest_s(nobody) is None


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ({"tariffs": [{"prefix": "49", "per_minute": 1}]}, "is no prefix"),
        ({"tariffs": [{"prefix": "+4", "per_minute": 1}] * 2}, "+4 is there twice"),
        ({"spend_per_day": 1}, "needs a tariff of prefix +"),
    ],
)
def test_settings_that_contradict(section: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told.replace("+", r"\+")):
        limits(**section)
