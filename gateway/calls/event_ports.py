"""What the app's servers are told of, and how it waits until they have taken it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

from gateway.calls.record import Acceptance, CallRecord
from gateway.values import CallId

CallState = Literal["inviting", "ringing", "accepted", "connected", "ended"]
EventKind = Literal[
    "call.created",
    "call.ringing",
    "call.accepted",
    "call.connected",
    "call.ended",
    "report.created",
    "report.settled",
    "limit.breached",
]


class Events(Protocol):
    """``call.*`` is written by whoever keeps the record, in the same transaction."""

    async def emit(self, kind: EventKind, call: CallId | None, data: Mapping[str, Any]) -> None:
        """Durable when it returns; receivers get what is of one call in the order of emission."""


@dataclass(frozen=True, slots=True)
class QueuedEvent:
    """``body`` is the JSON to send; ``lane`` names what has to stay in order."""

    seq: int
    receiver: str
    lane: str
    event: str
    kind: EventKind
    body: str
    created_at: float
    attempts: int


class EventQueue(Protocol):
    """Events that wait for their receivers; see ``store/outbox``."""

    async def due(
        self, receiver: str, now: float, limit: int, under_way: Collection[int]
    ) -> Sequence[QueuedEvent]:
        """At most one of each lane: its oldest."""

    async def next_due(self, receiver: str, under_way: Collection[int]) -> float | None: ...
    async def done(self, event: QueuedEvent, now: float) -> None:
        """It is delivered, or given up: the next of its lane is due."""

    async def retry(self, event: QueuedEvent, due_at: float) -> None: ...


class WebhookMeters(Protocol):
    def webhook_tried(self, receiver: str, result: Literal["delivered", "failed"]) -> None: ...
    def webhook_lost(self, receiver: str, why: Literal["dead", "dropped"], count: int) -> None: ...
    def webhook_waiting(self, receiver: str, count: int) -> None: ...


def told(r: CallRecord) -> dict[str, Any]:
    """A call as the app's servers see it; members that are ``None`` say nothing."""
    return {
        "call": r.call,
        "state": _state(r),
        "direction": str(r.direction),
        "caller": _party(str(r.caller), r.caller_name, r.caller_accepted, r.caller_codec),
        "callee": _party(str(r.callee), r.callee_name, r.callee_accepted, r.callee_codec),
        "thread": r.thread,
        "created_at": r.created_at,
        "ringing_at": r.ringing_at,
        "connected_at": r.connected_at,
        "ended_at": r.ended_at,
        "duration_s": round(r.duration_s, 3),
        "reason": None if r.reason is None else str(r.reason),
        "ended_by": None if r.ended_by is None else str(r.ended_by),
        "group": r.group,
        "changes": [asdict(change) for change in r.changes] or None,
    }


def _party(address: str, name: str, a: Acceptance | None, codec: str | None) -> dict[str, Any]:
    accepted = None if a is None else {"at": a.at, "means": a.means, "by": str(a.by)}
    return {"address": address, "name": name, "accepted": accepted, "codec": codec or None}


def _state(r: CallRecord) -> CallState:
    if r.ended_at is not None:
        return "ended"
    if r.connected_at is not None:
        return "connected"
    if r.callee_accepted is not None:
        return "accepted"
    return "ringing" if r.ringing_at is not None else "inviting"
