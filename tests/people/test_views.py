"""How a call that did not ring stands in the history of either side."""

from __future__ import annotations

from dataclasses import replace

import pytest
import pytest_twisted

from gateway.calls.record import HistoryItem
from gateway.policy.rules import SILENT
from gateway.store.calls import CallStore
from gateway.store.usage import UsageStore
from gateway.values import Party, Reason
from tests.people.scene import NOW, Scene
from tests.store.scene import ALICE, BOB, record


async def views(scene: Scene, reason: Reason, by: Party, verdict: str) -> list[HistoryItem]:
    """The caller's, the callee's."""
    kept = record("c1", NOW, ringing_at=NOW, ended_at=NOW + 45, reason=reason, ended_by=by)
    store = CallStore(scene.database)
    await store.save(replace(kept, verdict=verdict))
    found = []
    for who in (ALICE, BOB):
        (item,) = (await store.list(who, None, 10, None, None)).calls
        missed = (await store.list(who, None, 10, None, True)).calls
        assert bool(missed) is item.missed
        found.append(item)
    return found


@pytest.mark.parametrize("verdict", sorted(SILENT))
@pytest.mark.parametrize(
    ("silent", "truly", "by"),
    [
        (Reason.UNAVAILABLE, Reason.NO_ANSWER, Party.GATEWAY),
        (Reason.CANCELLED, Reason.CANCELLED, Party.CALLER),
        (Reason.UNREACHABLE, Reason.UNREACHABLE, Party.GATEWAY),
    ],
)
@pytest_twisted.ensureDeferred
async def test_the_caller_sees_an_unanswered_call_the_callee_the_rule(
    scene: Scene, verdict: str, silent: Reason, truly: Reason, by: Party
) -> None:
    answered, _ = await views(scene, truly, by, "allowed")
    mine, theirs = await views(scene, silent, by, verdict)
    assert mine == answered
    assert (theirs.reason, theirs.rule) == (Reason.UNAVAILABLE, verdict)
    assert theirs.missed is (verdict != "blocked")


@pytest_twisted.ensureDeferred
async def test_other_rules_are_told_to_nobody(scene: Scene) -> None:
    for item in await views(scene, Reason.BUSY, Party.GATEWAY, "callee_calls"):
        assert (item.reason, item.rule) == (Reason.BUSY, None)


@pytest_twisted.ensureDeferred
async def test_what_rang_nowhere_was_not_seen(scene: Scene) -> None:
    store = CallStore(scene.database)
    for number, verdict in enumerate(("allowed", "blocked", "callee_calls", "quiet_hours")):
        kept = record(f"c{number}", NOW, ringing_at=NOW, ended_at=NOW + 45, verdict=verdict)
        await store.save(kept)
    (day,) = await UsageStore(scene.database).days(0, NOW + 86_400)
    assert (day.invited, day.seen) == (4, 2)
