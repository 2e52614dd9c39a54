"""What DNS said, for as long as it may be believed."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from gateway.calls.ports import Clock
from gateway.dns.wire import Reply
from gateway.settings import DnsSection
from gateway.sip.records import Absent, Failed, Question

STALE_S: Final = 3600.0
"""How long after its time an answer serves while no server answers (RFC 8767 §5)."""
RECHECK_S: Final = 30.0
"""How long a stale answer serves before the servers are asked again (RFC 8767 §5)."""
FAILURE_S: Final = 1.0
"""How long a failure is not repeated, where nothing better is known (RFC 9520 §3.2)."""


@dataclass(slots=True)
class _Kept:
    reply: Reply
    fresh_until: float
    stale_until: float


class Cache:
    """Bounded by ``dns.cache_entries``; the one that was not used for longest goes first."""

    def __init__(self, section: DnsSection, clock: Clock) -> None:
        self._section = section
        self._clock = clock
        self._kept: OrderedDict[Question, _Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def fresh(self, question: Question) -> Reply | None:
        """What may be used without asking anybody."""
        kept = self._kept.get(question)
        if kept is None or kept.fresh_until <= self._clock.seconds():
            return None
        self._kept.move_to_end(question)
        return kept.reply

    def stale(self, question: Question) -> Reply | None:
        """What was known of late, for when nobody can be asked."""
        kept = self._kept.get(question)
        if kept is None:
            return None
        if kept.stale_until <= self._clock.seconds():
            del self._kept[question]
            return None
        return kept.reply

    def keep(self, question: Question, reply: Reply) -> Reply:
        """Remember it; returns what serves now: for a failure, what was known before it."""
        now = self._clock.seconds()
        if isinstance(reply.answer, Failed):
            known = self.stale(question)
            if known is not None:
                kept = self._kept[question]
                kept.fresh_until = min(now + RECHECK_S, kept.stale_until)
                return known
            self._put(question, _Kept(reply, now + FAILURE_S, now))
            return reply
        ttl_s = self._bounded(reply)
        self._put(question, _Kept(reply, now + ttl_s, now + ttl_s + STALE_S))
        return reply

    def _bounded(self, reply: Reply) -> float:
        negative = isinstance(reply.answer, Absent) and reply.alias is None
        longest = self._section.negative_ttl_max_s if negative else self._section.ttl_max_s
        return min(max(reply.ttl_s, self._section.ttl_min_s), longest)

    def _put(self, question: Question, kept: _Kept) -> None:
        self._kept[question] = kept
        self._kept.move_to_end(question)
        if len(self._kept) > self._section.cache_entries:
            self._kept.popitem(last=False)
