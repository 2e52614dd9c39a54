"""A gateway whose records are in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted

from tests.e2e.residue import nothing_left
from tests.peers.fixtures import SHARED, Cast
from tests.peers.postgres import Cluster
from tests.peers.waiting import until


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    made.start()
    yield made
    made.stop()


@pytest_twisted.ensureDeferred
async def test_calls_records_and_a_restart_of_the_server(cast: Cast, cluster: Cluster) -> None:
    gateway = await cast.gateway(*SHARED, f"store.url={cluster.database()}")
    alice = await cast.client(gateway)
    bob = await cast.client(gateway, "bob")
    async with nothing_left(gateway):
        call = await alice.invite("user:bob", alice.stream())
        await bob.incoming()
        await bob.accept(call)
        await alice.connected(call)
        cluster.restart()  # in the middle of the call, which goes on
        await until(gateway.ready, "the gateway finds its database again", 15)
        await alice.hangup(call)
        assert (await bob.ended(call))["reason"] == "completed"
        await alice.ended(call)
        (kept,) = (await bob.request("history.list"))["calls"]
        assert (kept["call"], kept["reason"], kept["direction"]) == (call, "completed", "in")
        await bob.request("blocks.add", who="user:alice")
        again = await alice.invite("user:bob")
        await alice.event("call.ringing", call=again)
        assert bob.told("call.incoming", again) == []
        await alice.hangup(again)
