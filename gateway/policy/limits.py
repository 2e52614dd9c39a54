"""How much is too much: rates, talk time, and what fraud with telephone calls looks like.

Everything here is judged from what was kept: nothing is forgotten by a restart.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from gateway.policy.chain import ANONYMOUS, Attempt, Bound, Rule, Verdict
from gateway.settings import LimitsSection, Tariff, TelephoneLimits
from gateway.values import Reason

HOUR_S: Final = 3600.0
DAY_S: Final = 86_400.0
_NOBODY: Final = str(ANONYMOUS)
NEIGHBOURS: Final = 3
"""Numbers that differ by so little are in a row."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A leaky one: holds ``size`` calls, and leaks them evenly over ``period_s``."""

    rule: str
    key: str
    size: int
    period_s: float

    def level(self, level: float, at: float, now: float) -> float:
        return max(0.0, level - max(0.0, now - at) * self.size / self.period_s)

    def wait_s(self, level: float) -> float:
        """Until one more fits; 0: it does."""
        over = level + 1 - self.size
        # what is left of a subtraction of floats is not a call too many
        return 0.0 if over <= 1e-9 else over * self.period_s / self.size


@dataclass(frozen=True, slots=True)
class Overflow:
    """Which bucket is full, and for how long."""

    rule: str
    wait_s: float


@dataclass(frozen=True, slots=True)
class TelephoneCall:
    """``talk_s`` is ``None`` for one that did not connect, up to now for one that lasts."""

    number: str
    country: str | None
    at: float
    talk_s: float | None
    cost: float


@dataclass(frozen=True, slots=True)
class Usage:
    """Of the caller: what was full when this call asked, and what the last day holds."""

    overflow: Overflow | None = None
    talk_s: float = 0.0
    telephone: tuple[TelephoneCall, ...] = ()
    """Of the last day, newest first."""
    known_countries: frozenset[str] = frozenset()
    """Called in the 30 days before that day."""
    held_until: float | None = None
    """Telephone calls are stopped for this person until then."""


def buckets(
    limits: LimitsSection, caller: str, callee: str, source: str | None
) -> tuple[Bucket, ...]:
    """Which a call of one person to another takes from.

    Callers without a name are not one person: theirs are of the trunk or the address that they come
    from, which many share.
    """
    nameless = caller == _NOBODY and source is not None
    person, whose = (None, f"{caller} {source}") if nameless else (caller, caller)
    wanted = (
        ("calls_per_minute", limits.calls_per_minute, 60.0, person),
        ("calls_per_hour", limits.calls_per_hour, HOUR_S, person),
        ("pair_per_hour", limits.pair_per_hour, HOUR_S, f"{whose}>{callee}"),
        ("address_per_minute", limits.address_per_minute, 60.0, source),
    )
    return tuple(
        Bucket(rule, f"{rule}:{of}", size, period_s)
        for rule, size, period_s, of in wanted
        if size is not None and of is not None
    )


def tariff_of(number: str, tariffs: Iterable[Tariff]) -> Tariff | None:
    """The one with the longest prefix of this number."""
    fitting = [t for t in tariffs if number.startswith(t.prefix)]
    return max(fitting, key=lambda t: len(t.prefix), default=None)


def cost(talk_s: float | None, per_minute: float, per_call: float) -> float:
    """Each begun minute counts; a call that did not connect costs nothing."""
    return 0.0 if talk_s is None else per_call + math.ceil(talk_s / 60) * per_minute


def longest_row(numbers: Iterable[str]) -> int:
    """How many of these numbers lie in a row, each near the one before."""
    longest = row = 0
    before: int | None = None
    for n in sorted({int(number.lstrip("+")) for number in numbers}):
        row = row + 1 if before is not None and n - before <= NEIGHBOURS else 1
        longest, before = max(longest, row), n
    return longest


def _usage(attempt: Attempt) -> Usage:
    return attempt.facts.part(Usage) or Usage()


_TEXTS: Final[Mapping[str, str]] = {
    "calls_per_minute": "calls within a minute",
    "calls_per_hour": "calls within an hour",
    "pair_per_hour": "calls to the same person",
    "address_per_minute": "calls from this address",
}


def rates(attempt: Attempt) -> Verdict | None:
    full = _usage(attempt).overflow
    if full is None:
        return None
    retry_s = max(1, math.ceil(full.wait_s))
    return Verdict(full.rule, Reason.RATE_LIMITED, _TEXTS[full.rule], retry_s)


