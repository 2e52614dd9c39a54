"""Our own rtpengine: it comes up, comes back, and never outlives us."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import psutil
import pytest
import pytest_twisted

from gateway.errors import CannotStart
from gateway.media.engines import Engine
from gateway.media.ng import NgClient
from gateway.media.rtp_ports import PortBlocks
from gateway.media.rtpengine import ManagedRtpengine, Rtpengines, block_size, split_ports
from gateway.settings import Settings
from tests.media.browser import BlockOfPorts, Ports, rtpengines, settings
from tests.peers.ports import free_ports
from tests.peers.programs import Program
from tests.peers.waiting import pause, reactor, until


def managed(chosen: Settings, block: BlockOfPorts) -> ManagedRtpengine:
    return ManagedRtpengine(chosen.webrtc, chosen.media, block, reactor)


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest_twisted.ensureDeferred
async def test_it_comes_up_in_its_ports_and_goes() -> None:
    block = BlockOfPorts(100)
    one = managed(settings(), block)
    await one.start()
    pid = one.pid
    assert pid is not None
    process = psutil.Process(pid)
    assert process.name() == "rtpengine"
    assert "--table=-1" in process.cmdline()
    assert f"--port-min={block.first}" in process.cmdline()
    assert f"--port-max={block.last}" in process.cmdline()
    listening = [c.laddr for c in process.net_connections("udp")]
    assert listening
    assert all(address.ip == "127.0.0.1" for address in listening)
    await one.stop()
    assert gone(pid)
    assert block.released
    await one.stop()


@pytest_twisted.ensureDeferred
async def test_killed_it_is_back_within_three_seconds_and_usable() -> None:
    engines = rtpengines(settings())
    await engines.start()
    try:
        engine, client = await engines.pick()
        pid = _pid(engines)
        os.kill(pid, signal.SIGKILL)
        began = reactor.seconds()
        await until(lambda: engine.client is not client, "its end was seen", 3)
        again, fresh = await engines.pick()
        assert again is engine
        assert (await fresh.request("list", limit=5))["calls"] == []
        assert reactor.seconds() - began < 3
        assert _pid(engines) != pid
    finally:
        await engines.stop()


@pytest_twisted.ensureDeferred
async def test_one_that_hangs_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Engine, "PING_S", 0.1)
    monkeypatch.setattr(NgClient, "RESEND_S", (0.2,))
    monkeypatch.setattr(NgClient, "GIVE_UP_S", 0.3)
    monkeypatch.setattr(ManagedRtpengine, "START_S", 1.0)
    block = BlockOfPorts(100)
    one = managed(settings(), block)
    await one.start()
    try:
        pid = one.pid
        assert pid is not None
        await pause(1.1)  # past its time to start
        os.kill(pid, signal.SIGSTOP)
        await until(lambda: one.pid not in (None, pid) and one.engine.up, "another one is up", 8)
        assert gone(pid)
    finally:
        await one.stop()


@pytest_twisted.ensureDeferred
async def test_two_live_side_by_side() -> None:
    """Two gateways with the same settings: neither port nor session is shared."""
    first, last = 11_000 + free_ports(2) % 8_000, 29_000
    chosen = settings(media={"rtp_ports": [first, last]})
    both = [
        Rtpengines(chosen.webrtc, chosen.media, PortBlocks(first, last), reactor) for _ in range(2)
    ]
    try:
        for one in both:
            await one.start()
        lines = [psutil.Process(_pid(one)).cmdline() for one in both]
        spans = sorted(
            (int(_option(line, "--port-min")), int(_option(line, "--port-max"))) for line in lines
        )
        assert spans[0][1] < spans[1][0]
        assert _option(lines[0], "--listen-ng") != _option(lines[1], "--listen-ng")
    finally:
        for one in both:
            await one.stop()


ORPHAN = """
import sys
from twisted.internet import asyncioreactor
asyncioreactor.install()
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from tests.media.browser import rtpengines, settings

async def main():
    engines = rtpengines(settings())
    await engines.start()
    print(engines._running[0].pid, flush=True)

reactor.callWhenRunning(lambda: Deferred.fromCoroutine(main()))
reactor.run()
"""


@pytest_twisted.ensureDeferred
async def test_it_dies_with_us_even_on_kill_9() -> None:
    parent = Program([sys.executable, "-c", ORPHAN], cwd=Path(__file__).parents[2])
    try:
        line = await parent.stdout.expect(str.isdigit, "the pid", 15)
        pid = int(line)
        assert psutil.Process(pid).name() == "rtpengine"
        parent.signal(signal.SIGKILL)
        await parent.exited()
        await until(lambda: gone(pid), "rtpengine is gone", 3)
    finally:
        await parent.stop()


WITHOUT_SIGNALS = """
import os
from twisted.internet import asyncioreactor
asyncioreactor.install()
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.process import Process
from tests.media.browser import rtpengines, settings
from tests.peers.waiting import until

