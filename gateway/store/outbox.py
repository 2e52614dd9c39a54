"""Events on their way out.  Implements ``event_ports.Events`` and ``EventQueue``.

What of a call is told is written in the transaction that keeps its record.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import structlog
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from gateway.calls.event_ports import EventKind, QueuedEvent, WebhookMeters, told
from gateway.calls.record import CallRecord
from gateway.settings import Webhook
from gateway.store.database import Database
from gateway.store.schema import webhook_events as queue
from gateway.values import CallId

log = structlog.get_logger()

_STEPS: Final[tuple[tuple[EventKind, str], ...]] = (
    ("call.ringing", "ringing_at"),
    ("call.accepted", "callee_accepted_at"),
    ("call.connected", "connected_at"),
    ("call.ended", "ended_at"),
)


def wants(webhook: Webhook, kind: EventKind) -> bool:
    return kind in webhook.events or f"{kind.partition('.')[0]}.*" in webhook.events


class Outbox:
    """``wake`` is set at wiring: something is due."""

    def __init__(
        self,
        database: Database,
        webhooks: Sequence[Webhook],
        meters: WebhookMeters,
        now: Callable[[], float],
    ) -> None:
        self._database = database
        self._webhooks = {w.name: w for w in webhooks}
        self._meters = meters
        self._now = now
        self._counts: dict[str, int] = dict.fromkeys(self._webhooks, 0)
        self.wake: Callable[[], None] = lambda: None

    @property
    def wanted(self) -> bool:
        return bool(self._webhooks)

    async def start(self) -> None:
        """Drop what waits for receivers that are no more, and count what waits for the others."""

        def count(connection: Connection) -> int:
            gone = delete(queue).where(queue.c.receiver.not_in(list(self._webhooks)))
            lost = int(connection.execute(gone).rowcount)
            for name in self._webhooks:
                self._counts[name] = _count(connection, name)
            return lost

        lost = await self._database.write(count)
        if lost:
            log.warning("webhook_receivers_gone", events=lost)
        self._tell()

    # -- Events

    async def emit(self, kind: EventKind, call: CallId | None, data: Mapping[str, Any]) -> None:
        if self.wanted:
            await self._database.write(lambda c: self.put(c, kind, call, data))
            self.told()

    def told(self) -> None:
        """What was put is durable by now."""
        self._tell()
        self.wake()

    def put(
        self, connection: Connection, kind: EventKind, call: CallId | None, data: Mapping[str, Any]
    ) -> None:
        """Within a transaction of the writer's."""
        now = self._now()
        event = f"e{secrets.token_hex(12)}"
        body = {"id": event, "type": kind, "created_at": now, "call": call, "data": _said(data)}
        text = json.dumps(body, ensure_ascii=False)
        for name, webhook in self._webhooks.items():
            if not wants(webhook, kind):
                continue
            lane = call or event
            first = select(queue.c.seq).where(queue.c.receiver == name, queue.c.lane == lane)
            waits = connection.execute(first.limit(1)).first() is not None
            row = {
                "receiver": name,
                "lane": lane,
                "event": event,
                "kind": kind,
                "body": text,
                "created_at": now,
                "due_at": None if waits else now,
                "attempts": 0,
            }
            connection.execute(insert(queue).values(row))
            self._counts[name] += 1
            if self._counts[name] > webhook.max_waiting:
                self._make_room(connection, webhook, now)

    def put_steps(
        self, connection: Connection, before: Row[Any] | None, after: CallRecord, row: Any
    ) -> None:
        """How far the call has come since its record was last kept."""
        data = told(after)
        if before is None:
            self.put(connection, "call.created", after.call, data)
        for kind, column in _STEPS:
            if row[column] is not None and (before is None or before._mapping[column] is None):
                self.put(connection, kind, after.call, data)

    def _make_room(self, connection: Connection, webhook: Webhook, now: float) -> None:
        """The oldest give way; a transaction that failed may have left the count too high."""
        self._counts[webhook.name] = count = _count(connection, webhook.name)
        over = count - webhook.max_waiting
        if over <= 0:
            return
        mine = queue.c.receiver == webhook.name
        rows = select(queue.c.seq, queue.c.lane).where(mine).order_by(queue.c.seq).limit(over)
        for seq, lane in list(connection.execute(rows)):
            connection.execute(delete(queue).where(queue.c.seq == seq))
            _promote(connection, webhook.name, lane, now)
        self._counts[webhook.name] -= over
        self._meters.webhook_lost(webhook.name, "dropped", over)
        log.error("webhook_events_dropped", receiver=webhook.name, count=over)

    def _tell(self) -> None:
        for name, count in self._counts.items():
            self._meters.webhook_waiting(name, count)

    # -- EventQueue

    async def due(
        self, receiver: str, now: float, limit: int, under_way: Collection[int]
    ) -> Sequence[QueuedEvent]:
        query = (
            select(queue)
            .where(
                queue.c.receiver == receiver,
                queue.c.due_at <= now,
                queue.c.seq.not_in(list(under_way)),
            )
            .order_by(queue.c.due_at, queue.c.seq)
            .limit(limit)
        )
        rows = await self._database.read(lambda c: list(c.execute(query)))
        return [
            QueuedEvent(
                r.seq, r.receiver, r.lane, r.event, r.kind, r.body, r.created_at, r.attempts
            )
            for r in rows
        ]

    async def next_due(self, receiver: str, under_way: Collection[int]) -> float | None:
        query = select(func.min(queue.c.due_at)).where(
            queue.c.receiver == receiver,
            queue.c.due_at.is_not(None),
            queue.c.seq.not_in(list(under_way)),
        )
        found = await self._database.read(lambda c: c.execute(query).scalar())
        return None if found is None else float(found)

    async def done(self, event: QueuedEvent, now: float) -> None:
        def forget(connection: Connection) -> None:
            gone = connection.execute(delete(queue).where(queue.c.seq == event.seq)).rowcount
            _promote(connection, event.receiver, event.lane, now)
            self._counts[event.receiver] -= int(gone)

        await self._database.write(forget)
        self._tell()

    async def retry(self, event: QueuedEvent, due_at: float) -> None:
        later = update(queue).where(queue.c.seq == event.seq)
        change = later.values(due_at=due_at, attempts=event.attempts + 1)
        await self._database.write(lambda c: c.execute(change))


def _promote(connection: Connection, receiver: str, lane: str, now: float) -> None:
    oldest = select(func.min(queue.c.seq)).where(queue.c.receiver == receiver, queue.c.lane == lane)
    seq = connection.execute(oldest).scalar()
    if seq is not None:
        waits = (queue.c.seq == seq) & queue.c.due_at.is_(None)
        connection.execute(update(queue).where(waits).values(due_at=now))


def _count(connection: Connection, receiver: str) -> int:
    query = select(func.count()).select_from(queue).where(queue.c.receiver == receiver)
    return int(connection.execute(query).scalar_one())


def _said(value: Any) -> Any:
    """Without members that are ``None``, and as text that any receiver can read."""
    if isinstance(value, Mapping):
        return {k: _said(v) for k, v in value.items() if v is not None}
    return value.encode(errors="replace").decode() if isinstance(value, str) else value
