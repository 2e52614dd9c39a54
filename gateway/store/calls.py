"""Call records and the history made of them.  Implements ``ports.CallRecords`` and ``History``."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select, update

from gateway.calls.event_ports import told
from gateway.calls.record import CallRecord, HistoryPage
from gateway.store import cursor
from gateway.store.database import Database
from gateway.store.history import page_query
from gateway.store.outbox import Outbox
from gateway.store.records import record_of
from gateway.store.rows import item_of, row_of
from gateway.store.schema import calls
from gateway.store.upserts import upsert
from gateway.values import Address, CallId, Party, Reason, UserAddress


class CallStore:
    """``outbox``: what becomes of calls is told from there."""

    def __init__(self, database: Database, outbox: Outbox | None = None) -> None:
        self._database = database
        self._outbox = outbox if outbox is not None and outbox.wanted else None

    async def save(self, record: CallRecord) -> None:
        """Insert or update; durable when it returns.  Saves happen in the order of the calls."""
        row, outbox = row_of(record), self._outbox
        if outbox is None:
            await self._database.write(lambda c: upsert(c, calls, row, "call"))
            return

        def keep(connection: Connection) -> None:
            named = select(calls).where(calls.c.call == record.call)
            before = connection.execute(named).first()
            upsert(connection, calls, row, "call")
            outbox.put_steps(connection, before, record, row)

        await self._database.write(keep)
        outbox.told()

    async def close_left_open(self, now: float) -> int:
        """Records that a crash left open end now, with ``gateway_error``; how many there were."""
        closing = (
            update(calls)
            .where(calls.c.ended_at.is_(None))
            .values(ended_at=now, reason=str(Reason.GATEWAY_ERROR), ended_by=str(Party.GATEWAY))
        )

        def close(connection: Connection) -> int:
            left = select(calls.c.call).where(calls.c.ended_at.is_(None))
            names = list(connection.execute(left).scalars()) if self._outbox else []
            count = int(connection.execute(closing).rowcount)
            for name in names:
                self._tell_closed(connection, name)
            return count

        return await self._database.write(close)

    def _tell_closed(self, connection: Connection, name: str) -> None:
        if self._outbox is not None:
            row = connection.execute(select(calls).where(calls.c.call == name)).one()
            self._outbox.put(connection, "call.ended", CallId(name), told(record_of(row)))

    async def hide(self, user: UserAddress, calls_: Sequence[CallId] | None) -> int:
        """Out of this person's view alone; calls that are not theirs, or hidden, do not count."""
        me = str(user)

        def mark(connection: Connection) -> int:
            count = 0
            for side in ("caller", "callee"):
                hid = calls.c[f"{side}_hid"]
                statement = update(calls).where(calls.c[side] == me, ~hid).values({hid: True})
                if calls_ is not None:
                    statement = statement.where(calls.c.call.in_(calls_))
                count += connection.execute(statement).rowcount
            return count

        return await self._database.write(mark)

    async def list(
        self,
        user: UserAddress,
        before: str | None,
        limit: int,
        with_: Address | None,
        missed: bool | None,
    ) -> HistoryPage:
        """Newest first; a ``before`` that is not ours gives an empty page."""
        after = None
        if before is not None:
            after = cursor.read(before)
            if after is None:
                return HistoryPage(())
        # one more than asked for says whether there is a next page
        query, asked = page_query(str(user), after, limit + 1, with_, missed)
        rows = await self._database.read(lambda c: list(c.execute(query, asked)))
        items = tuple(item_of(row, str(user)) for row in rows[:limit])
        if len(rows) <= limit:
            return HistoryPage(items)
        last = rows[limit - 1]
        return HistoryPage(items, cursor.write(last.created_at, last.call))
