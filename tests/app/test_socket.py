"""The transport rules of ``/v1/dm``, over real sockets."""

from __future__ import annotations

import json

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gateway.app.dm_socket import WAIT_BEHIND
from gateway.calls.events import Ringing
from gateway.values import CallId, Principal
from tests.app.scripted import Refused, Server, Started, settings
from tests.peers.waiting import pause, until

CALL = CallId("c1")


def told(server: Server, *calls: str, user: str = "alice") -> None:
    for client in server.sessions.clients_of(user):
        for call in calls:
            server.sessions.notify(client.id, Ringing(call=CallId(call)))


@pytest_twisted.ensureDeferred
async def test_the_subprotocol_is_required(started: Started) -> None:
    server = await started()
    for protocols in ((), ("other",)):
        with pytest.raises(Refused, match="400"):
            await server.socket(protocols=protocols)
    client = await server.socket(protocols=("other", "dm-call.v1"))
    assert client.protocol.websocket_protocol_in_use == "dm-call.v1"


@pytest_twisted.ensureDeferred
async def test_origins(started: Started) -> None:
    server = await started(settings(http={"allowed_origins": ["https://dm.example"]}))
    own = server.url
    for origin in (None, own, own.replace("http:", "https:"), "https://dm.example"):
        await server.socket(origin=origin)
    foreign = ("https://evil.example", "http://127.0.0.1:1", "http://dm.example", "null")
    for origin in foreign:
        with pytest.raises(Refused, match=r"40[03]"):
            await server.socket(origin=origin)


@pytest_twisted.ensureDeferred
async def test_opening_tells_who_one_is_and_the_limits(started: Started) -> None:
    server = await started()
    client = await server.socket()
    answer = await client.open(server.token(name="Alice"))
    result = answer["result"]
    assert result.keys() == {"session", "user", "ice_servers", "limits"}
    assert result["user"] == {"address": "user:alice", "name": "Alice"}
    assert result["ice_servers"] == []
    assert result["limits"]["frame_bytes"] == 65_536
    await server.calls.was("joined", "alice")
    assert len(result["session"]) > 40


@pytest_twisted.ensureDeferred
async def test_a_wrong_token_is_4401_and_says_no_more(started: Started) -> None:
    server = await started()
    client = await server.socket()
    answers = [
        await client.open("nonsense"),
        await client.open(server.token(ttl_s=60)[:-4] + "AAAA"),
    ]
    assert [a["error"] for a in answers] == [{"code": 4401, "message": "token refused"}] * 2
    assert "result" in await client.open(server.token())


@pytest_twisted.ensureDeferred
async def test_session_open_comes_first(started: Started) -> None:
    server = await started()
    client = await server.socket()
    answer = await client.ask("call.hangup", {"call": "c1"})
    assert answer["error"]["code"] == 4401
    assert await client.closed() == 4401


@pytest_twisted.ensureDeferred
async def test_session_open_comes_within_five_seconds(started: Started) -> None:
    clock = Clock()
    server = await started(clock=clock)
    late, prompt = await server.socket(), await server.client()
    clock.advance(4.9)
    assert (await late.ask("session.open", {}))["error"]["code"] == -32602
    clock.advance(0.2)
    assert await late.closed() == 4401
    assert (await prompt.ask("nothing"))["error"]["code"] == -32601


@pytest_twisted.ensureDeferred
async def test_json_rpc_errors(started: Started) -> None:
    server = await started()
    client = await server.client()
    client.say("{")
    assert (await client.answer(None))["error"]["code"] == -32700
    client.say([])
    await client.frames.expect(lambda m: m.get("error", {}).get("code") == -32600, "-32600")
    for method in ("call.join", "contacts.add", "settings.put", "session.close", "x"):
        assert (await client.ask(method))["error"]["code"] == -32601
    wrong = await client.ask("call.dtmf", {"call": "c1", "digits": "x", "more": 1})
    assert wrong["error"]["code"] == -32602
    named = [e["field"] for e in wrong["error"]["data"]["errors"]]
    assert sorted(named) == ["digits", "more"]
    assert client.closes.seen == []


