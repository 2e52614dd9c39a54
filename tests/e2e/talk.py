"""What the end-to-end tests say of audio: the tone that must be there, and for how long."""

from __future__ import annotations

from collections.abc import Sequence

from tests import audio
from tests.audio import Signal
from tests.peers.chromium import Page
from tests.peers.gateway import Gateway

RINGBACK_HZ = 425


def assert_tone(heard: Signal, rate: int, hz: float, seconds: float, who: str) -> None:
    """The tone, 20 dB over its neighbours, for so long in all, without a gap over 60 ms."""
    clear = audio.over_neighbours_db(heard, hz, rate)
    long = audio.seconds_of(heard, hz, rate)
    gaps = audio.gaps_ms(heard, hz, rate)
    gap = max((length for _, length in gaps), default=0.0)
    told = f"{who}: {hz} Hz {clear:.1f} dB over neighbours, {long:.2f} s, longest gap {gap:.0f} ms"
    told += f" of {[(round(at), round(ms)) for at, ms in gaps[:20]]}"
    print(told)
    assert clear >= 20, told
    assert long >= seconds, told
    assert gap <= 60, told


def assert_no_tone(heard: Signal, rate: int, forbidden: Sequence[float], who: str) -> None:
    """Silence, or the gateway's own ringback: none of the other side's tone."""
    if audio.is_silent(heard):
        return
    for hz in forbidden:
        alone = audio.power(heard, hz, rate)
        ringback = audio.power(heard, RINGBACK_HZ, rate)
        assert alone < ringback / 1000, f"{who} hears {hz} Hz: {alone} beside {ringback}"


class BrowserMedia:
    """An RTCPeerConnection in a page of the gateway's own origin; signalling is the test's."""

    def __init__(self, page: Page) -> None:
        self.page = page

    @classmethod
    async def open(cls, page: Page, gateway: Gateway) -> BrowserMedia:
        await page.open(f"http://{gateway.http}/healthz")
        return cls(page)

    async def offer(self, *codecs: str) -> str:
        """A complete offer (all candidates gathered) with these codecs and telephone-event."""
        return str(await self.page.evaluate(_OFFER, codecs))

    async def answer(self, sdp: str) -> None:
        await self.page.evaluate(_ANSWER, sdp)

    async def receiving(self) -> str:
        """The codec that arrives, as the browser's statistics name it (``audio/opus``)."""
        return str(await self.page.evaluate(_CODEC))


_OFFER = """async (codecs) => {
  window.pc = new RTCPeerConnection();
  const stream = await navigator.mediaDevices.getUserMedia({audio: {echoCancellation: false,
    noiseSuppression: false, autoGainControl: false}});
  const transceiver = pc.addTransceiver(stream.getAudioTracks()[0], {streams: [stream]});
  const all = RTCRtpReceiver.getCapabilities('audio').codecs;
  const chosen = [...codecs, 'telephone-event'].flatMap(codec => {
    const found = all.filter(c => c.mimeType.toLowerCase() === 'audio/' + codec.toLowerCase());
    if (!found.length) throw new Error('no ' + codec);
    return found;
  });
  transceiver.setCodecPreferences(chosen);
  await pc.setLocalDescription(await pc.createOffer());
  if (pc.iceGatheringState !== 'complete') {
    await new Promise(done => pc.addEventListener('icegatheringstatechange',
      () => pc.iceGatheringState === 'complete' && done()));
  }
  return pc.localDescription.sdp;
}"""

_ANSWER = """async (sdp) => {
  await pc.setRemoteDescription({type: 'answer', sdp});
  if (!['connected', 'completed'].includes(pc.connectionState)) {
    await new Promise((done, fail) => {
      const late = setTimeout(() => fail(new Error('media is ' + pc.connectionState)), 8000);
      pc.addEventListener('connectionstatechange', () => {
        if (pc.connectionState === 'connected') { clearTimeout(late); done(); }
      });
    });
  }
}"""

_CODEC = """async () => {
  const stats = await pc.getStats();
  for (const s of stats.values())
    if (s.type === 'inbound-rtp' && s.codecId) return stats.get(s.codecId).mimeType;
  return '';
}"""
