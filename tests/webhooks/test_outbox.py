"""The queue of events, in a database."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest_twisted

from gateway.calls.record import Acceptance, CallRecord
from gateway.settings import Webhook
from gateway.store.calls import CallStore
from gateway.store.database import Database
from gateway.store.outbox import Outbox
from gateway.values import CallId, Party, Reason
from tests.store.scene import BOB, opened, record

NOW = 1000.0


class Scene:
    def __init__(self, database: Database, *webhooks: Webhook) -> None:
        self.database = database
        self.told: list[tuple[str, str, int]] = []
        self.woken = 0
        self.outbox = Outbox(database, webhooks, self, lambda: NOW)
        self.outbox.wake = self._wake
        self.store = CallStore(database, self.outbox)

    def _wake(self) -> None:
        self.woken += 1

    def webhook_lost(self, receiver: str, why: str, count: int) -> None:
        self.told.append((receiver, why, count))

    def webhook_waiting(self, receiver: str, count: int) -> None: ...
    def webhook_tried(self, receiver: str, result: str) -> None: ...

    async def take(self, receiver: str = "one") -> list[Any]:
        """Deliver all that comes, in its order."""
        seen: list[Any] = []
        while found := await self.outbox.due(receiver, NOW, 10, ()):
            for event in found:
                seen.append(json.loads(event.body))
                await self.outbox.done(event, NOW)
        return seen


@pytest_twisted.async_yield_fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    made = opened(tmp_path / "gateway.db")
    await made.start()
    yield made
    await made.stop()


def hook(name: str = "one", **more: Any) -> Webhook:
    more.setdefault("events", ["call.*"])
    files = ["/etc/key"]
    return Webhook(name=name, url="http://127.0.0.1/", secret_files=files, **more)


def steps(call: str) -> list[CallRecord]:
    """A call's record, each time that it is kept."""
    made = record(call, 1.0)
    ringing = replace(made, ringing_at=2.0)
    accepted = replace(ringing, callee_accepted=Acceptance(3.0, "app_accept", BOB))
    connected = replace(accepted, connected_at=4.0)
    over = replace(connected, ended_at=5.0, reason=Reason.COMPLETED, ended_by=Party.CALLER)
    return [made, made, ringing, accepted, connected, over]


@pytest_twisted.ensureDeferred
async def test_each_step_of_a_call_is_told_once_and_in_order(database: Database) -> None:
    scene = Scene(database, hook(), hook("two", events=["call.ended"]))
    await scene.outbox.start()
    for step in steps("c1"):
        await scene.store.save(step)
    assert scene.woken
    assert len(await scene.outbox.due("one", NOW, 10, ())) == 1  # the others wait for it
    events = await scene.take()
    kinds = ["created", "ringing", "accepted", "connected", "ended"]
    assert [e["type"] for e in events] == [f"call.{kind}" for kind in kinds]
    assert [e["data"]["state"] for e in events] == ["inviting", *kinds[1:]]
    assert len({e["id"] for e in events}) == len(kinds)
    assert events[-1]["data"]["duration_s"] == 1.0
    assert [e["type"] for e in await scene.take("two")] == ["call.ended"]
    assert await scene.outbox.next_due("one", ()) is None


@pytest_twisted.ensureDeferred
async def test_a_failed_event_holds_up_its_own_call_alone(database: Database) -> None:
    scene = Scene(database, hook())
    for call in ("c1", "c2"):
        for step in steps(call):
            await scene.store.save(step)
    first = (await scene.outbox.due("one", NOW, 1, ()))[0]
    await scene.outbox.retry(first, NOW + 60)
    assert {e["call"] for e in await scene.take()} == {"c2"}
    assert await scene.outbox.next_due("one", ()) == NOW + 60
    (again,) = await scene.outbox.due("one", NOW + 60, 10, ())
    assert (again.event, again.attempts) == (first.event, 1)


@pytest_twisted.ensureDeferred
async def test_the_oldest_give_way_where_too_many_wait(database: Database) -> None:
    scene = Scene(database, hook(max_waiting=10))
    for number in range(3):
        for step in steps(f"c{number}"):
            await scene.store.save(step)
    assert sum(count for _, why, count in scene.told if why == "dropped") == 5
    events = await scene.take()
    by_call = {call: [e["type"] for e in events if e["call"] == call] for call in ("c1", "c2")}
    all_ = ["call.created", "call.ringing", "call.accepted", "call.connected", "call.ended"]
    assert by_call == {"c1": all_, "c2": all_}  # every one that is newer, in order
    assert len(events) == 10  # and nothing of c0


@pytest_twisted.ensureDeferred
async def test_what_a_crash_cut_off_is_told_at_the_next_start(database: Database) -> None:
    scene = Scene(database, hook())
    await scene.store.save(steps("c1")[0])
    await scene.store.close_left_open(NOW)
    assert [e["type"] for e in await scene.take()] == ["call.created", "call.ended"]


@pytest_twisted.ensureDeferred
async def test_events_of_a_receiver_that_is_no_more_are_dropped(database: Database) -> None:
    before = Scene(database, hook(), hook("two"))
    await before.outbox.emit("call.created", CallId("c1"), {"call": "c1"})
    after = Scene(database, hook("two"))
    await after.outbox.start()
    assert await after.outbox.next_due("one", ()) is None
    assert len(await after.take("two")) == 1
