"""A browser's peer connection and a worker-like RTP peer, with a media path between them."""

from __future__ import annotations

import re
from typing import Any

from gateway.calls.ports import AppMedia
from gateway.media.rtpengine import Rtpengines
from gateway.settings import Settings
from tests.peers.app_client import plain_offer, take_answer
from tests.peers.chromium import Page
from tests.peers.ports import free_ports
from tests.peers.rtp import RtpStream
from tests.peers.waiting import reactor

MAKE_OFFER = """
async ({codecs, video, candidates}) => {
  const peer = new RTCPeerConnection({bundlePolicy: 'max-bundle'});
  window.peer = peer;
  const mic = await navigator.mediaDevices.getUserMedia({audio: true});
  window.sender = peer.addTrack(mic.getAudioTracks()[0], mic);
  if (codecs) {
    const all = RTCRtpReceiver.getCapabilities('audio').codecs;
    const named = c => c.mimeType.split('/')[1];
    const wanted = codecs.flatMap(n => all.filter(c => named(c) === n));
    peer.getTransceivers()[0].setCodecPreferences(
      [...wanted, ...all.filter(c => named(c) === 'telephone-event')]);
  }
  if (video) { peer.addTransceiver('video'); peer.createDataChannel('x'); }
  await peer.setLocalDescription(await peer.createOffer());
  if (!candidates) return peer.localDescription.sdp;
  return await gathered();
}
"""
GATHERED = """
window.gathered = async () => {
  if (peer.iceGatheringState !== 'complete') await new Promise(done => {
    peer.addEventListener('icegatheringstatechange', () => {
      if (peer.iceGatheringState === 'complete') done();
    });
  });
  return peer.localDescription.sdp;
}; 0
"""
FRESH_OFFER = """
async (restart) => {
  await peer.setLocalDescription(await peer.createOffer({iceRestart: restart}));
  return await gathered();
}
"""
TAKE_ANSWER = "async (sdp) => { await peer.setRemoteDescription({type: 'answer', sdp}); }"


class BlockOfPorts:
    """RTP ports for a test's rtpengine."""

    def __init__(self, count: int) -> None:
        self.first = free_ports(count)
        self.last = self.first + count - 1
        self.released = 0

    def release(self) -> None:
        self.released += 1


class Ports:
    def __init__(self) -> None:
        self.blocks: list[BlockOfPorts] = []

    def take(self, count: int) -> BlockOfPorts:
        self.blocks.append(BlockOfPorts(min(count, 200)))
        return self.blocks[-1]


def settings(**sections: dict[str, Any]) -> Settings:
    token = {"token": {"secret": "x" * 32}}
    return Settings.model_validate({"app": {**token, **sections.pop("app", {})}, **sections})


def rtpengines(chosen: Settings) -> Rtpengines:
    return Rtpengines(chosen.webrtc, chosen.media, Ports(), reactor)


async def make_offer(
    page: Page, codecs: tuple[str, ...] = (), video: bool = False, candidates: bool = True
) -> str:
    await page.evaluate(GATHERED)
    options = {"codecs": list(codecs), "video": video, "candidates": candidates}
    return str(await page.evaluate(MAKE_OFFER, options))


async def negotiate(path: AppMedia, page: Page, offer: str, worker: RtpStream) -> str:
    """The worker answers with its one codec; returns the browser's answer."""
    plain = await path.offer(offer)
    take_answer(worker, plain.sdp)
    worker.event_pt = worker.send_event_pt  # as PJSIP answers: with the types of the offer
    answer = await path.answer(plain_answer(worker, plain.sdp))
    await page.evaluate(TAKE_ANSWER, answer)
    return answer


def plain_answer(worker: RtpStream, offer: str) -> str:
    """As PJSIP would write it, with an SSRC of its own."""
    assert f" {worker.payload_type} " in f"{offer.split('m=audio', 1)[1].splitlines()[0]} ", offer
    mode = re.search(r"^a=(sendonly|recvonly|inactive)", offer, re.M)
    sdp = plain_offer(worker)
    if mode:
        reverse = {"sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}
        sdp = sdp.replace("a=sendrecv", f"a={reverse[mode[1]]}")
    return sdp + "a=ssrc:123456 cname:worker\r\n"