reap, tries = Process.reapProcess, []

def too_early_once(self):  # its pipes close a moment before it can be waited for
    tries.append(self)
    if len(tries) > 1:
        reap(self)

async def main():
    engines = rtpengines(settings())
    await engines.start()
    (engine,), client = engines.all, engines.all[0].client
    Process.reapProcess = too_early_once
    os.kill(engines._running[0].pid, 9)
    await until(lambda: engine.up and engine.client is not client, "it is back", 3)
    await engines.stop()
    print("well", flush=True)
    reactor.stop()

reactor.callWhenRunning(lambda: Deferred.fromCoroutine(main()).addErrback(print))
reactor.run(installSignalHandlers=False)
"""


@pytest_twisted.ensureDeferred
async def test_its_end_is_seen_also_where_nobody_handles_sigchld() -> None:
    gateway = Program([sys.executable, "-c", WITHOUT_SIGNALS], cwd=Path(__file__).parents[2])
    try:
        await gateway.stdout.expect(lambda line: line == "well", "a good end", 15)
        assert await gateway.exited() == 0
    finally:
        await gateway.stop()


@pytest_twisted.ensureDeferred
async def test_a_missing_program_is_told_with_what_would_be_right() -> None:
    block = BlockOfPorts(10)
    one = managed(settings(webrtc={"program": "/nowhere/rtpengine"}), block)
    with pytest.raises(CannotStart, match="/nowhere/rtpengine cannot be run; install rtpengine-"):
        await one.start()
    await one.stop()
    assert block.released


@pytest_twisted.ensureDeferred
async def test_a_program_that_ends_is_told_with_its_last_words(tmp_path: Path) -> None:
    broken = tmp_path / "rtpengine"
    broken.write_text("#!/bin/sh\necho no such luck >&2\nexit 1\n")
    broken.chmod(0o755)
    block = BlockOfPorts(10)
    one = managed(settings(webrtc={"program": str(broken)}), block)
    with pytest.raises(CannotStart, match=r"does not come up: .*no such luck"):
        await one.start()
    assert block.released
    assert one.pid is None


@pytest_twisted.ensureDeferred
async def test_external_ones_start_also_while_one_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NgClient, "RESEND_S", (0.1,))
    monkeypatch.setattr(NgClient, "GIVE_UP_S", 0.2)
    alive = managed(settings(), BlockOfPorts(100))
    await alive.start()
    address = _option(psutil.Process(alive.pid).cmdline(), "--listen-ng")
    dead = f"127.0.0.1:{free_ports()}"
    engines = rtpengines(settings(webrtc={"rtpengine": [dead, address]}))
    try:
        await engines.start()
        assert [e.up for e in engines.all] == [False, True]
        engine, client = await engines.pick()
        assert engine.name == address
        assert (await client.request("ping"))["result"] == "pong"
    finally:
        await engines.stop()
        await alive.stop()


@pytest_twisted.ensureDeferred
async def test_off_means_none() -> None:
    ports = Ports()
    chosen = settings(webrtc={"rtpengine": "off"})
    engines = Rtpengines(chosen.webrtc, chosen.media, ports, reactor)
    await engines.start()
    assert engines.all == ()
    assert not ports.blocks
    await engines.stop()


@pytest_twisted.ensureDeferred
async def test_the_public_address_is_advertised_and_workers_stay_on_loopback() -> None:
    one = managed(settings(webrtc={"public_host": "203.0.113.7"}), BlockOfPorts(100))
    await one.start()
    try:
        line = psutil.Process(one.pid).cmdline()
    finally:
        await one.stop()
    assert "--interface=pub/127.0.0.1!203.0.113.7" in line
    assert "--interface=priv/127.0.0.1" in line


def test_port_ranges_are_split_and_blocks_fit() -> None:
    assert split_ports((30_000, 39_999)) == ((30_000, 37_499), (37_500, 39_999))
    assert block_size((30_000, 39_999)) == 500
    assert block_size((30_000, 65_000)) == 1024
    assert block_size((30_000, 30_400)) == 40


def _pid(engines: Rtpengines) -> int:
    (one,) = engines._running
    assert isinstance(one, ManagedRtpengine)
    assert one.pid is not None
    return one.pid


def _option(line: list[str], name: str) -> str:
    return next(a.partition("=")[2] for a in line if a.startswith(f"{name}="))
