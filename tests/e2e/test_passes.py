"""A creator whom nobody may call, and a follower with a pass."""

from __future__ import annotations

import pytest
import pytest_twisted

from tests.e2e.residue import nothing_left
from tests.peers.app_client import RpcError
from tests.peers.fixtures import Cast
from tests.peers.gateway import Gateway


@pytest_twisted.ensureDeferred
async def test_one_call_as_a_reward(gateway: Gateway, cast: Cast) -> None:
    star, fan = await cast.client(gateway, "carol"), await cast.client(gateway, "dave")
    await star.request("settings.set", allow_from="nobody")
    try:
        async with nothing_left(gateway):
            with pytest.raises(RpcError, match="4403"):
                await fan.invite("user:carol")
            made = await star.request("pass.grant", to="user:dave", kind="calls", calls=1)
            told = await fan.event("pass.granted")
            assert (told["id"], told["creator"], told["calls_left"]) == (
                made["id"],
                "user:carol",
                1,
            )
            call = await fan.invite("user:carol")
            await star.incoming()
            await star.request("call.decline", call=call)  # costs nothing
            await fan.ended(call)
            seen = star.events.mark()
            call = await fan.invite("user:carol", fan.stream())
            await star.incoming(since=seen)
            await star.accept(call)
            await fan.connected(call)
            await fan.hangup(call)
            await star.ended(call)
            with pytest.raises(RpcError, match="4403"):
                await fan.invite("user:carol")
            assert (await fan.request("pass.list", **{"as": "follower"}))["passes"] == []
        for params, field in (
            ({"kind": "calls"}, "params"),
            ({"kind": "queue", "calls": 2}, "params"),
            ({"kind": "window"}, "params"),
            ({"kind": "minutes", "minutes": 0}, "minutes"),
            ({"kind": "free"}, "kind"),
        ):
            with pytest.raises(RpcError) as refused:
                await star.request("pass.grant", to="user:dave", **params)
            assert [e["field"] for e in refused.value.data["errors"]] == [field], params
    finally:
        await star.request("settings.set", allow_from="everyone")
