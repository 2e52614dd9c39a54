"""What the app's own servers ask of calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.calls.record import CallRecord
from gateway.values import Address, CallId, Direction, Reason, UserAddress


class ServerCalls(Protocol):
    async def place(self, caller: UserAddress, to: Address, thread: str | None) -> CallRecord:
        """Ring ``caller``, and once they accept call ``to``.

        Its record is durable; one that has ended as it began says why.
        """

    def end_by_server(self, call: CallId, reason: Reason | None) -> CallRecord:
        """End it; ``None``: as completed or cancelled.  ``NoSuchCall`` for one that is over."""

    def active(self) -> Sequence[CallRecord]:
        """Calls that have not ended, oldest first."""


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """Each ``None``: any.  ``since`` and ``until`` bound the time a call began."""

    party: Address | None = None
    direction: Direction | None = None
    reason: Reason | None = None
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class RecordPage:
    """Newest first.  ``next``, where there is more, is the ``before`` of the next page."""

    records: tuple[CallRecord, ...]
    next: str | None = None


class RecordBook(Protocol):
    """The kept records of all calls; see ``store/records``."""

    async def records(self, which: RecordFilter, before: str | None, limit: int) -> RecordPage: ...
    async def record(self, call: CallId) -> CallRecord | None: ...


@dataclass(frozen=True, slots=True)
class InProgress:
    """``said`` stands for the request that is being worked on."""

    said: str


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    said: str
    sealed: str


class AnswerBook(Protocol):
    """Answers to requests that may come again; see ``store/answers``."""

    async def begin(self, name: str, said: str, now: float) -> InProgress | KeptAnswer | None:
        """``None``: it is new, and noted as under way."""

    async def keep(self, name: str, sealed: str) -> None: ...
    async def forget(self, name: str) -> None: ...
