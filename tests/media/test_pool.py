"""The pool: whole calls in one worker, the fallen replaced, the last words of orphans."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest
import pytest_twisted

from gateway.calls.ports import Farewell
from gateway.errors import CannotStart, MediaFailed, NoCapacity, WorkerLost
from gateway.values import HostPort, LegId
from tests.media.conftest import MakeScene
from tests.media.hearing import hears
from tests.media.scene import Scene, Told, alive, descriptors, patiently, target
from tests.peers.app_client import plain_offer
from tests.peers.ports import free_ports
from tests.peers.waiting import pause, reactor, until

A, B, S = LegId("a"), LegId("b"), LegId("s")


@pytest_twisted.ensureDeferred
async def test_whole_calls_in_as_few_workers_as_hold_them(make_scene: MakeScene) -> None:
    scene = await make_scene(max_workers=2)
    one, two = await scene.lend(2), await scene.lend(2)
    assert one.worker == two.worker, "filled before another is taken"
    three = await scene.lend(3)
    assert three.worker != one.worker
    with pytest.raises(NoCapacity):
        await scene.lend(2)
    with pytest.raises(NoCapacity):
        await scene.lend(5)
    four = await scene.lend(1)
    assert four.worker == three.worker
    await one.release()
    assert (await scene.lend(2)).worker == two.worker


@pytest_twisted.ensureDeferred
async def test_a_call_waits_for_a_worker_that_starts(scene: Scene) -> None:
    leases = [await scene.lend(4) for _ in range(4)]
    assert len({lease.worker for lease in leases}) == 4
    with pytest.raises(NoCapacity):
        await scene.lend(1)
    assert not scene.pool.ready()
    await leases[0].release()
    assert scene.pool.ready()


@pytest_twisted.ensureDeferred
async def test_the_edge_and_the_meters_are_told(scene: Scene) -> None:
    await until(lambda: len(scene.watch.up) == 1, "the warm one is up")
    assert scene.meters.now == {"starting": 0, "idle": 1, "busy": 0, "draining": 0}
    lease = await scene.lend(2)
    assert scene.watch.up[0] == lease.sip
    await until(lambda: scene.meters.now["idle"] == 1, "another warm one")
    assert scene.meters.now["busy"] == 1
    await lease.release()
    assert (scene.meters.now["busy"], scene.meters.now["idle"]) == (0, 2)


@pytest_twisted.ensureDeferred
async def test_a_place_is_free_when_the_far_end_has_let_go(make_scene: MakeScene) -> None:
    """A released call whose BYE nobody has answered still fills PJSIP's table."""
    scene = await make_scene(max_workers=1, legs_per_worker=2)
    lease = await scene.lend(2)
    call = await scene.dialled(lease, "s")
    scene.phone.auto_bye = False
    await lease.release()
    bye = await call.got("BYE")
    with pytest.raises(NoCapacity):
        await scene.lend(2)
    other = await scene.lend(1)
    await scene.app_leg(other, "a")
    await other.release()
    scene.phone.send(scene.phone.refusal(bye, 200))
    await until(scene.pool.ready, "both places are free")
    await scene.lend(2)


@pytest_twisted.ensureDeferred
async def test_a_worker_is_killed(scene: Scene) -> None:
    others = Told()
    lease, other = await scene.lend(2), await scene.lend(2, others)
    assert lease.worker == other.worker
    await scene.app_leg(lease, "a")
    began = reactor.seconds()
    os.kill(scene.pid_of(lease), signal.SIGKILL)
    await scene.told.that("lost", "", 3)
    await others.that("lost", "", 3)
    assert reactor.seconds() - began < 3
    assert scene.watch.gone == [lease.sip]
    for asked in (lease.connect(A, A), lease.open_sip_leg(S, target())):
        with pytest.raises(WorkerLost):
            await asked
    await lease.close_leg(A, 200, "OK")
    await lease.release()
    next_one = await scene.lend(2)
    assert next_one.worker != lease.worker
    stream, _ = await scene.app_leg(next_one, "b", 700)
    await next_one.connect(B, B)
    await hears(stream, 700)
    await until(lambda: scene.meters.now["idle"] >= 1, "a warm one is there again")
    assert len(scene.told.all("lost")) == 1


@pytest_twisted.ensureDeferred
async def test_a_request_that_a_worker_dies_on(scene: Scene) -> None:
    lease = await scene.lend(1)
    pid = scene.pid_of(lease)
    os.kill(pid, signal.SIGSTOP)
    asked = lease.open_app_leg(A, plain_offer(scene.stream()))
    reactor.callLater(0.2, os.kill, pid, signal.SIGKILL)
    with pytest.raises(WorkerLost):
        await asked


