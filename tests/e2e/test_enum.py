"""ENUM as a first route: a real name server chooses the trunk, and the dial plan's comes after."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest_twisted

from tests.dns.nsd import NsdServer
from tests.e2e.residue import nothing_left
from tests.e2e.test_trunks import answered, office, routing
from tests.peers.fixtures import Cast
from tests.peers.programs import Program

NUMBER, LISTED = "+4930901820", "+4930901821"
ZONE = """\
    *.2.8.1.0.9.0.3.9.4 NAPTR 10 10 "u" "E2U+sip" "!^(.*)$!sip:\\\\1@stranger.example!" .
    1.2.8.1.0.9.0.3.9.4 NAPTR 10 10 "u" "E2U+sip" "!^(.*)$!sip:\\\\1@stranger.example!" .
    1.2.8.1.0.9.0.3.9.4 NAPTR 20 10 "u" "E2U+sip" "!^(.*)$!sip:\\\\1@peer.example!" .
"""


@pytest_twisted.ensureDeferred
async def test_dns_goes_before_the_dial_plan(cast: Cast, tmp_path: Path) -> None:
    nsd = NsdServer(tmp_path, {"e164.example": ZONE})
    await nsd.start()
    try:
        plan = routing("main") | {"enum": True}
        trunks = [{"name": "main"}, {"name": "peer", "domain": "peer.example"}]
        dns = {"servers": [nsd.address], "enum_suffix": "e164.example"}
        here = await office(cast, trunks, plan, f"dns={json.dumps(dns)}")
        main, peer = here.carriers["main"], here.carriers["peer"]
        alice = await cast.client(here.gateway)
        async with nothing_left(here.gateway):
            call = await alice.invite(f"tel:{LISTED}")
            leg = await peer.incoming()
            assert leg.invite is not None
            assert leg.invite.first.startswith(f"INVITE sip:{LISTED}@peer.example")
            leg.answer(503)
            second = await answered(main)  # which failed over to the dial plan's
            assert second.invite is not None
            await alice.connected(call)
            await alice.hangup(call)
            seen = main.messages.mark()
            call = await alice.invite(f"tel:{NUMBER}")  # not in DNS
            await answered(main, since=seen)
            await alice.connected(call)
            await alice.hangup(call)
        sets = [x for s in here.gateway.sets for x in ("--set", s)]
        command = [str(Path(sys.executable).parent / "dm-gateway"), "route", f"tel:{LISTED}"]
        command += ["--as", "user:alice", "--config", "conf/dev.yaml", *sets]
        route = Program(command)
        await route.exited(10)
        said = "\n".join(route.stdout.seen)
        assert f"sip:{LISTED}@stranger.example is at the domain of no trunk" in said
        assert f"first {LISTED} by peer, then the trunks above" in said, said
    finally:
        await nsd.stop()
