"""What people say of their calls afterwards: how good they were, and what was wrong in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from gateway.values import Address, CallId, Direction, UserAddress

Tag = Literal["echo", "noise", "delay", "dropped", "one_way", "low_volume"]
Category = Literal["harassment", "spam", "threat", "minor_safety", "other"]
ReportState = Literal["open", "upheld", "dismissed"]


@dataclass(frozen=True, slots=True)
class Rating:
    """One side's opinion of one call: ``score`` 1 (bad) to 5."""

    call: CallId
    by: UserAddress
    score: int
    tags: tuple[Tag, ...]
    comment: str
    at: float


@dataclass(frozen=True, slots=True)
class Report:
    """A complaint about a call.

    ``about`` is the other side; ``frozen`` is the call's record as it was when it was reported,
    which neither retention nor erasure changes while the report stands.
    """

    id: str
    call: CallId
    by: Address
    about: Address
    category: Category
    comment: str
    at: float
    state: ReportState = "open"
    settled_at: float | None = None
    note: str = ""
    frozen: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReportPage:
    """Newest first.  ``next``, where there is more, is the ``before`` of the next page."""

    reports: tuple[Report, ...]
    next: str | None = None


class Reviews(Protocol):
    async def rate(self, rating: Rating) -> Direction | None:
        """Keep it, in place of an earlier one of the same side; ``None``: no such call of theirs.

        ``WrongState`` for a call that has not ended.
        """

    async def report(
        self, call: CallId, by: UserAddress, category: Category, comment: str, now: float
    ) -> Report | None:
        """Freeze the record and queue it; ``None``: no such call of theirs.

        A second report of the same side on the same call returns the first, with the new comment
        added to it.
        """


class ReportQueue(Protocol):
    """What moderators ask for."""

    async def reports(
        self, state: ReportState | None, before: str | None, limit: int
    ) -> ReportPage: ...

    async def report_of(self, report: str) -> Report | None: ...

    async def settle(
        self, report: str, state: Literal["upheld", "dismissed"], note: str, now: float
    ) -> Report | None:
        """``None``: no such report.  One that is settled may be settled otherwise later."""


@dataclass(frozen=True, slots=True)
class Ban:
    """``person`` may neither call nor be called, for what ``report`` says."""

    person: Address
    report: str
    since: float


class Bans(Protocol):
    async def ban(self, address: Address, report: str, now: float) -> None:
        """Whoever has this address, over all that they call with."""

    async def bans(self, before: str | None, limit: int) -> tuple[Ban, ...]:
        """In the order of their addresses, those after ``before``."""

    async def lift(self, address: Address) -> bool:
        """``False`` where there is none."""


class ReviewMeters(Protocol):
    def rated(self, direction: Direction, score: int, tags: tuple[Tag, ...]) -> None: ...
    def reported(self, category: Category) -> None: ...