@pytest_twisted.ensureDeferred
async def test_a_worker_that_stands_still_is_killed(scene: Scene) -> None:
    lease = await scene.lend(1)
    pid = scene.pid_of(lease)
    os.kill(pid, signal.SIGSTOP)
    began = reactor.seconds()
    await scene.told.that("lost", "", 6)
    assert 1.9 < reactor.seconds() - began < 5
    assert not alive(pid)


@pytest_twisted.ensureDeferred
async def test_spares_that_fall_are_replaced_later_and_later(scene: Scene) -> None:
    born = []
    for _ in range(3):
        (pid,) = scene.pool.pids().values()
        os.kill(pid, signal.SIGKILL)
        fell = reactor.seconds()
        ups = len(scene.watch.up)
        await until(lambda ups=ups: len(scene.watch.up) > ups, "another is up", 6, 0.02)
        born.append(reactor.seconds() - fell)
    assert born[0] < 1.5
    assert born[1] >= 0.5 and born[2] >= 1.0
    assert len(scene.watch.gone) == 3


@pytest_twisted.ensureDeferred
async def test_spares_that_nobody_needs_leave() -> None:
    clock = _Sped()
    scene = Scene(clock, warm_workers=1, max_workers=4)
    try:
        await scene.pool.start()
        leases = [await scene.lend(4) for _ in range(3)]
        for lease in leases:
            await lease.release()
        assert len(scene.pool.pids()) >= 3
        clock.ahead += 61
        scene.pool.tend()
        await until(lambda: len(scene.pool.pids()) == 1, "the spares have left")
        assert len(scene.watch.gone) == len(scene.watch.up) - 1
    finally:
        await scene.end()


class _Sped:
    """The reactor, whose clock can be put forward."""

    ahead = 0.0

    def __getattr__(self, name: str) -> object:
        return getattr(reactor, name)

    def seconds(self) -> float:
        return float(reactor.seconds()) + self.ahead


@pytest_twisted.ensureDeferred
async def test_no_worker_comes_up() -> None:
    """As where PJSIP cannot bind: it says so instead of waiting for ever."""
    clock = _Impatient()
    scene = Scene(clock, host="192.0.2.1", warm_workers=1)
    scene.pool._proxy = HostPort("not an address", -1)
    starting = scene.pool.start()
    try:
        with pytest.raises(CannotStart):
            await starting
    finally:
        await scene.end()


class _Impatient:
    """The reactor, on which twenty seconds are two."""

    def __getattr__(self, name: str) -> object:
        return getattr(reactor, name)

    def callLater(self, delay: float, *args: object, **kw: object) -> object:
        return reactor.callLater(delay / 10, *args, **kw)


@pytest_twisted.ensureDeferred
async def test_stopping_ends_all_and_is_idempotent(make_scene: MakeScene) -> None:
    scene = await make_scene(warm_workers=2)
    lease = await scene.lend(2)
    await scene.app_leg(lease, "a")
    pids = tuple(scene.pool.pids().values())
    began = reactor.seconds()
    await scene.pool.stop()
    await scene.pool.stop()
    assert reactor.seconds() - began < 2.5
    assert not any(map(alive, pids))
    with pytest.raises((WorkerLost, MediaFailed)):
        await lease.connect(A, A)


# --- when the daemon is killed ----------------------------------------------------------

DAEMON = """
import sys
from twisted.internet import asyncioreactor
asyncioreactor.install()
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from gateway.calls.ports import Farewell
from gateway.values import HostPort
from tests.media.scene import Scene

async def main():
    scene = Scene(warm_workers=2)
    await scene.pool.start()
    for n, (worker, to) in enumerate(zip(scene.watch.up * 2, map(int, sys.argv[2:]))):
        udp = n < 2
        payload = f"BYE sip:x SIP/2.0\\r\\nCall-ID: {n}\\r\\n\\r\\n".encode()
        source, to = HostPort("127.0.0.1", int(sys.argv[1])), HostPort("127.0.0.1", to)
        will = Farewell("udp" if udp else "tcp", source, to, payload)
        scene.pool.keep(worker, f"dialog{n}", will)
        scene.pool.keep(worker, f"gone{n}", will)
        scene.pool.keep(worker, f"gone{n}", None)
    reactor.callLater(0.3, print, *scene.pool.pids().values(), flush=True)

reactor.callWhenRunning(lambda: Deferred.fromCoroutine(main()))
reactor.run()
"""


@pytest.fixture
def listeners() -> Iterator[list[socket.socket]]:
    """Two for UDP, one for TCP."""
    made = []
    for kind in (socket.SOCK_DGRAM, socket.SOCK_DGRAM, socket.SOCK_STREAM):
        one = socket.socket(socket.AF_INET, kind)
        one.bind(("127.0.0.1", 0))
        one.setblocking(False)
        if kind == socket.SOCK_STREAM:
            one.listen()
        made.append(one)
    yield made
    for one in made:
        one.close()


