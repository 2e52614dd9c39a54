"""SIP legs of real workers; the test's phone is the edge, and what is behind it."""

from __future__ import annotations

import re

import pytest
import pytest_twisted

from gateway.errors import MediaFailed
from gateway.values import LegEnd, LegId
from tests.media.conftest import MakeScene
from tests.media.hearing import deaf, hears
from tests.media.scene import Scene, target
from tests.media.sdp import MAPS, audio_line, offer
from tests.media.srtp import SrtpKey
from tests.peers.app_client import plain_offer
from tests.peers.sip_message import bare_uri
from tests.peers.waiting import pause

A, B, S, T = LegId("a"), LegId("b"), LegId("s"), LegId("t")


@pytest_twisted.ensureDeferred
async def test_an_outgoing_leg(scene: Scene) -> None:
    lease = await scene.lend(2)
    app, _ = await scene.app_leg(lease, "a", 700)
    extra = (("P-Asserted-Identity", "<sip:x@dm.localhost>\r\nX-Injected: yes"),)
    name = 'A "quoted" \\ name\r\nX-Injected: yes'
    await lease.open_sip_leg(S, target(from_name=name, flow="flow-7", headers=extra))
    call = await scene.phone.incoming()
    assert call.invite is not None
    assert call.invite.uri == "sip:1001@127.0.0.1:9"
    assert call.invite.get("x-dmgw-leg") == "s" and call.invite.get("x-dmgw-flow") == "flow-7"
    assert bare_uri(call.invite.get("to")) == "sip:1001@dm.localhost"
    assert call.invite.get("from").startswith(
        '"A \\"quoted\\" \\\\ name X-Injected: yes" <sip:alice@dm.localhost>'
    )
    assert not call.invite.get("x-injected")
    assert call.invite.get("p-asserted-identity").startswith("<sip:x@dm.localhost>")
    assert f"sip:127.0.0.1:{scene.phone.port};lr" in call.invite.get("route")
    assert audio_line(call.invite.body)[1:] == ("RTP/AVP", [9, 0, 8, 120])
    call.answer(180)
    await scene.told.that("ringing", "s")
    call.stream = scene.phone.stream("PCMU", 440)
    call.answer(200)
    await scene.told.that("answered", "s")
    media = await scene.told.that("media", "s")
    assert (media.codec, media.secure, media.remote_held) == ("PCMU", False, False)
    await deaf(app, 0.3)
    await deaf(call.stream, 0.2)
    await lease.connect(A, S)
    await hears(app, 440)
    await hears(call.stream, 700)
    await lease.close_leg(S, 200, "OK", 488)
    bye = await call.got("BYE")
    assert bye.all("reason") == ["SIP;cause=488"]
    end = await scene.told.that("closed", "s")
    assert (end.code, end.remote) == (200, False)


@pytest_twisted.ensureDeferred
async def test_an_incoming_leg(scene: Scene) -> None:
    lease = await scene.lend(2)
    app, _ = await scene.app_leg(lease, "a", 700)
    await lease.expect_sip_leg(S)
    call = scene.calling(lease, 440)
    call.send_invite(None, ("x-dmgw-leg", "s"))
    await scene.told.that("incoming", "s")
    await lease.answer(S, 180)
    await call.ringing()
    await pause(0.3)
    assert not scene.told.all("answered", "s"), "it is held until it is answered"
    await lease.answer(S, 200)
    await call.answered()
    await scene.told.that("answered", "s")
    assert call.stream is not None
    await deaf(app, 0.3)
    await lease.connect(A, S)
    await hears(app, 440)
    await hears(call.stream, 700)
    with pytest.raises(MediaFailed):
        await lease.answer(S, 200)
    assert (await call.in_dialog("BYE", "", ("reason", "SIP ;cause=200"))).code == 200
    end = await scene.told.that("closed", "s")
    assert (end.code, end.remote, end.cause) == (200, True, 200)
    assert end.stats is not None and end.stats.received.packets > 50
    assert end.stats.sent.packets > 50


@pytest_twisted.ensureDeferred
async def test_a_bye_without_a_cause(scene: Scene) -> None:
    lease = await scene.lend(1)
    call = await scene.dialled(lease, "s")
    await lease.close_leg(S, 200, "OK")
    bye = await call.got("BYE")
    assert not bye.all("reason")


