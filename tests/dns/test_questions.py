"""Cache, coalescing, aliases and stale answers, with a clock and servers of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from gateway.dns.cache import FAILURE_S, RECHECK_S, STALE_S, Cache
from gateway.dns.questions import MOST_ALIASES, MOST_AT_ONCE, STALE_AFTER_S, Questions
from gateway.dns.wire import Reply
from gateway.settings import DnsSection
from gateway.sip.records import Absent, AddressRecord, Answer, Failed, Found, Question

A = Question("a.example.org", "A")
B = Question("b.example.org", "A")
ONE = Found((AddressRecord("192.0.2.1"),))
TWO = Found((AddressRecord("192.0.2.2"),))
NONE = Absent("no such record")
DOWN = Reply("timeout", Failed("no answer in time"))


def found(answer: Found, ttl_s: float = 300) -> Reply:
    return Reply("found", answer, ttl_s)


def alias(of: str, ttl_s: float = 300) -> Reply:
    return Reply("found", Absent("an alias"), ttl_s, of)


class Servers:
    """``asked`` is a list of questions with what will be their answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[Question, Deferred[Reply]]] = []

    def ask(self, question: Question) -> Deferred[Reply]:
        reply: Deferred[Reply] = Deferred()
        self.asked.append((question, reply))
        return reply

    def say(self, reply: Reply) -> None:
        """Answer what was asked last."""
        self.asked[-1][1].callback(reply)

    @property
    def names(self) -> list[str]:
        return [question.name for question, _ in self.asked]


class Meters:
    def __init__(self) -> None:
        self.seen: list[tuple[str, str, float]] = []

    def dns_query(self, rdtype: str, result: str, seconds: float) -> None:
        self.seen.append((rdtype, result, seconds))


SCENES: list[Scene] = []


class Scene:
    def __init__(self, **section: Any) -> None:
        SCENES.append(self)
        self.clock = Clock()
        self.servers = Servers()
        self.meters = Meters()
        self.section = DnsSection(**section)
        self.questions = Questions(self.section, self.servers, self.clock, self.meters)  # type: ignore[arg-type]

    def ask(self, question: Question = A, limit_s: float | None = None) -> Deferred[Answer]:
        limit = self.section.timeout_s if limit_s is None else limit_s
        return Deferred.fromCoroutine(self.questions.ask(question, self.clock.seconds() + limit))

    def learn(self, reply: Reply, question: Question = A) -> None:
        asking = self.ask(question)
        self.servers.say(reply)
        value(asking)


def value(deferred: Deferred[Any]) -> Any:
    results: list[Any] = []
    deferred.addBoth(results.append)
    assert results, "it is still waiting"
    if hasattr(results[0], "raiseException"):
        results[0].raiseException()
    return results[0]


def waits(deferred: Deferred[Any]) -> bool:
    return not deferred.called


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture(autouse=True)
def _nothing_is_left_asking() -> Iterator[None]:
    SCENES.clear()
    yield
    for scene in SCENES:
        scene.questions.stop()


# --- the cache ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "lasts_s"),
    [
        (found(ONE, 300), 300),
        (found(ONE, 0), 5),
        (found(ONE, 4), 5),
        (found(ONE, 2_000_000_000), 3600),
        (Reply("no_record", NONE, 20), 20),
        (Reply("no_name", NONE, 0), 5),
        (Reply("no_name", NONE, 86_400), 60),
        (alias("b", 1000), 1000),
        (DOWN, FAILURE_S),
    ],
)
def test_how_long_an_answer_is_fresh(reply: Reply, lasts_s: float) -> None:
    clock = Clock()
    cache = Cache(DnsSection(), clock)  # type: ignore[arg-type]
    assert cache.keep(A, reply) is reply
    clock.advance(lasts_s - 0.001)
    assert cache.fresh(A) is reply
    clock.advance(0.002)
    assert cache.fresh(A) is None
    if reply is DOWN:
        assert cache.stale(A) is None
        return
    clock.advance(STALE_S - 0.01)
    assert cache.stale(A) is reply
    clock.advance(0.02)
    assert cache.stale(A) is None
    assert len(cache) == 0


def test_no_negative_answer_is_kept_where_that_is_wished() -> None:
    clock = Clock()
    cache = Cache(DnsSection(negative_ttl_max_s=0, ttl_min_s=30), clock)  # type: ignore[arg-type]
    cache.keep(A, Reply("no_record", NONE, 300))
    assert cache.fresh(A) is None


