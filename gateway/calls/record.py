"""The durable account of a call, as history and reports need it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.values import Address, CallId, Direction, Party, Reason

Means = Literal[
    "app_invite",
    "app_accept",
    "sip_invite",
    "sip_answer",
    "sip_confirm",
    "service",
    "transfer",
    "pin",
    "added",
]
"""By what act a side accepted the call."""


Step = Literal["invited", "seen", "accepted", "connected", "talked"]
"""How far a call came: begun, a device of the callee's rang, the callee accepted, both heard
each other, for ten seconds at least."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """``by`` names the side: a person's address, or the contact that answered."""

    at: float
    means: Means
    by: Address


Doing = Literal["joined", "left", "whisper", "listen", "mute_all"]


@dataclass(frozen=True, slots=True)
class Change:
    """Of a group.  ``by`` and ``to`` are seats (``hearing.Seat``): no one is named here.

    ``on`` is false where it ended.
    """

    at: float
    what: Doing
    by: str
    to: str | None = None
    on: bool = True


@dataclass(frozen=True, slots=True)
class CallRecord:
    """Times are seconds since the epoch.  ``ended_at`` is ``None`` while the call lives."""

    call: CallId
    direction: Direction
    caller: Address
    caller_name: str
    callee: Address
    created_at: float
    callee_name: str = ""
    thread: str | None = None
    ringing_at: float | None = None
    caller_accepted: Acceptance | None = None
    callee_accepted: Acceptance | None = None
    connected_at: float | None = None
    ended_at: float | None = None
    reason: Reason | None = None
    ended_by: Party | None = None
    caller_codec: str | None = None
    callee_codec: str | None = None
    per_minute: float | None = None
    """What it costs, by the tariffs that hold when it is made."""
    per_call: float | None = None
    verdict: str | None = None
    """The rule of the policy that decided; ``allowed`` where none objected."""
    group: CallId | None = None
    """The call to which this one was to add its callee."""
    changes: tuple[Change, ...] = ()
    """Of the group that this call became, oldest first."""

    @property
    def duration_s(self) -> float:
        """Seconds of talk; 0 unless connected and ended."""
        if self.connected_at is None or self.ended_at is None:
            return 0.0
        return max(0.0, self.ended_at - self.connected_at)


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """One call as one person's history shows it.

    ``with_`` and ``with_name`` are the other party; ``at`` is when the call began.  ``reason`` is
    ``None`` while the call lives; ``missed`` is true of a call that came in, was not answered
    here nor elsewhere, and was not declined by this person.
    """

    call: CallId
    direction: Literal["in", "out"]
    with_: Address
    with_name: str
    at: float
    thread: str | None = None
    connected_at: float | None = None
    reason: Reason | None = None
    missed: bool = False
    rule: str | None = None
    """Of the policy, where this person was called and it did not ring; told to nobody else."""
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Newest first.  ``next``, where there is more, is the ``before`` of the next page."""

    calls: tuple[HistoryItem, ...]
    next: str | None = None