@pytest.mark.parametrize(("code", "text"), [(486, "Busy Here"), (603, "Decline"), (404, "")])
@pytest_twisted.ensureDeferred
async def test_a_refusal_by_us(scene: Scene, code: int, text: str) -> None:
    lease = await scene.lend(1)
    await lease.expect_sip_leg(S)
    call = scene.calling(lease)
    call.send_invite(None, ("x-dmgw-leg", "s"))
    await scene.told.that("incoming", "s")
    await lease.close_leg(S, code, text)
    final = await call.final()
    assert final.code == code and text in final.first
    call.ack(final)
    end = await scene.told.that("closed", "s")
    assert (end.code, end.remote) == (code, False)


@pytest_twisted.ensureDeferred
async def test_closing_with_200_never_accepts(scene: Scene) -> None:
    lease = await scene.lend(1)
    await lease.expect_sip_leg(S)
    call = scene.calling(lease)
    call.send_invite(None, ("x-dmgw-leg", "s"))
    await scene.told.that("incoming", "s")
    await lease.close_leg(S, 200, "OK")
    assert (await call.final()).code == 480


@pytest_twisted.ensureDeferred
async def test_a_leg_that_is_expected_in_vain(scene: Scene) -> None:
    lease = await scene.lend(1)
    await lease.expect_sip_leg(S)
    await lease.close_leg(S, 487, "gone")
    assert await scene.told.that("closed", "s") == LegEnd(487, "gone", remote=False)


@pytest_twisted.ensureDeferred
async def test_a_caller_gives_up(scene: Scene) -> None:
    lease = await scene.lend(1)
    await lease.expect_sip_leg(S)
    call = scene.calling(lease)
    call.send_invite(None, ("x-dmgw-leg", "s"))
    await scene.told.that("incoming", "s")
    await lease.answer(S, 180)
    await call.ringing()
    call.cancel()
    assert (await call.final()).code == 487
    end = await scene.told.that("closed", "s")
    assert (end.code, end.remote) == (487, True)


@pytest_twisted.ensureDeferred
async def test_we_give_up_calling(scene: Scene) -> None:
    lease = await scene.lend(1)
    await lease.open_sip_leg(S, target())
    call = await scene.phone.incoming()
    call.answer(180)
    await scene.told.that("ringing", "s")
    await lease.close_leg(S, 487, "answered elsewhere", 200)
    cancel = await call.got("CANCEL")
    assert cancel.all("reason") == ["SIP;cause=200"]
    scene.phone.send(scene.phone.refusal(cancel, 200))
    call.answer(487, "Request Terminated")
    await call.got("ACK")
    end = await scene.told.that("closed", "s")
    assert (end.code, end.remote) == (487, False)


@pytest.mark.parametrize("code", [404, 486, 503, 603])
@pytest_twisted.ensureDeferred
async def test_a_refusal_by_the_far_end(scene: Scene, code: int) -> None:
    lease = await scene.lend(1)
    await lease.open_sip_leg(S, target())
    call = await scene.phone.incoming()
    call.answer(code)
    await call.got("ACK")
    end = await scene.told.that("closed", "s")
    assert (end.code, end.remote) == (code, True)


@pytest_twisted.ensureDeferred
async def test_the_far_end_answers_what_was_not_offered(scene: Scene) -> None:
    lease = await scene.lend(1)
    await lease.open_sip_leg(S, target())
    call = await scene.phone.incoming()
    call.answer(200, "OK", offer(4000, "opus"))
    await call.got("BYE")
    end = await scene.told.that("closed", "s")
    assert (end.code, end.remote) == (488, False)


@pytest_twisted.ensureDeferred
async def test_no_codec_in_common_with_a_caller(scene: Scene) -> None:
    lease = await scene.lend(1)
    await lease.expect_sip_leg(S)
    call = scene.calling(lease)
    call.send_invite(offer(4000, "opus", events=""), ("x-dmgw-leg", "s"))
    assert (await call.final()).code == 488
    assert (await scene.told.that("closed", "s")).code == 488


