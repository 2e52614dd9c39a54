"""Kamailio as the carrier's SBC, and baresip as the telephone behind it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import pytest_twisted

from tests.e2e.residue import nothing_left
from tests.e2e.talk import assert_tone
from tests.e2e.test_calls import hears
from tests.e2e.test_trunks import NUMBER, OURS, routing
from tests.edge.test_transports import Papers
from tests.peers.fixtures import SHARED, Cast
from tests.peers.kamailio import Carrier
from tests.peers.ports import free_ports
from tests.peers.waiting import pause

NAME = "carrier.example"


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
@pytest_twisted.ensureDeferred
async def test_calls_both_ways_over_a_registered_trunk(cast: Cast, algorithm: str) -> None:
    """Registered with digest; INVITEs answered 407 are sent again with it; audio both ways."""
    carrier = Carrier(cast.place("carrier"), "gw4711", "a long secret", NUMBER, algorithm)
    cast.ends_with(carrier.end)
    await carrier.up()
    trunk = {
        "name": "carrier",
        "address": carrier.at,
        "domain": "carrier.example",
        "username": "gw4711",
        "password": "a long secret",
        "register": {"expires_s": 60},
        "sources": ["127.0.0.1"],
        "options_s": 1,
    }
    gateway = await cast.gateway(
        *SHARED, f"trunks={json.dumps([trunk])}", f"routing={json.dumps(routing('carrier'))}"
    )
    await gateway.log.expect(lambda e: e["event"] == "trunk_registered", "registered", 5)
    assert await gateway.metric("dmgw_trunk_registered", trunk="carrier") == 1
    telephone = await cast.baresip(
        user=NUMBER, domain="carrier.example", registrar=carrier.at, hz=440
    )
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        mine = alice.stream(hz=1000)
        call = await alice.invite(f"tel:{NUMBER}", mine)
        await telephone.incoming()
        await telephone.accept()
        await alice.connected(call)
        await hears(mine, 440, 2, "alice")
        await alice.hangup(call)
        await telephone.closed()
        heard, rate = telephone.heard()
        assert_tone(heard[-int(1.5 * rate) :], rate, 1000, 1, "the telephone")
    async with nothing_left(gateway):
        seen = telephone.events.mark()
        await telephone.dial(f"sip:{OURS}@carrier.example")
        incoming = await alice.incoming()
        assert incoming["from"]["address"] == f"tel:{NUMBER}"
        mine = await alice.accept(incoming["call"], alice.stream(hz=1000))
        await alice.connected(incoming["call"])
        await telephone.established(since=seen)
        await hears(mine, 440, 2, "alice")
        await telephone.hangup()
        await alice.ended(incoming["call"])
    complaints = [e for e in gateway.log.seen if "a long secret" in json.dumps(e)]
    assert not complaints
    await pause(0)


@pytest_twisted.ensureDeferred
async def test_calls_both_ways_over_tls_with_certificates_of_both(
    cast: Cast, tmp_path: Path
) -> None:
    """Each verifies the other; the carrier's calls are known by its certificate alone."""
    papers = Papers(tmp_path)
    ours, theirs = papers.write("gateway", "127.0.0.1"), papers.write("carrier", "127.0.0.1", NAME)
    carrier = Carrier(
        cast.place("carrier"), "gw4711", "a long secret", NUMBER, papers=(*theirs, papers.ca)
    )
    cast.ends_with(carrier.end)
    await carrier.up()
    trunk = {
        "name": "carrier",
        "address": carrier.tls_at,
        "transport": "tls",
        "domain": NAME,
        "username": "gw4711",
        "password": "a long secret",
        "register": {"expires_s": 60},
        "certificate_names": [NAME],
        "ca_file": str(papers.ca),
        "options_s": 1,
    }
    tls = {
        "port": free_ports(),
        "certificate_file": str(ours[0]),
        "key_file": str(ours[1]),
        "clients": "optional",
        "client_ca_file": str(papers.ca),
    }
    gateway = await cast.gateway(
        *SHARED,
        f"trunks={json.dumps([trunk])}",
        f"routing={json.dumps(routing('carrier'))}",
        f"sip.tls={json.dumps(tls)}",
    )
    await gateway.log.expect(lambda e: e["event"] == "trunk_registered", "registered", 5)
    telephone = await cast.baresip(user=NUMBER, domain=NAME, registrar=carrier.at, hz=440)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        mine = alice.stream(hz=1000)
        call = await alice.invite(f"tel:{NUMBER}", mine)
        await telephone.incoming()
        await telephone.accept()
        await alice.connected(call)
        await hears(mine, 440, 1.5, "alice")
        await alice.hangup(call)
        await telephone.closed()
    seen = telephone.events.mark()
    await telephone.dial(f"sip:{OURS}@{NAME}")
    incoming = await alice.incoming()
    assert incoming["from"]["address"] == f"tel:{NUMBER}"
    mine = await alice.accept(incoming["call"], alice.stream(hz=1000))
    await alice.connected(incoming["call"])
    await telephone.established(since=seen)
    await hears(mine, 440, 1.5, "alice")
    await telephone.hangup()
    await alice.ended(incoming["call"])
    await gateway.at_rest()  # the carrier's connection to us stays
    admitted = [e for e in gateway.log.seen if e["event"] == "invite_admitted"]
    assert [e["transport"] for e in admitted] == ["tls"]
