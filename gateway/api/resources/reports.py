"""Complaints about calls, for those who settle them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from gateway.api.operation import (
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
from gateway.calls.review_ports import Category, Report, ReportQueue, ReportState

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
    state: Literal["upheld", "dismissed"]
    note: Annotated[Line, Field(max_length=200)] = ""


class OfReport(Asked):
    id: Annotated[str, Field(pattern=r"^[a-z0-9]{1,64}$")]


class ReportsQuery(Asked):
    state: Literal["open", "upheld", "dismissed"] | None = None
    before: Cursor | None = None
    limit: Limit = 50


class ReportResource:
    def __init__(self, reports: ReportQueue, now: Callable[[], float]) -> None:
        self._reports = reports
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
        )
        # fmt: on

    async def _list(self, r: Request) -> Reply:
        page = await self._reports.reports(r.query.state, r.query.before, r.query.limit)
        return Reply(Reports(reports=[_shown(f) for f in page.reports], next=page.next))

    async def _one(self, r: Request) -> Reply:
        return _reply(await self._reports.report_of(r.path.id))

    async def _settle(self, r: Request) -> Reply:
        b, now = r.body, self._now()
        return _reply(await self._reports.settle(r.path.id, b.state, b.note, now))


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