@pytest_twisted.ensureDeferred
async def test_a_reinvite_changes_codec_and_address(scene: Scene) -> None:
    lease = await scene.lend(2)
    app, _ = await scene.app_leg(lease, "a", 700)
    call = await scene.invited(lease, "s")
    await lease.connect(A, S)
    assert call.stream is not None
    await hears(app, 440)
    call.stream.quiet()
    call.stream = scene.phone.stream("PCMA", 1000)
    mark = scene.told.mark()
    call.send_invite(plain_offer(call.stream))
    await call.answered()
    assert (await scene.told.that("media", "s", since=mark)).codec == "PCMA"
    await hears(app, 1000)
    await hears(call.stream, 700)


@pytest_twisted.ensureDeferred
async def test_a_reinvite_connects_nothing(scene: Scene) -> None:
    lease = await scene.lend(2)
    app, _ = await scene.app_leg(lease, "a", 700)
    call = await scene.invited(lease, "s")
    assert call.stream is not None
    call.send_invite(plain_offer(call.stream))
    await call.answered()
    await deaf(app)
    await deaf(call.stream, 0.2)


@pytest.mark.parametrize("hold", ["sendonly", "inactive", "0.0.0.0"])
@pytest_twisted.ensureDeferred
async def test_the_far_end_holds(scene: Scene, hold: str) -> None:
    lease = await scene.lend(2)
    app, _ = await scene.app_leg(lease, "a", 700)
    call = await scene.invited(lease, "s")
    await lease.connect(A, S)
    assert call.stream is not None
    await hears(call.stream, 700)
    held = plain_offer(call.stream)
    held = held.replace("c=IN IP4 127.0.0.1", "c=IN IP4 0.0.0.0") if hold[0] == "0" else held
    held = held.replace("a=sendrecv", f"a={hold}") if hold[0] != "0" else held
    mark = scene.told.mark()
    call.send_invite(held)
    call.ack(await call.final())
    media = await scene.told.that("media", "s", since=mark)
    assert media.remote_held and media.codec == "PCMU"
    await deaf(call.stream, 0.3)
    mark = scene.told.mark()
    call.send_invite(plain_offer(call.stream))
    call.ack(await call.final())
    assert not (await scene.told.that("media", "s", since=mark)).remote_held
    await hears(call.stream, 700)
    await hears(app, 440)


@pytest_twisted.ensureDeferred
async def test_we_hold(scene: Scene) -> None:
    lease = await scene.lend(2)
    app, _ = await scene.app_leg(lease, "a", 700)
    call = await scene.invited(lease, "s")
    await lease.connect(A, S)
    for held, direction in ((True, "sendonly"), (False, "sendrecv")):
        mark = scene.phone.messages.mark()
        await lease.hold(S, held)
        call.invite = await call.got("INVITE", since=mark)
        assert f"a={direction}" in call.invite.body
        assert call.stream is not None
        body = plain_offer(call.stream)
        call.answer(200, "OK", body.replace("sendrecv", "recvonly") if held else body)
        call.listen_to(call.invite.body)
        await call.got("ACK", since=mark)
        assert not any(m.remote_held for m in scene.told.all("media", "s"))
    await hears(app, 440)


@pytest_twisted.ensureDeferred
async def test_a_leg_that_is_not_answered_cannot_be_held_or_pressed(scene: Scene) -> None:
    lease = await scene.lend(1)
    await lease.open_sip_leg(S, target())
    await scene.phone.incoming()
    for asked in (lease.hold(S, True), lease.dtmf(S, "1", 100), lease.answer(S, 200)):
        with pytest.raises(MediaFailed):
            await asked


@pytest_twisted.ensureDeferred
async def test_an_invite_without_offer(scene: Scene) -> None:
    lease = await scene.lend(2)
    app, _ = await scene.app_leg(lease, "a", 700)
    await lease.expect_sip_leg(S)
    call = scene.calling(lease, 440)
    call.send_invite("", ("x-dmgw-leg", "s"))
    await scene.told.that("incoming", "s")
    await lease.answer(S, 200)
    response = await call.final()
    assert [pt for pt in audio_line(response.body)[2] if pt < 96] == [9, 0, 8]
    call.learn(response)
    assert call.stream is not None
    call.ack(response, plain_offer(call.stream))
    call.listen_to(plain_offer(call.stream).replace(str(call.stream.port), _port(response.body)))
    await scene.told.that("media", "s")
    await lease.connect(A, S)
    await hears(app, 440)
    await hears(call.stream, 700)


