"""Where numbers lead: every rule of the dial plan, and the steps that tell of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gateway.routing.conditions import Conditions
from gateway.routing.dialplan import compile_plan
from gateway.routing.plans import Inside, Outward, Refusal, TrunkCaller, TrunkChoice
from gateway.settings import Route, RoutingSection
from gateway.values import NumberClass, Reason, ServiceAddress, SipAddress, UserAddress
from tests.routing.books import ALICE, book, planned, route_of, sequence

BOOK = book("""
home_country: US
caller_id: {pool: ["+14155550100", "+4930123456"]}
routes:
  - {name: world, prefix: "+", trunks: [a]}
  - {name: nanp, prefix: "+1", trunks: [a]}
  - {name: san-francisco, prefix: "+1415", trunks: [a]}
  - {name: one-number, prefix: "+14155550199", trunks: [a]}
  - {name: germany-mobile, prefix: "+49", classes: [mobile], trunks: [a]}
  - {name: canadians, prefix: "+49", regions: [CA], trunks: [a]}
  - {name: beta, prefix: "+49", groups: [beta, staff], trunks: [a]}
  - {name: berlin, prefix: "+4930", regions: [FR], trunks: [a]}
  - {name: premium, prefix: "+", classes: [premium_rate], action: refuse, text: too dear}
  - {name: unknown-ones, prefix: "+1", classes: [unknown], trunks: [a]}
  - {name: cuba, prefix: "+53", action: refuse, reason: unreachable}
  - {name: directory, prefix: "411", trunks: [a]}
  - {name: fours, prefix: "4", trunks: [a]}
""")


@pytest.mark.parametrize(
    ("dialled", "region", "groups", "route"),
    [
        # the longest prefix
        ("+14155550199", None, (), "one-number"),
        ("+14155550198", None, (), "san-francisco"),
        ("+12125550198", None, (), "nanp"),
        ("+33142685300", None, (), "world"),
        ("415 555 0199", None, (), "one-number"),
        # a longer one whose conditions do not hold gives way to a shorter one
        ("+4930123456", None, (), "world"),
        ("+4930123456", "FR", (), "berlin"),
        # class, region, groups
        ("+4915123456789", None, (), "germany-mobile"),
        ("+4930123456", "CA", (), "canadians"),
        ("+4930123456", None, ("beta",), "beta"),
        ("+4930123456", None, ("staff", "x"), "beta"),
        ("+4930123456", None, ("x",), "world"),
        # of those with one prefix the first in the file
        ("+4915123456789", "CA", ("beta",), "germany-mobile"),
        ("+4930123456", "CA", ("beta",), "canadians"),
        # what has to be named is no part of a route that names nothing
        ("+19005550123", None, (), None),
        ("+15555555555", None, (), "unknown-ones"),
        ("+4930", None, (), None),
        # short numbers go by prefixes without a plus
        ("411", None, (), "directory"),
        ("4110", None, (), "directory"),
        ("42", None, (), "fours"),
        ("511", None, (), None),
    ],
)
def test_the_route_that_is_taken(
    dialled: str, region: str | None, groups: tuple[str, ...], route: str | None
) -> None:
    assert route_of(planned(dialled, BOOK, region=region, groups=groups)) == route


@pytest.mark.parametrize(
    ("dialled", "reason", "text"),
    [
        ("+19005550123", Reason.NOT_ALLOWED, "too dear"),
        ("+5371234567", Reason.UNREACHABLE, "calls to +5371234567 are not possible"),
        ("511", Reason.UNREACHABLE, "no route to 511"),
        ("+999123456", Reason.UNREACHABLE, "no such number: +999123456 has no country code"),
        ("5550123", Reason.UNREACHABLE, "no such number: 5550123 in US lacks its area code"),
    ],
)
def test_a_refusal_has_a_reason_and_a_text(dialled: str, reason: Reason, text: str) -> None:
    refusal = planned(dialled, BOOK).outcome
    assert isinstance(refusal, Refusal)
    assert refusal.reason is reason
    assert refusal.text.startswith(text)


def test_numbers_are_read_in_the_callers_country() -> None:
    assert planned("030 123456", BOOK, region="DE").number == "+4930123456"
    assert planned("011 4930123456", BOOK).number == "+4930123456"
    assert planned("(415) 555-0123", BOOK).number == "+14155550123"


def test_without_a_country_only_international_numbers_lead_anywhere() -> None:
    homeless = book('routes: [{name: all, prefix: "+", trunks: [a]}]')
    assert route_of(planned("+4930123456", homeless)) == "all"
    found = planned("4155550123", homeless)
    assert found.outcome == Refusal(
        Reason.UNREACHABLE,
        "no such number: needs + and a country code: the caller's country is not known",
    )


def test_a_region_without_a_caller_in_it() -> None:
    """A country that is not known is in no list of regions."""
    homeless = book('routes: [{name: us, prefix: "+", regions: [US], trunks: [a]}]')
    assert route_of(planned("+4930123456", homeless)) is None
    assert route_of(planned("+4930123456", homeless, region="US")) == "us"


def test_an_empty_plan_leads_nowhere() -> None:
    assert isinstance(planned("+4930123456", book("{}")).outcome, Refusal)


# --- what a choice says ---------------------------------------------------------------------

OFFERS = book("""
home_country: US
caller_id:
  pool: ["+14155550100", "+4930123456"]
  verified: {"user:alice": "+14155550142"}
