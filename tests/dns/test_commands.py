"""``dm-gateway locate`` and the doctor's look at the trunks' names, with a real name server."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_twisted
from twisted.internet.threads import deferToThread

from gateway.doctor import Finding, names
from gateway.settings import Settings
from tests.dns.nsd import NsdServer
from tests.peers.ports import free_ports
from tests.peers.programs import Program

COMMAND = str(Path(sys.executable).parent / "dm-gateway")
ZONES = {
    "example.org": """\
@ NAPTR 10 10 "s" "SIP+D2T" "" _sip._tcp
_sip._tcp SRV 1 1 5070 a
_sip._tcp SRV 2 1 5070 b
a A 192.0.2.1
b A 192.0.2.2
many A 192.0.2.1
many A 192.0.2.2
many A 192.0.2.3
many A 192.0.2.4
many A 192.0.2.5
""",
    "e164.arpa": '3.2.1.4.4 NAPTR 1 1 "u" "E2U+sip" "!^.*$!sip:desk@example.org!" .',
}


@pytest_twisted.async_yield_fixture
async def nsd(tmp_path: Path) -> AsyncIterator[NsdServer]:
    server = NsdServer(tmp_path, ZONES)
    await server.start()
    yield server
    await server.stop()


async def located(nsd: NsdServer, *args: str) -> tuple[int, list[str], list[str]]:
    sets = ("--set", f"dns.servers=['{nsd.address}']", "--set", "dns.families=[ipv4]")
    program = Program([COMMAND, "locate", *args, *sets])
    try:
        code = await program.exited(20)
    finally:
        await program.stop()
    return code, program.stdout.seen, program.stderr.seen


@pytest_twisted.ensureDeferred
async def test_locate_shows_the_hops_and_the_records_that_led_there(nsd: NsdServer) -> None:
    naptr = 'NAPTR example.org: 10 10 "s" "SIP+D2T" "" _sip._tcp.example.org'
    code, out, err = await located(nsd, "example.org")
    assert (code, err) == (0, [])
    assert out == [
        "1  tcp 192.0.2.1:5070",
        f"     {naptr}",
        "     SRV _sip._tcp.example.org: 1 1 5070 a.example.org",
        "     A a.example.org: 192.0.2.1",
        "2  tcp 192.0.2.2:5070",
        f"     {naptr}",
        "     SRV _sip._tcp.example.org: 2 1 5070 b.example.org",
        "     A b.example.org: 192.0.2.2",
    ]


@pytest_twisted.ensureDeferred
async def test_locate_says_what_came_of_it_and_exits_with_1(nsd: NsdServer) -> None:
    code, out, err = await located(nsd, "gone.example.org", "--transport", "tls")
    assert (code, out) == (1, [])
    assert err == [
        "gone.example.org cannot be located: SRV _sips._tcp.gone.example.org: no such name; "
        "A gone.example.org: no such name"
    ]


@pytest_twisted.ensureDeferred
async def test_locate_a_number(nsd: NsdServer) -> None:
    suffix = ("--set", "dns.enum_suffix=e164.arpa")
    assert await located(nsd, "+44123", *suffix) == (0, ["1  sip:desk@example.org"], [])
    nothing = "+44124 has no SIP URI under e164.arpa"
    assert await located(nsd, "+44124", *suffix) == (1, [], [nothing])
    off = "numbers are not looked up: dns.enum_suffix is not set"
    assert await located(nsd, "+44123") == (1, [], [off])


def trunks(server: str, **trunks: str) -> Settings:
    listed = [{"name": name, "address": address} for name, address in trunks.items()]
    app = {"token": {"secret": "a-secret-of-more-than-32-characters-here"}}
    dns = {"servers": [server], "timeout_s": 1, "families": ["ipv4"]}
    return Settings.model_validate({"app": app, "trunks": listed, "dns": dns})


async def found(settings: Settings) -> list[Finding]:
    def look() -> Any:
        return list(names.trunks(settings))

    findings: list[Finding] = await deferToThread(look)
    return findings


@pytest_twisted.ensureDeferred
async def test_the_doctor_looks_the_trunks_up(nsd: NsdServer) -> None:
    settings = trunks(
        nsd.address, one="example.org", two="gone.example.org:5060", three="many.example.org:5060"
    )
    one, two, three = await found(settings)
    shown = "tcp 192.0.2.1:5070, tcp 192.0.2.2:5070"
    assert one == Finding("trunk one at example.org", "ok", shown)
    assert (two.what, two.grade) == ("trunk two at gone.example.org:5060", "fail")
    assert two.found.endswith("cannot be located: A gone.example.org: no such name")
    assert two.mend.startswith("check trunks[].address, dns.servers, ")
    assert three.grade == "ok"
    assert three.found.endswith(" and 1 more")


@pytest_twisted.ensureDeferred
async def test_the_doctor_asks_nobody_about_numeric_trunks() -> None:
    nobody = f"127.0.0.1:{free_ports()}"
    assert await found(trunks(nobody)) == []
    assert await found(trunks(nobody, one="192.0.2.1", two="[2001:db8::1]:5061")) == []
    (only,) = await found(trunks(nobody, one="192.0.2.1", two="example.org"))
    assert only.grade == "fail"
    assert f"NAPTR example.org: no answer in time ({nobody}: silent)" in only.found
