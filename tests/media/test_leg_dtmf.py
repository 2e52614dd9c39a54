"""Digits both ways, once a press, whole and in order."""

from __future__ import annotations

import re

import pytest
import pytest_twisted

from gateway.errors import MediaFailed
from gateway.values import LegId, LegProfile
from tests import audio
from tests.media.scene import Scene, target
from tests.media.sdp import offer
from tests.peers.rtp import DIGITS
from tests.peers.sip_message import SipMessage
from tests.peers.waiting import pause, reactor

A, S = LegId("a"), LegId("s")
TWENTY = DIGITS + "1199"


def _pressed(scene: Scene, leg: str) -> str:
    return "".join(digit for digit, _ in scene.told.all("dtmf", leg))


@pytest_twisted.ensureDeferred
async def test_sixteen_digits_go_out_in_order_and_the_reply_comes_at_the_end(scene: Scene) -> None:
    lease = await scene.lend(1)
    call = await scene.dialled(lease, "s")
    assert call.stream is not None
    call.stream.event_pt = 101  # as its answer said
    await pause(0.2)
    began = reactor.seconds()
    await lease.dtmf(S, TWENTY, 100)
    took = reactor.seconds() - began
    assert call.stream.digits() == TWENTY
    assert all(p.ended for p in call.stream.presses.seen)
    assert took >= 20 * 0.1
    durations = [p.duration / 8 for p in call.stream.presses.seen]
    assert all(80 <= d <= 140 for d in durations), durations


@pytest.mark.parametrize("duration_ms", [40, 160, 400, 2000])
@pytest_twisted.ensureDeferred
async def test_a_digit_lasts_as_long_as_asked(scene: Scene, duration_ms: int) -> None:
    lease = await scene.lend(1)
    call = await scene.dialled(lease, "s")
    assert call.stream is not None
    call.stream.event_pt = 101  # as its answer said
    await pause(0.2)
    await lease.dtmf(S, "5", duration_ms)
    press = await call.stream.presses.expect(lambda p: p.ended, "the end")
    assert abs(press.duration / 8 - duration_ms) <= 40
    assert len(call.stream.presses.seen) == 1


@pytest_twisted.ensureDeferred
async def test_a_comma_pauses_half_a_second(scene: Scene) -> None:
    lease = await scene.lend(1)
    call = await scene.dialled(lease, "s")
    assert call.stream is not None
    call.stream.event_pt = 101  # as its answer said
    await pause(0.2)
    began = reactor.seconds()
    await lease.dtmf(S, "1,,2", 100)
    assert 1.2 <= reactor.seconds() - began < 2.5
    assert call.stream.digits() == "12"
    one, two = call.stream.presses.times
    assert two - one >= 1.0


@pytest_twisted.ensureDeferred
async def test_digits_in_a_burst_are_told_once_each(scene: Scene) -> None:
    lease = await scene.lend(2)
    app, _ = await scene.app_leg(lease, "a", 700)
    call = await scene.invited(lease, "s")
    assert call.stream is not None
    await pause(0.2)
    await call.stream.press(TWENTY, 100, 60)
    await app.press("42", 60)
    await scene.told.expect(lambda _: len(scene.told.all("dtmf", "s")) == 20, "twenty digits")
    await scene.told.expect(lambda _: len(scene.told.all("dtmf", "a")) == 2, "two digits")
    await pause(0.6)
    assert _pressed(scene, "s") == TWENTY and _pressed(scene, "a") == "42"
    lengths = [ms for _, ms in scene.told.all("dtmf", "s")]
    assert all(80 <= ms <= 120 for ms in lengths), lengths


@pytest_twisted.ensureDeferred
async def test_one_long_press_is_one_digit(scene: Scene) -> None:
    lease = await scene.lend(1)
    call = await scene.invited(lease, "s")
    assert call.stream is not None
    await pause(0.2)
    await call.stream.press("5", 1200)
    digit, lasted = await scene.told.that("dtmf", "s")
    await pause(0.5)
    assert scene.told.all("dtmf") == [(digit, lasted)]
    assert digit == "5" and 1150 <= lasted <= 1250


