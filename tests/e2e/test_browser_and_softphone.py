"""Chromium and baresip talk: tones both ways, digits both ways, hang-up from each side."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from tests import audio
from tests.e2e.residue import nothing_left
from tests.e2e.talk import BrowserMedia, assert_tone
from tests.peers.app_client import AppClient
from tests.peers.baresip import Baresip
from tests.peers.chromium import Chromium
from tests.peers.fixtures import Cast
from tests.peers.gateway import Gateway
from tests.peers.waiting import pause, reactor, together

pytestmark = pytest.mark.alone  # ten seconds without a gap
BROWSER_HZ, SOFTPHONE_HZ = 700.0, 440.0
TALK_S = 10.0
CASES = [
    pytest.param("opus", "PCMU", id="opus"),
    pytest.param("G722", "G722", id="G722"),
    pytest.param("PCMU", "PCMU", id="PCMU"),
]


@pytest_twisted.async_yield_fixture(scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Chromium]:
    directory: Path = tmp_path_factory.mktemp("chromium")
    speech = audio.write_wav(directory / "mic.wav", audio.tone(BROWSER_HZ, 60, 48_000, 0.3), 48_000)
    made = await Chromium.start(directory, speech)
    try:
        yield made
    finally:
        await made.stop()


async def _talk_and_press(
    client: AppClient, call: str, media: BrowserMedia, phone: Baresip, codec: str
) -> None:
    """Ten seconds of tone each way, then digits each way."""
    await pause(1.5)  # the browser is busy while it begins
    before = len(phone.heard()[0])
    await media.page.start_recording()
    await pause(TALK_S + 0.7)
    in_page, page_rate = await media.page.recording()
    at_phone, phone_rate = phone.heard()
    assert (await media.receiving()).lower() == f"audio/{codec.lower()}"
    assert_tone(in_page, page_rate, SOFTPHONE_HZ, TALK_S, f"Chromium ({codec})")
    assert_tone(at_phone[before:], phone_rate, BROWSER_HZ, TALK_S, "baresip")

    await client.request("call.dtmf", call=call, digits="0159*#D", duration_ms=100)
    await phone.expect_digits("0159*#D")
    await phone.press("9630#*")
    for digit, told in zip("9630#*", await _digits(client, call, 6), strict=True):
        assert told["digit"] == digit
        assert 20 <= told["duration_ms"] <= 2000


async def _digits(client: AppClient, call: str, count: int) -> list[dict[str, Any]]:
    def all_there(_: object) -> bool:
        return len(client.told("call.dtmf", call)) >= count

    await client.events.expect(all_there, f"{count} digits", 8)
    return client.told("call.dtmf", call)


@pytest.mark.parametrize(("codec", "phone_codec"), CASES)
@pytest_twisted.ensureDeferred
async def test_the_browser_calls_and_hangs_up(
    gateway: Gateway, browser: Chromium, cast: Cast, codec: str, phone_codec: str
) -> None:
    phone = await cast.baresip(gateway, hz=SOFTPHONE_HZ, codecs=[phone_codec])
    client = await cast.client(gateway, "alice")
    async with nothing_left(gateway):
        media = await BrowserMedia.open(await browser.page(), gateway)
        call = await _invite(client, media, "sip:1001@dm.localhost", codec)
        await phone.incoming()
        await client.event("call.ringing", call=call)
        await phone.accept()
        await client.event("call.accepted", call=call)
        connected = await client.connected(call)
        assert connected["codec"].lower() == codec.lower()
        assert connected["peer_codec"].lower() == phone_codec.lower()
        assert connected["secure"] is False  # the softphone's side is plain RTP
        await _talk_and_press(client, call, media, phone, codec)

        began = reactor.seconds()
        await client.hangup(call)
        ended = await client.ended(call)
        await phone.closed(2)
        assert reactor.seconds() - began < 1
        assert (ended["reason"], ended["by"]) == ("completed", "caller")
        assert ended["duration_s"] >= TALK_S
        await media.page.close()


@pytest.mark.parametrize(("codec", "phone_codec"), CASES)
@pytest_twisted.ensureDeferred
async def test_the_softphone_calls_and_hangs_up(
    gateway: Gateway, browser: Chromium, cast: Cast, codec: str, phone_codec: str
) -> None:
    phone = await cast.baresip(gateway, hz=SOFTPHONE_HZ, codecs=[phone_codec])
    client = await cast.client(gateway, "alice")
    async with nothing_left(gateway):
        media = await BrowserMedia.open(await browser.page(), gateway)
        await phone.dial("alice")
        incoming = await client.incoming()
        assert incoming["from"]["address"] == "sip:1001@dm.localhost"
        call = incoming["call"]
        await phone.event("CALL_RINGING")
        offer = await media.offer(codec)
        await client.request("call.accept", call=call, sdp=offer)
        answer = await client.event("call.media", call=call)
        await media.answer(answer["sdp"])
        await together(phone.established(), client.connected(call))
        await _talk_and_press(client, call, media, phone, codec)

        began = reactor.seconds()
        await phone.hangup()
        ended = await client.ended(call)
        assert reactor.seconds() - began < 1
        assert (ended["reason"], ended["by"]) == ("completed", "caller")
        await media.page.close()


async def _invite(client: AppClient, media: BrowserMedia, to: str, codec: str) -> str:
    result = await client.request("call.invite", to=to, sdp=await media.offer(codec))
    call: str = result["call"]
    answer = await client.event("call.media", call=call)
    await media.answer(answer["sdp"])
    return call


@pytest_twisted.ensureDeferred
async def test_a_browsers_call_to_the_echo_comes_back(
    gateway: Gateway, browser: Chromium, cast: Cast
) -> None:
    client = await cast.client(gateway, "alice")
    async with nothing_left(gateway):
        media = await BrowserMedia.open(await browser.page(), gateway)
        call = await _invite(client, media, "service:echo", "opus")
        connected = await client.connected(call)
        assert connected["secure"] is True
        await pause(0.5)
        heard, rate = await media.page.record(3)
        assert_tone(heard, rate, BROWSER_HZ, 2.5, "Chromium")
        await client.hangup(call)
        await client.ended(call)
        await media.page.close()
