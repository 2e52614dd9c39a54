"""Bounded waits: a list of what happened that can be awaited, and a poll for foreign state."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

T = TypeVar("T")
reactor: Any = _reactor


class NotSeen(AssertionError):
    """What was awaited did not come in time; says what came instead."""


class Happenings(Generic[T]):
    """An append-only list of events, each with its time (reactor seconds)."""

    def __init__(self, name: str, clock: Any = reactor) -> None:
        self.name = name
        self.seen: list[T] = []
        self.times: list[float] = []
        self._clock = clock
        self._waiting: list[Callable[[], None]] = []

    def add(self, item: T) -> None:
        self.seen.append(item)
        self.times.append(self._clock.seconds())
        for look in tuple(self._waiting):
            look()

    def mark(self) -> int:
        """A place in the list: ``expect(since=mark)`` looks only at what comes later."""
        return len(self.seen)

    def find(self, wanted: Callable[[T], bool], since: int = 0) -> int | None:
        for i in range(since, len(self.seen)):
            if wanted(self.seen[i]):
                return i
        return None

    async def expect(
        self, wanted: Callable[[T], bool], what: str, timeout_s: float = 5, since: int = 0
    ) -> T:
        return self.seen[await self.expect_at(wanted, what, timeout_s, since)]

    async def expect_at(
        self, wanted: Callable[[T], bool], what: str, timeout_s: float = 5, since: int = 0
    ) -> int:
        """The index of the first event at or after ``since`` that is wanted."""
        found = self.find(wanted, since)
        if found is not None:
            return found
        done: Deferred[int] = Deferred()
        looked = [len(self.seen)]

        def look() -> None:
            index = self.find(wanted, max(since, looked[0]))
            looked[0] = len(self.seen)
            if index is not None:
                self._waiting.remove(look)
                late.cancel()
                done.callback(index)

        def give_up() -> None:
            self._waiting.remove(look)
            tail = "\n  ".join(str(e)[:400] for e in self.seen[since:][-15:])
            done.errback(NotSeen(f"{self.name}: no {what} in {timeout_s} s; seen:\n  {tail}"))

        self._waiting.append(look)
        late = self._clock.callLater(timeout_s, give_up)
        return await done


async def pause(seconds: float) -> None:
    """Let real time pass where time itself is the stimulus (speech, ringing)."""
    await deferLater(reactor, seconds, lambda: None)


async def until(
    condition: Callable[[], Any] | Callable[[], Awaitable[Any]],
    what: str,
    timeout_s: float = 5,
    every_s: float = 0.05,
) -> Any:
    """Poll foreign state (another process) until it is true; return what it was."""
    end = reactor.seconds() + timeout_s
    while True:
        value = condition()
        if hasattr(value, "__await__"):
            value = await value
        if value:
            return value
        if reactor.seconds() > end:
            raise NotSeen(f"not within {timeout_s} s: {what} (last: {value!r})")
        await pause(every_s)


async def together(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    """Run coroutines at once; the first failure is raised as it is, after the rest are done."""
    running = [Deferred.fromCoroutine(w) for w in work]
    failures: list[Any] = []
    for d in running:
        d.addErrback(failures.append)
    results: list[Any] = await gatherResults(running)
    if failures:
        failures[0].raiseException()
    return results