@pytest_twisted.ensureDeferred
async def test_digits_by_info(scene: Scene) -> None:
    lease = await scene.lend(1)
    call = await scene.invited(lease, "s")
    for digit, ms in (("5", 160), ("*", 250), ("D", 90)):
        body = f"Signal={digit}\r\nDuration={ms}\r\n"
        kind = ("content-type", "application/dtmf-relay")
        assert (await call.in_dialog("INFO", body, kind)).code == 200
    await scene.told.expect(lambda _: len(scene.told.all("dtmf")) == 3, "three digits")
    assert scene.told.all("dtmf", "s") == [("5", 160), ("*", 250), ("D", 90)]


@pytest_twisted.ensureDeferred
async def test_a_phone_without_telephone_events_gets_info(scene: Scene) -> None:
    lease = await scene.lend(1)
    await lease.open_sip_leg(S, target())
    call = await scene.phone.incoming()
    call.stream = scene.phone.stream("PCMU", 440)
    call.answer(200, "OK", offer(call.stream.port, "PCMU", events=""))
    await scene.told.that("media", "s")
    await scene.told.that("answered", "s")
    sending = lease.dtmf(S, "7", 160)
    mark = call.began

    def answer(message: SipMessage, _: float) -> None:
        if message.first.startswith("INFO "):
            scene.phone.send(scene.phone.refusal(message, 200))

    scene.phone.on_message = answer
    await sending
    info = await call.got("INFO", since=mark)
    assert "Signal=7" in info.body and info.get("content-type") == "application/dtmf-relay"


@pytest_twisted.ensureDeferred
async def test_a_leg_that_ends_while_digits_are_sent(scene: Scene) -> None:
    lease = await scene.lend(1)
    call = await scene.dialled(lease, "s")
    sending = lease.dtmf(S, "1234567890", 200)
    reactor.callLater(0.5, lambda: scene.phone.send(call.request("BYE")))
    with pytest.raises(MediaFailed):
        await sending
    await scene.told.that("closed", "s")


@pytest_twisted.ensureDeferred
async def test_digits_go_out_by_info_where_the_profile_says_so(scene: Scene) -> None:
    lease = await scene.lend(1)
    await lease.open_sip_leg(S, target(profile=LegProfile(dtmf="info")))
    call = await scene.phone.incoming()
    call.stream = scene.phone.stream("PCMU", 440)
    call.answer(200)
    await scene.told.that("answered", "s")
    bodies: list[str] = []

    def answer(message: SipMessage, _: float) -> None:
        if message.first.startswith("INFO "):
            assert message.get("content-type") == "application/dtmf-relay"
            bodies.append(message.body)
            scene.phone.send(scene.phone.refusal(message, 200))

    scene.phone.on_message = answer
    await lease.dtmf(S, "4#", 160)
    assert [("Signal=4" in bodies[0]), ("Signal=#" in bodies[1])] == [True, True]
    assert all("Duration=160" in b for b in bodies) and len(bodies) == 2
    assert call.stream.digits() == ""


@pytest_twisted.ensureDeferred
async def test_digits_go_out_as_tones_where_the_profile_says_so(scene: Scene) -> None:
    """Each is heard clearly, whatever the other leg says, by this far end alone."""
    lease = await scene.lend(2)
    app, _ = await scene.app_leg(lease, "a", 1000)
    await lease.open_sip_leg(S, target(profile=LegProfile(dtmf="inband")))
    call = await scene.phone.incoming()
    call.stream = scene.phone.stream("PCMU", 440)
    call.answer(200)
    await scene.told.that("answered", "s")
    await lease.connect(A, S)
    await pause(0.4)
    since, app_since = call.stream.mark(), app.mark()
    await lease.dtmf(S, "17D", 160)
    await pause(0.3)
    heard = call.stream.audio(since)
    for row, column in ((697, 1209), (852, 1209), (941, 1633)):
        both = audio.heard(heard, row, 8000) & audio.heard(heard, column, 8000)
        assert 0.12 <= both.sum() * audio.WINDOW_MS / 1000 <= 0.22
        assert audio.power(heard[both.argmax() * 160 :][:1120], 1000, 8000) < 1e-5
    assert audio.power(heard[-1600:], 1000, 8000) > 1e-3, "speech is back"
    assert call.stream.digits() == ""
    assert not audio.has_dtmf(app.audio(app_since), 8000)


