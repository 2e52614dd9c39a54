"""Calls that are now, and the records of all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal, Self

from pydantic import Field

from gateway.api.operation import (
    AddressText,
    Asked,
    Body,
    CallName,
    Cursor,
    Handle,
    Limit,
    Line,
    Operation,
    Reply,
    Request,
    Shown,
)
from gateway.api.problems import Refused
from gateway.calls.event_ports import CallState, told
from gateway.calls.record import CallRecord, Doing
from gateway.calls.server_ports import RecordBook, RecordFilter, ServerCalls
from gateway.errors import NoSuchCall
from gateway.values import CallId, Direction, Party, Reason, UserAddress, parse_address

EndReason = Literal["completed", "cancelled", "limit_reached", "moderated", "gateway_error"]


READ: Final = "calls:read"
WRITE: Final = "calls:write"


class CallAcceptance(Shown):
    """``means`` is by what act: ``app_accept``, ``sip_answer`` and others."""

    at: float
    means: str
    by: str


class CallParty(Shown):
    address: str
    name: str
    accepted: CallAcceptance | None = None
    codec: str | None = None


class CallChange(Shown):
    """``by`` and ``to`` are ``caller``, ``callee``, or the call by which one was added."""

    at: float
    what: Doing
    by: str
    to: str | None = None
    on: bool = True


class Call(Shown):
    """Times are seconds since the epoch."""

    call: str
    state: CallState
    direction: Direction
    caller: CallParty
    callee: CallParty
    thread: str | None = None
    created_at: float
    ringing_at: float | None = None
    connected_at: float | None = None
    ended_at: float | None = None
    duration_s: float = Field(0.0, description="of talk, of a call that has ended")
    reason: Reason | None = None
    ended_by: Party | None = None
    group: str | None = Field(None, description="the call that this one was to add callee to")
    changes: list[CallChange] | None = Field(None, description="of the group that it became")

    @classmethod
    def of(cls, r: CallRecord) -> Self:
        return cls.model_validate(told(r))


class Calls(Shown):
    """``next``, where there is more, is the cursor of the next page."""

    calls: list[Call]
    next: str | None = None


class CallCreate(Body):
    """``caller`` is rung first; once they accept, ``callee`` is called."""

    caller: Handle
    callee: AddressText
    thread: Annotated[Line, Field(min_length=1)] | None = None


class CallEnd(Body):
    reason: EndReason | None = Field(None, description="null: completed, or cancelled")


class OfCall(Asked):
    call: CallName


class ActiveQuery(Asked):
    after: CallName | None = None
    limit: Limit = 50


class RecordQuery(Asked):
    party: AddressText | None = None
    direction: Direction | None = None
    reason: Reason | None = None
    since: Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)] | None = None
    until: Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)] | None = None
    before: Cursor | None = None
    limit: Limit = 50


class CallResource:
    def __init__(self, calls: ServerCalls, book: RecordBook) -> None:
        self._calls = calls
        self._book = book

    def operations(self) -> Sequence[Operation]:
        one, record = "/v1/calls/{call}", "/v1/records/{call}"
        end = f"{one}/end"
        # fmt: off
        return (
            Operation("createCall", "Call two people", "POST", "/v1/calls", WRITE, self._create,
                      Call, 201, body=CallCreate),
            Operation("listCalls", "Calls that are now, oldest first", "GET", "/v1/calls", READ,
                      self._active, Calls, query=ActiveQuery),
            Operation("getCall", "A call", "GET", one, READ, self._one, Call,
                      path=OfCall, refuses=(404,)),
            Operation("endCall", "End a call", "POST", end, WRITE, self._end, Call, path=OfCall,
                      body=CallEnd, refuses=(404,)),
            Operation("listRecords", "Records of calls, newest first", "GET", "/v1/records", READ,
                      self._records, Calls, query=RecordQuery),
            Operation("getRecord", "The record of a call", "GET", record, READ, self._record, Call,
                      path=OfCall, refuses=(404,)),
        )
        # fmt: on

    async def _create(self, r: Request) -> Reply:
        caller, callee = UserAddress(r.body.caller), parse_address(r.body.callee)
        if caller == callee:
            raise Refused(403, "caller and callee are the same")
        made = await self._calls.place(caller, callee, r.body.thread)
        return Reply(Call.of(made), f"/v1/records/{made.call}")

    async def _active(self, r: Request) -> Reply:
        found = list(self._calls.active())
        names = [c.call for c in found]
        if r.query.after is not None:
            after = CallId(r.query.after)
            found = found[names.index(after) + 1 :] if after in names else []
        page = found[: r.query.limit]
        more = len(found) > len(page)
        return Reply(Calls(calls=[Call.of(c) for c in page], next=page[-1].call if more else None))

    async def _one(self, r: Request) -> Reply:
        for record in self._calls.active():
            if record.call == r.path.call:
                return Reply(Call.of(record))
        return await self._record(r)

    async def _end(self, r: Request) -> Reply:
        reason = None if r.body.reason is None else Reason(r.body.reason)
        call = CallId(r.path.call)
        try:
            return Reply(Call.of(self._calls.end_by_server(call, reason)))
        except NoSuchCall:
            if await self._book.record(call) is None:
                raise
        raise Refused(409, "the call is over")

    async def _records(self, r: Request) -> Reply:
        q = r.query
        party = None if q.party is None else parse_address(q.party)
        which = RecordFilter(party, q.direction, q.reason, q.since, q.until)
        page = await self._book.records(which, q.before, q.limit)
        return Reply(Calls(calls=[Call.of(c) for c in page.records], next=page.next))

    async def _record(self, r: Request) -> Reply:
        found = await self._book.record(CallId(r.path.call))
        if found is None:
            raise Refused(404, "no such call")
        return Reply(Call.of(found))
