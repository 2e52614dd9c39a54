"""Passes in the database.  Implements ``pass_ports.Passes`` and ``PassBook``."""

from __future__ import annotations

import secrets
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)

from gateway.calls.pass_ports import Grant, Pass, PassPage
from gateway.errors import NotAllowed
from gateway.policy.identity import Identity
from gateway.policy.passes import HeldPass
from gateway.settings import PassesSection
from gateway.store import cursor
from gateway.store.database import Database
from gateway.store.schema import pass_uses, passes


class PassStore:
    def __init__(self, database: Database, settings: PassesSection) -> None:
        self._database = database
        self._settings = settings

    # -- Passes

    async def held(self, caller: Identity, callee: Identity, now: float) -> HeldPass | None:
        """The one to use first: what ends soonest."""
        if caller.handle is None or callee.handle is None:
            return None
        creator, follower = callee.handle, caller.handle

        def read(connection: Connection) -> HeldPass | None:
            found = connection.execute(
                select(passes)
                .where(
                    passes.c.creator == creator,
                    passes.c.follower == follower,
                    _open(now),
                    or_(passes.c.from_at.is_(None), passes.c.from_at <= now),
                )
                .order_by(func.coalesce(passes.c.until_at, 9e15), passes.c.created_at)
                .limit(20)
            )
            for row in found:
                if row.kind != "queue" or _position(connection, row, now) == 1:
                    return HeldPass(row.pass_id, row.kind, row.seconds_left, row.until_at)
            return None

        return await self._database.read(read)

    async def spend(self, pass_: str, call: str, now: float) -> bool:
        def use(connection: Connection) -> bool:
            row = connection.execute(
                select(passes).where(passes.c.pass_id == pass_, _open(now)).with_for_update()
            ).first()
            if row is None:
                return False
            if row.calls_left is not None:
                named = update(passes).where(passes.c.pass_id == pass_)
                connection.execute(named.values(calls_left=passes.c.calls_left - 1))
            connection.execute(insert(pass_uses).values(call=call, pass_id=pass_, at=now))
            return True

        return await self._database.write(use)

    async def settle(self, pass_: str, call: str, talk_s: float, *, refund: bool) -> None:
        def close(connection: Connection) -> None:
            used = delete(pass_uses).where(pass_uses.c.call == call, pass_uses.c.pass_id == pass_)
            if not connection.execute(used).rowcount:
                return  # settled before
            named = update(passes).where(passes.c.pass_id == pass_)
            if refund:
                counted = named.where(passes.c.calls_left.is_not(None))
                connection.execute(counted.values(calls_left=passes.c.calls_left + 1))
            else:
                timed = named.where(passes.c.seconds_left.is_not(None))
                connection.execute(timed.values(seconds_left=passes.c.seconds_left - talk_s))

        await self._database.write(close)

    async def settle_left_open(self, now: float) -> int:
        """What calls had begun to use when the gateway died is used: its time counts to ``now``."""
        uses = await self._database.read(lambda c: list(c.execute(select(pass_uses))))
        for use in uses:
            await self.settle(use.pass_id, use.call, max(0.0, now - use.at), refund=False)
        return len(uses)

    # -- PassBook

    async def grant(self, creator: str, follower: str, grant: Grant, now: float) -> Pass:
        most = self._settings.per_creator
        made = Pass(
            id=f"p{secrets.token_hex(8)}",
            creator=creator,
            follower=follower,
            grant=grant,
            created_at=now,
            calls_left=grant.calls,
            seconds_left=grant.seconds,
        )

        def keep(connection: Connection) -> Pass:
            mine = passes.c.creator == creator
            connection.execute(delete(passes).where(mine, ~_open(now), ~_in_use()))
            count = select(func.count()).select_from(passes).where(mine)
            if int(connection.execute(count).scalar_one()) >= most:
                raise NotAllowed(f"there are {most} passes already; revoke one first")
            connection.execute(insert(passes).values(_row(made)))
            row = connection.execute(select(passes).where(passes.c.pass_id == made.id)).one()
            return _pass(connection, row, now)

        return await self._database.write(keep)

    async def passes(
        self,
        creator: str | None,
        follower: str | None,
        before: str | None,
        limit: int,
        now: float,
    ) -> PassPage:
        query = select(passes).where(_open(now))
        if creator is not None:
            query = query.where(passes.c.creator == creator)
        if follower is not None:
            query = query.where(passes.c.follower == follower)
        if before is not None:
            after = cursor.read(before)
            if after is None:
                return PassPage(())
            key = tuple_(passes.c.created_at, passes.c.pass_id)
            query = query.where(key < tuple_(literal(after[0]), literal(after[1])))
        query = query.order_by(passes.c.created_at.desc(), passes.c.pass_id.desc())

        def read(connection: Connection) -> tuple[Pass, ...]:
            rows = list(connection.execute(query.limit(limit + 1)))
            return tuple(_pass(connection, row, now) for row in rows)

        found = await self._database.read(read)
        if len(found) <= limit:
            return PassPage(found)
        last = found[limit - 1]
        return PassPage(found[:limit], cursor.write(last.created_at, last.id))

    async def revoke(self, creator: str, pass_: str) -> bool:
        mine = delete(passes).where(passes.c.creator == creator, passes.c.pass_id == pass_)
        return bool(await self._database.write(lambda c: c.execute(mine).rowcount))


def _open(now: float) -> ColumnElement[bool]:
    """Not used up, not over."""
    return and_(
        or_(passes.c.calls_left.is_(None), passes.c.calls_left > 0),
        or_(passes.c.seconds_left.is_(None), passes.c.seconds_left > 0),
        or_(passes.c.until_at.is_(None), passes.c.until_at > now),
    )


def _in_use() -> ColumnElement[bool]:
    return passes.c.pass_id.in_(select(pass_uses.c.pass_id))


def _position(connection: Connection, row: Row[Any], now: float) -> int:
    """Among those of the creator's queue that may yet be used; one whose call lasts keeps none."""
    key = tuple_(passes.c.created_at, passes.c.pass_id)
    ahead = select(func.count()).where(
        passes.c.creator == row.creator,
        passes.c.kind == "queue",
        _open(now),
        key < tuple_(literal(row.created_at), literal(row.pass_id)),
    )
    return int(connection.execute(ahead).scalar_one()) + 1


def _row(p: Pass) -> dict[str, Any]:
    return {
        "pass_id": p.id,
        "creator": p.creator,
        "follower": p.follower,
        "kind": p.grant.kind,
        "calls": p.grant.calls,
        "seconds": p.grant.seconds,
        "calls_left": p.calls_left,
        "seconds_left": p.seconds_left,
        "from_at": p.grant.from_,
        "until_at": p.grant.until,
        "created_at": p.created_at,
    }


def _pass(connection: Connection, row: Row[Any], now: float) -> Pass:
    return Pass(
        id=row.pass_id,
        creator=row.creator,
        follower=row.follower,
        grant=Grant(row.kind, row.calls, row.seconds, row.from_at, row.until_at),
        created_at=row.created_at,
        calls_left=row.calls_left,
        seconds_left=row.seconds_left,
        position=_position(connection, row, now) if row.kind == "queue" else None,
    )