def test_what_was_not_used_for_longest_goes_first() -> None:
    cache = Cache(DnsSection(cache_entries=16), Clock())  # type: ignore[arg-type]
    names = [Question(f"n{n}", "A") for n in range(17)]
    for question in names[:16]:
        cache.keep(question, found(ONE))
    assert cache.fresh(names[0]) is not None
    cache.keep(names[16], found(ONE))
    assert len(cache) == 16
    assert cache.fresh(names[1]) is None
    assert cache.fresh(names[0]) is not None


def test_a_failure_hides_nothing_that_is_known() -> None:
    clock = Clock()
    cache = Cache(DnsSection(), clock)  # type: ignore[arg-type]
    known = found(ONE, 10)
    cache.keep(A, known)
    clock.advance(11)
    assert cache.keep(A, DOWN) is known
    assert cache.fresh(A) is known
    clock.advance(RECHECK_S)
    assert cache.fresh(A) is None
    # failures do not make it last
    clock.advance(STALE_S - RECHECK_S - 2)
    assert cache.keep(A, DOWN) is known
    clock.advance(2)
    assert cache.fresh(A) is None
    assert cache.keep(A, DOWN) is DOWN


# --- asking ---------------------------------------------------------------------------------


def test_an_answer_is_asked_for_once_in_its_time(scene: Scene) -> None:
    first = scene.ask()
    scene.clock.advance(0.25)
    scene.servers.say(found(ONE, 300))
    assert value(first) == ONE
    scene.clock.advance(299)
    assert value(scene.ask()) == ONE
    assert scene.meters.seen == [("A", "found", 0.25)]
    scene.clock.advance(2)
    second = scene.ask()
    scene.servers.say(found(TWO))
    assert value(second) == TWO
    assert scene.servers.names == [A.name] * 2


def test_the_same_question_at_once_is_asked_once(scene: Scene) -> None:
    waiting = [scene.ask() for _ in range(50)]
    other = scene.ask(B)
    assert scene.servers.names == [A.name, B.name]
    scene.servers.asked[0][1].callback(found(ONE))
    assert [value(w) for w in waiting] == [ONE] * 50
    assert waits(other)
    assert len(scene.meters.seen) == 1


def test_who_gives_up_takes_nothing_from_the_others(scene: Scene) -> None:
    one, two, three = scene.ask(), scene.ask(limit_s=1), scene.ask()
    one.cancel()
    with pytest.raises(CancelledError):
        value(one)
    scene.clock.advance(1)
    assert value(two) == Failed("no answer in time")
    scene.servers.say(found(ONE))
    assert value(three) == ONE
    assert value(scene.ask()) == ONE


def test_an_answer_that_nobody_waits_for_any_more_is_kept(scene: Scene) -> None:
    assert waits(asking := scene.ask(limit_s=1))
    scene.clock.advance(1)
    assert value(asking) == Failed("no answer in time")
    scene.servers.say(found(ONE))
    assert value(scene.ask()) == ONE
    assert len(scene.servers.asked) == 1
    assert not scene.clock.getDelayedCalls()


def test_no_time_left_asks_nobody(scene: Scene) -> None:
    assert value(scene.ask(limit_s=0)) == Failed("no time left to ask")
    assert not scene.servers.asked
    scene.learn(found(ONE))
    assert value(scene.ask(limit_s=0)) == ONE


def test_a_failure_is_not_repeated_at_once(scene: Scene) -> None:
    scene.learn(DOWN)
    assert value(scene.ask()) == DOWN.answer
    assert len(scene.servers.asked) == 1
    scene.clock.advance(FAILURE_S)
    assert waits(scene.ask())


def test_questions_at_once_are_bounded(scene: Scene) -> None:
    waiting = [scene.ask(Question(f"n{n}", "A")) for n in range(MOST_AT_ONCE)]
    assert value(scene.ask()) == Failed(f"not asked, beside {MOST_AT_ONCE} others")
    again = scene.ask(Question("n0", "A"))
    scene.servers.asked[0][1].callback(found(ONE))
    assert (value(waiting[0]), value(again)) == (ONE, ONE)
    assert waits(scene.ask())
    assert len(scene.servers.asked) == MOST_AT_ONCE + 1


def test_stopping_tells_those_who_wait(scene: Scene) -> None:
    waiting = [scene.ask(), scene.ask(), scene.ask(B)]
    scene.questions.stop()
    assert [value(w) for w in waiting] == [Failed("the resolver was stopped")] * 3
    assert not scene.clock.getDelayedCalls()
    assert not scene.meters.seen


