"""Where numbers go, as whom, and why."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.dialplan import Dialled, DialPlan, Plan, in_order
from gateway.routing.numbers import EmergencyNumber, NotANumber, Number, read_number
from gateway.settings import RoutingSection
from gateway.settings.routing import TrunkUse
from gateway.values import Reason, parse_address

ALICE = parse_address("user:alice")
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()  # a Monday


def plan(
    text: str,
    routing: dict[str, Any],
    region: str | None = "US",
    groups: tuple[str, ...] = (),
    now: float = NOON,
) -> Plan:
    settings = RoutingSection.model_validate(routing)
    dialled = Dialled(text, ALICE, region, frozenset(groups))
    return DialPlan(settings).plan(dialled, now, lambda: 0.5)


def route(name: str, *prefixes: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "prefixes": prefixes or ("+",), "trunks": [name], **more}


def trunks(found: Plan) -> list[str]:
    return [choice.trunk for choice in found.choices]


@pytest.mark.parametrize(
    ("text", "region", "e164", "kind"),
    [
        ("+14155552671", "DE", "+14155552671", "fixed_line"),
        ("(415) 555-2671", "US", "+14155552671", "fixed_line"),
        ("1 415 555 2671", "US", "+14155552671", "fixed_line"),
        ("011 49 30 901820", "US", "+4930901820", "fixed_line"),
        ("0049 30 901820", "FR", "+4930901820", "fixed_line"),
        ("030 901820", "DE", "+4930901820", "fixed_line"),
        ("0151 23456789", "DE", "+4915123456789", "mobile"),
        ("06 12 34 56 78", "FR", "+33612345678", "mobile"),
        ("800 234 5678", "US", "+18002345678", "toll_free"),
        ("0900 1234567", "DE", "+499001234567", "premium_rate"),
    ],
)
def test_what_a_caller_means(text: str, region: str, e164: str, kind: str) -> None:
    found = read_number(text, region)
    assert isinstance(found, Number), found
    assert (found.e164, found.kind) == (e164, kind)


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("112", "DE"),
        ("110", "DE"),
        ("911", "US"),
        ("911", "DE"),
        ("112", "US"),
        ("999", "GB"),
        ("9-1-1", "US"),
        ("0112", "DE"),
        ("+49112", "US"),
        ("+1911", "DE"),
    ],
)
def test_emergency_numbers_are_known(text: str, region: str) -> None:
    assert isinstance(read_number(text, region), EmergencyNumber)


@pytest.mark.parametrize("text", ["", "alice", "+", "12", "+1", "++1415", "1" * 41, "1415-x", "()"])
def test_what_is_no_number(text: str) -> None:
    assert isinstance(read_number(text, "US"), NotANumber)


@given(st.text(alphabet="+0123456789 ()-./x", max_size=45), st.sampled_from(["US", "DE", "ZZ"]))
def test_no_text_breaks_the_reading(text: str, region: str) -> None:
    found = read_number(text, region)
    if isinstance(found, Number):
        assert read_number(found.e164, "US") == found


def test_the_longest_prefix_wins_then_the_order_of_the_file() -> None:
    routing = {
        "routes": [
            route("world"),
            route("us", "+1"),
            route("bay", "+1415"),
            route("bay-two", "+1415"),
        ]
    }
    assert trunks(plan("+14155552671", routing)) == ["bay"]
    assert trunks(plan("+12125552671", routing)) == ["us"]
    assert trunks(plan("+4930901820", routing)) == ["world"]


@pytest.mark.parametrize(
    ("condition", "met", "unmet"),
    [
        ({"classes": ["mobile"]}, {"text": "+4915123456789"}, {"text": "+4930901820"}),
        ({"regions": ["DE"]}, {"region": "DE"}, {"region": "US"}),
        ({"regions": ["DE"]}, {"region": "DE"}, {"region": None}),
        ({"groups": ["beta", "staff"]}, {"groups": ("staff", "x")}, {"groups": ("x",)}),
    ],
)
def test_conditions(condition: dict[str, Any], met: Any, unmet: Any) -> None:
    routing = {"routes": [route("special", "+49", **condition), route("usual")]}
    assert trunks(plan(**{"text": "+4915123456789", "routing": routing, **met})) == ["special"]
    assert trunks(plan(**{"text": "+4915123456789", "routing": routing, **unmet})) == ["usual"]


@pytest.mark.parametrize(
    ("hours", "local", "within"),
    [
        ({"from": "08:00", "to": "18:00"}, "2026-11-23T12:00", True),
        ({"from": "08:00", "to": "18:00"}, "2026-11-23T18:00", False),
        ({"from": "08:00", "to": "18:00", "days": ["tue"]}, "2026-11-23T12:00", False),
        ({"from": "22:00", "to": "06:00", "days": ["mon"]}, "2026-11-23T23:00", True),
        ({"from": "22:00", "to": "06:00", "days": ["mon"]}, "2026-11-24T05:59", True),
        ({"from": "22:00", "to": "06:00", "days": ["mon"]}, "2026-11-23T05:00", False),
        # clocks went back at 03:00 on that Sunday: 02:30 was there twice
        ({"from": "02:00", "to": "03:00"}, "2026-10-25T02:30", True),
    ],
)
def test_hours(hours: dict[str, Any], local: str, within: bool) -> None:
    zone = "Europe/Berlin"
    at = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone)).timestamp()
    routing = {"routes": [route("a", hours=[hours], timezone=zone)]}
    assert bool(plan("+14155552671", routing, now=at).choices) is within
    if hours["from"] == "02:00":
        again = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone), fold=1).timestamp()
        assert again != at
        assert plan("+14155552671", routing, now=again).choices


def test_trunks_by_priority_and_weight() -> None:
    uses = [
        TrunkUse(trunk="a", weight=3),
        TrunkUse(trunk="b", weight=1),
        TrunkUse(trunk="last", priority=2),
    ]
    chance = random.Random(3)  # of a test
    drawn = [in_order(uses, chance.random) for _ in range(4000)]
    first = Counter(order[0].trunk for order in drawn)
    assert 0.71 < first["a"] / 4000 < 0.79
    assert {order[-1].trunk for order in drawn} == {"last"}


def test_a_route_that_refuses_and_none_at_all() -> None:
    routing = {
        "routes": [
            {
                "name": "no-premium",
                "prefixes": ["+49900"],
                "action": "refuse",
                "text": "premium numbers are not called",
            }
        ]
    }
    refused = plan("+499001234567", routing).refusal
    assert refused is not None
    assert (refused.reason, refused.text) == (Reason.NOT_ALLOWED, "premium numbers are not called")
    nothing = plan("+14155552671", routing).refusal
    assert nothing is not None
    assert nothing.text == "no route takes this number"


def test_a_number_of_ours_stays_inside() -> None:
    routing = {
        "routes": [route("world")],
        "numbers": [
            {"number": "+14155552671", "to": "user:bob"},
            {
                "number": "+14155552672",
                "to": ["user:bob", "sip:1001@dm.localhost"],
                "order": "in_turn",
            },
        ],
    }
    found = plan("415 555 2671", routing)
    assert [str(a) for a in found.inside] == ["user:bob"]
    assert not found.choices
    group = plan("+14155552672", routing)
    assert group.in_turn
    assert len(group.inside) == 2


def test_whose_number_is_shown() -> None:
    ids = {"pool": ["+14155550100", "+14155550101", "+493090000"]}
    routing: dict[str, Any] = {"routes": [route("world")], "caller_id": ids}
    assert plan("+4930901820", routing).choices[0].caller_id == "+493090000"
    shown = plan("+12125552671", routing).choices[0]
    assert shown.caller_id in ids["pool"][:2]
    assert shown.attestation == "B"
    assert plan("+12125552671", routing).choices[0].caller_id == shown.caller_id
    ids["verified"] = {"user:alice": "+14155559999"}  # type: ignore[assignment]
    assert plan("+12125552671", routing).choices[0].caller_id == shown.caller_id
    routing["routes"] = [route("world", verified=True)]
    own = plan("+12125552671", routing).choices[0]
    assert (own.caller_id, own.attestation) == ("+14155559999", "A")
    routing["routes"] = [route("world", caller_id="+14155550199", attestation="C")]
    fixed = plan("+12125552671", routing).choices[0]
    assert (fixed.caller_id, fixed.attestation) == ("+14155550199", "C")
    bare = plan("+12125552671", {"routes": [route("world")]}).choices[0]
    assert (bare.caller_id, bare.attestation) == ("", "C")


def test_emergency_calls_never_leave_silently() -> None:
    routing: dict[str, Any] = {"routes": [route("world")]}
    refused = plan("911", routing).refusal
    assert refused is not None
    assert "use another telephone" in refused.text
    assert plan("+1 911", routing).refusal is not None
    routing["emergency"] = {"trunk": "psap", "caller_id": "+14155550100"}
    found = plan("911", routing)
    assert [(c.trunk, c.number, c.caller_id) for c in found.choices] == [
        ("psap", "911", "+14155550100")
    ]


def test_every_step_is_told() -> None:
    routing = {
        "routes": [route("mobiles", "+1", classes=["mobile"]), route("us", "+1", confirm="press-1")]
    }
    steps = "\n".join(plan("(415) 555-2671", routing).steps)
    for told in (
        "'(415) 555-2671' is read in the caller's country, US",
        "that is +14155552671, of US, fixed_line",
        "route mobiles (prefix +1) does not: fixed_line is none of mobile",
        "route us takes it by prefix +1",
        "no number is shown",
        "trunks in this order: us",
        "whoever answers has to press 1",
    ):
        assert told in steps
