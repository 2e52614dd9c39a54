"""A real pool with real workers; the test's SIP phone stands where the edge would."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import psutil

from gateway.calls.ports import LegAnswer, Sound, WorkerState
from gateway.errors import MediaFailed
from gateway.media.lease import Lease
from gateway.media.pool import Pool
from gateway.media.rtp_ports import PortBlocks
from gateway.settings import MediaSection
from gateway.values import CallId, HostPort, LegEnd, LegId, LegMedia, LegStats, SipTarget
from tests.peers.app_client import event_type, media_address, plain_offer
from tests.peers.rtp import RtpStream
from tests.peers.sip_phone import SipCall, SipPhone
from tests.peers.waiting import Happenings, pause, reactor, until

T = TypeVar("T")


class Event(NamedTuple):
    name: str
    leg: str
    value: Any = None


class Told(Happenings[Event]):
    """Implements ``ports.LegEvents``: keeps all it is told."""

    def __init__(self) -> None:
        super().__init__("leg events")

    def leg_incoming(self, leg: LegId) -> None:
        self.add(Event("incoming", leg))

    def leg_ringing(self, leg: LegId, code: int) -> None:
        self.add(Event("ringing", leg, code))

    def leg_answered(self, leg: LegId) -> None:
        self.add(Event("answered", leg))

    def leg_media(self, leg: LegId, media: LegMedia) -> None:
        self.add(Event("media", leg, media))

    def leg_dtmf(self, leg: LegId, digit: str, duration_ms: int) -> None:
        self.add(Event("dtmf", leg, (digit, duration_ms)))

    def leg_played(self, leg: LegId, sound: Sound) -> None:
        self.add(Event("played", leg, sound))

    def leg_stats(self, leg: LegId, stats: LegStats) -> None:
        self.add(Event("stats", leg, stats))

    def leg_closed(self, leg: LegId, end: LegEnd) -> None:
        self.add(Event("closed", leg, end))

    def worker_lost(self) -> None:
        self.add(Event("lost", ""))

    async def that(self, name: str, leg: str, timeout_s: float = 5, since: int = 0) -> Any:
        """The value of the first such event."""
        event = await self.expect(
            lambda e: e.name == name and e.leg == leg, f"{name} of {leg!r}", timeout_s, since
        )
        return event.value

    def all(self, name: str, leg: str = "") -> list[Any]:
        return [e.value for e in self.seen if e.name == name and leg in ("", e.leg)]


class Watch:
    """Implements ``ports.WorkerWatch``."""

    def __init__(self) -> None:
        self.up: list[HostPort] = []
        self.gone: list[HostPort] = []

    def worker_up(self, sip: HostPort) -> None:
        self.up.append(sip)

    def worker_gone(self, sip: HostPort) -> None:
        self.gone.append(sip)


class Meters:
    """Implements ``ports.PoolMeters``."""

    def __init__(self) -> None:
        self.now: dict[WorkerState, int] = {}

    def workers(self, state: WorkerState, count: int) -> None:
        self.now[state] = count


class Scene:
    """One pool; ``phone`` is its outbound proxy and talks to the worker of the last lease."""

    def __init__(
        self, clock: Any = reactor, proxy: HostPort | None = None, **settings: Any
    ) -> None:
        """``proxy``: another peer in the phone's stead."""
        settings = {"warm_workers": 1, "max_workers": 4, **settings}
        self.settings = MediaSection(**settings)
        self.phone = SipPhone("127.0.0.1:9")
        self.watch, self.meters = Watch(), Meters()
        self.told = Told()
        self.blocks = PortBlocks(*self.settings.rtp_ports)
        proxy = proxy or HostPort("127.0.0.1", self.phone.port)
        self.pool = Pool(
            self.settings, proxy, self.blocks, clock, self.watch, self.meters, "dm-gateway test"
        )
        self._streams: list[RtpStream] = []
        self._count = 0

    async def end(self) -> None:
        for stream in self._streams:
            await stream.close()
        pids = self.pool.pids().values()
        await self.pool.stop()
        await self.phone.close()
        await until(lambda: not any(map(alive, pids)), "the workers have gone", 3)

    # -- what tests begin with

    async def lend(self, legs: int = 2, told: Told | None = None) -> Lease:
        self._count += 1
        lease = await self.pool.lend(CallId(f"call-{self._count}"), legs, told or self.told)
        self.phone.server = (lease.sip.host, lease.sip.port)
        return lease

    def stream(self, codec: str = "PCMU", hz: float | None = 700) -> RtpStream:
        stream = RtpStream(codec, hz)
        self._streams.append(stream)
        return stream

    def also(self, *streams: RtpStream) -> None:
        """End these with the scene."""
        self._streams += streams

    async def app_leg(
        self, lease: Lease, leg: str, hz: float | None = 700, codec: str = "PCMU"
    ) -> tuple[RtpStream, LegAnswer]:
        """An app leg whose stream speaks at once."""
        stream = self.stream(codec, hz)
        answer = await lease.open_app_leg(LegId(leg), plain_offer(stream))
        begin(stream, answer.sdp)
        return stream, answer

    async def dialled(
        self, lease: Lease, leg: str, hz: float | None = 440, codec: str = "PCMU"
    ) -> SipCall:
        """An outgoing SIP leg that the phone has answered."""
        await lease.open_sip_leg(LegId(leg), target())
        call = await self.phone.incoming(since=self.phone.messages.mark())
        call.stream = self.phone.stream(codec, hz)
        call.answer(200)
        await self.told.that("media", leg)
        return call

    async def invited(
        self, lease: Lease, leg: str, hz: float | None = 440, codec: str = "PCMU"
    ) -> SipCall:
        """An incoming SIP leg that the worker has answered."""
        call = self.calling(lease, hz, codec)
        await lease.expect_sip_leg(LegId(leg))
        call.send_invite(None, ("x-dmgw-leg", leg))
        await self.told.that("incoming", leg)
        await lease.answer(LegId(leg), 200)
        await call.answered()
        await self.told.that("answered", leg)
        return call

    def calling(self, lease: Lease, hz: float | None = 440, codec: str = "PCMU") -> SipCall:
        return self.phone.call(f"sip:in@{lease.sip}", self.phone.stream(codec, hz))

    def pid_of(self, lease: Lease) -> int:
        return self.pool.pids()[lease.worker]


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """A worker takes only so many legs a second: ask again when it says so."""
    while True:
        try:
            return await ask()
        except MediaFailed as e:
            if "too many legs" not in str(e):
                raise
            await pause(0.1)


def begin(stream: RtpStream, answer: str) -> None:
    stream.event_pt = event_type(answer) or stream.event_pt
    stream.send_to(*media_address(answer))


def target(uri: str = "sip:1001@127.0.0.1:9", **more: Any) -> SipTarget:
    given = {
        "to": "sip:1001@dm.localhost",
        "from_uri": "sip:alice@dm.localhost",
        "from_name": "Alice",
        **more,
    }
    return SipTarget(uri=uri, **given)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def descriptors(pid: int) -> list[str]:
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(os.readlink(entry))  # noqa: PTH115  # a socket has no path
        except FileNotFoundError:
            continue
    return sorted(found)