@pytest_twisted.ensureDeferred
async def test_ids_come_back_as_they_went_and_notifications_get_no_answer(started: Started) -> None:
    server = await started()
    client = await server.client()
    client.say({"jsonrpc": "2.0", "method": "call.hangup", "params": {"call": "c9"}})
    await server.calls.was("hangup", "alice", "c9")
    for id_ in ("a string", 7.5, None):
        message = {"jsonrpc": "2.0", "id": id_, "method": "call.hangup", "params": {"call": "c1"}}
        client.say(message)
        assert await client.answer(id_) == {"jsonrpc": "2.0", "id": id_, "result": {}}
    assert len(client.frames.seen) == 4  # session.open, and the three


@pytest_twisted.ensureDeferred
async def test_ten_parse_errors_in_a_minute_close_with_1008(started: Started) -> None:
    clock = Clock()
    server = await started(clock=clock)
    slow, fast = await server.client(), await server.client("bob")
    for n in range(9):
        slow.say("nonsense")
        await slow.frames.expect_at(lambda m: "error" in m, "an error", since=1 + n)
    clock.advance(30)
    told(server, "alive")  # a ping and a pong: nobody is silent
    clock.advance(14)
    await pause(0.1)
    clock.advance(16)
    slow.say("nonsense")
    await slow.frames.expect_at(lambda m: "error" in m, "an error", since=11)
    assert slow.closes.seen == []
    for _ in range(10):
        fast.say("nonsense")
    assert await fast.closed() == 1008
    errors = [m for m in fast.frames.seen if m.get("error", {}).get("code") == -32700]
    assert len(errors) == 10


@pytest_twisted.ensureDeferred
async def test_frames_are_bounded_and_text(started: Started) -> None:
    server = await started()
    client = await server.client()
    frame = {"jsonrpc": "2.0", "id": 9, "method": "x", "params": {"a": ""}}
    room = 65_536 - len(json.dumps(frame))
    frame["params"] = {"a": "x" * room}
    client.say(frame)
    assert (await client.answer(9))["error"]["code"] == -32601
    frame["params"] = {"a": "x" * (room + 1)}
    client.say(frame)
    assert await client.closed() == 1009

    # in pieces it is too large as well
    pieces = await server.client("bob")
    pieces.protocol.sendMessage(b"x" * 70_000, fragmentSize=1000)
    assert await pieces.closed() == 1009
    binary = await server.client("carol")
    binary.protocol.sendMessage(b"{}", isBinary=True)
    assert await binary.closed() == 1003
    garbled = await server.client("dave")
    garbled.protocol.sendMessage(b"\xff\xfe")
    assert await garbled.closed() == 1007


@pytest_twisted.ensureDeferred
async def test_requests_are_counted_per_client(started: Started) -> None:
    clock = Clock()
    server = await started(settings(requests_per_s=2, requests_burst=3), clock=clock)
    client = await server.client()
    answers = [await client.ask("call.hangup", {"call": "c1"}) for _ in range(4)]
    assert ["result" in a for a in answers] == [True] * 3 + [False]
    error = answers[3]["error"]
    assert error["code"] == 4429
    assert error["data"] == {"retry_after_s": 0.5}
    clock.advance(0.5)
    assert "result" in await client.ask("call.hangup", {"call": "c1"})
    # coming back does not fill the bucket
    again = await server.socket()
    await again.open(server.token(), resume=client.session)
    assert (await again.ask("call.hangup", {"call": "c1"}))["error"]["code"] == 4429


@pytest_twisted.ensureDeferred
async def test_invites_are_counted_per_person(started: Started) -> None:
    clock = Clock()
    server = await started(settings(invites_per_minute=2), clock=clock)
    one, two = await server.client(), await server.client()
    codes = []
    for client in (one, two, one):
        answer = await client.ask("call.invite", {"to": "user:bob"})
        codes.append(answer.get("error", {}).get("code"))
    assert codes == [None, None, 4429]
    other = await server.client("bob")
    assert "result" in await other.ask("call.invite", {"to": "user:alice"})


@pytest_twisted.ensureDeferred
async def test_clients_are_bounded(started: Started) -> None:
    server = await started(settings(clients_per_user=1, max_clients=2))
    await server.client()
    second = await server.socket()
    assert (await second.open(server.token()))["error"]["code"] == 4429
    assert await second.closed() == 4429
    await server.client("bob")
    third = await server.socket()
    assert (await third.open(server.token("carol")))["error"]["code"] == 4503
    assert await third.closed() == 4503


