"""What an operator sees of a running gateway, and may do to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from gateway.calls.record import CallRecord
from gateway.values import (
    CallId,
    HostPort,
    LegId,
    LegKind,
    LegStats,
    Reason,
    Transport,
    WorkerId,
)

# --- what is just now


@dataclass(frozen=True, slots=True)
class Sample:
    """How a leg sounded since the sample before; ``sent`` is what its far end reported.

    Losses are 0 to 1; ``mos_*`` are mean opinion scores (ITU-T G.107), 1 to 4.5.
    """

    at: float
    codec: str
    loss_received: float
    loss_sent: float
    jitter_ms: float
    jitter_sent_ms: float
    rtt_ms: float | None
    mos_received: float
    mos_sent: float


@dataclass(frozen=True, slots=True)
class LegView:
    """``codec`` is empty until its media stands."""

    leg: LegId
    kind: LegKind
    side: Literal["caller", "callee"]
    codec: str = ""
    secure: bool = False
    held: bool = False
    stats: LegStats = field(default_factory=LegStats)
    sample: Sample | None = None


@dataclass(frozen=True, slots=True)
class CallView:
    """``trunk_in`` and ``trunk_out`` are the trunks it came by and goes out by."""

    record: CallRecord
    state: str
    worker: WorkerId | None
    trunk_in: str | None
    trunk_out: str | None
    legs: tuple[LegView, ...]


@dataclass(frozen=True, slots=True)
class WorkerView:
    worker: WorkerId
    pid: int
    state: str
    taken: int
    capacity: int
    up_s: float
    cpu_s: float
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class TargetView:
    at: str
    doubtful: bool


@dataclass(frozen=True, slots=True)
class TrunkView:
    """``registered`` is ``None`` for a trunk that asks for no registration."""

    name: str
    address: str
    calls: int
    max_calls: int
    registered: bool | None
    targets: tuple[TargetView, ...]


@dataclass(frozen=True, slots=True)
class BindingView:
    account: str
    contact: str
    transport: Transport
    expires: float


class LiveCalls(Protocol):
    def views(self) -> Sequence[CallView]:
        """Calls that have not ended."""

    def end_by_server(self, call: CallId, reason: Reason | None) -> CallRecord: ...
    def room(self) -> tuple[int, int]:
        """How many calls there are, and how many there may be."""


class Workers(Protocol):
    def views(self) -> Sequence[WorkerView]: ...
    def room(self) -> tuple[int, int]:
        """Places of legs that are taken, and how many there are with every worker started."""


class TrunkStates(Protocol):
    def views(self) -> Sequence[TrunkView]: ...


class Registrations(Protocol):
    def bindings(self, most: int) -> Sequence[BindingView]: ...


class Valve(Protocol):
    """Whether new calls are taken."""

    @property
    def draining(self) -> bool: ...
    def shut(self) -> None:
        """Take no new calls; the present ones go on."""

    def open(self) -> None:
        """``NotAllowed`` where the gateway is about to end."""

    def not_ready(self) -> Sequence[str]: ...


# --- what was


@dataclass(frozen=True, slots=True)
class SipSeen:
    """One message between us and a far end, its secrets struck out."""

    at: float
    outward: bool
    transport: Transport
    here: HostPort
    there: HostPort
    text: bytes


@dataclass(frozen=True, slots=True)
class Trace:
    """Of one call: what was logged of it, its SIP, how its legs sounded; each oldest first.

    ``dropped`` counts what there was no room for.
    """

    call: CallId
    notes: tuple[Mapping[str, Any], ...] = ()
    messages: tuple[SipSeen, ...] = ()
    samples: Mapping[LegId, tuple[Sample, ...]] = field(default_factory=dict)
    dropped: int = 0


class Traces(Protocol):
    """Of the newest calls, in memory; written to by the edge, the calls and the log."""

    def trace(self, call: CallId) -> Trace | None: ...


class SipTap(Protocol):
    """Implemented by traces, called by the edge."""

    def saw(
        self,
        outward: bool,
        transport: Transport,
        here: HostPort,
        there: HostPort,
        message: bytes,
    ) -> None: ...

    def joins(self, sip_call_id: str, leg: LegId) -> None:
        """This dialog belongs to the leg's call."""


class LegTap(Protocol):
    def sampled(self, call: CallId, leg: LegId, sample: Sample) -> None: ...


@dataclass(frozen=True, slots=True)
class Count:
    """``what`` are the values that were grouped by."""

    what: tuple[str, ...]
    calls: int
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Product:
    """Of the calls that began between two times.

    ``funnel`` counts (direction, step), ``reasons`` (direction, reason), ``days`` (day as
    ``YYYY-MM-DD`` in UTC, direction) with seconds of talk, ``lengths`` (upper bound in seconds,)
    of connected calls, ``scores`` (direction, score), ``tags`` (tag,), ``use`` (direction, ``all``
    or ``again``) callers with one connected call or more than one.
    """

    since: float
    until: float
    funnel: tuple[Count, ...]
    reasons: tuple[Count, ...]
    days: tuple[Count, ...]
    lengths: tuple[Count, ...]
    scores: tuple[Count, ...]
    tags: tuple[Count, ...]
    use: tuple[Count, ...]


class ProductBook(Protocol):
    async def product(self, since: float, until: float) -> Product: ...


@dataclass(frozen=True, slots=True)
class Blocked:
    who: str
    by: int
    """How many people block them."""


class SafetyBook(Protocol):
    async def most_blocked(self, most: int) -> tuple[Blocked, ...]: ...


@dataclass(frozen=True, slots=True)
class Action:
    """One line of the audit.  ``outcome`` is ``asked`` until it is known."""

    id: int
    at: float
    who: str
    role: str
    source: str
    action: str
    target: str
    outcome: str


@dataclass(frozen=True, slots=True)
class ActionPage:
    """Newest first.  ``next``, where there is more, is the ``before`` of the next page."""

    actions: tuple[Action, ...]
    next: int | None = None


class AuditBook(Protocol):
    """Durable once the awaitable fires."""

    async def asked(
        self, at: float, who: str, role: str, source: str, action: str, target: str
    ) -> int:
        """Its id."""

    async def came_of(self, action: int, outcome: str) -> None: ...
    async def actions(self, before: int | None, limit: int) -> ActionPage: ...
    async def forget(self, before: float) -> int:
        """Those from before this time; how many there were."""
