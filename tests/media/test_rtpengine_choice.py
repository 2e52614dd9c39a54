"""Which rtpengine takes a call: the least loaded of those that answer."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gateway.errors import NoCapacity
from gateway.media.engines import Engine, Engines
from gateway.media.ng import NgSilent


class Answering:
    """A client whose rtpengine is there or not."""

    def __init__(self, there: bool = True) -> None:
        self.there = there
        self.pings = 0

    async def request(self, command: str, **fields: object) -> dict[str, Any]:
        self.pings += 1
        if not self.there:
            raise NgSilent("no answer")
        return {"result": "pong"}

    def close(self) -> None:
        return


def engine(clock: Clock, name: str, there: bool = True) -> tuple[Engine, Answering]:
    made, client = Engine(name, clock), Answering(there)  # type: ignore[arg-type]
    made.attach(client)  # type: ignore[arg-type]  # as far as it is used
    clock.advance(0)
    return made, client


def picked(engines: Engines, without: tuple[Engine, ...] = ()) -> Deferred[Any]:
    return Deferred.fromCoroutine(engines.pick(without))


def name_of(waiting: Deferred[Any]) -> Any:
    out: list[Any] = []
    waiting.addBoth(out.append)
    return out[0][0].name if isinstance(out[0], tuple) else out[0].value


def test_the_least_loaded_is_taken() -> None:
    clock = Clock()
    (a, _), (b, _) = engine(clock, "a"), engine(clock, "b")
    engines = Engines([a, b], clock)  # type: ignore[arg-type]
    a.sessions, b.sessions = 3, 2
    assert name_of(picked(engines)) == "b"
    b.sessions = 4
    assert name_of(picked(engines)) == "a"
    assert name_of(picked(engines, (a,))) == "b"


def test_one_that_failed_is_left_out_until_it_answers_a_ping() -> None:
    clock = Clock()
    (a, at_a), (b, _) = engine(clock, "a"), engine(clock, "b")
    engines = Engines([a, b], clock)  # type: ignore[arg-type]
    b.sessions = 5
    at_a.there = False
    a.failed(at_a)  # type: ignore[arg-type]
    assert name_of(picked(engines)) == "b"
    clock.pump([0.1] * 20)
    assert not a.up
    at_a.there = True
    clock.pump([0.1] * 40)
    assert a.up


def test_one_just_back_is_spared_and_that_wears_off() -> None:
    clock = Clock()
    (a, at_a), (b, _) = engine(clock, "a"), engine(clock, "b")
    engines = Engines([a, b], clock)  # type: ignore[arg-type]
    b.sessions = 5
    a.failed(at_a)  # type: ignore[arg-type]
    clock.advance(0.05)
    assert a.up
    assert a.load() == pytest.approx(20)
    assert name_of(picked(engines)) == "b"
    clock.pump([1.0] * 30)
    assert a.load() == pytest.approx(2.5, abs=0.1)
    assert name_of(picked(engines)) == "a"


def test_probes_of_a_dead_one_grow_rarer_up_to_a_bound() -> None:
    clock = Clock()
    dead, client = engine(clock, "dead", there=False)
    clock.pump([0.05] * 200)
    in_the_first_ten_seconds = client.pings
    assert 5 <= in_the_first_ten_seconds <= 10
    clock.pump([1.0] * 300)
    assert client.pings - in_the_first_ten_seconds <= 14
    assert dead.missed == client.pings


def test_one_that_stops_answering_is_found_out_without_a_call() -> None:
    clock = Clock()
    a, at_a = engine(clock, "a")
    at_a.there = False
    clock.advance(Engine.PING_S)
    assert not a.up


def test_a_call_waits_a_moment_for_one_that_is_being_restarted() -> None:
    clock = Clock()
    a, at_a = engine(clock, "a", there=False)
    waiting = picked(Engines([a], clock))  # type: ignore[arg-type]
    clock.advance(0.2)
    assert not waiting.called
    at_a.there = True
    clock.pump([0.1] * 20)
    assert name_of(waiting) == "a"


def test_with_none_up_the_call_is_refused_in_bounded_time() -> None:
    clock = Clock()
    a, _ = engine(clock, "a", there=False)
    waiting = picked(Engines([a], clock))  # type: ignore[arg-type]
    clock.pump([0.1] * 35)
    assert isinstance(name_of(waiting), NoCapacity)
    assert isinstance(name_of(picked(Engines([], clock))), NoCapacity)  # type: ignore[arg-type]


def test_a_detached_one_leaves_no_timer() -> None:
    clock = Clock()
    a, _ = engine(clock, "a")
    a.detach()
    a.detach()
    assert not a.up
    assert not clock.getDelayedCalls()
