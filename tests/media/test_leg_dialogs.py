"""What a leg's dialog knows besides INVITE and BYE: PRACK, session timers, UPDATE, glare."""

from __future__ import annotations

from typing import Literal

import pytest
import pytest_twisted

from gateway.values import LegId, LegProfile
from tests.media.aging import REFRESHERS, Aging
from tests.media.hearing import hears
from tests.media.scene import Scene, target
from tests.media.sdp import offer
from tests.peers.app_client import plain_offer
from tests.peers.sip_message import SipMessage
from tests.peers.waiting import pause, reactor

A, S = LegId("a"), LegId("s")
Use = Literal["off", "optional", "mandatory"]


# --- reliable provisional responses (RFC 3262) ------------------------------------------


@pytest.mark.parametrize("use", ["off", "optional", "mandatory"])
@pytest_twisted.ensureDeferred
async def test_a_reliable_ringing_is_acknowledged(scene: Scene, use: Use) -> None:
    lease = await scene.lend(1)
    await lease.open_sip_leg(S, target(profile=LegProfile(reliable=use)))
    call = await scene.phone.incoming()
    assert call.invite is not None
    assert "100rel" in call.invite.get("supported")  # PJSIP says so always, and keeps to it
    assert ("100rel" in call.invite.get("require")) is (use == "mandatory")
    call.stream = scene.phone.stream("PCMU", 440)
    reliable = (("require", "100rel"), ("rseq", "7"))
    call.answer(183, "Session Progress", plain_offer(call.stream), *reliable)
    prack = await call.got("PRACK")
    assert prack.get("rack") == f"7 {call.invite.cseq[0]} INVITE"
    scene.phone.send(scene.phone.refusal(prack, 200))
    assert await scene.told.that("ringing", "s") == 183
    await scene.told.that("media", "s")
    call.answer(200)
    await scene.told.that("answered", "s")


@pytest.mark.parametrize(
    ("use", "caller", "reliable"),
    [
        ("off", ("supported", "100rel"), False),
        ("off", ("require", "100rel"), True),
        ("optional", ("supported", "100rel"), True),
        ("optional", ("supported", "timer"), False),
        ("optional", ("require", "100rel"), True),
        ("mandatory", ("supported", "100rel"), True),
    ],
)
@pytest_twisted.ensureDeferred
async def test_our_ringing_is_reliable_where_both_like_that(
    scene: Scene, use: Use, caller: tuple[str, str], reliable: bool
) -> None:
    lease = await scene.lend(1)
    await lease.expect_sip_leg(S, LegProfile(reliable=use))
    call = scene.calling(lease)
    call.send_invite(None, ("x-dmgw-leg", "s"), caller)
    await scene.told.that("incoming", "s")
    await lease.answer(S, 180)
    ringing = await call.ringing()
    assert bool(ringing.get("rseq")) is reliable
    if reliable:
        call.learn(ringing)
        rack = ("rack", f"{ringing.get('rseq')} {call.cseq} INVITE")
        assert (await call.in_dialog("PRACK", "", rack)).code == 200
        assert call.invite is not None
    await lease.answer(S, 200)
    await call.answered()
    await scene.told.that("answered", "s")


@pytest_twisted.ensureDeferred
async def test_a_caller_without_what_is_mandatory_is_told(scene: Scene) -> None:
    lease = await scene.lend(1)
    await lease.expect_sip_leg(S, LegProfile(reliable="mandatory"))
    call = scene.calling(lease)
    call.send_invite(None, ("x-dmgw-leg", "s"), ("supported", "timer"))
    final = await call.final()
    assert (final.code, final.get("require")) == (421, "100rel")
    assert (await scene.told.that("closed", "s")).code == 421


# --- session timers (RFC 4028) ----------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_our_invites_name_a_session_timer(scene: Scene) -> None:
    lease = await scene.lend(1)
    await lease.open_sip_leg(S, target(profile=LegProfile(session_expires_s=900)))
    call = await scene.phone.incoming()
    assert call.invite is not None
    assert call.invite.get("session-expires").split(";")[0] == "900"
    assert call.invite.get("min-se") == "90" and "timer" in call.invite.get("supported")
    mark = scene.phone.messages.mark()
    call.answer(422, "Session Interval Too Small", "", ("min-se", "1200"))
    await call.got("ACK")
    call = await scene.phone.incoming(since=mark)
    assert call.invite is not None
    assert call.invite.get("session-expires").split(";")[0] == "1200"
    assert call.invite.get("min-se") == "1200"
    call.stream = scene.phone.stream()
    call.answer(200, "OK", "", ("session-expires", "1200;refresher=uas"), ("require", "timer"))
    await scene.told.that("answered", "s")


