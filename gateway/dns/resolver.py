"""Where SIP domains and telephone numbers are served: ``ports.Locator`` by DNS."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

import structlog
from twisted.internet.defer import Deferred, gatherResults

from gateway.calls.ports import Clock, DnsMeters
from gateway.dns.questions import Questions
from gateway.dns.wire import NameServers
from gateway.settings import DnsSection
from gateway.sip.e164 import enum_lookups
from gateway.sip.locating import ALL_TRANSPORTS, HopTransport, Located, locating
from gateway.sip.records import Answer, Chance, Lookups, Question
from gateway.values import Hop

log = structlog.get_logger()

T = TypeVar("T")


class Resolver:
    """Implements ``ports.Locator``.  The reactor must be one on asyncio.

    ``transports`` are those that requests can be sent with, the best first.
    """

    def __init__(
        self,
        section: DnsSection,
        reactor: Clock,
        meters: DnsMeters,
        chance: Chance | None = None,
        transports: Sequence[HopTransport] = ALL_TRANSPORTS,
    ) -> None:
        self._section = section
        self._clock = reactor
        self._chance = chance or random.SystemRandom()
        self._transports = transports
        self._servers = NameServers(section)
        self._questions = Questions(section, self._servers, reactor, meters)

    async def start(self) -> None:
        """Read which servers there are; ``CannotStart`` where there are none."""
        self._servers.open()
        log.info("dns_ready", servers=self._servers.names)

    async def stop(self) -> None:
        """Whoever waits is told ``Unlocatable``.  Idempotent."""
        self._servers.close()
        self._questions.stop()

    async def locate(self, place: str, transport: HopTransport | None = None) -> tuple[Hop, ...]:
        return tuple(found.hop for found in await self.trace(place, transport))

    async def trace(self, place: str, transport: HopTransport | None = None) -> tuple[Located, ...]:
        """As ``locate``, with the records that led to each hop."""
        return await self._drive(
            locating(
                place,
                transport,
                families=self._section.families,
                chance=self._chance,
                transports=self._transports,
            )
        )

    async def enum(self, number: str) -> tuple[str, ...]:
        suffix = self._section.enum_suffix
        if suffix is None:
            return ()
        return await self._drive(enum_lookups(number, suffix))

    async def _drive(self, lookups: Lookups[T]) -> T:
        """Answer what the rules ask, in ``dns.timeout_s`` for all of it."""
        deadline = self._clock.seconds() + self._section.timeout_s
        answers: tuple[Answer, ...] | None = None
        while True:
            try:
                questions = next(lookups) if answers is None else lookups.send(answers)
            except StopIteration as done:
                found: T = done.value
                return found
            answers = tuple(await self._all(questions, deadline))

    def _all(self, questions: Sequence[Question], deadline: float) -> Deferred[list[Answer]]:
        return gatherResults(
            [Deferred.fromCoroutine(self._questions.ask(q, deadline)) for q in questions],
            consumeErrors=True,
        )
