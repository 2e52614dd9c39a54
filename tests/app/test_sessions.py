"""Sessions that outlive their sockets, and the requests of signed-in clients."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gateway.calls.events import Dtmf, Ended, Ringing
from gateway.calls.record import HistoryItem
from gateway.errors import (
    GatewayError,
    NoCapacity,
    NoSuchCall,
    NotAllowed,
    RateLimited,
    SdpUnusable,
    StoreUnavailable,
    WrongState,
)
from gateway.values import CallId, Party, Reason, SipAddress, UserAddress
from tests.app.scripted import Server, Started, WsClient, settings
from tests.peers.waiting import pause, until


def tell(server: Server, *calls: str, user: str = "alice") -> None:
    for client in server.sessions.clients_of(user):
        for call in calls:
            server.sessions.notify(client.id, Ringing(call=CallId(call)))


def rung(client: WsClient) -> list[str]:
    return [m["params"]["call"] for m in client.frames.seen if m.get("method") == "call.ringing"]


async def detached(server: Server, client: WsClient) -> None:
    client.drop()
    session = next(s for s in server.sessions._sessions.values() if s.name == client.session)
    await until(lambda: session.state == "detached", "detached", 5)


@pytest_twisted.ensureDeferred
async def test_what_happened_meanwhile_is_told_in_order_after_resuming(started: Started) -> None:
    server = await started()
    client = await server.client()
    (before,) = server.sessions.clients_of("alice")
    await detached(server, client)
    expected = [f"c{n}" for n in range(300)]
    tell(server, *expected)
    again = await server.socket()
    answer = await again.open(server.token(), resume=client.session)
    assert answer["result"]["session"] == client.session
    await until(lambda: rung(again)[-1:] == ["c299"], "the last", 5)
    assert rung(again) == expected[-256:]
    assert again.frames.seen[0] is answer  # the answer comes first
    assert server.sessions.clients_of("alice") == [before] or (
        server.sessions.clients_of("alice")[0].id == before.id
    )
    joined = [a for a in server.calls.asked.seen if a[0] == "joined"]
    assert len(joined) == 1


@pytest_twisted.ensureDeferred
async def test_what_a_dead_socket_swallowed_is_told_again_but_no_digit_twice(
    started: Started,
) -> None:
    server = await started()
    client = await server.client()
    tell(server, "arrived")
    await client.event("call.ringing")
    await pause(0.05)  # its pong
    client.protocol.transport.pauseProducing()  # from now it hears nothing
    tell(server, "swallowed")
    (who,) = server.sessions.clients_of("alice")
    server.sessions.notify(who.id, Dtmf(call=CallId("c1"), digit="5", duration_ms=100))
    again = await server.socket()
    await again.open(server.token(), resume=client.session)
    tell(server, "new")
    await until(lambda: rung(again)[-1:] == ["new"], "the new event", 5)
    assert rung(again) == ["swallowed", "new"]
    assert not any(m.get("method") == "call.dtmf" for m in again.frames.seen)


@pytest_twisted.ensureDeferred
async def test_digits_that_were_never_sent_are_told_after_resuming(started: Started) -> None:
    server = await started()
    client = await server.client()
    await detached(server, client)
    (who,) = server.sessions.clients_of("alice")
    server.sessions.notify(who.id, Dtmf(call=CallId("c1"), digit="5", duration_ms=100))
    again = await server.socket()
    await again.open(server.token(), resume=client.session)
    assert (await again.event("call.dtmf"))["digit"] == "5"


@pytest_twisted.ensureDeferred
async def test_the_answer_to_a_request_under_way_comes_after_resuming(started: Started) -> None:
    server = await started()
    made: Deferred[CallId] = Deferred()
    server.calls.answers["invite"] = made
    client = await server.client()
    id_ = client.begin("call.invite", {"to": "user:bob"})
    await server.calls.was("invite")
    await detached(server, client)
    made.callback(CallId("c7"))
    again = await server.socket()
    again._next = id_ + 1
    await again.open(server.token(), resume=client.session)
    assert (await again.answer(id_))["result"] == {"call": "c7", "state": "inviting"}


@pytest_twisted.ensureDeferred
async def test_a_second_socket_displaces_the_first(started: Started) -> None:
    server = await started()
    first = await server.client()
    second = await server.socket()
    await second.open(server.token(), resume=first.session)
    assert await first.event("session.displaced") == {"by": "signed_in_elsewhere"}
    assert await first.closed() == 4409
    await pause(0.05)
    tell(server, "c1")
    await second.event("call.ringing")
    assert rung(first) == []
    assert not any(a[0] == "gone" for a in server.calls.asked.seen)


@pytest_twisted.ensureDeferred
async def test_only_the_same_person_with_the_secret_resumes(started: Started) -> None:
    server = await started()
    client = await server.client()
    public = client.session.partition(".")[0]
    for user, resume in (
        ("bob", client.session),
        ("alice", public + "." + "0" * 48),
        ("alice", public),
        ("alice", "é.1"),
    ):
        other = await server.socket()
        answer = await other.open(server.token(user), resume=resume)
        assert answer["result"]["session"] != client.session
    assert client.closes.seen == []


@pytest_twisted.ensureDeferred
async def test_after_the_grace_the_session_is_gone(started: Started) -> None:
    clock = Clock()
    server = await started(settings(reconnect_grace_s=10), clock=clock)
    client = await server.client()
    (who,) = server.sessions.clients_of("alice")
    await detached(server, client)
    clock.advance(9.9)
    assert len(server.sessions) == 1
    clock.advance(0.2)
    await server.calls.was("gone", who.id)
    again = await server.socket()
    answer = await again.open(server.token(), resume=client.session)
    assert answer["result"]["session"] != client.session
    server.sessions.notify(who.id, Ringing(call=CallId("c1")))  # unknown by now: ignored


@pytest_twisted.ensureDeferred
async def test_an_expired_token_closes_the_socket_and_a_fresh_one_resumes(started: Started) -> None:
    clock = Clock()
    server = await started(clock=clock)
    client = await server.socket()
    await client.open(server.token(ttl_s=15))
    renewed = await server.socket()
    await renewed.open(server.token("bob", ttl_s=15))
    answer = await renewed.open(server.token("bob", ttl_s=3600), resume=renewed.session)
    assert answer["result"]["session"] == renewed.session
    clock.advance(16)
    assert await client.closed() == 4401
    again = await server.socket()
    stale = await again.open(server.token(ttl_s=1), resume=client.session)
    assert stale["result"]["session"] == client.session
    assert renewed.closes.seen == []
    assert not any(a[0] == "gone" for a in server.calls.asked.seen)


@pytest_twisted.ensureDeferred
async def test_an_open_session_is_not_opened_again(started: Started) -> None:
    server = await started()
    client = await server.client()
    answer = await client.ask("session.open", {"token": server.token()})
    assert answer["error"]["code"] == 4409
    assert answer["error"]["data"] == {"state": "open"}
    other = await client.ask(
        "session.open", {"token": server.token("bob"), "resume": client.session}
    )
    assert other["error"]["code"] == 4409


@pytest_twisted.ensureDeferred
async def test_each_request_reaches_the_calls(started: Started) -> None:
    server = await started()
    server.calls.answers["media"] = "v=0 answer"
    client = await server.client()
    asked = {
        "call.invite": {"to": "tel:+4930123456", "thread": "t1", "sdp": "v=0"},
        "call.accept": {"call": "c1", "sdp": "v=0"},
        "call.decline": {"call": "c1", "reason": "busy"},
        "call.hangup": {"call": "c1"},
        "call.mute": {"call": "c1", "muted": True},
        "call.hold": {"call": "c1", "held": False},
        "call.dtmf": {"call": "c1", "digits": "12,#", "duration_ms": 100},
        "call.media": {"call": "c1", "sdp": "v=0"},
    }
    results = {m: (await client.ask(m, params))["result"] for m, params in asked.items()}
    assert results.pop("call.invite") == {"call": "c1", "state": "inviting"}
    assert results.pop("call.media") == {"sdp": "v=0 answer"}
    assert all(result == {} for result in results.values())
    assert [a for a in server.calls.asked.seen if a[0] != "joined"] == [
        ("invite", "alice", "tel:+4930123456", "t1", "v=0"),
        ("accept", "alice", "c1", "v=0"),
        ("decline", "alice", "c1", "busy"),
        ("hangup", "alice", "c1"),
        ("mute", "alice", "c1", True),
        ("hold", "alice", "c1", False),
        ("dtmf", "alice", "c1", "12,#", 100),
        ("media", "alice", "c1", "v=0"),
    ]


@pytest.mark.parametrize(
    ("error", "code", "data"),
    [
        (NotAllowed("no"), 4403, None),
        (NoSuchCall(), 4404, None),
        (WrongState("call.accept", "ended"), 4409, {"state": "ended"}),
        (RateLimited("calls", 2.25), 4429, {"retry_after_s": 2.2}),
        (SdpUnusable("no audio"), 4488, None),
        (NoCapacity("full"), 4503, None),
        (StoreUnavailable("disk"), 4503, None),
    ],
    ids=lambda v: type(v).__name__,
)
@pytest_twisted.ensureDeferred
async def test_errors_of_the_calls(
    started: Started, error: GatewayError, code: int, data: dict[str, object] | None
) -> None:
    server = await started()
    server.calls.answers["accept"] = error
    client = await server.client()
    answer = await client.ask("call.accept", {"call": "c1"})
    expected = {"code": code, "message": str(error)} | ({} if data is None else {"data": data})
    assert answer["error"] == expected


@pytest_twisted.ensureDeferred
async def test_a_fault_of_ours_is_told_as_such_and_the_socket_stays(
    started: Started, capsys: pytest.CaptureFixture[str]
) -> None:
    server = await started()
    server.calls.answers["hangup"] = KeyError("a detail of ours")
    client = await server.client()
    answer = await client.ask("call.hangup", {"call": "c1"})
    assert answer["error"]["code"] == -32603
    assert "detail" not in str(answer)
    assert "result" in await client.ask("call.mute", {"call": "c1", "muted": True})
    assert "a detail of ours" in capsys.readouterr().out


@pytest_twisted.ensureDeferred
async def test_digits_do_not_hold_up_hanging_up(started: Started) -> None:
    server = await started()
    sent: Deferred[None] = Deferred()
    server.calls.answers["dtmf"] = sent
    client = await server.client()
    digits = client.begin("call.dtmf", {"call": "c1", "digits": "123456789"})
    assert "result" in await client.ask("call.hangup", {"call": "c1"})
    assert not any(m.get("id") == digits for m in client.frames.seen)
    sent.callback(None)
    assert (await client.answer(digits))["result"] == {}


@pytest_twisted.ensureDeferred
async def test_requests_that_pile_up_are_refused(started: Started) -> None:
    server = await started(settings(requests_burst=200))
    stuck: Deferred[None] = Deferred()
    server.calls.answers["accept"] = stuck
    client = await server.client()
    first = client.begin("call.accept", {"call": "c1"})
    ids = [client.begin("call.hangup", {"call": "c1"}) for _ in range(65)]
    refused = await client.answer(ids[-1])
    assert refused["error"]["code"] == 4429
    stuck.callback(None)
    await client.answer(first)
    assert "result" in await client.answer(ids[-2])


@pytest_twisted.ensureDeferred
async def test_history(started: Started) -> None:
    server = await started()
    client = await server.client()
    phone, bob = SipAddress("1001", "dm.localhost"), UserAddress("bob")
    server.history.items = [
        HistoryItem(
            call=CallId("c2"),
            direction="out",
            with_=phone,
            with_name="Phone",
            at=20.5,
            thread="t",
            connected_at=22.0,
            reason=Reason.COMPLETED,
            duration_s=5.5,
        ),
        HistoryItem(
            call=CallId("c1"), direction="in", with_=bob, with_name="Bob", at=1.0, missed=True
        ),
    ]
    answer = await client.ask("history.list", {"limit": 2})
    assert answer["result"] == {
        "calls": [
            {
                "call": "c2",
                "direction": "out",
                "with": {"address": "sip:1001@dm.localhost", "name": "Phone"},
                "thread": "t",
                "at": 20.5,
                "connected_at": 22.0,
                "reason": "completed",
                "missed": False,
                "duration_s": 5.5,
            },
            {
                "call": "c1",
                "direction": "in",
                "with": {"address": "user:bob", "name": "Bob"},
                "at": 1.0,
                "missed": True,
                "duration_s": 0.0,
            },
        ]
    }
    answer = await client.ask(
        "history.list", {"limit": 1, "before": "x", "with": "user:bob", "missed": True}
    )
    assert server.history.asked[-1] == ("user:alice", "x", 1, "user:bob", True)
    server.history.error = StoreUnavailable("the disk is full")
    assert (await client.ask("history.list"))["error"]["code"] == 4503


@pytest_twisted.ensureDeferred
async def test_a_page_of_history_fits_in_a_frame(started: Started) -> None:
    server = await started()
    client = await server.client()
    server.history.items = [
        HistoryItem(
            call=CallId(f"c{n}"),
            direction="in",
            with_=UserAddress("bob"),
            with_name="ö" * 300,
            at=float(n),
            thread="ü" * 200,
        )
        for n in range(100)
    ]
    result = (await client.ask("history.list", {"limit": 100}))["result"]
    assert len(result["calls"]) == 50
    assert result["next"] == "more"


@pytest_twisted.ensureDeferred
async def test_events_in_wire_form(started: Started) -> None:
    server = await started()
    client = await server.client()
    (who,) = server.sessions.clients_of("alice")
    ended = Ended(
        call=CallId("c1"), reason=Reason.COMPLETED, by=Party.CALLEE, duration_s=3.5, at=9.0
    )
    server.sessions.notify(who.id, ended)
    assert await client.event("call.ended") == {
        "call": "c1",
        "reason": "completed",
        "by": "callee",
        "duration_s": 3.5,
        "at": 9.0,
    }
