"""The page in a real Chromium, against the real server; calls are scripted at ``DmCalls``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_twisted
from twisted.internet.defer import Deferred

from gateway.calls.events import (
    Accepted,
    Connected,
    Dtmf,
    Ended,
    Incoming,
    Media,
    Ringing,
)
from gateway.calls.record import HistoryItem
from gateway.errors import NoCapacity
from gateway.values import (
    CallId,
    Client,
    Party,
    Reason,
    SipAddress,
    UserAddress,
)
from tests.app.scripted import Server, Started, settings
from tests.peers.chromium import Chromium, Page
from tests.peers.waiting import reactor

PHONE = SipAddress("1001", "dm.localhost")
CALL = CallId("c1")

# a second peer connection in the page stands for the gateway's media
ANSWER = """async (offer) => {
  const pc = window.farEnd = new RTCPeerConnection();
  const tone = new AudioContext(), oscillator = tone.createOscillator();
  const out = tone.createMediaStreamDestination();
  oscillator.connect(out);
  oscillator.start();
  await pc.setRemoteDescription({ type: "offer", sdp: offer });
  pc.addTrack(out.stream.getTracks()[0], out.stream);
  await pc.setLocalDescription();
  while (pc.iceGatheringState !== "complete") {
    await new Promise((done) => { pc.onicegatheringstatechange = done; });
  }
  return pc.localDescription.sdp;
}"""


@pytest_twisted.async_yield_fixture
async def chromium(tmp_path: Path) -> AsyncIterator[Chromium]:
    browser = await Chromium.start(tmp_path)
    yield browser
    await browser.stop()


async def signed_in(chromium: Chromium, server: Server) -> Page:
    page = await chromium.page(f"{server.url}/app")
    await page.until("document.querySelectorAll('#login-user option').length > 3", timeout_s=15)
    await page.evaluate("document.getElementById('login-user').value = 'alice'")
    await page.click("#login-button")
    await page.click("#welcome-ok")
    await page.wait("[data-thread='sip:1001@dm.localhost']")
    return page


def tell(server: Server, *events: Any) -> None:
    for client in server.sessions.clients_of("alice"):
        for event in events:
            server.sessions.notify(client.id, event)


def ended(
    reason: Reason = Reason.COMPLETED, by: Party = Party.CALLEE, duration: float = 3
) -> Ended:
    return Ended(call=CALL, reason=reason, by=by, duration_s=duration, at=reactor.seconds())


def connected() -> Connected:
    return Connected(call=CALL, at=reactor.seconds(), codec="opus", peer_codec="G722", secure=True)


def blameless(page: Page, server: Server) -> None:
    """No script failed, nothing was refused by the policy, nobody else was asked."""
    assert page.errors == []
    assert page.origins <= {server.url, server.url.replace("http", "ws")}


@pytest_twisted.ensureDeferred
async def test_a_person_calls_a_softphone_talks_presses_keys_and_hangs_up(
    started: Started, chromium: Chromium
) -> None:
    server = await started(settings(dev_login=True))
    page = await signed_in(chromium, server)
    await page.click("[data-thread='sip:1001@dm.localhost']")
    await page.click("#call-button")
    _, who, to, _, offer = await server.calls.was("invite", timeout_s=10)
    assert (who, to) == ("alice", "sip:1001@dm.localhost")
    assert "UDP/TLS/RTP/SAVPF" in offer and "opus/48000" in offer
    assert "a=candidate:" in offer

    tell(server, Ringing(call=CALL))
    await page.until("document.getElementById('call-status').textContent === 'Ringing…'")
    answer = await page.evaluate(ANSWER, offer)
    tell(server, Media(call=CALL, sdp=answer, codec="opus"), Accepted(call=CALL, by=PHONE))
    tell(server, connected())
    await page.until("document.getElementById('call-timer').textContent === '0:01'", timeout_s=8)
    await page.until("dmPage.peerConnection.connectionState === 'connected'", timeout_s=10)
    assert await page.evaluate("dmPage.remoteStream.getAudioTracks().length") == 1
    played = "document.getElementById('remote-audio').srcObject === dmPage.remoteStream"
    assert await page.evaluate(played)

    await page.click("#call-mute")
    await server.calls.was("mute", "alice", CALL, True)
    track = "dmPage.call.microphone.getAudioTracks()[0].enabled"
    assert await page.evaluate(track) is False
    await page.click("#call-mute")
    await server.calls.was("mute", "alice", CALL, False)

    await page.click("#call-keypad-button")
    for digit in "5#":
        await page.click(f"#call-keypad [data-digit='{digit}']")
    await server.calls.was("dtmf", "alice", CALL, "5", 160)
    await server.calls.was("dtmf", "alice", CALL, "#", 160)
    assert await page.text("#call-digits") == "5#"
    tell(server, Dtmf(call=CALL, digit="7", duration_ms=100))
    await page.until("document.getElementById('call-heard').textContent.endsWith('pressed 7')")

    connection = await page.evaluate("(window.gone = dmPage.peerConnection).connectionState")
    assert connection == "connected"
    await page.click("#call-hangup")
    await server.calls.was("hangup", "alice", CALL)
    await page.wait("#call-screen", state="hidden", timeout_s=6)
    assert await page.evaluate("window.gone.connectionState") == "closed"
    blameless(page, server)


@pytest_twisted.ensureDeferred
async def test_a_call_comes_in_and_is_accepted(started: Started, chromium: Chromium) -> None:
    server = await started(settings(dev_login=True))
    page = await signed_in(chromium, server)
    incoming = Incoming(
        call=CALL, caller=PHONE, caller_name="Phone", expires=reactor.seconds() + 45
    )
    tell(server, incoming)
    await page.wait("#incoming-accept")
    focused = await page.evaluate("document.activeElement.id")
    assert focused == "incoming-accept"
    await page.click("#incoming-accept")
    _, _, call, offer = await server.calls.was("accept", timeout_s=10)
    assert call == CALL
    answer = await page.evaluate(ANSWER, offer)
    tell(server, Media(call=CALL, sdp=answer, codec="opus"), connected())
    await page.until("document.getElementById('call-status').textContent === 'Connected'")
    await page.wait("#incoming", state="hidden")
    server.history.items.append(
        HistoryItem(
            call=CALL,
            direction="in",
            with_=PHONE,
            with_name="Phone",
            at=reactor.seconds(),
            connected_at=reactor.seconds(),
            reason=Reason.COMPLETED,
            duration_s=65,
        )
    )
    tell(server, ended())
    await page.until("document.getElementById('call-status').textContent === 'Call ended · 0:03'")
    await page.wait(".history-item")
    assert "Incoming call · 1:05" in await page.text(".history-item")
    blameless(page, server)


@pytest_twisted.ensureDeferred
async def test_a_call_that_is_declined_or_given_up_leaves_the_sheet(
    started: Started, chromium: Chromium
) -> None:
    server = await started(settings(dev_login=True))
    page = await signed_in(chromium, server)
    expires = reactor.seconds() + 45
    tell(server, Incoming(call=CALL, caller=UserAddress("bob"), caller_name="B", expires=expires))
    await page.wait("#incoming")
    assert await page.text("#incoming-name") == "Bob Berger"
    await page.click("#incoming-decline")
    await server.calls.was("decline", "alice", CALL, "declined")
    await page.wait("#incoming", state="hidden")
    second = CallId("c2")
    tell(server, Incoming(call=second, caller=PHONE, caller_name="", expires=expires))
    await page.wait("#incoming")
    gone = Ended(
        call=second, reason=Reason.CANCELLED, by=Party.CALLER, duration_s=0, at=reactor.seconds()
    )
    tell(server, gone)
    await page.wait("#incoming", state="hidden")
    assert await page.text("[data-thread='sip:1001@dm.localhost'] .badge") == "1"
    blameless(page, server)


@pytest_twisted.ensureDeferred
async def test_why_a_call_did_not_come_about_is_told_in_words(
    started: Started, chromium: Chromium
) -> None:
    server = await started(settings(dev_login=True))
    page = await signed_in(chromium, server)
    await page.click("[data-thread='user:bob']")

    await page.click("#call-button")
    await server.calls.was("invite", timeout_s=10)
    await page.until("document.getElementById('call-screen').dataset.state === 'inviting'")
    tell(server, ended(Reason.BUSY, duration=0))
    await page.until("document.getElementById('call-status').textContent === 'Bob Berger is busy'")
    await page.click("#call-hangup")
    await page.until("document.getElementById('notice').textContent === 'Bob Berger is busy'")

    server.calls.answers["invite"] = NoCapacity("draining")
    await page.click("#call-button")
    await page.until(
        "document.getElementById('call-status').textContent.includes('about to restart')"
    )
    await page.click("#call-hangup")

    refuse = """() => { navigator.mediaDevices.getUserMedia =
      async () => { throw new DOMException("no", "NotAllowedError"); } }"""
    await page.evaluate(refuse)
    await page.click("#call-button")
    await page.until("document.getElementById('call-status').textContent.includes('is blocked')")
    blameless(page, server)


@pytest_twisted.ensureDeferred
async def test_the_page_resumes_its_session_and_hears_what_happened_meanwhile(
    started: Started, chromium: Chromium
) -> None:
    server = await started(settings(dev_login=True))
    page = await signed_in(chromium, server)
    await page.click("[data-thread='service:echo']")
    await page.click("#call-button")
    await server.calls.was("invite", timeout_s=10)
    await page.until("dmPage.call.state === 'inviting'")
    (client,) = server.sessions.clients_of("alice")
    detached: Deferred[Client] = Deferred()
    # the network is gone: the socket's transport is cut, with no close frame
    session = server.sessions._sessions[client.id]
    link: Any = session._core.link
    link.transport.abortConnection()
    reactor.callLater(0, detached.callback, client)
    await detached
    tell(server, Ringing(call=CALL))
    await page.until("dmPage.call.state === 'ringing'", timeout_s=10)
    assert [c.id for c in server.sessions.clients_of("alice")] == [client.id]
    assert page.origins <= {server.url, server.url.replace("http", "ws")}


@pytest_twisted.ensureDeferred
async def test_messages_addresses_and_signing_out(started: Started, chromium: Chromium) -> None:
    server = await started(settings(dev_login=True))
    page = await signed_in(chromium, server)
    await page.fill("#address-input", "+49 30 123456")
    await page.click("#address-open")
    await page.until("document.getElementById('thread-address').textContent === '+4930123456'")
    assert server.history.asked[-1] == ("user:alice", None, 30, "tel:+4930123456", None)
    assert await page.evaluate("document.getElementById('message-text').disabled")
    await page.fill("#address-input", "bob")
    await page.click("#address-open")
    await page.fill("#message-text", "<b>hello</b>")
    await page.click("#message-send")
    assert await page.text(".message p") == "<b>hello</b>"
    await page.fill("#address-input", "not an address!")
    await page.click("#address-open")
    await page.until("document.getElementById('address-error').textContent !== ''")
    await page.click("#settings-button")
    await page.click("#logout-button")
    await page.wait("#login-button")
    blameless(page, server)


@pytest_twisted.ensureDeferred
async def test_without_development_sign_in_the_page_asks_for_a_token(
    started: Started, chromium: Chromium
) -> None:
    server = await started(settings(dev_login=False))
    page = await chromium.page(f"{server.url}/app")
    await page.wait("#login-token")
    await page.fill("#login-token", "wrong")
    await page.click("#login-button")
    await page.until("document.getElementById('login-error').textContent.includes('Sign in again')")
    await page.fill("#login-token", server.token("carol", name="Carol"))
    await page.click("#login-button")
    await page.wait("#me-name")
    assert await page.text("#me-name") == "Carol"
