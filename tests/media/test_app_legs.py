"""Legs from bare SDP, with real workers and real audio."""

from __future__ import annotations

import re

import pytest
import pytest_twisted

from gateway.calls.ports import WorkerLease
from gateway.errors import MediaFailed, SdpUnusable
from gateway.values import LegId
from tests import audio
from tests.media.conftest import MakeScene
from tests.media.hearing import RATE, deaf, hears, listen
from tests.media.scene import Scene, alive, begin
from tests.media.sdp import MAPS, Relay, audio_line, offer
from tests.media.srtp import SrtpKey
from tests.peers.app_client import plain_offer
from tests.peers.rtp import RtpStream
from tests.peers.waiting import pause

A, B = LegId("a"), LegId("b")
ALL_CODECS = ("G722", "PCMU", "PCMA", "iLBC", "GSM", "speex")


@pytest_twisted.ensureDeferred
async def test_an_echo(scene: Scene) -> None:
    lease = await scene.lend(1)
    stream, answer = await scene.app_leg(lease, "a", 700)
    assert answer.media.codec == "PCMU" and not answer.media.secure
    await deaf(stream, 0.5)
    await lease.connect(A, A)
    await hears(stream, 700)


@pytest_twisted.ensureDeferred
async def test_two_hear_each_other_once_connected_and_not_before(scene: Scene) -> None:
    lease = await scene.lend(2)
    a, _ = await scene.app_leg(lease, "a", 700)
    b, _ = await scene.app_leg(lease, "b", 1000, "PCMA")
    await deaf(a, 0.5)
    await deaf(b, 0.2)
    await lease.connect(A, B)
    await hears(a, 1000)
    await hears(b, 700)
    await lease.disconnect(A, B)
    await deaf(a, 0.5)
    await deaf(b, 0.2)


@pytest_twisted.ensureDeferred
async def test_a_third_leg_hears_nothing_of_the_other_two(scene: Scene) -> None:
    lease = await scene.lend(3)
    await scene.app_leg(lease, "a", 700)
    await scene.app_leg(lease, "b", 1000)
    c, _ = await scene.app_leg(lease, "c", 1300)
    await lease.connect(A, B)
    await deaf(c)


@pytest_twisted.ensureDeferred
async def test_ringback_is_heard_by_its_leg_alone(scene: Scene) -> None:
    lease = await scene.lend(2)
    a, _ = await scene.app_leg(lease, "a", 700)
    b, _ = await scene.app_leg(lease, "b", 1000)
    await lease.play(A, "ringback")
    await hears(a, 425, 0.5)  # its first second
    await deaf(b, 0.2)
    await deaf(a, 0.8)  # then it pauses
    await lease.reoffer(A, plain_offer(a))
    since = a.mark()
    await pause(4.5)
    assert audio.seconds_of(a.audio(since), 425, RATE) > 0.5, "ringback outlives a fresh offer"
    await lease.stop(A)
    await deaf(a, 0.5)


