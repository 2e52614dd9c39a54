"""What the edge remembers of requests under way, so that responses find their way back."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from twisted.internet.defer import Deferred

from gateway.calls.ports import Forward, Refuse
from gateway.edge.dialogs import Dialog
from gateway.edge.flows import Flow
from gateway.sip.headers import Via
from gateway.sip.message import Request, Response
from gateway.values import HostPort

LIFE_S: Final = 40.0
"""64*T1 = 32 s, and some: how long a transaction matters after its last message."""
INVITE_LIFE_S: Final = 240.0
"""The longest that anything rings here (``calls.ring_s``), and some."""


@dataclass(slots=True)
class Inward:
    """A request from outside.  ``final`` is kept for the retransmissions of its request."""

    request: Request
    flow: Flow
    dialog: Dialog | None = None
    deciding: Deferred[Forward | Refuse] | None = None
    worker: HostPort | None = None
    forwarded: bytes = b""
    final: Response | None = None
    by_edge: bool = False
    """The final response was the edge's own: the ACK ends here."""
    given_up: bool = False
    """The caller sent CANCEL while the decision was under way."""


@dataclass(slots=True)
class Outward:
    """A request of a worker (``None``: of the edge itself, for a worker that died)."""

    method: str
    worker: HostPort | None
    vias: tuple[Via, ...]
    flow: Flow
    request: Request
    dialog: Dialog | None = None
    final: Response | None = None
    by_edge: bool = False
    """The final response was the edge's own, for a far end that cannot be reached."""
    sent: bool = False
    heard: bool = False
    cancelled: bool = False
    datagram: tuple[Flow, Request] | None = None
    """As it goes over UDP, where it is too large for that and TCP may yet be refused."""


T = TypeVar("T")


class Table(Generic[T]):
    """Entries by key, each with the time it is forgotten; the oldest go when it is full."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: OrderedDict[str, tuple[float, T]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> T | None:
        found = self._entries.get(key)
        return None if found is None else found[1]

    def put(self, key: str, entry: T, until: float) -> None:
        self._entries.pop(key, None)
        self._entries[key] = (until, entry)
        while len(self._entries) > self._limit:
            self._entries.popitem(last=False)

    def keep_until(self, key: str, until: float) -> None:
        found = self._entries.get(key)
        if found is not None:
            self._entries[key] = (until, found[1])

    def drop(self, key: str) -> None:
        self._entries.pop(key, None)

    def items(self) -> tuple[tuple[str, T], ...]:
        return tuple((key, entry) for key, (_, entry) in self._entries.items())

    def values(self) -> tuple[T, ...]:
        return tuple(entry for _, entry in self._entries.values())

    def sweep(self, now: float) -> tuple[T, ...]:
        """Forget what is over; returns it."""
        over = [k for k, (until, _) in self._entries.items() if until <= now]
        return tuple(self._entries.pop(key)[1] for key in over)
