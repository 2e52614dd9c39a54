"""Order, repetition and giving up, by an injected clock; the queue itself in a database."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gateway.calls.event_ports import QueuedEvent
from gateway.webhooks.courier import LIFE_S, LONGEST_S, Courier, backoff_s
from gateway.webhooks.posting import Undelivered


class Queue:
    """In order within a lane, as the database has it."""

    def __init__(self) -> None:
        self.events: dict[int, tuple[QueuedEvent, float]] = {}

    def put(self, seq: int, lane: str, at: float = 0.0) -> None:
        event = QueuedEvent(seq, "r", lane, f"e{seq}", "call.created", "{}", at, 0)
        self.events[seq] = (event, at)

    def _heads(self) -> list[tuple[QueuedEvent, float]]:
        lanes: dict[str, tuple[QueuedEvent, float]] = {}
        for _, entry in sorted(self.events.items()):
            lanes.setdefault(entry[0].lane, entry)
        return list(lanes.values())

    async def due(
        self, receiver: str, now: float, limit: int, under_way: Collection[int]
    ) -> Sequence[QueuedEvent]:
        found = [e for e, at in self._heads() if at <= now and e.seq not in under_way]
        return found[:limit]

    async def next_due(self, receiver: str, under_way: Collection[int]) -> float | None:
        return min((at for e, at in self._heads() if e.seq not in under_way), default=None)

    async def done(self, event: QueuedEvent, now: float) -> None:
        self.events.pop(event.seq, None)

    async def retry(self, event: QueuedEvent, due_at: float) -> None:
        self.events[event.seq] = (replace(event, attempts=event.attempts + 1), due_at)


class Scene:
    def __init__(self, concurrency: int = 2) -> None:
        self.clock = Clock()
        self.queue = Queue()
        self.posted: list[str] = []
        self.open: dict[str, Deferred[None]] = {}
        self.told: list[str] = []
        clock: Any = self.clock
        self.courier = Courier("r", concurrency, self.queue, self, clock, self, lambda: 1.0)

    async def post(self, event: QueuedEvent) -> None:
        self.posted.append(event.event)
        self.open[event.event] = Deferred()
        await self.open[event.event]

    def answer(self, event: str, right: bool = True) -> None:
        waiting = self.open.pop(event)
        if right:
            waiting.callback(None)
        else:
            waiting.errback(Undelivered("it answered 500"))

    def webhook_tried(self, receiver: str, result: str) -> None:
        self.told.append(result)

    def webhook_lost(self, receiver: str, why: str, count: int) -> None:
        self.told.append(why)

    def webhook_waiting(self, receiver: str, count: int) -> None: ...


def test_events_of_a_call_come_in_order_and_those_of_others_beside_them() -> None:
    scene = Scene()
    for seq, lane in ((1, "a"), (2, "a"), (3, "b"), (4, "c")):
        scene.queue.put(seq, lane)
    scene.courier.wake()
    assert scene.posted == ["e1", "e3"]  # two at a time, of different calls
    scene.answer("e1", right=False)
    assert scene.posted == ["e1", "e3", "e4"]  # e2 waits for e1
    scene.answer("e3")
    scene.answer("e4")
    scene.clock.advance(0.9)
    assert len(scene.posted) == 3
    scene.clock.advance(0.2)
    assert scene.posted[-1] == "e1"
    scene.answer("e1")
    assert scene.posted[-1] == "e2"
    scene.answer("e2")
    assert not scene.queue.events
    assert not scene.clock.getDelayedCalls()


def test_a_dead_receiver_is_asked_for_a_day() -> None:
    scene = Scene()
    scene.queue.put(1, "a")
    scene.queue.put(2, "a", at=LIFE_S - 10)
    scene.courier.wake()
    while "dead" not in scene.told:
        scene.answer("e1", right=False)
        scene.clock.advance(LONGEST_S)
    assert scene.clock.seconds() <= LIFE_S + LONGEST_S
    assert len(scene.posted) > LIFE_S / LONGEST_S
    assert scene.posted[-1] == "e2"


def test_stopping_leaves_everything_in_the_queue() -> None:
    scene = Scene()
    scene.queue.put(1, "a")
    scene.courier.wake()
    scene.courier.stop()
    scene.courier.wake()
    scene.clock.advance(LONGEST_S)
    assert scene.posted == ["e1"]
    assert list(scene.queue.events) == [1]
    assert not scene.clock.getDelayedCalls()


@pytest.mark.parametrize(
    ("attempts", "chance", "wait"),
    [(0, 1.0, 1.0), (0, 0.0, 0.5), (3, 1.0, 8.0), (9, 1.0, 512.0), (10, 1.0, LONGEST_S),
     (5000, 0.0, LONGEST_S / 2)],
)  # fmt: skip
def test_how_long_it_waits(attempts: int, chance: float, wait: float) -> None:
    assert backoff_s(attempts, chance) == wait
