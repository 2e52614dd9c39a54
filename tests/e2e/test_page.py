"""The page at /app in a real Chromium: sign in, call a softphone, be called, press, hang up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted

from tests import audio
from tests.e2e.residue import nothing_left
from tests.e2e.talk import assert_tone
from tests.peers.baresip import Baresip
from tests.peers.chromium import Chromium, Page
from tests.peers.fixtures import Cast
from tests.peers.gateway import Gateway
from tests.peers.waiting import pause, reactor

PAGE_HZ, PHONE_HZ = 700.0, 440.0


@pytest_twisted.async_yield_fixture(scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Chromium]:
    directory: Path = tmp_path_factory.mktemp("chromium")
    speech = audio.write_wav(directory / "mic.wav", audio.tone(PAGE_HZ, 60, 48_000, 0.3), 48_000)
    made = await Chromium.start(directory, speech)
    try:
        yield made
    finally:
        await made.stop()


async def _signed_in(browser: Chromium, gateway: Gateway, user: str = "alice") -> Page:
    page = await browser.page(f"http://{gateway.http}/app", bypass_csp=True)  # to record
    await page.until(
        f"[...document.querySelectorAll('#login-user option')].some(o => o.value === '{user}')"
    )
    await page.evaluate(f"() => {{ document.getElementById('login-user').value = '{user}'; }}")
    await page.click("#login-button")
    await page.click("#welcome-ok")
    await page.until("document.getElementById('connection').textContent === ''")
    return page


async def _state(page: Page, state: str, timeout_s: float = 5) -> None:
    wanted = f"document.getElementById('call-screen').dataset.state === '{state}'"
    await page.until(wanted, timeout_s=timeout_s)


async def _talk(page: Page, phone: Baresip) -> None:
    await pause(0.7)
    before = len(phone.heard()[0])
    in_page, page_rate = await page.record(3.2)
    at_phone, rate = phone.heard()
    assert_tone(in_page, page_rate, PHONE_HZ, 3, "the page")
    assert_tone(at_phone[before:], rate, PAGE_HZ, 3, "baresip")


@pytest_twisted.ensureDeferred
async def test_the_page_calls_a_softphone(gateway: Gateway, browser: Chromium, cast: Cast) -> None:
    phone = await cast.baresip(gateway, hz=PHONE_HZ)
    page = await _signed_in(browser, gateway)
    async with nothing_left(gateway):
        await page.fill("#address-input", "sip:1001@dm.localhost")
        await page.click("#address-open")
        await page.click("#call-button")
        await phone.incoming()
        await _state(page, "ringing")
        await phone.accept()
        await _state(page, "connected")
        await _talk(page, phone)
        await page.click("#call-keypad-button")
        for digit in "57#":
            await page.click(f'#call-keypad [data-digit="{digit}"]')
        await phone.expect_digits("57#")
        await phone.press("80")
        await page.until("document.getElementById('call-heard').textContent.includes('0')")
        assert await page.text("#call-timer")
        began = reactor.seconds()
        await page.click("#call-hangup")
        await phone.closed(2)
        assert reactor.seconds() - began < 1
    await page.wait(".history-item")
    assert not page.errors
    assert page.origins <= {f"http://{gateway.http}", f"ws://{gateway.http}"}
    await page.close()


@pytest_twisted.ensureDeferred
async def test_a_softphone_calls_the_page(gateway: Gateway, browser: Chromium, cast: Cast) -> None:
    phone = await cast.baresip(gateway, hz=PHONE_HZ)
    page = await _signed_in(browser, gateway)
    async with nothing_left(gateway):
        await phone.dial("alice")
        await page.wait("#incoming-accept")
        await page.click("#incoming-accept")
        await phone.established()
        await _state(page, "connected")
        await _talk(page, phone)
        began = reactor.seconds()
        await phone.hangup()
        await _state(page, "ended", 2)
        assert reactor.seconds() - began < 1

        seen = phone.events.mark()
        await phone.dial("alice")
        await page.wait("#incoming-decline")
        await page.click("#incoming-decline")
        assert "603" in await phone.closed(3, seen)
    assert not page.errors
    await page.close()


@pytest_twisted.ensureDeferred
async def test_two_pages_call_each_other(gateway: Gateway, browser: Chromium) -> None:
    alice = await _signed_in(browser, gateway, "alice")
    bob = await _signed_in(browser, gateway, "bob")
    async with nothing_left(gateway):
        await alice.fill("#address-input", "user:bob")
        await alice.click("#address-open")
        await alice.click("#call-button")
        await bob.wait("#incoming-accept")
        await bob.click("#incoming-accept")
        for page in (alice, bob):
            await _state(page, "connected", 8)
        await pause(0.7)
        heard, rate = await bob.record(3.2)
        assert_tone(heard, rate, PAGE_HZ, 3, "bob's page")
        await bob.click("#call-hangup")
        await _state(alice, "ended", 2)
    assert not alice.errors + bob.errors
    for page in (alice, bob):
        await page.close()
