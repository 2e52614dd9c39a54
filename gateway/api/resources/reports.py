"""Complaints about calls, for those who settle them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from gateway.api.operation import (
    AddressText,
    Asked,
    Body,
    Cursor,
    Limit,
    Line,
    Operation,
    Reply,
    Request,
    Shown,
)
from gateway.api.problems import Refused
from gateway.calls.review_ports import Bans, Category, Report, ReportQueue, ReportState
from gateway.values import parse_address

READ: Final = "reports:read"
WRITE: Final = "reports:write"


class ReportShown(Shown):
    """``frozen`` is the call's record as it was when it was reported."""

    id: str
    call: str
    by: str
    about: str
    category: Category
    comment: str
    at: float
    state: ReportState
    settled_at: float | None = None
    note: str
    frozen: dict[str, Any]


class Reports(Shown):
    reports: list[ReportShown]
    next: str | None = None


class ReportSettle(Body):
    """``ban``: whom an upheld report is about may neither call nor be called any more."""

    state: Literal["upheld", "dismissed"]
    ban: bool = False
    note: Annotated[Line, Field(max_length=200)] = ""


class BanShown(Shown):
    person: str
    report: str
    since: float


class BansShown(Shown):
    bans: list[BanShown]


class BansQuery(Asked):
    after: AddressText | None = None
    limit: Limit = 50


class OfBan(Asked):
    address: AddressText


class OfReport(Asked):
    id: Annotated[str, Field(pattern=r"^[a-z0-9]{1,64}$")]


class ReportsQuery(Asked):
    state: Literal["open", "upheld", "dismissed"] | None = None
    before: Cursor | None = None
    limit: Limit = 50


class ReportResource:
    def __init__(self, reports: ReportQueue, bans: Bans, now: Callable[[], float]) -> None:
        self._reports = reports
        self._bans = bans
        self._now = now

    def operations(self) -> Sequence[Operation]:
        one = "/v1/reports/{id}"
        # fmt: off
        return (
            Operation("listReports", "Reports, newest first", "GET", "/v1/reports", READ,
                      self._list, Reports, query=ReportsQuery),
            Operation("getReport", "A report", "GET", one, READ, self._one, ReportShown,
                      path=OfReport, refuses=(404,)),
            Operation("settleReport", "Settle a report", "PATCH", one, WRITE, self._settle,
                      ReportShown, path=OfReport, body=ReportSettle, refuses=(404,)),
            Operation("listBans", "Who may not call at all", "GET", "/v1/bans", READ,
                      self._banned, BansShown, query=BansQuery),
            Operation("liftBan", "Lift a ban", "DELETE", "/v1/bans", WRITE, self._lift,
                      status=204, query=OfBan, refuses=(404,)),
        )
        # fmt: on

    async def _list(self, r: Request) -> Reply:
        page = await self._reports.reports(r.query.state, r.query.before, r.query.limit)
        return Reply(Reports(reports=[_shown(f) for f in page.reports], next=page.next))

    async def _one(self, r: Request) -> Reply:
        return _reply(await self._reports.report_of(r.path.id))

    async def _settle(self, r: Request) -> Reply:
        b, now = r.body, self._now()
        settled = await self._reports.settle(r.path.id, b.state, b.note, now)
        if settled is not None and b.ban and b.state == "upheld":
            await self._bans.ban(settled.about, settled.id, now)
        return _reply(settled)

    async def _banned(self, r: Request) -> Reply:
        found = await self._bans.bans(r.query.after, r.query.limit)
        shown = [BanShown(person=str(b.person), report=b.report, since=b.since) for b in found]
        return Reply(BansShown(bans=shown))

    async def _lift(self, r: Request) -> Reply:
        if not await self._bans.lift(parse_address(r.query.address)):
            raise Refused(404, "no such ban")
        return Reply()


def _reply(found: Report | None) -> Reply:
    if found is None:
        raise Refused(404, "no such report")
    return Reply(_shown(found))


def _shown(r: Report) -> ReportShown:
    return ReportShown(
        id=r.id,
        call=r.call,
        by=str(r.by),
        about=str(r.about),
        category=r.category,
        comment=r.comment,
        at=r.at,
        state=r.state,
        settled_at=r.settled_at,
        note=r.note,
        frozen=r.frozen,
    )
