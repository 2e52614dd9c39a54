"""Questions answered from the cache or by the servers: each asked once at a time."""

from __future__ import annotations

from typing import Final, Protocol

import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout

from gateway.calls.ports import Clock, DnsMeters
from gateway.dns.cache import Cache
from gateway.dns.wire import Reply
from gateway.settings import DnsSection
from gateway.sip.records import Absent, AddressRecord, Answer, Failed, Found, Question

log = structlog.get_logger()

MOST_AT_ONCE: Final = 256
MOST_ALIASES: Final = 8
STALE_AFTER_S: Final = 1.8
"""What is stale serves when the servers are silent for so long (RFC 8767 §5)."""


class Servers(Protocol):
    def ask(self, question: Question) -> Deferred[Reply]:
        """Fails only when cancelled."""


class Questions:
    def __init__(
        self, section: DnsSection, servers: Servers, clock: Clock, meters: DnsMeters
    ) -> None:
        self._servers = servers
        self._clock = clock
        self._meters = meters
        self._cache = Cache(section, clock)
        # a locate asks a few times in a row, and shall end in its time with stale answers
        self._patience_s = min(STALE_AFTER_S, section.timeout_s / 4)
        self._waiting: dict[Question, list[Deferred[Reply]]] = {}
        self._fetching: dict[Question, Deferred[None]] = {}
        self._stale = False

    async def ask(self, question: Question, deadline: float) -> Answer:
        """The answer, through any aliases; ``Failed`` when there is none by ``deadline``."""
        through: list[str] = []
        while True:
            reply = await self._reply(question, deadline)
            if reply.alias is None:
                return reply.answer
            through.append(question.name)
            if reply.alias in through:
                return Failed(f"a CNAME loop, {' to '.join((*through, reply.alias))}")
            if len(through) > MOST_ALIASES:
                return Failed(f"over {MOST_ALIASES} aliases")
            question = Question(reply.alias, question.type)

    def stop(self) -> None:
        """End what is being asked; whoever waits is told so."""
        for fetching in tuple(self._fetching.values()):
            fetching.cancel()

    async def _reply(self, question: Question, deadline: float) -> Reply:
        reply = _here(question) or self._cache.fresh(question)
        if reply is not None:
            return reply
        known = self._cache.stale(question)
        left = deadline - self._clock.seconds()
        if left <= 0:
            return known or Reply("timeout", Failed("no time left to ask"))
        if question not in self._waiting and len(self._waiting) >= MOST_AT_ONCE:
            return known or Reply("failed", Failed(f"not asked, beside {MOST_AT_ONCE} others"))
        waiting: Deferred[Reply] = Deferred()
        patience_s = left if known is None else min(left, self._patience_s)
        waiting.addTimeout(patience_s, self._clock)  # type: ignore[arg-type]  # a zope interface
        others = self._waiting.setdefault(question, [])
        others.append(waiting)
        if len(others) == 1:
            fetching = Deferred.fromCoroutine(self._fetch(question))
            if question in self._waiting:
                self._fetching[question] = fetching
        try:
            return await waiting
        except DeferredTimeout:
            if known is None:
                return Reply("timeout", Failed("no answer in time"))
            self._served_stale(question)
            return known

    async def _fetch(self, question: Question) -> None:
        began = self._clock.seconds()
        reply = Reply("failed", Failed("the resolver broke"))
        try:
            reply = await self._servers.ask(question)
        except CancelledError:
            reply = Reply("failed", Failed("the resolver was stopped"))
        else:
            took_s = max(0.0, self._clock.seconds() - began)
            self._meters.dns_query(question.type, reply.result, took_s)
            reply = self._judged(question, reply)
        finally:
            self._fetching.pop(question, None)
            for waiting in self._waiting.pop(question):
                waiting.callback(reply)

    def _judged(self, question: Question, reply: Reply) -> Reply:
        serves = self._cache.keep(question, reply)
        if serves is not reply:
            self._served_stale(question)
        elif self._stale and not isinstance(reply.answer, Failed):
            self._stale = False
            log.info("dns_answers_again", question=str(question))
        return serves

    def _served_stale(self, question: Question) -> None:
        if not self._stale:
            self._stale = True
            log.warning("dns_stale", question=str(question))


def _here(question: Question) -> Reply | None:
    """Names of this host are never asked for (RFC 6761 §6.3)."""
    if question.name != "localhost" and not question.name.endswith(".localhost"):
        return None
    match question.type:
        case "A":
            return Reply("found", Found((AddressRecord("127.0.0.1"),)))
        case "AAAA":
            return Reply("found", Found((AddressRecord("::1"),)))
        case _:
            return Reply("no_record", Absent("no such record"))
