"""Who gets Opus, and what is asked of browsers that do."""

from __future__ import annotations

import pytest

from gateway.errors import SdpUnusable
from gateway.media.browser_sdp import read_offer
from gateway.media.opus_share import OpusShare
from gateway.sip.sdp import parse_sdp
from tests.media.offers import AUDIO, ENGINE, text

ALL = ("opus", "G722", "PCMU")
G722_FIRST = ("G722", "opus")


def share(most: int | None, legs: int = 0) -> OpusShare:
    made = OpusShare(most, lambda _count: None)
    for n in range(legs):
        made.has(f"leg{n}", "opus")
    return made


@pytest.mark.parametrize(
    ("most", "legs", "allowed", "kbps", "before", "order"),
    [
        (None, 500, ALL, None, None, ALL),
        (2, 1, ALL, None, None, ALL),
        (2, 2, ALL, None, None, ("G722", "PCMU", "opus")),
        (0, 0, ALL, None, None, ("G722", "PCMU", "opus")),
        (0, 0, ("opus",), None, None, ("opus",)),  # better than no call
        (0, 0, ALL, 40, None, ALL),
        (0, 0, G722_FIRST, 89.9, None, ("opus", "G722")),
        (0, 0, G722_FIRST, 90, None, G722_FIRST),
        (0, 0, ("G722", "PCMU"), 40, None, ("G722", "PCMU")),
        (2, 2, ALL, None, "opus", ALL),  # it keeps what it has
        (2, 0, ALL, None, "PCMU", ("PCMU", "opus", "G722")),
        (2, 0, ALL, 40, "PCMU", ALL),
        (2, 0, ALL, None, "PCMA", ALL),  # not taken any more
    ],
)
def test_the_rule(
    most: int | None,
    legs: int,
    allowed: tuple[str, ...],
    kbps: float | None,
    before: str | None,
    order: tuple[str, ...],
) -> None:
    assert share(most, legs).order(allowed, kbps, before) == order


def test_legs_are_counted_once_and_given_back() -> None:
    counts: list[int] = []
    made = OpusShare(10, counts.append)
    made.has("a", "opus")
    made.has("a", "opus")
    made.has("b", "opus")
    made.has("b", "PCMU")
    made.gone("a")
    made.gone("a")
    assert counts == [0, 1, 1, 2, 1, 0, 0]


def with_bandwidth(*lines: str) -> str:
    """In the audio section, after its address."""
    head, *rest = AUDIO.splitlines()
    return text("\n".join([head, *lines, *rest]))


@pytest.mark.parametrize(
    ("lines", "kbps"),
    [
        ((), None),
        (("b=AS:40",), 40.0),
        (("b=TIAS:24000",), 24.0),
        (("b=CT:40",), None),
        (("b=AS:forty",), None),
        (("b=AS:-1",), None),
        (("b=AS",), None),
        (("b=AS:99999999999",), None),
        (("b=RR:0", "b=AS:64", "b=RS:0"), 64.0),
    ],
)
def test_bandwidth_of_an_offer(lines: tuple[str, ...], kbps: float | None) -> None:
    asked: list[float | None] = []

    def order(found: float | None) -> tuple[str, ...]:
        asked.append(found)
        return ALL

    read = read_offer(with_bandwidth(*lines), order)
    assert asked == [kbps]
    assert read.narrow == (kbps is not None and kbps < 90)


def test_the_sessions_bandwidth_holds_for_the_audio() -> None:
    sdp = text(AUDIO).replace("t=0 0\r\n", "b=AS:30\r\nt=0 0\r\n")
    audio = parse_sdp(sdp).audio
    assert audio is not None and audio.kbps == 30


OPUS_ANSWER = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
    "m=audio 40000 UDP/TLS/RTP/SAVPF 111 126\r\nc=IN IP4 127.0.0.1\r\n"
    "a=rtpmap:111 opus/48000/2\r\n{fmtp}a=rtpmap:126 telephone-event/8000\r\n"
    "a=fmtp:126 0-16\r\na=sendrecv\r\n"
)


@pytest.mark.parametrize(
    ("fmtp", "narrow", "expected"),
    [
        ("", False, "useinbandfec=1;usedtx=1"),
        ("a=fmtp:111 minptime=10;useinbandfec=0\r\n", False, "minptime=10;useinbandfec=1;usedtx=1"),
        (
            "a=fmtp:111 minptime=10\r\n",
            True,
            "minptime=10;useinbandfec=1;usedtx=1;maxaveragebitrate=20000",
        ),
    ],
)
def test_fec_and_silence_are_asked_for(fmtp: str, narrow: bool, expected: str) -> None:
    offer = read_offer(with_bandwidth("b=AS:40") if narrow else text(AUDIO), ("opus",))
    audio = parse_sdp(offer.answer(OPUS_ANSWER.format(fmtp=fmtp))).media[0]
    assert audio.attributes_named("fmtp") == (f"111 {expected}", "126 0-16")


def test_other_codecs_are_answered_as_they_are() -> None:
    answer = read_offer(text(AUDIO), ("G722",)).answer(ENGINE)
    assert "usedtx" not in answer


def test_only_opus_and_no_room() -> None:
    rule = share(0)
    only = text(AUDIO)
    assert read_offer(only, lambda kbps: rule.order(("opus",), kbps, None)).codec == "opus"
    with pytest.raises(SdpUnusable, match="no common codec"):
        read_offer(only, lambda kbps: rule.order(("PCMA1",), kbps, None))
