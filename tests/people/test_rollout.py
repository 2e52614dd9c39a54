"""What is switched while running: at once, for all, and still after a restart."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
import structlog.testing
from pydantic import ValidationError

from gateway.calls.rollout import NAME, Rollout
from gateway.settings import RolloutSection
from gateway.store.switches import SwitchStore
from gateway.values import Principal
from tests.people.scene import NOW, Scene

FILE = RolloutSection(percent=50, salt="s")


def opened(scene: Scene, settings: RolloutSection = FILE) -> Rollout:
    return Rollout(settings, SwitchStore(scene.database), lambda: NOW)


@pytest_twisted.ensureDeferred
async def test_a_switch_holds_at_once_and_after_a_restart(scene: Scene) -> None:
    rollout = opened(scene)
    await rollout.refresh()
    assert rollout.current == FILE
    assert (await rollout.put({"enabled": False, "allow": ["alice"]})).enabled is False
    assert rollout.get()["changes"] == {"enabled": False, "allow": ["alice"]}
    assert rollout.get()["settings"]["enabled"] is True
    assert not rollout.includes(Principal("alice", "Alice"))
    await rollout.put({"percent": 0, "allow": ["alice"]})  # in place of what was switched before
    other = opened(scene, FILE.model_copy(update={"regions": ("DE",)}))
    await other.refresh()
    assert other.current == RolloutSection(percent=0, salt="s", allow=("alice",), regions=("DE",))
    assert other.includes(Principal("alice", "Alice"))
    assert not other.includes(Principal("bob", "Bob", "DE"))
    await rollout.put({})
    await other.refresh()
    assert (rollout.current, other.current.percent) == (FILE, 50)


@pytest.mark.parametrize(
    ("changes", "member"),
    [
        ({"percent": 101}, "percent"),
        ({"percent": "many"}, "percent"),
        ({"regions": ["Germany"]}, "regions"),
        ({"allow": ["a b"]}, "allow"),
        ({"on": True}, "on"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_no_rollout_is_not_taken(
    scene: Scene, changes: dict[str, Any], member: str
) -> None:
    rollout = opened(scene)
    await rollout.put({"percent": 10})
    with pytest.raises(ValidationError) as caught:
        await rollout.put(changes)
    assert caught.value.errors()[0]["loc"][0] == member
    assert rollout.current.percent == 10
    assert await SwitchStore(scene.database).read(NAME) == '{"percent": 10.0}'


@pytest.mark.parametrize("text", ['{"planets": ["mars"]}', "[1]", "no JSON", "null"])
@pytest_twisted.ensureDeferred
async def test_what_is_kept_and_cannot_be_taken_changes_nothing(scene: Scene, text: str) -> None:
    """Perhaps a newer gateway wrote it."""
    rollout = opened(scene)
    await rollout.put({"percent": 10})
    await SwitchStore(scene.database).write(NAME, text, NOW)
    with structlog.testing.capture_logs() as logs:
        await rollout.refresh()
        await rollout.refresh()
    assert [entry["event"] for entry in logs] == ["switch_not_taken"]
    assert rollout.current.percent == 10
    fresh = opened(scene)
    await fresh.refresh()
    assert fresh.current == FILE
