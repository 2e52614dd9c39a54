"""A real Chromium, a real rtpengine, and a worker-like RTP peer: audio and digits both ways."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from gateway.calls.ports import AppMedia
from gateway.media.rtpengine import Rtpengines
from gateway.media.webrtc import WebRtcPaths
from gateway.values import CallId, LegId
from tests.audio import has_dtmf, longest_gap_ms, over_neighbours_db, seconds_of, tone, write_wav
from tests.media.browser import (
    FRESH_OFFER,
    make_offer,
    negotiate,
    rtpengines,
    settings,
)
from tests.peers.chromium import Chromium, Page
from tests.peers.rtp import RtpStream
from tests.peers.waiting import pause, until

MICROPHONE_HZ, WORKER_HZ = 700.0, 440.0
CODECS = ("opus", "G722", "PCMU")
"""What the browser speaks; the worker's side speaks PCMU, so that only that is relayed."""


class Talk:
    """One browser's page, its media path, and the worker's side of it."""

    def __init__(self, page: Page, path: AppMedia, worker: RtpStream, answer: str) -> None:
        self.page, self.path, self.worker, self.answer = page, path, worker, answer

    async def is_heard_both_ways(self, seconds: float = 2.0) -> None:
        """After the first half second each end hears the other's tone without a gap."""
        await self.page.start_recording()
        await until(lambda: len(self.worker.heard.packets) > 25, "RTP from the browser", 5)
        since = self.worker.mark()
        await pause(seconds + 0.5)
        at_page, rate = await self.page.recording()
        at_page = at_page[rate // 2 :]
        at_worker = self.worker.audio(since)
        assert over_neighbours_db(at_page, WORKER_HZ, rate) >= 20
        assert longest_gap_ms(at_page, WORKER_HZ, rate) <= 60
        assert seconds_of(at_page, WORKER_HZ, rate) >= seconds - 0.3
        assert over_neighbours_db(at_worker, MICROPHONE_HZ, 8000) >= 20
        assert longest_gap_ms(at_worker, MICROPHONE_HZ, 8000) <= 60
        assert seconds_of(at_worker, MICROPHONE_HZ, 8000) >= seconds - 0.3


class Room:
    """One rtpengine and one Chromium for the tests of this file; calls are of a test each."""

    def __init__(self, engines: Rtpengines, chromium: Chromium) -> None:
        self.engines, self.chromium = engines, chromium

    @asynccontextmanager
    async def talk(self, codec: str, **options: Any) -> AsyncIterator[Talk]:
        """A call; at its end rtpengine holds nothing of it."""
        chosen = settings(media={"codecs": ["PCMU"]}, webrtc={"codecs": list(CODECS)})
        page = await self.chromium.page()
        worker = RtpStream("PCMU", WORKER_HZ)
        path: AppMedia | None = None
        try:
            offer = await make_offer(page, (codec,), **options)
            path = WebRtcPaths(chosen, self.engines).path_for(CallId("call"), LegId("leg"), offer)
            yield Talk(page, path, worker, await negotiate(path, page, offer, worker))
            assert page.errors == []
        finally:
            await page.close()
            await worker.close()
            if path is not None:
                await path.close()
        _, client = await self.engines.pick()
        assert (await client.request("list", limit=10))["calls"] == []


@pytest_twisted.async_yield_fixture(scope="module")
async def room(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Room]:
    directory: Path = tmp_path_factory.mktemp("chromium")
    microphone = write_wav(directory / "mic.wav", tone(MICROPHONE_HZ, 60, 48_000, 0.4), 48_000)
    engines = rtpengines(settings())
    await engines.start()
    try:
        chromium = await Chromium.start(directory, microphone)
        try:
            yield Room(engines, chromium)
        finally:
            await chromium.stop()
    finally:
        await engines.stop()


@pytest.mark.parametrize("codec", CODECS)
@pytest_twisted.ensureDeferred
async def test_audio_both_ways(room: Room, codec: str) -> None:
    async with room.talk(codec) as talk:
        await talk.is_heard_both_ways()
        used = await talk.page.evaluate(
            """async () => { const all = [...(await peer.getStats()).values()];
                 return all.filter(s => s.type === 'codec').map(s => s.mimeType); }"""
        )
        assert set(used) == {f"audio/{codec}"}


@pytest.mark.parametrize("codec", ["opus", "PCMU"])
@pytest_twisted.ensureDeferred
async def test_digits_both_ways(room: Room, codec: str) -> None:
    async with room.talk(codec) as talk:
        await until(lambda: len(talk.worker.heard.packets) > 25, "RTP from the browser", 5)
        assert await talk.page.evaluate("() => sender.dtmf.canInsertDTMF")
        digits = "0123456789*#ABCD"
        await talk.page.evaluate("(d) => sender.dtmf.insertDTMF(d, 100, 60)", digits)
        seen = talk.worker.presses.seen
        await until(lambda: len(seen) >= len(digits) and seen[-1].ended, "the last digit", 10)
        assert talk.worker.digits() == digits
        durations = [p.duration / 8 for p in seen]
        assert all(80 <= d <= 140 for d in durations), durations
        assert len({p.timestamp for p in seen}) == len(digits)
        await talk.page.start_recording()
        await talk.worker.press("5", 400)

        await pause(3.5)  # Chromium may play what it got two seconds late
        assert has_dtmf(*await talk.page.recording())


@pytest_twisted.ensureDeferred
async def test_only_audio_of_an_offer_with_video_and_data_is_taken(room: Room) -> None:
    async with room.talk("opus", video=True) as talk:
        assert talk.answer.count("\r\nm=") == 3
        states = "() => peer.getTransceivers().map(t => t.currentDirection)"
        # Chromium stops a refused transceiver; what is left is the audio
        assert [s for s in await talk.page.evaluate(states) if s != "inactive"] == ["sendrecv"]
        await talk.is_heard_both_ways(1.0)


@pytest_twisted.ensureDeferred
async def test_an_offer_without_candidates_and_a_fresh_one_with_them(room: Room) -> None:
    async with room.talk("opus", candidates=False) as talk:
        fresh = str(await talk.page.evaluate(FRESH_OFFER, False))
        assert "a=candidate:" in fresh
        await negotiate(talk.path, talk.page, fresh, talk.worker)
        await talk.is_heard_both_ways(1.0)


@pytest.mark.parametrize("codec", ["opus", "PCMU"])
@pytest_twisted.ensureDeferred
async def test_an_ice_restart_keeps_the_audio(room: Room, codec: str) -> None:
    async with room.talk(codec) as talk:
        await talk.is_heard_both_ways(1.0)
        fresh = str(await talk.page.evaluate(FRESH_OFFER, True))
        answer = await negotiate(talk.path, talk.page, fresh, talk.worker)
        assert _line(answer, "a=ice-ufrag") != _line(talk.answer, "a=ice-ufrag")
        assert _line(answer, "a=fingerprint") == _line(talk.answer, "a=fingerprint")
        await talk.page.until("() => ['connected', 'completed'].includes(peer.iceConnectionState)")
        await talk.is_heard_both_ways(1.0)


@pytest_twisted.ensureDeferred
async def test_the_figures_of_a_transcoded_leg(room: Room) -> None:
    async with room.talk("opus") as talk:
        await talk.is_heard_both_ways(1.0)
        stats = await talk.path.stats()
        assert stats is not None
        assert stats.codec == "opus"
        assert stats.received.packets > 50
        assert stats.sent.packets > 50

        async def round_trip() -> float | None:
            now = await talk.path.stats()
            return None if now is None or now.rtt_ms is None else now.rtt_ms + 0.001

        assert await until(round_trip, "a report from the browser", 12, 0.5) < 200


def _line(sdp: str, start: str) -> str:
    return next(x for x in sdp.splitlines() if x.startswith(start))
