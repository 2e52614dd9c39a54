"""Dial plans for tests, written as an operator writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import yaml

from gateway.routing.dialplan import DialPlan, compile_plan, plan
from gateway.routing.numbers import spell
from gateway.routing.plans import Dialled, Outward, Plan, TrunkCaller
from gateway.settings import RoutingSection
from gateway.values import SipAddress, UserAddress

ALICE = UserAddress("alice")


def book(text: str) -> DialPlan:
    return compile_plan(RoutingSection.model_validate(yaml.load(text, Loader=yaml.BaseLoader)))


def at(text: str, zone: str = "UTC", fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


def sequence(*numbers: float) -> Callable[[], float]:
    """A random source; asking for more than there are is an error."""
    left: Iterator[float] = iter(numbers)
    return lambda: next(left)


NOON = at("2026-11-23T12:00")
"""A Monday."""


def planned(
    dialled: str,
    plan_: DialPlan,
    *,
    caller: UserAddress | SipAddress | TrunkCaller = ALICE,
    region: str | None = None,
    groups: tuple[str, ...] = (),
    now: float = NOON,
    random: Callable[[], float] | None = None,
) -> Plan:
    spelling = spell(dialled)
    assert spelling is not None
    asked = Dialled(spelling, caller, region, frozenset(groups))
    return plan(asked, plan_, now, random or sequence())


def route_of(found: Plan) -> str | None:
    """The name of the route that was taken."""
    return found.outcome.route if isinstance(found.outcome, Outward) else None
