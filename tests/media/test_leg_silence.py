"""Holding and resuming from either side, and far ends that rightly send little or nothing."""

from __future__ import annotations

import pytest
import pytest_twisted

from gateway.values import LegId
from tests import audio
from tests.media.conftest import MakeScene
from tests.media.hearing import deaf, hears, listen
from tests.media.scene import Scene
from tests.media.sdp import offer
from tests.peers.app_client import plain_offer
from tests.peers.sip_phone import SipCall
from tests.peers.waiting import pause

A, S, T = LegId("a"), LegId("s"), LegId("t")
REVERSE = {"sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}


async def _held_by_us(call: SipCall, mark: int, answer: str) -> str:
    """Answer our re-INVITE; the direction that it asked for."""
    call.invite = await call.got("INVITE", since=mark)
    call.answer(200, "OK", answer)
    await call.got("ACK", since=mark)
    return next(d for d in ("sendonly", "sendrecv", "inactive") if f"a={d}" in call.invite.body)


@pytest.mark.parametrize("kind", ["recvonly", "inactive", "0.0.0.0"])
@pytest_twisted.ensureDeferred
async def test_we_hold_and_resume_whatever_the_answer_is_like(scene: Scene, kind: str) -> None:
    lease = await scene.lend(2)
    app, _ = await scene.app_leg(lease, "a", 700)
    call = await scene.invited(lease, "s")
    await lease.connect(A, S)
    assert call.stream is not None
    sdp = plain_offer(call.stream)
    holding = sdp.replace("sendrecv", kind)
    if kind == "0.0.0.0":
        holding = sdp.replace("c=IN IP4 127.0.0.1", "c=IN IP4 0.0.0.0")
    mark = scene.phone.messages.mark()
    await lease.hold(S, True)
    assert await _held_by_us(call, mark, holding) == "sendonly"
    if kind != "0.0.0.0":
        call.stream.quiet()
        await deaf(app, 0.3)
    mark = scene.phone.messages.mark()
    await lease.hold(S, False)
    assert await _held_by_us(call, mark, sdp) == "sendrecv"
    assert call.invite is not None
    call.listen_to(call.invite.body)
    await hears(app, 440, 0.3)
    await hears(call.stream, 700, 0.3)


@pytest_twisted.ensureDeferred
async def test_a_side_on_hold_hears_music(scene: Scene) -> None:
    """Held ``sendonly`` by us, it still hears what we play to it."""
    lease = await scene.lend(2)
    await scene.app_leg(lease, "a", 700)
    call = await scene.invited(lease, "s")
    await lease.connect(A, S)
    mark = scene.phone.messages.mark()
    assert call.stream is not None
    sdp = plain_offer(call.stream)
    await lease.hold(S, True)
    await _held_by_us(call, mark, sdp.replace("sendrecv", "recvonly"))
    await lease.disconnect(A, S)
    await lease.play(S, "hold")
    heard = await listen(call.stream, 1.2)
    assert audio.over_neighbours_db(heard, 659, 8000, (0.95, 1.05)) > 10
    await lease.stop(S)
    mark = scene.phone.messages.mark()
    await lease.hold(S, False)
    await _held_by_us(call, mark, sdp)
    await lease.connect(A, S)
    await hears(call.stream, 700, 0.3)


@pytest_twisted.ensureDeferred
async def test_who_may_be_silent_is_not_given_up(make_scene: MakeScene) -> None:
    """Held in three ways by the far end, and by us; and one of whom there is only noise."""
    scene = await make_scene(stats_interval_s=0.25, rtp_timeout_s=1, warm_workers=2)
    calls = {}
    for kind in ("sendonly", "inactive", "0.0.0.0", "ours", "noise"):
        lease = await scene.lend(1)
        call = calls[kind] = await scene.invited(lease, kind)
        assert call.stream is not None
        sdp = plain_offer(call.stream)
        if kind == "ours":
            mark = scene.phone.messages.mark()
            await lease.hold(LegId(kind), True)
            await _held_by_us(call, mark, sdp.replace("sendrecv", "recvonly"))
        elif kind != "noise":
            old = sdp.replace("c=IN IP4 127.0.0.1", "c=IN IP4 0.0.0.0")
            call.send_invite(old if kind == "0.0.0.0" else sdp.replace("sendrecv", kind))
            call.ack(await call.final())
        call.stream.quiet()
    noise = calls["noise"].stream
    assert noise is not None
    for _ in range(5):
        await pause(0.5)
        noise.comfort()
    assert not scene.told.all("closed")
    end = await scene.told.that("closed", "noise", 3)
    assert end.code == 408, "not even noise any more"
    assert len(scene.told.all("closed")) == 1


@pytest_twisted.ensureDeferred
async def test_being_muted_by_us_is_no_silence_of_theirs(make_scene: MakeScene) -> None:
    scene = await make_scene(stats_interval_s=0.25, rtp_timeout_s=1)
    lease = await scene.lend(2)
    await scene.app_leg(lease, "a", 700)
    call = await scene.invited(lease, "s", None)  # silence, but packets
    await lease.connect(A, S)
    await lease.mute(A, True)
    await lease.mute(S, True)
    await pause(1.6)
    assert not scene.told.all("closed")
    assert call.stream is not None
    await deaf(call.stream, 0.2)
    await lease.mute(A, False)
    await hears(call.stream, 700, 0.3)


@pytest_twisted.ensureDeferred
async def test_comfort_noise_between_words_is_no_fault(scene: Scene) -> None:
    """A far end that suppresses silence: its speech is heard whole again after each pause."""
    lease = await scene.lend(2)
    app, _ = await scene.app_leg(lease, "a", 700)
    await lease.expect_sip_leg(S)
    call = scene.calling(lease, 440)
    assert call.stream is not None
    with_noise = offer(call.stream.port, "PCMU").replace(" 101\r\n", " 13 101\r\n")
    with_noise += "a=rtpmap:13 CN/8000\r\n"
    call.send_invite(with_noise, ("x-dmgw-leg", "s"))
    await scene.told.that("incoming", "s")
    await lease.answer(S, 200)
    answer = await call.answered()
    assert " 13" not in answer.body.split("m=audio")[1].split("\r\n")[0]  # we ask for none
    await lease.connect(A, S)
    assert call.stream.remote is not None
    for _ in range(2):
        await hears(app, 440, 0.4)
        call.stream.quiet()
        for _ in range(3):
            call.stream.comfort()
            await pause(0.1)
        await deaf(app, 0.2)
        call.stream.send_to(*call.stream.remote)
    await hears(app, 440, 0.3)