def talk_time(attempt: Attempt, limits: LimitsSection) -> Verdict | None:
    left_s = talk_left_s(attempt, limits)
    if left_s is None or left_s > 0:
        return None
    text = "the minutes of the day are used up"
    return Verdict("talk_minutes_per_day", Reason.RATE_LIMITED, text, int(HOUR_S))


def talk_left_s(attempt: Attempt, limits: LimitsSection) -> float | None:
    """Shared with the calls that the caller is in already; nobody's day is that of the nameless."""
    if limits.talk_minutes_per_day is None or attempt.anonymous:
        return None
    left_s = limits.talk_minutes_per_day * 60 - _usage(attempt).talk_s
    return max(0.0, left_s) / (attempt.caller_calls + 1)


def _telephone(attempt: Attempt) -> bool:
    """An emergency call is never held back."""
    return attempt.dialled is not None and not attempt.dialled.emergency


def held(attempt: Attempt) -> Verdict | None:
    until = _usage(attempt).held_until
    if not _telephone(attempt) or until is None or until <= attempt.now:
        return None
    return Verdict("telephone_held", Reason.NOT_ALLOWED, "telephone calls are stopped")


def spend(attempt: Attempt, limits: TelephoneLimits) -> Verdict | None:
    if not _telephone(attempt) or limits.spend_per_day is None:
        return None
    if _spent(attempt) < limits.spend_per_day:
        return None
    text = "the day's allowance for telephone calls is used up"
    return Verdict("spend_per_day", Reason.RATE_LIMITED, text, int(HOUR_S), alarm=True)


def spend_left_s(attempt: Attempt, limits: TelephoneLimits) -> float | None:
    """For how long the rest of the allowance lasts, shared with calls that there are already."""
    if not _telephone(attempt) or limits.spend_per_day is None or attempt.dialled is None:
        return None
    tariff = tariff_of(attempt.dialled.number, limits.tariffs)
    if tariff is None or tariff.per_minute == 0:
        return None
    left = limits.spend_per_day - _spent(attempt) - tariff.per_call
    # never under the minute that was begun: what is left of a cent is not worth a call
    return max(60.0, math.floor(left / tariff.per_minute) * 60.0 / (attempt.caller_calls + 1))


def _spent(attempt: Attempt) -> float:
    return sum(call.cost for call in _usage(attempt).telephone)


def new_countries(attempt: Attempt, limits: TelephoneLimits) -> Verdict | None:
    most = limits.new_countries_per_day
    if not _telephone(attempt) or most is None or attempt.dialled is None:
        return None
    usage = _usage(attempt)
    called = {call.country for call in usage.telephone} | {attempt.dialled.country}
    if len(called - usage.known_countries - {None}) <= most:
        return None
    text = "too many countries that were not called before"
    return Verdict("new_countries_per_day", Reason.RATE_LIMITED, text, int(HOUR_S), alarm=True)


def short_calls(attempt: Attempt, limits: TelephoneLimits) -> Verdict | None:
    most = limits.short_calls_per_hour
    if not _telephone(attempt) or most is None:
        return None
    recent = _within(_usage(attempt).telephone, attempt.now - HOUR_S)
    short = [c for c in recent if c.talk_s is not None and c.talk_s < limits.short_s]
    if len(short) < most:
        return None
    text = "too many short telephone calls"
    return Verdict("short_calls_per_hour", Reason.RATE_LIMITED, text, int(HOUR_S), alarm=True)


def numbers_in_a_row(attempt: Attempt, limits: TelephoneLimits) -> Verdict | None:
    most = limits.numbers_in_a_row
    if not _telephone(attempt) or most is None or attempt.dialled is None:
        return None
    recent = _within(_usage(attempt).telephone, attempt.now - HOUR_S)
    numbers = [*(c.number for c in recent), attempt.dialled.number]
    if longest_row(numbers) <= most:
        return None
    text = "too many neighbouring numbers"
    return Verdict("numbers_in_a_row", Reason.RATE_LIMITED, text, int(HOUR_S), alarm=True)


def _within(calls: Sequence[TelephoneCall], since: float) -> list[TelephoneCall]:
    return [call for call in calls if call.at >= since]


def limit_rules(limits: LimitsSection) -> tuple[Rule, ...]:
    telephone = limits.telephone
    return (
        rates,
        partial(talk_time, limits=limits),
        held,
        partial(spend, limits=telephone),
        partial(new_countries, limits=telephone),
        partial(short_calls, limits=telephone),
        partial(numbers_in_a_row, limits=telephone),
    )


def limit_bounds(limits: LimitsSection) -> tuple[Bound, ...]:
    return (
        partial(talk_left_s, limits=limits),
        partial(spend_left_s, limits=limits.telephone),
    )
