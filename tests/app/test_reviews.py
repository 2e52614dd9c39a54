"""What people say of calls that are over, as the socket takes it."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from tests.app.scripted import Started

NO_CALL = {"code": 4404, "message": "no such call"}


@pytest_twisted.ensureDeferred
async def test_feedback(started: Started) -> None:
    server = await started()
    alice = await server.client()
    params = {"call": "c1", "score": 2, "tags": ["echo", "delay", "echo"], "comment": "far\naway"}
    assert (await alice.ask("call.feedback", params))["result"] == {}
    (rating,) = server.reviews.ratings
    assert (str(rating.by), rating.score, rating.tags) == ("user:alice", 2, ("echo", "delay"))
    assert rating.comment == "far\naway"
    assert server.reviews.metered == [("app_to_sip", 2, ("echo", "delay"))]
    not_mine = await alice.ask("call.feedback", {"call": "c2", "score": 5})
    assert not_mine["error"] == NO_CALL


@pytest.mark.parametrize(
    ("method", "params", "fields"),
    [
        ("call.feedback", {"call": "c1"}, ["score"]),
        ("call.feedback", {"call": "c1", "score": 0}, ["score"]),
        ("call.feedback", {"call": "c1", "score": 6}, ["score"]),
        ("call.feedback", {"call": "c1", "score": True}, ["score"]),
        ("call.feedback", {"call": "c1", "score": 3, "tags": ["slow"]}, ["tags.0"]),
        ("call.feedback", {"call": "c1", "score": 3, "comment": "a\0"}, ["comment"]),
        ("call.feedback", {"call": "c1", "score": 3, "comment": "x" * 1001}, ["comment"]),
        ("call.report", {"call": "c1"}, ["category"]),
        ("call.report", {"call": "c1", "category": "dull"}, ["category"]),
        ("call.report", {"call": "c1", "category": "spam", "block": 1}, ["block"]),
        ("history.delete", {}, ["params"]),
        ("history.delete", {"all": False}, ["all"]),
        ("history.delete", {"all": True, "calls": ["c1"]}, ["params"]),
        ("history.delete", {"calls": []}, ["calls"]),
        ("history.delete", {"calls": ["a b"]}, ["calls.0"]),
        ("history.delete", {"calls": ["c"] * 101}, ["calls"]),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_refused(
    started: Started, method: str, params: dict[str, Any], fields: list[str]
) -> None:
    server = await started()
    alice = await server.client()
    error = (await alice.ask(method, params))["error"]
    assert error["code"] == -32602
    assert [e["field"] for e in error["data"]["errors"]] == fields


@pytest_twisted.ensureDeferred
async def test_a_report(started: Started) -> None:
    server = await started()
    alice = await server.client()
    params = {"call": "c1", "category": "threat", "block": True}
    assert (await alice.ask("call.report", params))["result"] == {"report": "r1"}
    ((report, block),) = server.reviews.told
    assert (str(report.by), report.category, block) == ("user:alice", "threat", True)
    assert server.reviews.metered == [("threat",)]
    not_mine = await alice.ask("call.report", {"call": "c2", "category": "spam"})
    assert not_mine["error"] == NO_CALL
    assert len(server.reviews.told) == 1


@pytest_twisted.ensureDeferred
async def test_deleting_from_ones_own_view(started: Started) -> None:
    server = await started()
    alice = await server.client()
    answer = await alice.ask("history.delete", {"calls": ["c1", "c2"]})
    assert answer["result"] == {"deleted": 2}
    assert server.history.asked[-1] == ("user:alice", ["c1", "c2"])
    await alice.ask("history.delete", {"all": True})
    assert server.history.asked[-1] == ("user:alice", None)
