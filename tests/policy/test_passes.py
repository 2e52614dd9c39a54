"""What a pass lets through, and what it does not."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.policy.passes import HeldPass
from gateway.policy.permission import needed_pass
from gateway.policy.rules import chain_of
from gateway.settings import Settings
from tests.policy.scene import ALICE, NOON, attempt, person

PASS = HeldPass("p1", "calls")


@pytest.fixture(scope="module")
def chain() -> Any:
    token = {"secret": "a secret of the tests, long enough for HS256"}
    return chain_of(Settings.model_validate({"app": {"token": token}}))


@pytest.mark.parametrize(
    ("callee", "rule", "used"),
    [
        ({"allow_from": "nobody"}, "allowed", True),
        ({"allow_from": "contacts"}, "allowed", True),
        ({"allow_from": "contacts", "knows": True}, "allowed", False),
        ({"allow_from": "everyone"}, "allowed", False),
        ({"allow_from": "nobody", "blocks": True}, "blocked", True),
        ({"allow_from": "nobody", "do_not_disturb": True}, "do_not_disturb", True),
    ],
)
def test_what_it_lets_through(chain: Any, callee: Any, rule: str, used: bool) -> None:
    asked = attempt(ALICE, person(**callee), PASS)
    assert chain.judge(asked).rule == rule
    assert needed_pass(asked) == (PASS if used else None)


def test_without_one(chain: Any) -> None:
    assert chain.judge(attempt(ALICE, person(allow_from="nobody"))).rule == "allow_from"


@pytest.mark.parametrize(
    ("held", "allow_from", "longest_s"),
    [
        (HeldPass("p", "minutes", 90.0), "nobody", 90.0),
        (HeldPass("p", "minutes", 90.0), "everyone", None),
        (HeldPass("p", "window", None, NOON + 30), "nobody", 30.0),
        (HeldPass("p", "calls", None, NOON + 30), "nobody", None),
    ],
)
def test_how_long_a_call_by_it_lasts(
    chain: Any, held: HeldPass, allow_from: str, longest_s: float | None
) -> None:
    assert chain.longest_s(attempt(ALICE, person(allow_from=allow_from), held)) == longest_s
