"""429 and 409 of the API: tokens' rates, and keys that are used twice."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gateway.api.access import Access, Caller
from gateway.api.problems import Refused
from gateway.api.repeats import Answer, Repeats
from gateway.calls.server_ports import InProgress, KeptAnswer
from gateway.settings import ServiceToken

SECRET = "a token of these tests alone, long enough"
SHA = hashlib.sha256(SECRET.encode()).hexdigest()


class Time:
    now = 1_700_000_000.0


def access(time: Time, **token: Any) -> Access:
    given = {"name": "backend", "hash": SHA, "scopes": ["calls:read"], **token}
    return Access([ServiceToken.model_validate(given)], lambda: time.now)


def test_more_requests_than_the_token_may_make_are_told_when_to_come_back() -> None:
    time = Time()
    asked = access(time, requests_per_s=0.5, requests_burst=3)
    for _ in range(3):
        assert asked.check(f"Bearer {SECRET}", "192.0.2.1").name == "backend"
    with pytest.raises(Refused) as caught:
        asked.check(f"Bearer {SECRET}", "192.0.2.1")
    assert (caught.value.status, caught.value.headers) == (429, {"Retry-After": "2"})
    with pytest.raises(Refused) as wrong:  # a stranger takes nothing from it
        asked.check("Bearer another", "192.0.2.1")
    assert wrong.value.status == 401
    time.now += 2
    assert asked.check(f"Bearer {SECRET}", "192.0.2.1")
    with pytest.raises(Refused):
        asked.check(f"Bearer {SECRET}", "192.0.2.1")


def test_requests_from_elsewhere_take_nothing_from_the_rate() -> None:
    asked = access(Time(), requests_per_s=0.5, requests_burst=1, networks=["192.0.2.0/24"])
    for _ in range(5):
        with pytest.raises(Refused) as caught:
            asked.check(f"Bearer {SECRET}", "198.51.100.1")
        assert caught.value.status == 403
    assert asked.check(f"Bearer {SECRET}", "::ffff:192.0.2.1")


class Book:
    """``AnswerBook`` in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, InProgress | KeptAnswer] = {}

    async def begin(self, name: str, said: str, now: float) -> InProgress | KeptAnswer | None:
        found = self.kept.get(name)
        if found is None:
            self.kept[name] = InProgress(said)
        return found

    async def keep(self, name: str, sealed: str) -> None:
        self.kept[name] = KeptAnswer(self.kept[name].said, sealed)

    async def forget(self, name: str) -> None:
        del self.kept[name]


class Scene:
    def __init__(self) -> None:
        self.repeats = Repeats(Book(), lambda: Time.now)
        self.done = 0
        self.under_way: Deferred[Answer] = Deferred()

    async def _run(self) -> Answer:
        self.done += 1
        return await self.under_way

    def ask(self, key: str = "k1", said: bytes = b"this", token: str = "backend") -> list[Any]:
        """The answer, or the status of the refusal; empty while it is under way."""
        caller = Caller(token, frozenset(), token.encode())
        got: list[Any] = []
        work = Deferred.fromCoroutine(self.repeats.once(caller, key, said, self._run))
        work.addBoth(lambda r: got.append(r.value if isinstance(r, Failure) else r))
        return got


def test_a_key_that_is_under_way_is_409_and_done_once_is_answered_again() -> None:
    scene = Scene()
    first = scene.ask()
    assert [e.status for e in scene.ask()] == [409]
    assert [e.status for e in scene.ask(said=b"that")] == [422]  # under way or not
    assert (first, scene.done) == ([], 1)
    scene.under_way.callback(Answer(201, {"Location": "/x"}, b"{}"))
    assert [a.status for a in first] == [201]
    (again,) = scene.ask()
    assert (again.status, again.headers["Idempotent-Replayed"], again.body) == (201, "true", b"{}")
    assert [e.status for e in scene.ask(said=b"that")] == [422]
    assert scene.done == 1
    scene.under_way = Deferred()
    assert scene.ask(token="other") == []  # its keys are its own
    assert scene.done == 2


def test_what_failed_may_be_tried_again_with_the_same_key() -> None:
    scene = Scene()
    first = scene.ask()
    scene.under_way.errback(Refused(503, "not now"))
    assert [e.status for e in first] == [503]
    scene.under_way = Deferred()
    again = scene.ask()
    scene.under_way.callback(Answer(200))
    assert [a.status for a in again] == [200]
    assert scene.done == 2
