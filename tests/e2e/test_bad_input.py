"""What is broken on one side is told clearly, and calls by other trunks go on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest_twisted

from tests.dns.nsd import NsdServer
from tests.e2e.test_calls import hears
from tests.e2e.test_trunks import NUMBER, answered, office
from tests.edge.test_transports import Papers
from tests.peers.fixtures import Cast
from tests.peers.ports import free_ports
from tests.peers.programs import Program

LOST = "+4930901820"
ZONE = """\
    _sip._udp SRV 0 0 5060 one
    one CNAME two
    two CNAME one
"""


@pytest_twisted.ensureDeferred
async def test_calls_by_other_trunks_go_on(cast: Cast, tmp_path: Path) -> None:
    nsd = NsdServer(tmp_path, {"loop.example": ZONE})
    await nsd.start()
    papers = Papers(tmp_path)
    certificate, key = papers.write("gateway", "dm.localhost")
    try:
        trunks = [
            {"name": "good", "sources": ["127.0.0.0/8"]},
            {"name": "loop", "address": "loop.example", "options_s": 1},
        ]
        plan = {
            "routes": [
                {"name": "loop", "prefix": "+49", "trunks": ["loop"]},
                {"name": "world", "prefix": "+", "trunks": ["good"]},
            ],
            "numbers": [{"number": "+14155550100", "to": "user:bob"}],
            "caller_id": {"pool": ["+14155550100"]},
            "home_country": "US",
        }
        tls = {
            "port": free_ports(),
            "certificate_file": str(certificate),
            "key_file": str(key),
        }
        dns = {"servers": [nsd.address]}
        here = await office(
            cast, trunks, plan, f"dns={json.dumps(dns)}", f"sip.tls={json.dumps(tls)}"
        )
        gateway, good = here.gateway, here.carriers["good"]
        alice, bob = await cast.client(gateway), await cast.client(gateway, "bob")
        mine = alice.stream(hz=1000)
        call = await alice.invite(f"tel:{NUMBER}", mine)
        leg = await answered(good)
        await alice.connected(call)
        assert leg.stream is not None

        # names that lead in a circle
        told = await gateway.log.expect(
            lambda e: e["event"] == "trunk_not_located", "not located", 8
        )
        assert (told["trunk"], told["level"]) == ("loop", "warning")
        assert "loop.example" in told["why"]
        lost = await alice.invite(f"tel:{LOST}", alice.stream())
        assert (await alice.ended(lost))["reason"] == "unreachable"

        # an offer that cannot be
        good.user = NUMBER
        stream = good.stream(hz=440)
        stream.port = -5
        broken = good.call("sip:+14155550100@dm.localhost", stream)
        await broken.admitted()
        assert (await broken.final()).code in (400, 488)
        assert not bob.told("call.connected")

        # a certificate that is none
        certificate.write_text("-----BEGIN CERTIFICATE-----\nno\n")
        told = await gateway.log.expect(
            lambda e: e["event"] == "certificates_not_read", "not read", 12
        )
        assert told["level"] == "error"

        await hears(mine, 440, 1.5, "alice")
        await hears(leg.stream, 1000, 1.5, "the telephone")
        await alice.hangup(call)
        await leg.got("BYE")
        await gateway.at_rest()
        assert {e["event"] for e in gateway.complaints()} == {"certificates_not_read"}

        # settings that cannot be: every fault with its place, and nothing is started
        twice = [{"name": "good", "address": "127.0.0.1:9"}, {"name": "good", "address": "x y"}]
        program = Program(
            [
                str(Path(sys.executable).parent / "dm-gateway"),
                *("run", "--config", "conf/dev.yaml", "--set", f"trunks={json.dumps(twice)}"),
            ]
        )
        assert await program.exited(10) != 0
        said = "\n".join([*program.stdout.seen, *program.stderr.seen])
        assert "trunks.1.name" in said.replace("[", ".").replace("]", ""), said
        assert "trunks.1.address" in said.replace("[", ".").replace("]", ""), said
    finally:
        await nsd.stop()
