"""JSON-RPC framing, the params of each request, rates, lanes and what is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gateway.app import messages, rpc
from gateway.app.kept import MAX_KEPT, Kept, Message
from gateway.app.lanes import MAX_WAITING, Lanes
from gateway.app.rates import TokenBucket
from gateway.app.rpc import RpcFailure


def refused(text: str) -> RpcFailure:
    with pytest.raises(RpcFailure) as caught:
        rpc.parse(text)
    return caught.value


@pytest.mark.parametrize(
    "text",
    ["", "{", "nul", '{"id": NaN}', "[" * 60_000, '"\\ud800"', '{"id":' + "9" * 5000 + "}"],
)
def test_what_is_not_json_is_a_parse_error(text: str) -> None:
    assert refused(text).code == -32700
    assert refused(text).id is None


@pytest.mark.parametrize(
    ("message", "id_"),
    [
        ([], None),
        ([{"jsonrpc": "2.0", "id": 1, "method": "a"}], None),
        ("text", None),
        ({"id": 1, "method": "a"}, 1),
        ({"jsonrpc": "1.0", "id": "x", "method": "a"}, "x"),
        ({"jsonrpc": "2.0", "id": 1}, 1),
        ({"jsonrpc": "2.0", "id": 1, "method": 7}, 1),
        ({"jsonrpc": "2.0", "id": 1, "method": ""}, 1),
        ({"jsonrpc": "2.0", "id": 1, "method": "a", "params": "text"}, 1),
        ({"jsonrpc": "2.0", "id": 1, "method": "a", "extra": 1}, 1),
        ({"jsonrpc": "2.0", "id": True, "method": "a"}, None),
        ({"jsonrpc": "2.0", "id": [1], "method": "a"}, None),
        ({"jsonrpc": "2.0", "id": "x" * 129, "method": "a"}, None),
        ({"jsonrpc": "2.0", "id": 1, "result": {}}, 1),
    ],
)
def test_what_is_no_request_is_refused_with_its_id(message: Any, id_: Any) -> None:
    failure = refused(json.dumps(message))
    assert (failure.code, failure.id) == (-32600, id_)


@pytest.mark.parametrize("id_", ["", "a", 0, -7, 1.5, None])
def test_ids_are_strings_numbers_or_null(id_: Any) -> None:
    request = rpc.parse(json.dumps({"jsonrpc": "2.0", "id": id_, "method": "a"}))
    assert (request.id, request.answered, request.params) == (id_, True, {})


def test_without_an_id_it_is_a_notification() -> None:
    assert not rpc.parse('{"jsonrpc":"2.0","method":"a"}').answered


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        rpc.parse(text)
    except RpcFailure as failure:
        assert failure.code in (-32700, -32600)


def fields(model: type[messages.Params], params: Any) -> dict[str, str]:
    with pytest.raises(RpcFailure) as caught:
        messages.read(model, params)
    assert caught.value.code == -32602
    assert caught.value.data is not None
    return {e["field"]: e["problem"] for e in caught.value.data["errors"]}


def test_every_bad_field_is_named_once() -> None:
    found = fields(messages.CallInvite, {"to": "nobody", "sdp": 7, "more": 1})
    assert found.keys() == {"to", "sdp", "more"}
    assert "user:HANDLE" in found["to"]
    assert found["more"] == "no such member"
    assert fields(messages.CallDtmf, {}) == {"call": "is missing", "digits": "is missing"}
    assert fields(messages.CallInvite, ["user:bob"]).keys() == {"params"}


@pytest.mark.parametrize(
    ("model", "params"),
    [
        (messages.CallDtmf, {"call": "c", "digits": "1E"}),
        (messages.CallDtmf, {"call": "c", "digits": "1\n"}),
        (messages.CallDtmf, {"call": "c", "digits": ""}),
        (messages.CallDtmf, {"call": "c", "digits": "1" * 33}),
        (messages.CallDtmf, {"call": "c", "digits": "1", "duration_ms": 39}),
        (messages.CallDtmf, {"call": "c", "digits": "1", "duration_ms": 2001}),
        (messages.CallDtmf, {"call": "c", "digits": "1", "duration_ms": "160"}),
        (messages.CallMute, {"call": "c", "muted": 1}),
        (messages.CallHold, {"call": "c", "held": "true"}),
        (messages.CallDecline, {"call": "c", "reason": "no"}),
        (messages.CallHangup, {"call": "c" * 65}),
        (messages.CallHangup, {"call": "c\n"}),
        (messages.HistoryList, {"limit": 101}),
        (messages.HistoryList, {"limit": 0}),
        (messages.HistoryList, {"with": "bob"}),
        (messages.HistoryList, {"with_": "user:bob"}),
        (messages.CallInvite, {"to": "user:bob", "thread": "a\x00b"}),
        (messages.CallMedia, {"call": "c", "sdp": ""}),
    ],
)
def test_bounds_of_params(model: type[messages.Params], params: Any) -> None:
    assert len(fields(model, params)) == 1


def test_good_params() -> None:
    dtmf = messages.read(messages.CallDtmf, {"call": "c", "digits": "19A,D*#"})
    assert dtmf.duration_ms == 160
    page = messages.read(messages.HistoryList, {"with": "tel:+4930123456", "missed": True})
    assert (str(page.with_), page.limit, page.missed) == ("tel:+4930123456", 50, True)


def test_a_bucket_gives_its_burst_then_its_rate() -> None:
    clock = Clock()
    bucket = TokenBucket(2, 3, clock)
    assert [bucket.take() for _ in range(4)] == [0, 0, 0, 0.5]
    clock.advance(0.5)
    assert bucket.take() == 0
    assert bucket.take() > 0
    assert not bucket.full
    clock.advance(2)
    assert bucket.full


def test_requests_are_worked_on_in_order_and_long_ones_hold_up_none() -> None:
    lanes, log = Lanes(), []
    waits: dict[str, Deferred[None]] = {
        n: Deferred() for n in ("accept", "dtmf", "dtmf2", "hangup")
    }

    def submit(name: str, *, long: bool = False) -> bool:
        async def job() -> None:
            log.append(f"{name} begins")
            await waits[name]
            log.append(f"{name} ends")

        return lanes.submit(job, long=long, full=lambda: log.append("full"))

    submit("accept")
    submit("dtmf", long=True)
    submit("dtmf2", long=True)
    submit("hangup")
    assert log == ["accept begins"]
    waits["accept"].callback(None)
    assert log[1:] == ["accept ends", "dtmf begins", "hangup begins"]
    waits["hangup"].callback(None)
    waits["dtmf"].callback(None)
    assert log[4:] == ["hangup ends", "dtmf ends", "dtmf2 begins"]


def test_lanes_are_bounded_and_close() -> None:
    lanes, begun = Lanes(), []
    first: Deferred[None] = Deferred()

    async def job() -> None:
        begun.append(1)
        await first

    taken = [lanes.submit(job, long=False, full=lambda: None) for _ in range(MAX_WAITING + 2)]
    assert taken == [True] * (MAX_WAITING + 1) + [False]
    lanes.close()
    first.callback(None)
    assert begun == [1]


def test_what_is_kept_is_bounded_and_the_least_important_goes_first() -> None:
    kept = Kept()
    kept.add(Message("a"))
    kept.add(Message("digit", once=True))
    for n in range(MAX_KEPT - 1):
        kept.add(Message(str(n)))
    told = [m.text for m in kept.told_again()]
    assert told == ["a", *map(str, range(MAX_KEPT - 1))]
    kept.add(Message("last"))
    assert next(m.text for m in kept.told_again()) == "0"
    kept.confirmed(kept.last)
    assert len(kept) == 0


def test_what_may_be_told_once_is_told_once() -> None:
    kept = Kept()
    kept.add(Message("digit", once=True))
    kept.add(Message("ended"))
    assert [m.text for m in kept.told_again()] == ["digit", "ended"]
    assert [m.text for m in kept.told_again()] == ["ended"]