# --- digits that are sent badly, or lose packets (RFC 4733 §2.5) ------------------------

Sent = tuple[str, int, int, bool]
"""Digit, timestamp, duration (of 8 kHz), whether it is the end."""


def _press(digit: str, at: int, packets: int = 6, ends: int = 3) -> list[Sent]:
    sent = [(digit, at, 160 * n, False) for n in range(1, packets)]
    return sent + [(digit, at, 160 * packets, True)] * ends


BAD_LINES: dict[str, tuple[list[Sent], str]] = {
    "no start": (_press("5", 8000)[3:], "5"),
    "only one end": (_press("7", 8000)[-1:], "7"),
    "no end": (_press("5", 8000, ends=0), "5"),
    "many ends": (_press("8", 8000, ends=12), "8"),
    "an end that comes late": (
        _press("5", 8000) + _press("6", 9600) + _press("5", 8000)[-1:],
        "56",
    ),
    "the same digit at once": (_press("5", 8000) + _press("5", 8960), "55"),
    "the same digit, the first end lost": (_press("5", 8000, ends=0) + _press("5", 8960), "55"),
    "out of order": ([_press("5", 8000)[i] for i in (0, 2, 1, 3, 5, 4, 6)], "5"),
    "each packet twice": ([p for p in _press("5", 8000) for _ in (0, 1)], "5"),
}


@pytest_twisted.ensureDeferred
async def test_one_digit_a_press_over_a_bad_line(scene: Scene) -> None:
    """Every other one without a marker bit."""
    lease = await scene.lend(1)
    call = await scene.invited(lease, "s", None)
    stream = call.stream
    assert stream is not None
    await pause(0.2)
    stream.quiet()
    for n, (name, (packets, digits)) in enumerate(BAD_LINES.items()):
        before = len(scene.told.all("dtmf", "s"))
        for place, (digit, at, duration, ended) in enumerate(packets):
            first = place == 0 or packets[place - 1][1] != at
            stream.event(
                digit, 100_000 * (n + 1) + at, duration, ended=ended, marker=first and n % 2 > 0
            )
            await pause(0.02)
        await pause(0.4)
        told = "".join(d for d, _ in scene.told.all("dtmf", "s")[before:])
        assert told == digits, name


@pytest.mark.parametrize(("codec", "clock_hz"), [("speex", 16_000), ("opus", 48_000)])
@pytest_twisted.ensureDeferred
async def test_events_of_another_clock(scene: Scene, codec: str, clock_hz: int) -> None:
    """Durations are told in ms whatever the clock; one that we lack is answered without it."""
    lease = await scene.lend(1)
    await lease.expect_sip_leg(S, LegProfile(codecs=("speex", "PCMU")))
    call = scene.calling(lease, None)
    assert call.stream is not None
    wide = offer(call.stream.port, codec, "PCMU", events=f"105 telephone-event/{clock_hz}")
    call.send_invite(wide, ("x-dmgw-leg", "s"))
    await scene.told.that("incoming", "s")
    await lease.answer(S, 200)
    answer = await call.answered()
    if clock_hz == 48_000:
        assert "telephone-event/48000" not in answer.body
        return
    asked = re.search(r"a=rtpmap:(\d+) telephone-event/16000", answer.body)
    assert asked is not None
    call.stream.send_event_pt = int(asked[1])
    call.stream.quiet()
    for n in range(1, 6):
        call.stream.event("8", 7000, n * clock_hz // 50, ended=n == 5)
        await pause(0.02)
    digit, ms = await scene.told.that("dtmf", "s")
    assert digit == "8" and 80 <= ms <= 120
