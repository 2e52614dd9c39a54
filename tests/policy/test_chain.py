"""Each rule of the chain, one row a case."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.policy.chain import ANONYMOUS, Attempt, Facts
from gateway.policy.people import Person
from gateway.policy.rules import chain_of
from gateway.values import Reason, ServiceAddress, UserAddress
from tests.calls.outside import people_settings

CHAIN = chain_of(people_settings(calls={"calls_per_user": 2, "max_calls": 10}))
CALM = Attempt(
    caller=UserAddress("alice"),
    callee=UserAddress("bob"),
    caller_calls=0,
    callee_calls=0,
    all_calls=0,
    draining=False,
    now=1e9,
    facts=Facts(Person(UserAddress("alice")), Person(UserAddress("bob"))),
)


@pytest.mark.parametrize(
    ("attempt", "rule", "reason"),
    [
        (CALM, "allowed", None),
        (replace(CALM, callee=ServiceAddress("echo")), "allowed", None),
        (replace(CALM, draining=True), "draining", Reason.GATEWAY_ERROR),
        (replace(CALM, all_calls=9), "allowed", None),
        (replace(CALM, all_calls=10), "capacity", Reason.GATEWAY_ERROR),
        (replace(CALM, callee=UserAddress("alice")), "not_oneself", Reason.NOT_ALLOWED),
        (replace(CALM, caller_calls=1), "allowed", None),
        (replace(CALM, caller_calls=2), "caller_calls", Reason.RATE_LIMITED),
        (replace(CALM, caller=ANONYMOUS, caller_calls=2), "allowed", None),
        (replace(CALM, callee_calls=2), "callee_calls", Reason.BUSY),
        (replace(CALM, caller_calls=2, draining=True), "draining", Reason.GATEWAY_ERROR),
    ],
)
def test_the_first_rule_that_objects_speaks(
    attempt: Attempt, rule: str, reason: Reason | None
) -> None:
    verdict = CHAIN.judge(attempt)
    assert (verdict.rule, verdict.reason) == (rule, reason)
    assert verdict.allowed is (reason is None)
