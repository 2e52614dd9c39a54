"""The query behind ``history.list``: two walks along an index, each no longer than the page."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Float,
    Integer,
    Select,
    String,
    and_,
    bindparam,
    func,
    or_,
    select,
    tuple_,
    union_all,
)

from gateway.policy.permission import BLOCKED
from gateway.store.cursor import Place
from gateway.store.schema import calls
from gateway.values import Address, Party, Reason


def page_query(
    me: str, after: Place | None, limit: int, with_: Address | None, missed: bool | None
) -> tuple[Select[Any], dict[str, Any]]:
    """Calls made by ``me`` and calls that came in, newest first, older than ``after``.

    The statement, and what is asked of it.
    """
    asked: dict[str, Any] = {"me": me, "most": limit}
    if with_ is not None:
        asked["with"] = str(with_)
    if after is not None:
        asked |= {"before_at": after[0], "before_call": after[1]}
    return _statement(after is not None, with_ is not None, missed), asked


@cache
def _statement(after: bool, with_: bool, missed: bool | None) -> Select[Any]:
    """Made once for each kind: making it takes many times as long as the database does."""
    me, other = bindparam("me", type_=String), bindparam("with", type_=String)
    most = bindparam("most", type_=Integer)
    made = and_(calls.c.caller == me, ~calls.c.caller_hid)
    came = and_(calls.c.callee == me, calls.c.caller != me, ~calls.c.callee_hid)
    if with_:
        made = and_(made, calls.c.callee == other)
        came = and_(came, calls.c.caller == other)
    if missed is not None:
        came = and_(came, was_missed() if missed else ~was_missed())
    # only what came in can be missed
    ways = [came] if missed else [made, came]
    # an OR over both columns would sort every call of a person before the first is shown
    both = union_all(*(_newest(way, after, most) for way in ways)).subquery()
    return select(both).order_by(both.c.created_at.desc(), both.c.call.desc()).limit(most)


def was_missed() -> ColumnElement[bool]:
    """Came in, was answered neither here nor elsewhere, was not declined by who was called.

    Whom one has blocked one does not miss.
    """
    declined = and_(
        func.coalesce(calls.c.ended_by, "") == str(Party.CALLEE),
        func.coalesce(calls.c.reason, "").in_([str(Reason.DECLINED), str(Reason.BUSY)]),
    )
    return and_(
        calls.c.ended_at.is_not(None),
        calls.c.connected_at.is_(None),
        calls.c.callee_accepted_at.is_(None),
        func.coalesce(calls.c.verdict, "") != BLOCKED,
        ~or_(declined, func.coalesce(calls.c.reason, "") == str(Reason.ANSWERED_ELSEWHERE)),
    )


def _newest(which: ColumnElement[bool], after: bool, most: BindParameter[int]) -> Select[Any]:
    query = select(calls, was_missed().label("missed")).where(which)
    if after:
        key = tuple_(calls.c.created_at, calls.c.call)
        place = bindparam("before_at", type_=Float), bindparam("before_call", type_=String)
        query = query.where(key < tuple_(*place))
    newest = query.order_by(calls.c.created_at.desc(), calls.c.call.desc()).limit(most)
    # SQLite takes an order and a limit inside of a union only in a query of its own
    return select(newest.subquery())