@pytest_twisted.ensureDeferred
async def test_workers_say_goodbye_for_a_killed_daemon(listeners: list[socket.socket]) -> None:
    source = free_ports()
    ports = [str(one.getsockname()[1]) for one in listeners]
    daemon = subprocess.Popen(  # noqa: ASYNC220  # it starts at once
        [sys.executable, "-c", DAEMON, str(source), *ports], stdout=subprocess.PIPE
    )
    try:
        assert daemon.stdout is not None
        os.set_blocking(daemon.stdout.fileno(), False)
        said = b""

        def pids() -> list[int]:
            nonlocal said
            said += daemon.stdout.read() or b"" if daemon.stdout else b""
            last = said.decode().strip().rpartition("\n")[2].split()
            return [int(p) for p in last] if len(last) == 2 and last[0].isdigit() else []

        workers = await until(pids, "two workers", 10)
        daemon.kill()
        killed = reactor.seconds()
        first, second, tcp = listeners
        payload, peer = await until(lambda: _received(first), "the first goodbye", 2)
        assert payload.startswith(b"BYE sip:x") and b"Call-ID: 0" in payload
        assert peer == ("127.0.0.1", source), "from where the daemon spoke"
        first.sendto(b"SIP/2.0 200 OK\r\nCall-ID: 0\r\n\r\n", peer)
        payload, peer = await until(lambda: _received(second), "the second goodbye", 2)
        assert b"Call-ID: 1" in payload and peer == ("127.0.0.1", source)
        accepted = await until(lambda: _accepted(tcp), "a connection", 2)
        text = await until(lambda: _received(accepted), "the third goodbye", 2)
        assert b"Call-ID: 2" in text[0]
        accepted.close()
        await until(lambda: not any(map(alive, workers)), "the workers have gone", 3)
        assert reactor.seconds() - killed < 2.5
        again = []
        while (more := _received(second)) is not None:
            again.append(more[0])
        assert 1 <= len(again) <= 2, "said again while nobody answers, three times at most"
        assert all(b"Call-ID: 1" in payload for payload in again)
    finally:
        daemon.kill()
        daemon.wait()


def _received(one: socket.socket) -> tuple[bytes, tuple[str, int]] | None:
    try:
        return one.recvfrom(65_536)
    except BlockingIOError:
        return None


def _accepted(one: socket.socket) -> socket.socket | None:
    try:
        found = one.accept()[0]
    except BlockingIOError:
        return None
    found.setblocking(False)
    return found


@pytest_twisted.ensureDeferred
async def test_wills_for_a_worker_that_is_gone_are_nothing(scene: Scene) -> None:
    nobody = HostPort("127.0.0.1", 9)
    scene.pool.keep(nobody, "dialog", Farewell("udp", nobody, nobody, b"BYE"))
    lease = await scene.lend(1)
    os.kill(scene.pid_of(lease), signal.SIGKILL)
    for _ in range(20):  # while it dies, and after
        scene.pool.keep(lease.sip, "dialog", Farewell("udp", nobody, nobody, b"BYE"))
        await pause(0.02)
    await scene.told.that("lost", "")


# --- what remains -----------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_two_hundred_legs_leave_nothing_behind(make_scene: MakeScene) -> None:
    scene = await make_scene(max_workers=1)
    lease = await scene.lend(4)
    pid = scene.pid_of(lease)
    process = psutil.Process(pid)
    stream = scene.stream("PCMU", 700)

    async def one(n: int) -> None:
        leg = LegId(f"leg{n}")
        if n % 4:
            await patiently(lambda: lease.open_app_leg(leg, plain_offer(stream)))
            await lease.connect(leg, leg)
            await lease.play(leg, "ringback")
        else:
            await patiently(lambda: scene.dialled(lease, leg))
        await lease.close_leg(leg, 200, "OK")
        await scene.told.that("closed", leg)

    for n in range(40):
        await one(n)
    before, rss = descriptors(pid), process.memory_info().rss
    for n in range(40, 240):
        await one(n)
    await until(lambda: len(descriptors(pid)) <= len(before), "no descriptor is left", 5)
    assert process.memory_info().rss - rss < 6_000_000
    assert process.num_threads() <= 8
    await lease.release()
    assert scene.meters.now["busy"] == 0


@pytest_twisted.ensureDeferred
async def test_idle_workers_cost_next_to_nothing(make_scene: MakeScene) -> None:
    scene = await make_scene(warm_workers=2)
    lease = await scene.lend(1)
    await scene.app_leg(lease, "a")
    await lease.release()  # the clock of its bridge stands still again
    await pause(0.5)
    processes = [psutil.Process(pid) for pid in scene.pool.pids().values()]
    before = [_cpu(p) for p in processes]
    await pause(4)
    assert all(_cpu(p) - b < 0.04 for p, b in zip(processes, before, strict=True))
    assert all(p.memory_full_info().uss < 40_000_000 for p in processes)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