@pytest_twisted.ensureDeferred
async def test_a_silent_client_is_detached_after_45_s_and_gone_after_the_grace(
    started: Started,
) -> None:
    clock = Clock()
    server = await started(clock=clock)
    talking, silent = await server.client("bob"), await server.client("alice")
    (client,) = server.sessions.clients_of("alice")
    silent.protocol.transport.pauseProducing()  # it hears no ping
    for _ in range(4):
        clock.advance(11)
        await pause(0.05)
    assert "result" in await talking.ask("call.hangup", {"call": "c1"})
    assert len(server.sessions.clients_of("alice")) == 1
    clock.advance(2)
    clock.advance(9)
    assert server.sessions.clients_of("alice") == [client]
    clock.advance(2)
    assert server.sessions.clients_of("alice") == []
    await server.calls.was("gone", client.id)
    assert len(server.sessions.clients_of("bob")) == 1
    assert talking.closes.seen == []


@pytest_twisted.ensureDeferred
async def test_a_slow_client_loses_its_socket_and_not_its_session(started: Started) -> None:
    server = await started()
    client = await server.client()
    client.protocol.transport.pauseProducing()
    long = "x" * 60_000
    for n in range(200):
        told(server, f"{n}{long}")
        if n % 20 == 0:
            await pause(0)
    session = next(iter(server.sessions._sessions.values()))
    await until(lambda: session.state == "detached", "detached", 5)
    client.drop()
    again = await server.socket()
    await again.open(server.token(), resume=client.session)
    assert again.session == client.session
    last = await again.frames.expect(
        lambda m: m.get("params", {}).get("call", "").startswith("199"), "the newest"
    )
    assert last["method"] == "call.ringing"


@pytest_twisted.ensureDeferred
async def test_stopping_ends_every_session(started: Started) -> None:
    server = await started()
    client = await server.client()
    await server.server.stop()
    assert await client.closed() == 1001
    assert len(server.sessions) == 0


@pytest_twisted.ensureDeferred
async def test_no_secret_is_logged(started: Started, capsys: pytest.CaptureFixture[str]) -> None:
    """The session's name and the token are secrets."""
    server = await started()
    client = await server.socket()
    token = server.token()
    await client.open(token)
    await client.open(token[:-3])
    await server.server.stop()
    said = capsys.readouterr()
    assert "session_opened" in said.out
    assert "session_gone" in said.out
    for secret in (client.session, client.session.partition(".")[2], token, token[:-3]):
        assert secret not in said.out + said.err


@pytest_twisted.ensureDeferred
async def test_pins(started: Started) -> None:
    server = await started()
    alice, bob = await server.client(), await server.client("bob")
    made = (await alice.ask("pin.create", {"kind": "once", "label": "gran", "ttl_s": 60}))["result"]
    assert made["pin"] == "12345678"
    assert made["expires"] == made["created"] + 60
    [listed] = (await alice.ask("pin.list", {}))["result"]["pins"]
    assert "pin" not in listed
    assert (listed["id"], listed["label"], listed["uses"]) == (made["id"], "gran", 0)
    assert (await bob.ask("pin.list", {}))["result"]["pins"] == []
    assert (await bob.ask("pin.revoke", {"id": made["id"]}))["error"]["code"] == 4404
    assert (await alice.ask("pin.revoke", {"id": made["id"]}))["result"] == {}
    for params in ({}, {"kind": "twice"}, {"kind": "once", "ttl_s": 1}, {"kind": "once", "x": 1}):
        assert (await alice.ask("pin.create", params))["error"]["code"] == -32602


@pytest_twisted.ensureDeferred
async def test_what_comes_behind_a_token_whose_key_is_fetched_waits_in_its_turn(
    started: Started,
) -> None:
    server = await started()
    fetched: Deferred[None] = Deferred()
    tokens = server.tokens
    read = tokens.read

    async def slow(token: str) -> Principal:
        await fetched
        return await read(token)

    tokens.read = slow  # type: ignore[method-assign]
    client = await server.socket()
    client.begin("session.open", {"token": server.token()})
    behind = client.begin("history.list")
    fetched.callback(None)
    assert "result" in await client.answer(behind)
    assert [f["id"] for f in client.frames.seen] == [behind - 1, behind]
    tokens.read = lambda token: Deferred()  # type: ignore[method-assign,assignment,return-value]
    flood = await server.socket()
    flood.begin("session.open", {"token": server.token()})
    for _ in range(WAIT_BEHIND + 1):
        flood.begin("history.list")
    assert await flood.closed() == 1008