@pytest.mark.parametrize("name", ["localhost", "dm.localhost"])
def test_names_of_this_host_are_not_asked_for(scene: Scene, name: str) -> None:
    assert value(scene.ask(Question(name, "A"))) == Found((AddressRecord("127.0.0.1"),))
    assert value(scene.ask(Question(name, "AAAA"))) == Found((AddressRecord("::1"),))
    assert value(scene.ask(Question(name, "SRV"))) == NONE
    assert not scene.servers.asked
    assert waits(scene.ask(Question("notlocalhost", "A")))


# --- aliases --------------------------------------------------------------------------------


def test_an_alias_is_followed(scene: Scene) -> None:
    asking = scene.ask()
    scene.servers.say(alias("b.example.org", 10))
    scene.servers.say(found(ONE, 300))
    assert value(asking) == ONE
    assert scene.servers.names == [A.name, B.name]
    scene.clock.advance(11)
    again = scene.ask()
    assert scene.servers.names == [A.name, B.name, A.name]
    scene.servers.say(alias("b.example.org", 10))
    assert value(again) == ONE


def test_a_loop_over_several_answers_is_named(scene: Scene) -> None:
    asking = scene.ask()
    scene.servers.say(alias("b.example.org"))
    scene.servers.say(alias("a.example.org"))
    said = "a CNAME loop, a.example.org to b.example.org to a.example.org"
    assert value(asking) == Failed(said)


def test_a_chain_of_aliases_has_an_end(scene: Scene) -> None:
    asking = scene.ask()
    for n in range(MOST_ALIASES + 1):
        scene.servers.say(alias(f"n{n}"))
    assert value(asking) == Failed(f"over {MOST_ALIASES} aliases")


# --- stale answers --------------------------------------------------------------------------


def test_what_is_stale_serves_while_no_server_answers_and_is_told_once(scene: Scene) -> None:
    scene.learn(found(ONE, 60))
    scene.learn(found(TWO, 60), B)
    scene.clock.advance(61)
    with structlog.testing.capture_logs() as logs:
        for question, answer in ((A, ONE), (B, TWO)):
            asking = scene.ask(question)
            scene.servers.say(DOWN)
            assert value(asking) == answer
        assert [entry["event"] for entry in logs] == ["dns_stale"]
        assert logs[0] | {"log_level": "warning", "question": "A a.example.org"} == logs[0]
        # for a while the servers are left alone
        scene.clock.advance(RECHECK_S - 1)
        assert value(scene.ask()) == ONE
        assert len(scene.servers.asked) == 4
        scene.clock.advance(2)
        asking = scene.ask()
        scene.servers.say(found(TWO))
        assert value(asking) == TWO
        assert [entry["event"] for entry in logs] == ["dns_stale", "dns_answers_again"]
        scene.clock.advance(301)
        asking = scene.ask()
        scene.servers.say(DOWN)
        assert value(asking) == TWO
        assert [entry["event"] for entry in logs][2:] == ["dns_stale"]


def test_what_is_stale_serves_for_a_bounded_time(scene: Scene) -> None:
    scene.learn(found(ONE, 60))
    scene.clock.advance(60 + STALE_S)
    asking = scene.ask()
    scene.servers.say(DOWN)
    assert value(asking) == DOWN.answer


def test_slow_servers_are_not_waited_for_where_something_is_known() -> None:
    scene = Scene(timeout_s=60)
    scene.learn(found(ONE, 60))
    scene.clock.advance(61)
    asking = scene.ask()
    scene.clock.advance(STALE_AFTER_S - 0.1)
    assert waits(asking)
    scene.clock.advance(0.2)
    assert value(asking) == ONE
    # and what they say in the end counts
    scene.servers.say(found(TWO))
    assert value(scene.ask()) == TWO


def test_a_locate_with_stale_answers_ends_in_its_time() -> None:
    scene = Scene(timeout_s=2)
    scene.learn(found(ONE, 60))
    scene.clock.advance(61)
    asking = scene.ask()
    scene.clock.advance(0.5)
    assert value(asking) == ONE


def test_that_there_is_none_is_known_as_long(scene: Scene) -> None:
    scene.learn(Reply("no_record", NONE, 20))
    scene.clock.advance(21)
    asking = scene.ask()
    scene.servers.say(DOWN)
    assert value(asking) == NONE
