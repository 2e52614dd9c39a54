"""Digits both ways, once a press, whole and in order."""

from __future__ import annotations

import pytest
import pytest_twisted

from gateway.errors import MediaFailed
from gateway.values import LegId
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
