"""Asking once, for commands: a resolver on an asyncio loop of its own, without a reactor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from gateway.dns.resolver import Resolver
from gateway.settings import DnsSection

T = TypeVar("T")


class _Timer:
    def __init__(self, loop: asyncio.AbstractEventLoop, delay: float, func: Callable[[], object]):
        self._func: Callable[[], object] | None = func
        self._handle = loop.call_later(delay, self._due)

    def _due(self) -> None:
        func, self._func = self._func, None
        if func is not None:
            func()

    def cancel(self) -> None:
        self._func = None
        self._handle.cancel()

    def active(self) -> bool:
        return self._func is not None


class _LoopClock:
    """``ports.Clock`` by an asyncio loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.seconds = loop.time

    def callLater(self, delay: float, func: Callable[[], object]) -> _Timer:
        return _Timer(self._loop, delay, func)


class _NoMeters:
    def dns_query(self, rdtype: str, result: str, seconds: float) -> None:
        pass


def once(section: DnsSection, work: Callable[[Resolver], Coroutine[Deferred[Any], Any, T]]) -> T:
    """Run ``work`` with a resolver that lives as long; blocks.  Raises what it raises."""

    async def asking() -> T:
        loop = asyncio.get_running_loop()
        resolver = Resolver(section, _LoopClock(loop), _NoMeters())
        await resolver.start()
        try:
            return await Deferred.fromCoroutine(work(resolver)).asFuture(loop)
        finally:
            await resolver.stop()

    return asyncio.run(asking())