@pytest_twisted.ensureDeferred
async def test_a_callers_session_timer(scene: Scene) -> None:
    lease = await scene.lend(1)
    await lease.expect_sip_leg(S)
    small = scene.calling(lease)
    small.send_invite(None, ("x-dmgw-leg", "s"), ("supported", "timer"), ("session-expires", "60"))
    final = await small.final()
    assert (final.code, final.get("min-se")) == (422, "90")
    small.ack(final)
    await scene.told.that("closed", "s")
    lease = await scene.lend(1)
    await lease.expect_sip_leg(LegId("s2"))
    call = scene.calling(lease)
    call.send_invite(
        None,
        ("x-dmgw-leg", "s2"),
        ("supported", "timer"),
        ("session-expires", "600;refresher=uac"),
    )
    await scene.told.that("incoming", "s2")
    await lease.answer(LegId("s2"), 200)
    answer = await call.answered()
    assert answer.get("session-expires").startswith("600")
    assert "refresher=uac" in answer.get("session-expires")
    assert "timer" in answer.get("require")


@pytest_twisted.ensureDeferred
async def test_sessions_are_begun_that_other_tests_see_end(aging: Aging) -> None:
    assert set(aging.calls) == set(REFRESHERS)
    assert not aging.scene.told.all("closed")


# --- UPDATE (RFC 3311) ------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_an_update_without_sdp(scene: Scene) -> None:
    lease = await scene.lend(2)
    app, _ = await scene.app_leg(lease, "a", 700)
    call = await scene.invited(lease, "s")
    await lease.connect(A, S)
    assert (await call.in_dialog("UPDATE")).code == 200
    await hears(app, 440)
    assert call.stream is not None
    await hears(call.stream, 700)


@pytest_twisted.ensureDeferred
async def test_an_update_holds_and_resumes(scene: Scene) -> None:
    lease = await scene.lend(2)
    app, _ = await scene.app_leg(lease, "a", 700)
    call = await scene.invited(lease, "s")
    await lease.connect(A, S)
    assert call.stream is not None
    sdp = plain_offer(call.stream)
    for direction, held in (("inactive", True), ("sendrecv", False)):
        mark = scene.told.mark()
        response = await call.in_dialog("UPDATE", sdp.replace("sendrecv", direction))
        assert response.code == 200 and f"a={direction}" in response.body
        assert (await scene.told.that("media", "s", since=mark)).remote_held is held
    await hears(app, 440)
    await hears(call.stream, 700)


@pytest_twisted.ensureDeferred
async def test_an_update_that_cannot_be_taken_changes_nothing(scene: Scene) -> None:
    lease = await scene.lend(2)
    app, _ = await scene.app_leg(lease, "a", 700)
    call = await scene.invited(lease, "s")
    await lease.connect(A, S)
    for sdp in (offer(4000, "opus"), "v=0\r\nnonsense"):
        assert (await call.in_dialog("UPDATE", sdp)).code >= 400
    await hears(app, 440)


# --- glare (RFC 3261 §14) ---------------------------------------------------------------


@pytest.mark.parametrize("ours", [True, False])
@pytest_twisted.ensureDeferred
async def test_glare_is_tried_again(scene: Scene, ours: bool) -> None:
    """Both send a re-INVITE at once: each refuses the other's; ours comes again, in its time."""
    lease = await scene.lend(1)
    call = await (scene.dialled(lease, "s") if ours else scene.invited(lease, "s"))
    if ours:  # as UAS it has not seen a Contact in a response
        call.target = f"sip:{lease.sip}"
    mark = scene.phone.messages.mark()
    await lease.hold(S, True)
    theirs = await call.got("INVITE", since=mark)
    assert call.stream is not None
    own = call.request("INVITE", plain_offer(call.stream))
    scene.phone.send(own)
    refused = await scene.phone.final(own)
    assert refused.code == 491
    call.invite = own
    call.ack(refused)
    call.invite = theirs
    began = reactor.seconds()
    mark = scene.phone.messages.mark()
    call.answer(491)
    await call.got("ACK", since=mark)
    again = await call.got("INVITE", since=mark, timeout_s=6)
    waited = reactor.seconds() - began
    assert (2.0 <= waited <= 4.5) if ours else waited <= 2.5
    assert "a=sendonly" in again.body and again.cseq[0] > theirs.cseq[0]
    call.invite = again
    call.answer(200, "OK", plain_offer(call.stream).replace("sendrecv", "recvonly"))
    await call.got("ACK", since=mark)
    await pause(0.1)
    assert not scene.told.all("closed")


@pytest_twisted.ensureDeferred
async def test_a_hold_waits_while_the_far_ends_offer_is_open(scene: Scene) -> None:
    """Asked for in the middle of another exchange it is not lost."""
    lease = await scene.lend(1)
    call = await scene.dialled(lease, "s")
    mark = scene.phone.messages.mark()
    await lease.hold(S, True)
    first = await call.got("INVITE", since=mark)
    await lease.hold(S, False)  # the first is not answered yet
    call.invite = first
    assert call.stream is not None
    call.answer(200, "OK", plain_offer(call.stream).replace("sendrecv", "recvonly"))
    await call.got("ACK", since=mark)
    mark = scene.phone.messages.mark()
    second: SipMessage = await call.got("INVITE", since=mark, timeout_s=6)
    assert "a=sendrecv" in second.body
    call.invite = second
    call.answer(200)
    await call.got("ACK", since=mark)