def _port(sdp: str) -> str:
    return str(audio_line(sdp)[0])


@pytest_twisted.ensureDeferred
async def test_event_types_differ_each_way(scene: Scene) -> None:
    lease = await scene.lend(1)
    await lease.open_sip_leg(S, target())
    call = await scene.phone.incoming()
    call.stream = scene.phone.stream("PCMU", 440)
    assert call.invite is not None
    ours = re.search(r"a=rtpmap:(\d+) telephone-event", call.invite.body)
    assert ours is not None and ours[1] != "97"
    call.answer(200, "OK", offer(call.stream.port, "PCMU", events="97 telephone-event/8000"))
    call.listen_to(call.invite.body)  # we send with the type that the worker asked for
    await scene.told.that("answered", "s")
    await scene.told.that("media", "s")
    await pause(0.3)
    await call.stream.press("5", 160)
    assert (await scene.told.that("dtmf", "s"))[0] == "5"
    call.stream.event_pt = 97
    await lease.dtmf(S, "7", 160)
    await call.stream.presses.expect(lambda p: p.digit == "7" and p.ended, "7 with type 97")


@pytest_twisted.ensureDeferred
async def test_srtp_is_taken_where_a_caller_offers_it(scene: Scene) -> None:
    lease = await scene.lend(1)
    await lease.expect_sip_leg(S)
    call = scene.calling(lease, 440)
    secure = offer(4000, "PCMU", crypto=SrtpKey().inline, profile="RTP/SAVP")
    call.send_invite(secure, ("x-dmgw-leg", "s"))
    await scene.told.that("incoming", "s")
    await lease.answer(S, 200)
    response = await call.final()
    assert audio_line(response.body)[1] == "RTP/SAVP" and "a=crypto:1 " in response.body
    call.learn(response)
    call.ack(response)
    assert (await scene.told.that("media", "s")).secure


@pytest_twisted.ensureDeferred
async def test_the_public_address_is_in_sdp_of_sip_legs_alone(make_scene: MakeScene) -> None:
    scene = await make_scene(public_host="192.0.2.7", ptime_ms=40, codecs=["PCMA", "GSM"])
    lease = await scene.lend(2)
    await lease.open_sip_leg(S, target())
    call = await scene.phone.incoming()
    assert call.invite is not None
    assert "c=IN IP4 192.0.2.7" in call.invite.body
    assert "127.0.0.1" not in call.invite.body
    assert audio_line(call.invite.body)[2][:2] == [MAPS["PCMA"][0], MAPS["GSM"][0]]
    answer = await lease.open_app_leg(A, offer(4000, "PCMA"))
    assert "c=IN IP4 127.0.0.1" in answer.sdp
    call.answer(486)
    await scene.told.that("closed", "s")


@pytest_twisted.ensureDeferred
async def test_our_packet_time_where_the_far_end_asks_for_none(make_scene: MakeScene) -> None:
    scene = await make_scene(ptime_ms=40, codecs=["PCMU"])
    lease = await scene.lend(1)
    await lease.open_sip_leg(S, target())
    call = await scene.phone.incoming()
    assert call.invite is not None and "a=ptime:40" in call.invite.body
    call.stream = scene.phone.stream("PCMU", 440)
    call.answer(200, "OK", offer(call.stream.port, "PCMU"))
    call.listen_to(call.invite.body)
    await scene.told.that("media", "s")
    await lease.connect(S, S)
    await hears(call.stream, 440)
    assert {len(p[4]) for p in call.stream.heard.packets} == {320}


@pytest_twisted.ensureDeferred
async def test_the_last_word_comes_once_when_both_hang_up(scene: Scene) -> None:
    lease = await scene.lend(1)
    call = await scene.invited(lease, "s")
    bye = call.request("BYE")
    scene.phone.send(bye)
    await lease.close_leg(S, 200, "OK")
    await lease.close_leg(S, 200, "OK")
    assert (await scene.phone.final(bye)).code in (200, 481)
    await scene.told.that("closed", "s")
    await lease.release()
    await lease.release()
    await pause(0.2)
    assert len(scene.told.all("closed", "s")) == 1
