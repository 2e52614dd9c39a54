"""baresip over TLS: registered, called and calling, with SDES-SRTP in SDP that nobody overhears."""

from __future__ import annotations

from pathlib import Path

import pytest
import pytest_twisted

from tests.e2e.residue import nothing_left
from tests.e2e.test_calls import hears
from tests.edge.test_transports import Papers
from tests.peers.fixtures import SHARED, Cast
from tests.peers.ports import free_ports


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    return Papers(tmp_path)


@pytest_twisted.ensureDeferred
async def test_calls_both_ways(cast: Cast, papers: Papers) -> None:
    certificate, key = papers.write("gateway", "127.0.0.1", "dm.localhost")
    port = free_ports()
    gateway = await cast.gateway(
        *SHARED,
        f"sip.tls={{port: {port}, certificate_file: {certificate}, key_file: {key}}}",
    )
    phone = await cast.baresip(
        gateway,
        registrar=f"127.0.0.1:{port}",
        transport="tls",
        media="srtp",
        ca_file=papers.ca,
        hz=440,
    )
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        mine = alice.stream(hz=1000)
        call = await alice.invite("sip:1001@dm.localhost", mine)
        await phone.incoming()
        await phone.accept()
        await alice.connected(call)
        await hears(mine, 440, 1.5, "alice")
        await alice.hangup(call)
        await phone.closed()
        await phone.dial("sip:alice@dm.localhost")
        again = (await alice.incoming())["call"]
        mine = await alice.accept(again, alice.stream(hz=1000))
        await alice.connected(again)
        await hears(mine, 440, 1.5, "alice")
        await phone.hangup()
        await alice.ended(again)