numbers: [{number: "+14155550111", to: "user:bob"}]
routes:
  - name: all
    prefix: "+1"
    trunks: [c, {name: a, priority: 0}, {name: b, priority: 2, weight: 3}, {name: d, priority: 2}]
    confirm: press-1
    early_media: pass
    use_verified: true
  - {name: override, prefix: "+49", trunks: [a], caller_id: "+442079460000"}
  - {name: ours, prefix: "+48", trunks: [a], caller_id: "+14155550111"}
  - {name: attested, prefix: "+44", trunks: [a], attestation: C}
  - {name: plain, prefix: "+33", trunks: [a], early_media: "off"}
""")


def test_trunks_by_priority_and_weight_with_all_that_the_route_says() -> None:
    found = planned("+12125550123", OFFERS, random=sequence(0.8))
    assert found.outcome == Outward(
        "all",
        tuple(
            TrunkChoice(name, "+14155550142", "A", "press-1", "pass")
            for name in ("a", "c", "d", "b")
        ),
    )
    assert found.choices == found.outcome.choices


@pytest.mark.parametrize(
    ("dialled", "caller", "shown", "attestation"),
    [
        ("+12125550123", "alice", "+14155550142", "A"),  # verified, and the route allows it
        ("+12125550123", "bob", "+14155550100", "A"),  # the pool's in the callee's country
        ("+33142685300", "alice", None, "A"),  # verified, and the route does not allow it
        ("+4930123457", "alice", "+442079460000", "B"),  # the route's, and not known to be ours
        ("+48123456789", "alice", "+14155550111", "A"),  # the route's, and ours
        ("+442079460958", "alice", None, "C"),  # as the route says
    ],
)
def test_caller_id_and_attestation(
    dialled: str, caller: str, shown: str | None, attestation: str
) -> None:
    found = planned(dialled, OFFERS, caller=UserAddress(caller), random=sequence(0.1))
    (choice, *_) = found.choices
    pool = ("+14155550100", "+4930123456")
    assert choice.caller_id == shown if shown else choice.caller_id in pool
    assert choice.attestation == attestation


def test_without_a_pool_nobody_is_named() -> None:
    found = planned("+4930123456", book('routes: [{name: all, prefix: "+", trunks: [a]}]'))
    assert found.choices == (TrunkChoice("a", None, "B"),)


# --- our own numbers ------------------------------------------------------------------------

OURS = book("""
home_country: US
numbers:
  - {number: "+14155550111", to: "user:bob"}
  - {number: "+14155550112", to: ["user:bob", "sip:1002@dm.localhost"], order: in_turn}
  - {number: "+14155550113", to: ["user:bob", "user:carol"]}
  - {number: "+14155550114", to: "service:echo"}
  - {number: "+14155550115", to: "service:dial-in"}
routes: [{name: all, prefix: "+", trunks: [a]}]
""")
BOB = UserAddress("bob")


@pytest.mark.parametrize("caller", [ALICE, SipAddress("1001", "dm.localhost"), TrunkCaller("a")])
@pytest.mark.parametrize(
    ("dialled", "inside"),
    [
        ("+14155550111", Inside((BOB,))),
        ("4155550111", Inside((BOB,))),
        ("+14155550112", Inside((BOB, SipAddress("1002", "dm.localhost")), "in_turn")),
        ("+14155550113", Inside((BOB, UserAddress("carol")), "together")),
        ("+14155550114", Inside((ServiceAddress("echo"),))),
        ("+14155550115", Inside((ServiceAddress("dial-in"),))),
    ],
)
def test_a_number_of_ours_rings_its_own_whoever_dials_it(
    caller: UserAddress | SipAddress | TrunkCaller, dialled: str, inside: Inside
) -> None:
    found = planned(dialled, OURS, caller=caller)
    assert found.outcome == inside
    assert found.number.startswith("+1415555011")
    assert found.choices == ()


@pytest.mark.parametrize("home", ["DE", "US", "IN", None])
@pytest.mark.parametrize("dialled", ["+911123456789", "911123456789", "+4930123456", "4930123456"])
def test_a_trunk_may_leave_out_the_plus_of_a_number_of_ours(dialled: str, home: str | None) -> None:
    """Even where its digits begin like an emergency number."""
    plan_ = book("""
numbers:
  - {number: "+911123456789", to: "user:bob"}
  - {number: "+4930123456", to: "user:bob"}
