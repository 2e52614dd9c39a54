"""What people do with calls that are over: rate them, report them, delete them from their view."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from gateway.app import messages
from gateway.calls.ports import History
from gateway.calls.review_ports import Rating, Report, ReviewMeters, Reviews
from gateway.errors import NoSuchCall
from gateway.values import CallId, Client

log = structlog.get_logger()

Result = dict[str, Any]
Work = Callable[[], Awaitable[Result]]
Reported = Callable[[Report, bool], Awaitable[None]]
"""Told of each report, and whether who reported wants never to hear of the other side again."""


class ReviewMethods:
    def __init__(
        self,
        reviews: Reviews,
        history: History,
        meters: ReviewMeters,
        now: Callable[[], float],
        reported: Reported,
    ) -> None:
        self._reviews = reviews
        self._history = history
        self._meters = meters
        self._now = now
        self._reported = reported

    def feedback(self, client: Client, params: Any) -> Work:
        m = messages.read(messages.CallFeedback, params)
        tags = tuple(dict.fromkeys(m.tags))

        async def work() -> Result:
            who = client.principal.address
            rating = Rating(m.id, who, m.score, tags, m.comment, self._now())
            direction = await self._reviews.rate(rating)
            if direction is None:
                raise NoSuchCall
            self._meters.rated(direction, m.score, tags)
            return {}

        return work

    def report(self, client: Client, params: Any) -> Work:
        m = messages.read(messages.CallReport, params)

        async def work() -> Result:
            who = client.principal.address
            made = await self._reviews.report(m.id, who, m.category, m.comment, self._now())
            if made is None:
                raise NoSuchCall
            self._meters.reported(made.category)
            log.info("call_reported", call=m.id, report=made.id, category=made.category)
            await self._reported(made, m.block)
            return {"report": made.id}

        return work

    def delete(self, client: Client, params: Any) -> Work:
        m = messages.read(messages.HistoryDelete, params)
        these = None if m.calls is None else [CallId(call) for call in m.calls]

        async def work() -> Result:
            return {"deleted": await self._history.hide(client.principal.address, these)}

        return work
