"""Which target is tried first, and for how long a failure is remembered."""

from __future__ import annotations

from gateway.trunks.targets import Targets
from tests.trunks.scene import A, B


def test_a_failure_counts_for_a_while() -> None:
    targets = Targets(60)
    assert targets.standing((A, B), 0).good == (A, B)
    targets.failed(A, 0)
    assert targets.standing((A, B), 1).good == (B,)
    assert targets.standing((A, B), 59).doubtful == (A,)
    assert targets.standing((A, B), 60).good == (A, B)


def test_many_failures_count_for_longer_but_not_for_ever() -> None:
    targets = Targets(60)
    for at in range(100):
        targets.failed(A, at / 100)
    assert targets.is_doubtful(A, 200)
    assert not targets.is_doubtful(A, 242)


def test_a_call_that_was_taken_clears_it() -> None:
    targets = Targets(60)
    targets.failed(A, 0)
    targets.worked(A)
    assert targets.standing((A,), 0).good == (A,)


def test_options_change_a_mind_the_second_time_in_a_row() -> None:
    targets = Targets(60)
    assert [targets.answered(A, alive) for alive in (False, True, False, False)] == [
        False,
        False,
        False,
        True,
    ]
    assert targets.standing((A, B), 0).doubtful == (A,)
    assert [targets.answered(A, alive) for alive in (True, False, True, True)] == [
        False,
        False,
        False,
        True,
    ]
    assert targets.standing((A, B), 0).good == (A, B)


def test_of_those_in_doubt_the_better_one_is_first() -> None:
    targets = Targets(60)
    for hop, failures in ((A, 3), (B, 1)):
        for _ in range(failures):
            targets.failed(hop, 0)
    assert targets.standing((A, B), 1).doubtful == (B, A)
    targets.answered(B, False)
    targets.answered(B, False)
    assert targets.standing((A, B), 1).doubtful == (A, B)


def test_what_dns_names_no_more_is_forgotten() -> None:
    targets = Targets(60)
    targets.failed(A, 0)
    targets.keep((B,))
    assert targets.standing((A, B), 0).good == (A, B)