""")
    plan_ = replace(plan_, home=home)
    assert planned(dialled, plan_, caller=TrunkCaller("a")).outcome == Inside((BOB,))


def test_nobody_else_may_leave_it_out() -> None:
    numbers = "numbers: [{number: '+4930123456', to: 'user:bob'}]"
    assert isinstance(planned("4930123456", book(numbers), region="US").outcome, Refusal)


@pytest.mark.parametrize("dialled", ["+4930123456", "4155550199", "411", "112", "+14155550110"])
def test_a_call_that_came_in_by_a_trunk_never_goes_out(dialled: str) -> None:
    trusting = replace(OURS, emergency_trunk="a")
    outcome = planned(dialled, trusting, caller=TrunkCaller("a")).outcome
    assert isinstance(outcome, Refusal)


# --- emergency numbers ----------------------------------------------------------------------

EVERYTHING = """
home_country: US
caller_id: {pool: ["+4930123456", "+14155550100"]}
numbers: [{number: "+14155550111", to: "user:bob"}]
routes:
  - {name: all, prefix: "+", classes: [fixed_line, mobile, unknown], trunks: [a]}
  - {name: nines, prefix: "9", trunks: [a]}
  - {name: ones, prefix: "1", trunks: [a]}
  - {name: naughts, prefix: "0", trunks: [a]}
"""


@pytest.mark.parametrize(
    ("dialled", "region", "number"),
    [
        ("911", None, "911"),
        ("112", None, "112"),
        ("9-911", None, "911"),
        ("1911", None, "911"),
        ("+1911", None, "911"),
        ("+911", None, "911"),
        ("911 555 0123", None, "911"),
        ("0112", "DE", "112"),
        ("110", "DE", "110"),
        ("+49112", None, "112"),
    ],
)
def test_an_emergency_number_never_leaves_unseen(
    dialled: str, region: str | None, number: str
) -> None:
    found = planned(dialled, book(EVERYTHING), region=region)
    assert (found.number, found.classes) == (number, (NumberClass.EMERGENCY,))
    assert found.outcome == Refusal(
        Reason.NOT_ALLOWED,
        f"emergency calls are not possible here; use another telephone to call {number}",
    )
    assert found.steps[-1].text == "refused: routing.emergency refuses"

    by_trunk = book(EVERYTHING + "emergency: {trunk: sos}")
    found = planned(dialled, by_trunk, region=region)
    shown = "+4930123456" if region == "DE" else "+14155550100"
    assert found.outcome == Outward(None, (TrunkChoice("sos", shown, "A"),))
    assert found.number == number


def test_a_route_for_everything_takes_what_is_no_emergency() -> None:
    assert route_of(planned("110", book(EVERYTHING))) == "ones"


# --- steps ----------------------------------------------------------------------------------


def test_every_rule_that_was_looked_at_is_a_step() -> None:
    found = planned("030 123456", BOOK, region="DE")
    assert [(s.stage, s.matched, s.text) for s in found.steps] == [
        ("emergency", False, "030123456 is no emergency number, dialled in DE"),
        ("number", True, "030123456, dialled in DE is +4930123456: fixed_line, DE"),
        ("ours", False, "+4930123456 is none of routing.numbers"),
        ("route", False, "berlin (+4930) is for callers in FR, not in DE"),
        ("route", False, "germany-mobile (+49) is not for fixed_line"),
        ("route", False, "canadians (+49) is for callers in CA, not in DE"),
        ("route", False, "beta (+49) is for callers of the group beta or staff"),
        ("route", True, "world (+) fits"),
        ("caller id", True, "+4930123456, of the pool, in DE as the callee"),
        ("caller id", True, "attestation A, by the rule"),
        ("trunks", True, "1. a (priority 1, weight 1)"),
    ]


@pytest.mark.parametrize(
    ("dialled", "last"),
    [
        ("511", "no route is left"),
        ("+19005550123", "premium refuses with not_allowed: too dear"),
        ("+999123456", "+999123456 has no country code that exists"),
    ],
)
def test_the_last_step_says_why_there_is_no_route(dialled: str, last: str) -> None:
    assert planned(dialled, BOOK).steps[-1].text == last


# --- size -----------------------------------------------------------------------------------


class _Counted(dict[str, Sequence[Conditions]]):
    """Counts what is looked up, and lets nobody walk through it."""

    def __init__(self, routes: dict[str, Sequence[Conditions]]) -> None:
        super().__init__(routes)
        self.lookups = 0

    def get(self, key, default=None):  # type: ignore[no-untyped-def, override]
        self.lookups += 1
        return super().get(key, default)

    def __iter__(self):  # type: ignore[no-untyped-def]
        raise AssertionError("all routes are walked through")

    items = values = keys = __iter__  # type: ignore[assignment]


@pytest.mark.parametrize("dialled", ["+14159999999", "+999999999999999", "+4930123456", "411"])
def test_ten_thousand_routes_take_no_more_than_sixteen_lookups(dialled: str) -> None:
    lengths = (
        Route(name=f"l{n}", prefix="+" + "123456789012345"[:n], trunks=("a",)) for n in range(16)
    )
    many = (Route(name=f"r{n}", prefix=f"+{n + 20_000}", trunks=("a",)) for n in range(10_000))
    plan_ = compile_plan(RoutingSection(routes=(*lengths, *many)))
    counted = _Counted(dict(plan_.routes))
    found = planned(dialled, replace(plan_, routes=counted), region="US")
    assert counted.lookups <= 16
    assert len(found.steps) < 10
