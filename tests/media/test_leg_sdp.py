"""SDP as PJSIP writes it, made fit for one leg; and which offers a leg takes."""

from __future__ import annotations

from typing import Literal

import pytest

from gateway.media.leg_sdp import has_codec, rtp_port, srtp_fits, with_codecs, with_packet_time

HEAD = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=pjmedia\r\nt=0 0\r\na=X-nat:0\r\n"
PJSIP = (
    f"{HEAD}m=audio 30058 RTP/AVP 96 97 98 99 3 0 8 9 120 121 122\r\n"
    "c=IN IP4 127.0.0.1\r\nb=TIAS:64000\r\na=rtcp:30059 IN IP4 127.0.0.1\r\na=sendrecv\r\n"
    "a=rtpmap:96 speex/16000\r\na=rtpmap:97 speex/8000\r\na=rtpmap:98 speex/32000\r\n"
    "a=rtpmap:99 iLBC/8000\r\na=fmtp:99 mode=30\r\na=rtpmap:3 GSM/8000\r\n"
    "a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:9 G722/8000\r\n"
    "a=rtpmap:120 telephone-event/8000\r\na=fmtp:120 0-16\r\n"
    "a=rtpmap:121 telephone-event/16000\r\na=fmtp:121 0-16\r\n"
    "a=rtpmap:122 telephone-event/32000\r\na=fmtp:122 0-16\r\na=ssrc:7 cname:x\r\n"
)


@pytest.mark.parametrize(
    ("codecs", "formats"),
    [
        (("G722", "PCMU", "PCMA"), "9 0 8 120"),
        (("PCMA", "PCMU"), "8 0 120"),
        (("iLBC",), "99 120"),
        (("speex", "GSM"), "96 97 3 120 121"),
        (("PCMU", "nonsense"), "0 120"),
    ],
)
def test_a_leg_names_its_own_codecs_best_first(codecs: tuple[str, ...], formats: str) -> None:
    fitted = with_codecs(PJSIP, codecs)
    assert f"m=audio 30058 RTP/AVP {formats}\r\nc=IN IP4 127.0.0.1\r\n" in fitted
    assert fitted.startswith(HEAD) and "a=ssrc:7 cname:x\r\n" in fitted
    maps = [line.split(":")[1].split()[0] for line in fitted.split("\r\n") if "rtpmap" in line]
    assert maps == formats.split()
    assert ("mode=30" in fitted) == ("99" in formats.split())
    assert "\n\n" not in fitted.replace("\r", "")


def test_lines_around_the_audio_stay_where_they_are() -> None:
    video = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n"
    dead = "m=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
    whole = PJSIP.replace("m=audio", dead + "m=audio") + video
    fitted = with_codecs(whole, ("speex", "PCMU"))
    assert fitted.endswith(video) and dead in fitted
    assert "m=audio 30058 RTP/AVP 96 97 0 120 121\r\n" in fitted
    assert rtp_port(whole) == 30058


@pytest.mark.parametrize(
    "sdp", [HEAD, PJSIP.replace("30058", "0"), PJSIP.replace("audio", "image")]
)
def test_what_has_no_audio_is_left_as_it_is(sdp: str) -> None:
    assert with_codecs(sdp, ("PCMU",)) == sdp


def test_with_no_codec_of_the_leg_nothing_is_changed() -> None:
    assert with_codecs(PJSIP, ("opus",)) == PJSIP


@pytest.mark.parametrize(
    ("sdp", "ms", "added"), [(PJSIP, 40, True), (PJSIP, 20, False), (HEAD, 40, False)]
)
def test_packet_times(sdp: str, ms: int, added: bool) -> None:
    assert with_packet_time(sdp, ms) == sdp + (f"a=ptime:{ms}\r\n" if added else "")


def test_the_port_of_an_audio_line() -> None:
    assert rtp_port(PJSIP) == 30058
    assert rtp_port(HEAD) == 0


@pytest.mark.parametrize(
    ("sdp", "shared"),
    [
        (PJSIP, True),
        (HEAD, True),
        (HEAD + "m=audio 4000 RTP/AVP 8\r\n", True),
        (HEAD + "m=audio 4000 RTP/AVP 3 101\r\na=rtpmap:101 telephone-event/8000\r\n", False),
        (HEAD + "m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 opus/48000/2\r\n", False),
        (HEAD + "m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 pcma/8000\r\n", True),
    ],
)
def test_an_offer_shares_a_codec_or_not(sdp: str, shared: bool) -> None:
    assert has_codec(sdp, ("PCMU", "PCMA")) is shared


AVP = PJSIP
SAVP = PJSIP.replace("RTP/AVP", "RTP/SAVP")
BOTH = PJSIP + "m=audio 30060 RTP/SAVP 0\r\n"
DEAD = PJSIP.replace("30058", "0")


@pytest.mark.parametrize(
    ("sdp", "off", "optional", "mandatory"),
    [
        (AVP, True, True, False),
        (SAVP, False, True, True),
        (BOTH, True, True, True),
        (DEAD, True, True, True),
    ],
)
def test_which_offers_are_taken(sdp: str, off: bool, optional: bool, mandatory: bool) -> None:
    verdicts: dict[Literal["off", "optional", "mandatory"], bool] = {
        "off": off,
        "optional": optional,
        "mandatory": mandatory,
    }
    for srtp, taken in verdicts.items():
        assert srtp_fits(sdp, srtp) is taken
