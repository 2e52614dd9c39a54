"""The API of a running gateway: what it does, and how it refuses."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted
import treq
from twisted.internet.threads import deferToThread

from tests.api.scene import API, READER, TOKEN, Backend
from tests.peers.app_client import RpcError
from tests.peers.fixtures import SHARED, Cast
from tests.peers.gateway import Gateway


@pytest_twisted.async_yield_fixture(scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    made = Gateway(tmp_path_factory.mktemp("gateway"), *SHARED, API)
    try:
        await made.up()
        yield made
    finally:
        await made.end()


@pytest_twisted.ensureDeferred
async def test_a_call_for_two_people_rings_one_after_the_other(
    gateway: Gateway, cast: Cast
) -> None:
    alice, bob = await cast.client(gateway, "alice"), await cast.client(gateway, "bob")
    backend = Backend(gateway)
    wanted = {"caller": "alice", "callee": "user:bob", "thread": "t1"}
    code, made, headers = await backend.ask("POST", "/v1/calls", wanted, Idempotency_Key="k1")
    assert (code, made["state"]) == (201, "inviting")
    call = made["call"]
    assert headers.getRawHeaders("location") == [f"/v1/records/{call}"]
    assert "accepted" not in made["caller"]
    again = await backend.ask("POST", "/v1/calls", wanted, Idempotency_Key="k1")
    assert again[:2] == (201, made)
    assert again[2].getRawHeaders("idempotent-replayed") == ["true"]
    other = await backend.ask("POST", "/v1/calls", {**wanted, "thread": "t2"}, Idempotency_Key="k1")
    assert other[0] == 422

    assert (await alice.incoming())["placed_by"] == "server"
    assert not bob.told("call.incoming")
    await alice.accept(call)
    await bob.incoming()
    await bob.accept(call)
    await alice.connected(call)
    await bob.connected(call)
    _, listed, _ = await backend.ask("GET", "/v1/calls")
    assert [(c["call"], c["state"]) for c in listed["calls"]] == [(call, "connected")]
    code, ended, _ = await backend.ask("POST", f"/v1/calls/{call}/end", {"reason": "moderated"})
    assert (code, ended["reason"], ended["ended_by"]) == (200, "moderated", "gateway")
    assert (await bob.ended(call))["reason"] == "moderated"
    code, record, _ = await backend.ask("GET", f"/v1/records/{call}")
    assert record["caller"]["accepted"]["means"] == "app_accept"
    assert record["callee"]["accepted"]["by"] == "user:bob"
    assert (await backend.ask("GET", f"/v1/calls/{call}"))[:2] == (200, record)
    assert (await backend.ask("POST", f"/v1/calls/{call}/end", {}))[0] == 409
    assert (await backend.ask("POST", "/v1/calls/c1/end", {}))[0] == 404
    await gateway.at_rest()


@pytest_twisted.ensureDeferred
async def test_records_come_in_pages_and_by_what_is_asked(gateway: Gateway) -> None:
    backend = Backend(gateway)
    names = []
    for number in range(5):
        wanted = {"caller": f"nobody{number % 2}", "callee": "user:bob"}
        code, made, _ = await backend.ask("POST", "/v1/calls", wanted)
        assert (code, made["state"], made["reason"]) == (201, "ended", "unreachable")
        names.append(made["call"])
    seen, place = [], "/v1/records?reason=unreachable&limit=2"
    path = place
    while path:
        _, page, _ = await backend.ask("GET", path)
        seen += [c["call"] for c in page["calls"]]
        path = f"{place}&before={page['next']}" if "next" in page else ""
    assert seen == names[::-1]
    _, page, _ = await backend.ask("GET", "/v1/records?party=user:nobody1")
    assert [c["call"] for c in page["calls"]] == [names[3], names[1]]
    _, page, _ = await backend.ask("GET", f"/v1/records?until={made['created_at']}&limit=1")
    assert [c["call"] for c in page["calls"]] == [names[3]]


@pytest_twisted.ensureDeferred
async def test_pins_are_made_listed_and_revoked(gateway: Gateway) -> None:
    backend = Backend(gateway)
    wanted = {"kind": "once", "label": "plumber", "ttl_s": 600}
    place = "/v1/people/alice/pins"
    code, made, _ = await backend.ask("POST", place, wanted, Idempotency_Key="p1")
    assert code == 201
    assert (await backend.ask("POST", place, wanted, Idempotency_Key="p1"))[1] == made
    assert made["pin"].encode() not in gateway.database.read_bytes()
    _, listed, _ = await backend.ask("GET", place)
    assert [p["id"] for p in listed["pins"]] == [made["id"]]
    assert "pin" not in listed["pins"][0]
    assert (await backend.ask("DELETE", f"{place}/{made['id']}"))[:2] == (204, None)
    assert (await backend.ask("DELETE", f"{place}/{made['id']}"))[0] == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field"),
    [
        ("GET", "/v1/nothing", None, 404, None),
        ("GET", "/v1/", None, 404, None),
        ("GET", "/v1/calls/%ff", None, 400, None),
        ("PUT", "/v1/calls", {}, 405, None),
        ("POST", "/v1/openapi.json", {}, 405, None),
        ("POST", "/v1/calls", None, 415, None),
        ("POST", "/v1/calls", {"callee": "user:b"}, 400, "caller"),
        ("POST", "/v1/calls", {"caller": "a", "callee": "bob"}, 400, "callee"),
        ("POST", "/v1/calls", {"caller": "a", "callee": "user:b", "x": 1}, 400, "x"),
        ("POST", "/v1/calls", {"caller": "a", "callee": "user:a"}, 403, None),
        ("POST", "/v1/calls", {"caller": "a", "callee": "user:b", "thread": "\n"}, 400, "thread"),
        ("POST", "/v1/calls/c1/end", {"reason": "boredom"}, 400, "reason"),
        ("POST", "/v1/calls", {"caller": "x" * 20_000}, 413, None),
        ("GET", "/v1/calls?limit=0", None, 400, "limit"),
        ("GET", "/v1/calls?limit=1&limit=2", None, 400, "limit"),
        ("GET", "/v1/records?since=nan", None, 400, "since"),
        ("GET", "/v1/records?party=bob", None, 400, "party"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_every_refusal_is_a_problem(
    gateway: Gateway, method: str, path: str, body: object, status: int, field: str | None
) -> None:
    code, problem, headers = await Backend(gateway).ask(method, path, body)
    assert (code, problem["status"]) == (status, status), problem
    assert problem["title"]
    assert [e["field"] for e in problem.get("errors", ())] == ([field] if field else [])
    assert (headers.getRawHeaders("allow") is not None) == (status == 405)


@pytest.mark.parametrize(
    ("token", "status"), [(None, 401), ("wrong", 401), (READER, 403), (TOKEN, 200)]
)
@pytest_twisted.ensureDeferred
async def test_who_may_ask(gateway: Gateway, token: str | None, status: int) -> None:
    code, _, headers = await Backend(gateway, token).ask("GET", "/v1/calls")
    assert code == status
    assert (headers.getRawHeaders("www-authenticate") is not None) == (status == 401)


@pytest_twisted.ensureDeferred
async def test_without_tokens_there_is_no_api(cast: Cast) -> None:
    gateway = await cast.gateway()
    for path in ("/v1/calls", "/v1/openapi.json"):
        response = await treq.get(f"http://{gateway.http}{path}", persistent=False, timeout=5)
        await response.content()
        assert response.code == 404


@pytest_twisted.ensureDeferred
async def test_the_document_is_true(gateway: Gateway, tmp_path: Path) -> None:
    """schemathesis asks what the document allows, and what it does not."""
    command = [
        str(Path(sys.executable).parent / "schemathesis"),
        "--config-file",
        str(Path(__file__).parent / "schemathesis.toml"),
        "run",
        f"http://{gateway.http}/v1/openapi.json",
        "--header",
        f"Authorization: Bearer {TOKEN}",
        "--max-examples=20",
        "--workers=1",
        "--seed=1",
        "--request-timeout=8",
        "--no-color",
        "--continue-on-failure",
    ]
    done = await deferToThread(
        subprocess.run, command, cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, gateway.tail(8)[-4000:] + done.stdout[-6000:] + done.stderr[-2000:]
    assert (await Backend(gateway).ask("PUT", "/v1/rollout", {}))[0] == 200  # whatever it switched
    told = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert told is not None and int(told[2]) > 400, done.stdout[-3000:]
    assert not gateway.complaints()


@pytest_twisted.ensureDeferred
async def test_an_upheld_report_may_ban(gateway: Gateway, cast: Cast) -> None:
    carol, dave = await cast.client(gateway, "carol"), await cast.client(gateway, "dave")
    backend = Backend(gateway)
    call = await carol.invite("user:dave")
    await dave.incoming()
    await dave.request("call.decline", call=call)
    await carol.ended(call)
    report = (await dave.request("call.report", call=call, category="spam"))["report"]
    code, found, _ = await backend.ask("GET", f"/v1/reports/{report}")
    assert (code, found["about"], found["state"]) == (200, "user:carol", "open")
    assert found["frozen"]["reason"] == "declined"
    settled = {"state": "upheld", "note": "clear", "ban": True}
    code, found, _ = await backend.ask("PATCH", f"/v1/reports/{report}", settled)
    assert (code, found["state"]) == (200, "upheld")
    for caller, callee in ((carol, "user:dave"), (dave, "user:carol")):
        with pytest.raises(RpcError, match="4403"):
            await caller.invite(callee)
    _, listed, _ = await backend.ask("GET", "/v1/bans")
    assert [(b["person"], b["report"]) for b in listed["bans"]] == [("user:carol", report)]
    assert (await backend.ask("DELETE", "/v1/bans?address=user:carol"))[0] == 204
    assert (await backend.ask("DELETE", "/v1/bans?address=user:carol"))[0] == 404
    call = await carol.invite("user:dave")
    await carol.hangup(call)
    await carol.ended(call)
