"""Revocations, passes, the rollout and quiet hours by the API of a running gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_twisted

from tests.api.scene import API, Backend
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
async def test_a_revoked_token_ends_its_session_and_the_call(gateway: Gateway, cast: Cast) -> None:
    erin, frank = await cast.client(gateway, "erin"), await cast.client(gateway, "frank")
    backend = Backend(gateway)
    call = await erin.invite("user:frank")
    await frank.incoming()
    code, made, headers = await backend.ask("POST", "/v1/revocations", {"sub": "erin"})
    assert (code, made["sub"]) == (201, "erin")
    one = f"/v1/revocations/{made['id']}"
    assert headers.getRawHeaders("location") == [one]
    assert (await frank.ended(call))["reason"] == "network_lost"
    with pytest.raises(RpcError, match="4401"):
        await cast.client(gateway, "erin")
    for number in range(2):
        body = {"jti": f"token-{number}", "ttl_s": 600}
        assert (await backend.ask("POST", "/v1/revocations", body))[0] == 201
    found, path = [], "/v1/revocations?limit=2"
    while path:
        _, page, _ = await backend.ask("GET", path)
        found += page["revocations"]
        path = f"/v1/revocations?limit=2&after={page['next']}" if "next" in page else ""
    assert {r.get("jti") or r["sub"] for r in found} >= {"erin", "token-0", "token-1"}
    assert (await backend.ask("DELETE", one))[0] == 204
    assert (await backend.ask("DELETE", one))[0] == 404
    await cast.client(gateway, "erin")
    for wrong in ({}, {"jti": "a", "sub": "b"}, {"jti": "a", "issued_until": 1}, {"jti": ""}):
        assert (await backend.ask("POST", "/v1/revocations", wrong))[0] == 400


@pytest_twisted.ensureDeferred
async def test_passes_are_granted_listed_and_revoked(gateway: Gateway, cast: Cast) -> None:
    backend, bob = Backend(gateway), await cast.client(gateway, "bob")
    place = "/v1/people/alice/passes"
    wanted = {"follower": "bob", "kind": "minutes", "minutes": 5}
    code, made, _ = await backend.ask("POST", place, wanted, Idempotency_Key="pass-1")
    assert (code, made["minutes_left"], made["creator"]) == (201, 5, "user:alice")
    assert (await backend.ask("POST", place, wanted, Idempotency_Key="pass-1"))[1] == made
    assert (await bob.event("pass.granted"))["id"] == made["id"]
    window = {"follower": "bob", "kind": "window", "from": 1, "until": 9e9}
    later = (await backend.ask("POST", place, window))[1]
    _, page, _ = await backend.ask("GET", f"{place}?limit=1")
    assert [p["id"] for p in page["passes"]] == [later["id"]]
    _, rest, _ = await backend.ask("GET", f"{place}?limit=1&before={page['next']}")
    assert [p["id"] for p in rest["passes"]] == [made["id"]]
    assert "next" not in rest
    _, held, _ = await backend.ask("GET", "/v1/people/bob/passes?side=follower")
    assert {p["id"] for p in held["passes"]} == {made["id"], later["id"]}
    assert (await backend.ask("DELETE", f"/v1/people/bob/passes/{made['id']}"))[0] == 404
    assert (await backend.ask("DELETE", f"{place}/{made['id']}"))[0] == 204
    assert (await backend.ask("DELETE", f"{place}/{made['id']}"))[0] == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field"),
    [
        ("POST", "passes", {"follower": "bob", "kind": "calls"}, 422, "calls"),
        ("POST", "passes", {"follower": "bob", "kind": "queue", "minutes": 1}, 422, "minutes"),
        ("POST", "passes", {"follower": "bob", "kind": "window"}, 422, "until"),
        (
            "POST",
            "passes",
            {"follower": "bob", "kind": "window", "from": 2, "until": 1},
            422,
            "until",
        ),
        ("POST", "passes", {"follower": "alice", "kind": "queue"}, 422, "follower"),
        ("POST", "passes", {"follower": "bob", "kind": "eternal"}, 400, "kind"),
        ("PATCH", "settings", {"timezone": "Mars/North"}, 422, "timezone"),
        ("PATCH", "settings", {"quiet_hours": [{"from": "9", "to": "10:00"}]}, 400, None),
        (
            "PATCH",
            "settings",
            {"quiet_hours": [{"from": "10:00", "to": "10:00"}]},
            422,
            "quiet_hours",
        ),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_cannot_be(
    gateway: Gateway, method: str, path: str, body: object, status: int, field: str | None
) -> None:
    code, problem, _ = await Backend(gateway).ask(method, f"/v1/people/alice/{path}", body)
    assert code == status
    assert field is None or [e["field"] for e in problem["errors"]] == [field]


@pytest_twisted.ensureDeferred
async def test_the_rollout_is_switched_and_holds_at_once(gateway: Gateway, cast: Cast) -> None:
    backend, alice = Backend(gateway), await cast.client(gateway, "alice")
    code, before, _ = await backend.ask("GET", "/v1/rollout")
    assert (code, before["changes"], before["now"]) == (200, {}, before["settings"])
    try:
        code, after, _ = await backend.ask("PUT", "/v1/rollout", {"enabled": False})
        assert (code, after["changes"], after["now"]["enabled"]) == (200, {"enabled": False}, False)
        with pytest.raises(RpcError, match="-32601"):
            await alice.invite("user:bob")
        assert (await backend.ask("PUT", "/v1/rollout", {"percent": 101}))[0] == 400
        refused = await backend.ask("PUT", "/v1/rollout", {"regions": ["AA"]})
        assert (refused[0], [e["field"] for e in refused[1]["errors"]]) == (422, ["regions.0"])
    finally:
        code, after, _ = await backend.ask("PUT", "/v1/rollout", {})
    assert after == before


@pytest_twisted.ensureDeferred
async def test_quiet_hours_are_set_with_their_zone(gateway: Gateway) -> None:
    backend, place = Backend(gateway), "/v1/people/grace/settings"
    period = {"days": ["fri", "mon"], "from": "22:00", "to": "07:00"}
    wanted = {"quiet_hours": [period], "timezone": "Asia/Tokyo", "do_not_disturb": True}
    code, made, _ = await backend.ask("PATCH", place, wanted)
    assert (code, made["timezone"], made["do_not_disturb"]) == (200, "Asia/Tokyo", True)
    assert made["quiet_hours"] == [{**period, "days": ["mon", "fri"]}]
    assert (await backend.ask("PATCH", place, {"quiet_hours": []}))[1]["quiet_hours"] == []
    assert (await backend.ask("GET", place))[1]["timezone"] == "Asia/Tokyo"
