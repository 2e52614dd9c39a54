"""All rules in the order in which they are asked.

First what the gateway can bear, then what the caller may do, then whom the callee takes calls
from, then whether they take any now.  A callee's wishes of the moment come last, so that whoever
meets them has met everything else that a caller who is welcome would have met.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from gateway.policy import age, chain, permission, regions, rollout
from gateway.policy.chain import Attempt, Chain, Rule, Verdict
from gateway.policy.limits import limit_bounds, limit_rules
from gateway.policy.passes import pass_left_s
from gateway.settings import Settings

SILENT: Final = frozenset(
    {
        permission.BLOCKED,
        permission.DO_NOT_DISTURB,
        permission.QUIET_HOURS,
        age.NIGHT,
        age.MINUTES,
    }
)
"""The rules that a caller cannot tell from no answer."""


def chain_of(s: Settings) -> Chain:
    """The chain of a gateway with these settings."""
    always: tuple[Rule, ...] = (chain.draining, partial(chain.capacity, limits=s.calls))
    rules: tuple[Rule, ...] = (
        rollout.rollout,
        permission.banned,
        chain.not_oneself,
        partial(chain.caller_calls, limits=s.calls),
        *limit_rules(s.limits),
        permission.own_block,
        partial(regions.apart, regions=s.regions),
        partial(regions.numbers, regions=s.regions),
        partial(age.minor_calls, age=s.age),
        partial(age.minor_is_called, age=s.age),
        permission.allow_from,
        permission.allow_phone,
        partial(permission.anonymous, people=s.people),
        partial(permission.unverified, people=s.people),
        partial(permission.first_contact, people=s.people),
        partial(chain.callee_calls, limits=s.calls),
        permission.blocked,
        permission.do_not_disturb,
        permission.quiet_hours,
        partial(age.minor_is_away, age=s.age),
    )
    bounds: tuple[chain.Bound, ...] = (
        *limit_bounds(s.limits),
        partial(age.minutes_left, age=s.age),
        _by_pass,
    )
    return Chain((*always, *map(_but_emergencies, rules)), tuple(map(_unbounded, bounds)))


def _by_pass(attempt: Attempt) -> float | None:
    return None if permission.needed_pass(attempt) is None else pass_left_s(attempt)


def _but_emergencies(rule: Rule) -> Rule:
    """Nobody is kept from an emergency number by who they are."""

    def judged(attempt: Attempt) -> Verdict | None:
        return None if attempt.emergency else rule(attempt)

    return judged


def _unbounded(bound: chain.Bound) -> chain.Bound:
    def bounded(attempt: Attempt) -> float | None:
        return None if attempt.emergency else bound(attempt)

    return bounded
