"""Choosing the path by the offer's profile, what is refused and why, and what an answer holds."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from gateway.calls.ports import AppMedia
from gateway.errors import GatewayError, MediaFailed, NoCapacity, SdpUnusable
from gateway.media.browser_sdp import read_offer
from gateway.media.ng import NgClient
from gateway.media.rtp_stats import leg_stats
from gateway.media.rtpengine import ManagedRtpengine, Rtpengines
from gateway.media.webrtc import BrowserPath, StraightPath, WebRtcPaths
from gateway.sip.sdp import parse_sdp
from gateway.values import CallId, LegId, StreamStats
from tests.media.browser import BlockOfPorts, rtpengines, settings
from tests.media.offers import AUDIO, DATA, ENGINE, PLAIN, VIDEO, text
from tests.peers.ports import free_ports
from tests.peers.waiting import reactor

ALL = ("opus", "G722", "PCMU", "PCMA")


def paths(engines: Rtpengines | None = None, **sections: Any) -> WebRtcPaths:
    chosen = settings(**sections)
    return WebRtcPaths(chosen, engines or rtpengines(chosen))


def path_for(made: WebRtcPaths, offer: str) -> AppMedia:
    return made.path_for(CallId("call"), LegId("leg"), offer)


# -- choosing


def test_a_browser_goes_through_rtpengine() -> None:
    made = paths()
    assert isinstance(path_for(made, text(AUDIO)), BrowserPath)
    savp = text(AUDIO.replace("SAVPF", "SAVP"))
    assert isinstance(path_for(made, savp), BrowserPath)


def test_plain_rtp_goes_straight_where_it_is_allowed() -> None:
    assert isinstance(path_for(paths(app={"plain_rtp": True}), PLAIN), StraightPath)
    with pytest.raises(SdpUnusable, match=r"RTP/AVP is not taken here \(app.plain_rtp is off\)"):
        path_for(paths(), PLAIN)


def test_other_profiles_and_no_rtpengine_are_told() -> None:
    with pytest.raises(SdpUnusable, match="profile RTP/AVPF is not taken; right are"):
        path_for(paths(app={"plain_rtp": True}), PLAIN.replace("RTP/AVP", "RTP/AVPF"))
    with pytest.raises(SdpUnusable, match=r"webrtc.rtpengine is off"):
        path_for(paths(webrtc={"rtpengine": "off"}), text(AUDIO))


@pytest_twisted.ensureDeferred
async def test_a_straight_path_hands_sdp_through() -> None:
    made = paths(app={"plain_rtp": True})
    path = path_for(made, PLAIN)
    plain = await path.offer(PLAIN)
    assert (plain.sdp, plain.secure, plain.codec) == (PLAIN, False, None)
    assert await path.answer("v=0") == "v=0"
    assert await path.stats() is None
    secured = PLAIN.replace("RTP/AVP", "RTP/SAVP")
    with pytest.raises(SdpUnusable, match="the call began with RTP/AVP and keeps it"):
        await path.offer(secured)
    with pytest.raises(SdpUnusable, match="without a=crypto"):
        await path_for(made, secured).offer(secured)
    keyed = secured + "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\n"
    assert (await path_for(made, keyed).offer(keyed)).secure
    with pytest.raises(SdpUnusable, match="port is 0"):
        await path.offer(PLAIN.replace("4000", "0"))
    await path.close()
    await path.close()


# -- bad offers


@pytest.mark.parametrize(
    ("offer", "what"),
    [
        ("", "not SDP: SDP line 1"),
        ("hello", "not SDP: SDP line 1"),
        ("\x00\xff" * 50, "not SDP"),
        (text(), "no audio: there is no m=audio line"),
        (text(VIDEO), "no audio: there is no m=audio line"),
        (text(AUDIO.replace("49391 UDP", "-1 UDP")), "port -1 is not between"),
        (text(AUDIO) + "a=x:" + "y" * 66_000 + "\r\n", "at most 60000 are taken"),
        (text(AUDIO, *[DATA] * 40), "41 m-lines; at most 32"),
    ],
)
def test_what_is_no_offer_is_refused_when_choosing(offer: str, what: str) -> None:
    with pytest.raises(SdpUnusable, match=what):
        path_for(paths(), offer)


@pytest.mark.parametrize(
    ("audio", "what"),
    [
        (AUDIO.replace("49391 UDP", "0 UDP"), "the audio's port is 0"),
        (AUDIO.replace("a=fingerprint", "a=x"), "no a=fingerprint"),
        (AUDIO.replace("a=ice-ufrag", "a=x"), "no a=ice-ufrag"),
        (AUDIO.replace("a=ice-pwd", "a=x"), "no a=ice-pwd"),
        (AUDIO.replace("a=rtcp-mux", "a=x"), "no a=rtcp-mux"),
        (
            AUDIO.replace("111 63 9 0 8 13 110 126", "63 13 126"),
            "no common codec: red, CN, telephone-event offered, opus, G722, PCMU, PCMA taken",
        ),
    ],
)
def test_an_audio_section_that_cannot_be_taken_says_why(audio: str, what: str) -> None:
    with pytest.raises(SdpUnusable, match=what):
        read_offer(text(audio), ALL)


@pytest_twisted.ensureDeferred
async def test_a_browser_path_keeps_its_profile() -> None:
    path = path_for(paths(), text(AUDIO))
    with pytest.raises(SdpUnusable, match="DTLS-SRTP and keeps it"):
        await path.offer(PLAIN)
    with pytest.raises(MediaFailed, match="no offer to answer"):
        await path.answer(PLAIN)


# -- codecs


@pytest.mark.parametrize(
    ("allowed", "codec", "formats"),
    [
        (ALL, "opus", ("111", "110", "126")),
        (("G722", "opus"), "G722", ("9", "126")),
        (("PCMA",), "PCMA", ("8", "126")),
        (("PCMU", "PCMA"), "PCMU", ("0", "126")),
    ],
)
def test_the_first_codec_of_ours_that_is_offered_is_the_one(
    allowed: tuple[str, ...], codec: str, formats: tuple[str, ...]
) -> None:
    read = read_offer(text(AUDIO), allowed)
    assert read.codec == codec
    audio = parse_sdp(read.engine_sdp).audio
    assert audio is not None
    assert audio.formats == formats
    assert "ssrc" not in read.engine_sdp
    assert "extmap" not in read.engine_sdp
    assert read.engine_sdp.count("a=candidate:") == 1


def test_mono_opus_is_no_opus() -> None:
    mono = AUDIO.replace("opus/48000/2", "opus/48000")
    assert read_offer(text(mono), ALL).codec == "G722"


def test_static_payload_types_need_no_rtpmap() -> None:
    assert read_offer(text(AUDIO.replace("a=rtpmap:8 PCMA/8000\n", "")), ("PCMA",)).codec == "PCMA"


# -- several m-lines


def test_what_is_not_audio_is_refused_in_its_place() -> None:
    read = read_offer(text(VIDEO, AUDIO, DATA, bundle="1 0 2"), ALL)
    answer = parse_sdp(read.answer(ENGINE))
    assert [(m.kind, m.port) for m in answer.media] == [
        ("video", 0),
        ("audio", 30000),
        ("application", 0),
    ]
    assert [m.attribute("mid") for m in answer.media] == ["1", "0", "2"]
    assert [m.formats for m in answer.media][::2] == [("96", "97"), ("webrtc-datachannel",)]
    assert answer.attribute("group") == "BUNDLE 0"
    assert answer.media[1].attribute("fingerprint") == "sha-256 AA"


def test_no_ssrc_and_one_stream_in_the_answer() -> None:
    answer = read_offer(text(AUDIO), ALL).answer(ENGINE)
    assert "a=ssrc" not in answer
    assert answer.count("a=msid:") == 1
    assert answer.count("a=mid:") == 1


def test_an_offer_without_bundle_gets_none() -> None:
    for offer in (text(AUDIO, bundle="5"), text(AUDIO.replace("a=mid:0\n", ""))):
        answer = parse_sdp(read_offer(offer, ALL).answer(ENGINE))
        assert answer.attribute("group") is None


def test_a_second_audio_is_refused() -> None:
    second = AUDIO.replace("a=mid:0", "a=mid:3")
    answer = parse_sdp(read_offer(text(AUDIO, second, bundle="0 3"), ALL).answer(ENGINE))
    assert [m.port for m in answer.media] == [30000, 0]
    assert answer.attribute("group") == "BUNDLE 0"


def test_bundle_only_audio_is_on_and_has_the_bundles_candidates() -> None:
    video = VIDEO + "a=candidate:9 1 udp 1 127.0.0.1 4444 typ host\n"
    lines = AUDIO.replace("49391 UDP", "0 UDP").splitlines(keepends=True)
    audio = "".join(x for x in lines if "candidate" not in x) + "a=bundle-only\n"
    read = read_offer(text(video, audio, bundle="1 0"), ALL)
    assert "m=audio 9 " in read.engine_sdp
    assert "127.0.0.1 4444" in read.engine_sdp


def test_credentials_of_the_session_hold_for_the_audio() -> None:
    line = next(x for x in AUDIO.splitlines() if x.startswith("a=fingerprint"))
    offer = text(AUDIO.replace(line + "\n", "")).replace("t=0 0\r\n", f"t=0 0\r\n{line}\r\n")
    assert line in read_offer(offer, ALL).engine_sdp


# -- a real rtpengine


def answer_of(port: int) -> str:
    return PLAIN.replace("4000", str(port)).replace("RTP/AVP 0", "RTP/AVP 0 126") + (
        "a=rtpmap:126 telephone-event/8000\na=ssrc:5 cname:w\n"
    )


async def calls_in(engines: Rtpengines) -> list[Any]:
    """The calls that the first rtpengine holds."""
    client = next(e.client for e in engines.all if e.up)
    assert client is not None
    return list((await client.request("list", limit=100))["calls"])


@pytest_twisted.ensureDeferred
async def test_an_offer_an_answer_and_nothing_left() -> None:
    engines = rtpengines(settings())
    await engines.start()
    try:
        made = paths(engines, media={"codecs": ["PCMU"]})
        path = path_for(made, text(AUDIO, VIDEO, bundle="0 1"))
        plain = await path.offer(text(AUDIO, VIDEO, bundle="0 1"))
        assert (plain.secure, plain.codec) == (True, "opus")
        audio = parse_sdp(plain.sdp).audio
        assert audio is not None
        assert audio.proto == "RTP/AVP"
        assert [c.name for c in audio.codecs()] == ["PCMU", "telephone-event"]
        answer = parse_sdp(await path.answer(answer_of(free_ports(2)))).audio
        assert answer is not None
        assert answer.is_dtls
        assert answer.attribute("setup") == "passive"
        assert answer.codecs()[0].name == "opus"
        assert answer.attribute("ssrc") is None
        assert len(await calls_in(engines)) == 1
        assert [e.sessions for e in engines.all] == [1]
        await path.close()
        await path.close()
        assert await calls_in(engines) == []
        assert [e.sessions for e in engines.all] == [0]
        with pytest.raises(MediaFailed, match="closed"):
            await path.offer(text(AUDIO))
    finally:
        await engines.stop()


@pytest_twisted.ensureDeferred
async def test_what_the_worker_has_is_not_transcoded() -> None:
    engines = rtpengines(settings())
    await engines.start()
    try:
        chosen = {"webrtc": {"codecs": ["G722", "PCMU"]}, "media": {"codecs": ["PCMA", "G722"]}}
        path = path_for(paths(engines, **chosen), text(AUDIO))
        plain = await path.offer(text(AUDIO))
        assert plain.codec is None
        audio = parse_sdp(plain.sdp).audio
        assert audio is not None
        assert [c.name for c in audio.codecs()] == ["G722", "telephone-event"]
        await path.close()
        only_pcma = {"webrtc": {"codecs": ["G722"]}, "media": {"codecs": ["iLBC", "PCMA"]}}
        path = path_for(paths(engines, **only_pcma), text(AUDIO))
        plain = await path.offer(text(AUDIO))
        assert plain.codec == "G722"
        audio = parse_sdp(plain.sdp).audio
        assert audio is not None
        assert [c.name for c in audio.codecs()] == ["PCMA", "telephone-event"]
        await path.close()
    finally:
        await engines.stop()


@pytest_twisted.ensureDeferred
async def test_closing_while_an_offer_is_under_way_leaves_nothing() -> None:
    engines = rtpengines(settings())
    await engines.start()
    try:
        path = path_for(paths(engines), text(AUDIO))
        offering = Deferred.fromCoroutine(path.offer(text(AUDIO)))
        closing = Deferred.fromCoroutine(path.close())
        await offering
        await closing
        assert await calls_in(engines) == []
        assert [e.sessions for e in engines.all] == [0]
    finally:
        await engines.stop()


@pytest_twisted.ensureDeferred
async def test_a_session_that_rtpengine_lost_is_told_and_a_fresh_offer_mends_it() -> None:
    engines = rtpengines(settings())
    await engines.start()
    try:
        path = path_for(paths(engines, media={"codecs": ["PCMU"]}), text(AUDIO))
        await path.offer(text(AUDIO))
        await path.answer(answer_of(free_ports(2)))
        stats = await path.stats()
        assert stats is not None
        assert stats.codec == "opus"
        _, client = await engines.pick()
        (call,) = await calls_in(engines)
        await client.request("delete", call_id=call)
        with pytest.raises(MediaFailed, match="rtpengine lost this call: Unknown call-id"):
            await path.stats()
        await path.offer(text(AUDIO))
        await path.answer(answer_of(free_ports(2)))
        assert await path.stats() is not None
        await path.close()
        assert await calls_in(engines) == []
    finally:
        await engines.stop()


@pytest_twisted.ensureDeferred
async def test_a_killed_rtpengine_is_told_and_new_calls_wait_for_the_next() -> None:
    engines = rtpengines(settings())
    await engines.start()
    try:
        made = paths(engines)
        path = path_for(made, text(AUDIO))
        await path.offer(text(AUDIO))
        engine, client = await engines.pick()
        (one,) = engines._running
        assert isinstance(one, ManagedRtpengine)
        one._signal(9)  # type: ignore[arg-type]  # SIGKILL
        other = path_for(made, text(AUDIO))
        began = reactor.seconds()
        with pytest.raises(GatewayError):
            while await path.stats() is None and reactor.seconds() < began + 5:
                pass
        assert (await other.offer(text(AUDIO))).secure
        assert reactor.seconds() - began < 3
        assert engine.client is not client
        assert (await path.offer(text(AUDIO))).secure
        await path.close()
        await other.close()
        assert await calls_in(engines) == []
        assert engine.sessions == 0
    finally:
        await engines.stop()


@pytest_twisted.ensureDeferred
async def test_calls_go_on_while_one_of_two_external_rtpengines_dies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(NgClient, "RESEND_S", (0.1,))
    monkeypatch.setattr(NgClient, "GIVE_UP_S", 0.2)
    own = settings()
    pair = [ManagedRtpengine(own.webrtc, own.media, BlockOfPorts(100), reactor) for _ in range(2)]
    for one in pair:
        await one.start()
    chosen = settings(
        webrtc={"rtpengine": [str(one.engine.client.address) for one in pair if one.engine.client]}
    )
    engines = rtpengines(chosen)
    await engines.start()
    try:
        made = WebRtcPaths(chosen, engines)
        first, second = [path_for(made, text(AUDIO)) for _ in range(2)]
        await first.offer(text(AUDIO))
        await second.offer(text(AUDIO))
        assert [e.sessions for e in engines.all] == [1, 1]
        await pair[0].stop()
        third = path_for(made, text(AUDIO))
        await first.close()
        await third.offer(text(AUDIO))
        assert [e.sessions for e in engines.all] == [0, 2]
        await second.close()
        await third.close()
        assert await calls_in(engines) == []
        await pair[1].stop()
        with pytest.raises(NoCapacity):
            await path_for(made, text(AUDIO)).offer(text(AUDIO))
        assert [e.sessions for e in engines.all] == [0, 0]
    finally:
        await engines.stop()
        for one in pair:
            await one.stop()


# -- figures


def _side(ssrc: int, packets: int) -> dict[str, Any]:
    return {"medias": [{"streams": [{"SSRC": ssrc, "stats": {"packets": packets}}]}]}


def _report(lost: int, jitter: int, rtt: int) -> dict[str, Any]:
    last = {"jitter": jitter, "round-trip time leg": rtt}
    older = {"jitter": 99, "round-trip time leg": 999}
    return {"cumulative loss": lost, "MOS progression": {"entries": [older, last]}}


def test_reports_are_told_apart_by_the_stream_they_are_about() -> None:
    reply = {
        "tags": {"browser": _side(11, 500), "worker": _side(22, 480)},
        "SSRC": {"11": _report(3, 1, 0), "22": _report(7, 12, 80), "33": _report(9, 9, 9)},
    }
    stats = leg_stats(reply, "browser", "worker", "opus")
    assert stats.received == StreamStats(packets=500, lost=3, jitter_ms=1.0)
    assert stats.sent == StreamStats(packets=480, lost=7, jitter_ms=12.0)
    assert (stats.rtt_ms, stats.codec) == (80.0, "opus")


@pytest.mark.parametrize(
    "reply",
    [{}, {"tags": [], "SSRC": 4}, {"tags": {"browser": {"medias": ["x"]}}, "SSRC": {"1": []}}],
)
def test_a_reply_without_figures_is_zeros(reply: dict[str, Any]) -> None:
    stats = leg_stats(reply, "browser", "worker", "opus")
    assert stats.received == stats.sent == StreamStats()
    assert stats.rtt_ms is None
