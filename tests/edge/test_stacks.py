"""The edge with SIP stacks that are not ours: sipp and PJSIP register, sipp asks OPTIONS."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor

from gateway.edge.edge import Edge
from gateway.values import SipAddress
from tests.edge.scene import PASSWORDS, SETTINGS, Outside, Scene
from tests.peers.programs import Program
from tests.peers.sipp import Sipp

PJSIP = Path(__file__).with_name("pjsip_registers.py")
OPTIONS = """<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="OPTIONS">
  <send retrans="500"><![CDATA[
      OPTIONS sip:dm.localhost SIP/2.0
      Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
      Max-Forwards: 70
      From: <sip:probe@dm.localhost>;tag=[pid]-[call_number]
      To: <sip:dm.localhost>
      Call-ID: [call_id]
      CSeq: 1 OPTIONS
      Content-Length: 0

  ]]></send>
  <recv response="200"><action>
    <ereg regexp="INVITE" search_in="hdr" header="Allow:" check_it="true" assign_to="a" />
    <ereg regexp="application/sdp" search_in="hdr" header="Accept:" check_it="true" assign_to="b" />
    <ereg regexp="path" search_in="hdr" header="Supported:" check_it="true" assign_to="c" />
  </action></recv>
  <Reference variables="a,b,c" />
</scenario>
"""


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("transport", ["u1", "t1"])
@pytest.mark.parametrize("algorithms", [("MD5",), ("MD5", "SHA-256")])
async def test_registers(tmp_path: Path, algorithms: tuple[str, ...], transport: str) -> None:
    outside = Outside()
    settings = SETTINGS.model_copy(update={"digest_algorithms": algorithms})
    edge = Edge(settings, PASSWORDS, reactor, outside)
    await edge.start()
    try:
        sipp = Sipp(tmp_path / "good", "register", str(edge.outer), transport=transport, final=200)
        (await sipp.run()).assert_all(1)
        if transport == "u1":
            [contact] = edge.contacts(SipAddress("1001", "dm.localhost"))
            assert contact.uri.startswith(f"sip:1001@127.0.0.1:{sipp.port}")
        wrong = Sipp(
            tmp_path / "bad",
            "register",
            str(edge.outer),
            transport=transport,
            password="secret9999",
            final=403,
        )
        (await wrong.run()).assert_all(1)
    finally:
        await edge.stop()


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("algorithms", [("MD5",), ("SHA-256",), ("SHA-256", "MD5")])
async def test_pjsip_registers(tmp_path: Path, algorithms: tuple[str, ...]) -> None:
    """sipp 3.6 and baresip 1.0 know MD5 alone; PJSIP knows both."""
    outside = Outside()
    settings = SETTINGS.model_copy(update={"digest_algorithms": algorithms})
    edge = Edge(settings, PASSWORDS, reactor, outside)
    await edge.start()
    try:
        for password, status in (("secret1002", 200), ("secret9999", 403)):
            args = [sys.executable, str(PJSIP), str(edge.outer), "1002", password]
            program = Program(args, cwd=tmp_path, name="pjsip registers")
            try:
                await program.exited(20)
            finally:
                await program.stop()
            assert [line for line in program.stderr.seen if "status" in line] == [
                f"status {status}"
            ]
    finally:
        await edge.stop()


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("transport", ["u1", "t1"])
async def test_options(scene: Scene, tmp_path: Path, transport: str) -> None:
    file = tmp_path / "options.xml"
    file.write_text(OPTIONS)
    args = ["sipp", str(scene.edge.outer), "-sf", str(file), "-i", "127.0.0.1", "-t", transport]
    args += ["-m", "50", "-r", "50", "-nostdin", "-timeout", "20", "-timeout_error"]
    program = Program(args, cwd=tmp_path, name="sipp options")
    try:
        assert await program.exited(30) == 0
    finally:
        await program.stop()
