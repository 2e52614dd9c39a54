"""Times of routes: days, hours, midnight, zones, and clocks that are put forward and back."""

from __future__ import annotations

import pytest

from gateway.hours import Hours
from gateway.settings import Period
from tests.routing.books import at, book, planned, route_of

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"


def hold(period: dict[str, object], when: str, zone: str = "UTC", fold: int = 0) -> bool:
    return Hours.of(Period.model_validate(period), zone).hold(at(when, zone, fold))


OFFICE = {"days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00", "to": "17:30"}
NIGHT = {"from": "22:00", "to": "06:00"}
FRIDAY_NIGHT = {"days": ["fri"], "from": "22:00", "to": "06:00"}
MONDAYS = {"days": ["mon"]}
TO_MIDNIGHT = {"days": ["mon"], "from": "18:00"}
FROM_MIDNIGHT = {"days": ["mon"], "to": "06:00"}
MIDNIGHT_AS_ZERO = {"days": ["mon"], "from": "18:00", "to": "00:00"}


@pytest.mark.parametrize(
    ("period", "when", "holds"),
    [
        # 2026-11-23 is a Monday
        (OFFICE, "2026-11-23T08:59:59", False),
        (OFFICE, "2026-11-23T09:00:00", True),
        (OFFICE, "2026-11-23T17:29:59", True),
        (OFFICE, "2026-11-23T17:30:00", False),
        (OFFICE, "2026-11-22T12:00:00", False),
        (OFFICE, "2026-11-28T12:00:00", False),
        (NIGHT, "2026-11-23T21:59:59", False),
        (NIGHT, "2026-11-23T22:00:00", True),
        (NIGHT, "2026-11-24T00:00:00", True),
        (NIGHT, "2026-11-24T05:59:59", True),
        (NIGHT, "2026-11-24T06:00:00", False),
        # over midnight it is the day on which it began that counts
        (FRIDAY_NIGHT, "2026-11-27T23:00:00", True),
        (FRIDAY_NIGHT, "2026-11-28T05:00:00", True),
        (FRIDAY_NIGHT, "2026-11-27T05:00:00", False),
        (FRIDAY_NIGHT, "2026-11-28T23:00:00", False),
        (FRIDAY_NIGHT, "2026-11-29T05:00:00", False),
        (MONDAYS, "2026-11-22T23:59:59", False),
        (MONDAYS, "2026-11-23T00:00:00", True),
        (MONDAYS, "2026-11-23T23:59:59", True),
        (MONDAYS, "2026-11-24T00:00:00", False),
        (TO_MIDNIGHT, "2026-11-23T23:59:59", True),
        (TO_MIDNIGHT, "2026-11-24T00:00:00", False),
        (FROM_MIDNIGHT, "2026-11-23T00:00:00", True),
        (FROM_MIDNIGHT, "2026-11-23T06:00:00", False),
        (MIDNIGHT_AS_ZERO, "2026-11-23T23:59:59", True),
        (MIDNIGHT_AS_ZERO, "2026-11-24T00:00:00", False),
        # the last night of a year
        ({"days": ["thu"], "from": "22:00", "to": "06:00"}, "2027-01-01T01:00:00", True),
    ],
)
def test_days_and_hours(period: dict[str, object], when: str, holds: bool) -> None:
    assert hold(period, when) is holds


@pytest.mark.parametrize(
    ("when", "holds"), [("2026-11-23T22:30", True), ("2026-11-23T16:30", False)]
)
def test_the_periods_own_zone_goes_before_the_plans(when: str, holds: bool) -> None:
    night = Hours.of(Period.model_validate({**NIGHT, "timezone": BERLIN}), NEW_YORK)
    assert night.hold(at(when, BERLIN)) is holds


def test_the_zones_day_counts_not_that_of_utc() -> None:
    mondays = Hours.of(Period.model_validate(MONDAYS), "Pacific/Auckland")
    assert mondays.hold(at("2026-11-22T12:00"))  # 01:00 on Monday there
    assert not mondays.hold(at("2026-11-23T12:00"))


@pytest.mark.parametrize(
    ("when", "fold", "holds"),
    [
        # clocks go from 02:00 to 03:00 on 29 March 2026 in Berlin
        ("2026-03-29T01:59", 0, True),
        ("2026-03-29T03:00", 0, True),
        ("2026-03-29T03:59", 0, True),
        ("2026-03-29T04:00", 0, False),
        # and from 03:00 back to 02:00 on 25 October
        ("2026-10-25T02:30", 0, True),
        ("2026-10-25T02:30", 1, True),
        ("2026-10-25T03:59", 0, True),
        ("2026-10-25T04:00", 0, False),
        # the night before either is an ordinary one
        ("2026-03-28T23:00", 0, True),
        ("2026-10-24T21:59", 0, False),
    ],
)
def test_the_clock_on_the_wall_counts_when_it_is_moved(when: str, fold: int, holds: bool) -> None:
    assert hold({"from": "22:00", "to": "04:00"}, when, BERLIN, fold) is holds


def test_an_hour_that_is_left_out_never_comes() -> None:
    period = {"from": "02:00", "to": "03:00"}
    start = at("2026-03-29T00:00", BERLIN)
    hours = Hours.of(Period.model_validate(period), BERLIN)
    assert not any(hours.hold(start + 60 * n) for n in range(23 * 60))


def test_an_hour_that_is_repeated_counts_twice() -> None:
    period = {"from": "02:00", "to": "03:00"}
    start = at("2026-10-25T00:00", BERLIN)
    hours = Hours.of(Period.model_validate(period), BERLIN)
    assert sum(hours.hold(start + 60 * n) for n in range(25 * 60)) == 120


def test_a_route_holds_in_its_periods_alone() -> None:
    plan_ = book("""
timezone: America/New_York
routes:
  - name: late
    prefix: "+1"
    times:
      - {days: [sat, sun]}
      - {from: "22:00", to: "06:00"}
    trunks: [a]
  - {name: else, prefix: "+1", trunks: [a]}
""")

    def taken(when: str) -> str | None:
        return route_of(planned("+14155550123", plan_, now=at(when, NEW_YORK)))

    assert taken("2026-11-23T22:00") == "late"
    assert taken("2026-11-23T12:00") == "else"
    assert taken("2026-11-22T12:00") == "late"
    found = planned("+14155550123", plan_, now=at("2026-11-23T12:00", NEW_YORK))
    assert found.steps[3].text == "late (+1) does not hold at mon 12:00 in America/New_York"