@pytest_twisted.ensureDeferred
async def test_ringback_ends_when_told(scene: Scene) -> None:
    lease = await scene.lend(1)
    a, _ = await scene.app_leg(lease, "a", None)
    await lease.play(A, "ringback")
    await lease.stop(A)
    since = a.mark()
    await pause(5.2)
    assert audio.is_silent(a.audio(since)[RATE // 2 :])


@pytest_twisted.ensureDeferred
async def test_who_is_muted_is_not_heard_but_hears(scene: Scene) -> None:
    lease = await scene.lend(2)
    a, _ = await scene.app_leg(lease, "a", 700)
    b, _ = await scene.app_leg(lease, "b", 1000)
    await lease.mute(A, True)
    await lease.connect(A, B)
    await hears(a, 1000)
    await deaf(b, 0.3)
    await lease.mute(A, False)
    await hears(b, 700)


@pytest_twisted.ensureDeferred
async def test_a_fresh_offer_moves_the_media_and_keeps_what_was_connected(scene: Scene) -> None:
    lease = await scene.lend(2)
    a, _ = await scene.app_leg(lease, "a", 700)
    b, _ = await scene.app_leg(lease, "b", 1000)
    await lease.connect(A, B)
    await hears(a, 1000)
    elsewhere = scene.stream("PCMA", 700)
    a.quiet()
    answer = await lease.reoffer(A, plain_offer(elsewhere))
    assert answer.media.codec == "PCMA"
    begin(elsewhere, answer.sdp)
    await hears(elsewhere, 1000)
    await hears(b, 700)


@pytest_twisted.ensureDeferred
async def test_a_fresh_offer_connects_nothing_that_was_not(scene: Scene) -> None:
    lease = await scene.lend(2)
    a, _ = await scene.app_leg(lease, "a", 700)
    b, _ = await scene.app_leg(lease, "b", 1000)
    answer = await lease.reoffer(A, plain_offer(a))
    begin(a, answer.sdp)
    await deaf(a)
    await deaf(b, 0.2)


@pytest.mark.parametrize("codec", ALL_CODECS)
@pytest_twisted.ensureDeferred
async def test_every_codec_carries_a_tone_both_ways(make_scene: MakeScene, codec: str) -> None:
    """PCMU, a worker's leg in the codec, a second worker's in the codec, PCMU."""
    scene = await make_scene(codecs=["PCMU", codec] if codec != "PCMU" else ["PCMU"])
    relay = Relay()
    try:
        sides: list[tuple[WorkerLease, RtpStream, str]] = []
        for hz, port in zip((700, 1000), relay.ports, strict=True):
            lease = await scene.lend(4)
            stream, _ = await scene.app_leg(lease, f"near{hz}", hz)
            far = await lease.open_app_leg(LegId(f"far{hz}"), offer(port, codec))
            assert far.media.codec == codec
            assert audio_line(far.sdp)[2][0] == MAPS[codec][0]
            await lease.connect(LegId(f"near{hz}"), LegId(f"far{hz}"))
            sides.append((lease, stream, far.sdp))
        (_, one, a), (_, other, b) = sides
        relay.join(a, b)
        await pause(0.3)
        speech = codec in ("GSM", "speex")
        await hears(one, 1000, speech=speech)
        await hears(other, 700, speech=speech)
    finally:
        await relay.close()


@pytest_twisted.ensureDeferred
async def test_the_first_codec_of_an_offer_that_we_take_is_answered(make_scene: MakeScene) -> None:
    scene = await make_scene(codecs=["G722", "PCMU"])
    lease = await scene.lend(2)
    chosen = await lease.open_app_leg(A, offer(scene.stream().port, "opus", "PCMA", "PCMU", "G722"))
    assert chosen.media.codec in ("PCMU", "G722")
    assert (chosen.media.codec, chosen.media.clock_hz) in {("PCMU", 8000), ("G722", 16_000)}
    assert not {111, 8} & set(audio_line(chosen.sdp)[2])


@pytest.mark.parametrize("ptime", [10, 20, 30, 40, 60])
@pytest_twisted.ensureDeferred
async def test_packet_times(scene: Scene, ptime: int) -> None:
    lease = await scene.lend(1)
    stream = scene.stream("PCMU", 700)
    answer = await lease.open_app_leg(A, offer(stream.port, "PCMU", ptime=ptime))
    begin(stream, answer.sdp)
    await lease.connect(A, A)
    await pause(0.5)
    since = stream.mark()
    await hears(stream, 700)
    sizes = [len(p[4]) for p in stream.heard.packets[since:]]
    assert sizes and set(sizes) == {ptime * 8}


class _Secure(RtpStream):
    """A stream whose packets are sealed with our key, and opened with the far end's."""

    ours = SrtpKey()
    theirs: SrtpKey | None = None
    wrong = 0

    def _packet(self, kind: int, timestamp: int, payload: bytes, marker: bool) -> None:
        head = bytes([0x80, kind]) + self._sequence.to_bytes(2, "big")
        head += (timestamp & 0xFFFFFFFF).to_bytes(4, "big") + self._ssrc.to_bytes(4, "big")
        assert self.remote is not None
        self._socket.sendto(self.ours.protect(head + payload), self.remote)

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        assert self.theirs is not None
        try:
            super().datagramReceived(self.theirs.open(datagram), addr)
        except ValueError:
            self.wrong += 1


@pytest_twisted.ensureDeferred
async def test_srtp_with_keys_in_sdp(scene: Scene) -> None:
    lease = await scene.lend(2)
    stream = _Secure("PCMU", 700)
    try:
        secure = offer(stream.port, "PCMU", crypto=stream.ours.inline, profile="RTP/SAVP")
        answer = await lease.open_app_leg(A, secure)
        assert answer.media.secure
        assert audio_line(answer.sdp)[1] == "RTP/SAVP"
        inline = re.search(r"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:([^\s|]+)", answer.sdp)
        assert inline is not None
        stream.theirs = SrtpKey(inline[1])
        begin(stream, answer.sdp)
        await lease.connect(A, A)
        await hears(stream, 700)
        assert stream.wrong == 0
    finally:
        await stream.close()


@pytest_twisted.ensureDeferred
async def test_keys_that_are_none_are_refused(scene: Scene) -> None:
    lease = await scene.lend(2)
    for crypto in ("", "c2hvcnQ="):
        with pytest.raises(SdpUnusable):
            await lease.open_app_leg(A, offer(4000, "PCMU", crypto=crypto, profile="RTP/SAVP"))


UNUSABLE = {
    "nothing": "",
    "not SDP": "hello",
    "no codec in common": offer(4000, "opus", events=""),
    "video alone": "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=video 4000 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n",
    "DTLS": offer(4000, "PCMU", profile="UDP/TLS/RTP/SAVPF"),
    "no address": offer(4000, "PCMU").replace("c=IN IP4 127.0.0.1\r\n", ""),
    "a name for an address": offer(4000, "PCMU").replace("IP4 127.0.0.1", "IP4 no.such.invalid"),
    "a long address": offer(4000, "PCMU").replace("127.0.0.1", "a" * 254),
    "a long RTCP address": offer(4000, "PCMU", extra=f"a=rtcp:9 IN IP4 {'a' * 300}\r\n"),
    "no number": offer(4000, "PCMU").replace("m=audio 4000", "m=audio many"),
    "no payload type": offer(4000, "PCMU").replace("RTP/AVP 0 101", "RTP/AVP"),
    "too long": offer(4000, "PCMU", extra="a=x:y\r\n" * 1000),
    "UDP and no RTP": offer(4000, "PCMU", profile="udp"),
    "a zero byte": offer(4000, "PCMU", extra="a=x:\0\r\n"),
    "half a surrogate": offer(4000, "PCMU", extra="a=x:\ud800\r\n"),
}


@pytest_twisted.ensureDeferred
async def test_sdp_that_cannot_be_used(scene: Scene) -> None:
    lease = await scene.lend(2)
    pid = scene.pid_of(lease)
    taken = []
    for what, sdp in UNUSABLE.items():
        try:
            await lease.open_app_leg(A, sdp)
        except SdpUnusable as e:
            assert len(str(e)) < 200
        else:
            taken.append(what)
            await lease.close_leg(A, 200, "OK")
            await scene.told.that("closed", "a", since=scene.told.mark() - 1)
    assert not taken
    assert alive(pid)
    stream, _ = await scene.app_leg(lease, "a", 700)
    await lease.connect(A, A)
    await hears(stream, 700)


@pytest_twisted.ensureDeferred
async def test_a_bad_fresh_offer_leaves_the_leg_as_it_is(scene: Scene) -> None:
    lease = await scene.lend(1)
    stream, _ = await scene.app_leg(lease, "a", 700)
    await lease.connect(A, A)
    for bad in ("hello", offer(stream.port, "opus", events="")):
        with pytest.raises(SdpUnusable):
            await lease.reoffer(A, bad)
    await hears(stream, 700)
    answer = await lease.reoffer(A, plain_offer(stream))
    begin(stream, answer.sdp)
    await hears(stream, 700)


@pytest_twisted.ensureDeferred
async def test_audio_may_come_after_video(scene: Scene) -> None:
    """The other lines are refused with port 0 (RFC 3264 §6)."""
    lease = await scene.lend(1)
    stream = scene.stream("PCMU", 700)
    head, _, rest = offer(stream.port, "PCMU").partition("m=audio")
    video = "m=video 4002 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n"
    answer = await lease.open_app_leg(A, f"{head}{video}m=audio{rest}")
    assert "m=video 0 " in answer.sdp
    begin(stream, answer.sdp)
    await lease.connect(A, A)
    await hears(stream, 700)


@pytest_twisted.ensureDeferred
async def test_a_leg_that_is_not_there(scene: Scene) -> None:
    lease = await scene.lend(2)
    await scene.app_leg(lease, "a")
    for asked in (
        lambda: lease.connect(A, B),
        lambda: lease.mute(B, True),
        lambda: lease.hold(B, True),
        lambda: lease.play(B, "ringback"),
        lambda: lease.stop(B),
        lambda: lease.dtmf(B, "1", 100),
        lambda: lease.answer(B, 200),
        lambda: lease.answer(A, 200),
        lambda: lease.reoffer(B, plain_offer(scene.stream())),
    ):
        with pytest.raises(MediaFailed):
            await asked()
    await lease.close_leg(B, 200, "OK")  # idempotent, also for what never was


@pytest_twisted.ensureDeferred
async def test_figures_and_the_last_word(make_scene: MakeScene) -> None:
    scene = await make_scene(stats_interval_s=0.5)
    lease = await scene.lend(1)
    stream, _ = await scene.app_leg(lease, "a", 700)
    first = await scene.told.that("stats", "a")
    assert first.codec == "PCMU" and first.received.lost == 0
    await lease.reoffer(A, offer(stream.port, "PCMA", "PCMU"))
    await pause(1.2)
    await lease.close_leg(A, 200, "OK")
    end = await scene.told.that("closed", "a")
    assert (end.code, end.remote) == (200, False)
    assert end.stats is not None
    assert end.stats.received.packets > first.received.packets + 40, "counted on over an offer"
    every = scene.told.all("stats", "a")
    counts = [s.received.packets for s in every]
    assert counts == sorted(counts) and len(counts) >= 2
    await pause(0.7)
    assert scene.told.seen[-1].name == "closed"
    assert len(scene.told.all("closed", "a")) == 1


@pytest_twisted.ensureDeferred
async def test_a_leg_without_rtp_is_closed(make_scene: MakeScene) -> None:
    scene = await make_scene(stats_interval_s=0.25, rtp_timeout_s=1)
    lease = await scene.lend(2)
    stream, _ = await scene.app_leg(lease, "a", 700)
    quiet = scene.stream("PCMU", None)
    held = offer(quiet.port, "PCMU").replace("sendrecv", "sendonly")
    await lease.open_app_leg(B, held)
    await pause(1.5)
    assert not scene.told.all("closed")
    stream.quiet()
    end = await scene.told.that("closed", "a", 3)
    assert (end.code, end.text, end.remote, end.why) == (408, "No RTP", False, "SIP;cause=488")
    assert not scene.told.all("closed", "b"), "who holds us sends nothing, and may"


@pytest_twisted.ensureDeferred
async def test_audio_sounds_whole(scene: Scene) -> None:
    lease = await scene.lend(2)
    _, _ = await scene.app_leg(lease, "a", 700)
    b, _ = await scene.app_leg(lease, "b", None)
    await lease.connect(A, B)
    signal = await listen(b, 3)
    assert audio.seconds_of(signal, 700, RATE) > 2.8
    assert audio.longest_gap_ms(signal, 700, RATE) <= 60


@pytest_twisted.ensureDeferred
async def test_who_was_not_heard_for_a_while_is_heard_without_delay(scene: Scene) -> None:
    """What came meanwhile is not kept for later, also of one whom a fresh offer has moved."""
    lease = await scene.lend(2)
    a, _ = await scene.app_leg(lease, "a", 700)
    b, _ = await scene.app_leg(lease, "b", None)
    await lease.connect(A, B)
    await hears(b, 700)
    for wait in ("muted", "after a fresh offer"):
        await lease.mute(A, True)
        if wait != "muted":
            await lease.reoffer(A, plain_offer(a))
        await pause(2)
        await lease.mute(A, False)
        a.say(1500)
        since = b.mark()
        await pause(0.6)
        soon = b.audio(since)[round(0.25 * RATE) : round(0.45 * RATE)]
        old, new = (audio.power(soon, hz, RATE) for hz in (700, 1500))
        assert new > 100 * old, f"{wait}: after 250 ms {old} of what was said before, {new} of now"
        a.say(700)
