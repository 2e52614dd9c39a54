"""Opus by rule: a real browser, a softphone, and what is heard between silences."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from tests import audio
from tests.e2e.residue import nothing_left
from tests.e2e.talk import BrowserMedia
from tests.peers.app_client import AppClient
from tests.peers.chromium import Chromium
from tests.peers.fixtures import SHARED, Cast
from tests.peers.gateway import Gateway
from tests.peers.waiting import pause

HZ = 700.0
SPEECH = audio.tones([(HZ, 1.0), (0, 1.0)] * 30, 48_000, 0.3)
"""A second of it, a second of nothing."""


@pytest_twisted.async_yield_fixture(scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Chromium]:
    directory: Path = tmp_path_factory.mktemp("chromium")
    made = await Chromium.start(directory, audio.write_wav(directory / "mic.wav", SPEECH, 48_000))
    try:
        yield made
    finally:
        await made.stop()


_SENT = """async () => {
  const stats = [...(await pc.getStats()).values()];
  const out = stats.find(s => s.type === 'outbound-rtp');
  const codec = stats.find(s => s.id === out.codecId);
  return {packets: out.packetsSent, bytes: out.bytesSent, codec: codec.mimeType,
    fmtp: codec.sdpFmtpLine ?? ''};
}"""


class Talk:
    """A browser's call to a phone."""

    def __init__(self, media: BrowserMedia, client: AppClient, call: str, leg: Any) -> None:
        self.media, self.client, self.call, self.leg = media, client, call, leg

    async def sent(self) -> dict[str, Any]:
        return dict(await self.media.page.evaluate(_SENT))

    async def over(self) -> None:
        await self.client.hangup(self.call)
        await self.client.ended(self.call)
        await self.media.page.close()


async def talk(
    client: AppClient, gateway: Gateway, browser: Chromium, phone: Any, kbps: int | None = None
) -> Talk:
    media = await BrowserMedia.open(await browser.page(), gateway)
    offer = await media.offer("opus", "PCMU")
    if kbps is not None:
        offer, done = re.subn(r"(m=audio .*\r\nc=.*\r\n)", rf"\1b=AS:{kbps}\r\n", offer)
        assert done == 1, offer
    mark = phone.messages.mark()
    placed = await client.request("call.invite", to=f"sip:{phone.user}@dm.localhost", sdp=offer)
    leg = await phone.incoming(since=mark)
    leg.stream = phone.stream(hz=450)
    leg.answer(200)
    call = placed["call"]
    answer = (await client.event("call.media", call=call))["sdp"]
    await media.answer(answer)
    await client.connected(call)
    return Talk(media, client, call, leg)


@pytest_twisted.ensureDeferred
async def test_silence_costs_next_to_nothing(browser: Chromium, cast: Cast) -> None:
    gateway = await cast.gateway(*SHARED)
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        made = await talk(alice, gateway, browser, phone)
        await pause(2)  # the encoder decides when it is silent
        before, mark = await made.sent(), made.leg.stream.mark()
        await pause(8)
        after, heard = await made.sent(), made.leg.stream.audio(mark)
        assert after["codec"] == "audio/opus"
        assert "useinbandfec=1" in after["fmtp"] and "usedtx=1" in after["fmtp"]
        packets = after["packets"] - before["packets"]
        assert 150 < packets < 300, f"{packets} packets in 8 s, half of them silent"
        assert audio.over_neighbours_db(heard, HZ, 8000) >= 20
        spoken = audio.seconds_of(heard, HZ, 8000)
        assert 3.6 < spoken < 4.6, f"{spoken} s of 4 are heard"
        assert await gateway.metric("dmgw_opus_legs") == 1
        await made.over()
    assert await gateway.metric("dmgw_opus_legs") == 0


@pytest_twisted.ensureDeferred
async def test_where_there_is_no_room_the_narrow_way_goes_first(
    browser: Chromium, cast: Cast
) -> None:
    gateway = await cast.gateway(*SHARED, "webrtc.opus_legs=0", "webrtc.codecs=[opus, PCMU]")
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        wide = await talk(alice, gateway, browser, phone)
        await pause(1)
        assert (await wide.sent())["codec"] == "audio/PCMU"
        assert await gateway.metric("dmgw_opus_legs") == 0
        await wide.over()
        narrow = await talk(alice, gateway, browser, phone, kbps=40)
        await pause(1)
        sent = await narrow.sent()
        assert sent["codec"] == "audio/opus" and "maxaveragebitrate=20000" in sent["fmtp"]
        await narrow.over()
