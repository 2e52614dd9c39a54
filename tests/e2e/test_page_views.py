"""Every view of the page: what can be done there, that all can use it, and what it looks like.

Screenshots are left in var/shots/.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from tests import audio
from tests.e2e.residue import nothing_left
from tests.peers.chromium import Chromium, Page
from tests.peers.fixtures import Cast
from tests.peers.gateway import Gateway
from tests.peers.npm import AXE

SHOTS = Path(__file__).resolve().parents[2] / "var" / "shots"
DESKTOP, PHONE = (1100, 760), (360, 740)


@pytest_twisted.async_yield_fixture(scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Chromium]:
    directory: Path = tmp_path_factory.mktemp("chromium")
    speech = audio.write_wav(directory / "mic.wav", audio.tone(700, 20, 48_000, 0.3), 48_000)
    made = await Chromium.start(directory, speech)
    try:
        yield made
    finally:
        await made.stop()


async def signed_in(browser: Chromium, gateway: Gateway, user: str) -> Page:
    page = await browser.page(f"http://{gateway.http}/app", bypass_csp=True)  # for axe
    await page.until(
        f"[...document.querySelectorAll('#login-user option')].some(o => o.value === '{user}')"
    )
    await page.evaluate(f"() => {{ document.getElementById('login-user').value = '{user}'; }}")
    await page.click("#login-button")
    await page.click("#welcome-ok")
    await page.until("document.getElementById('connection').textContent === ''")
    return page


async def seen(page: Page, name: str, *sizes: tuple[int, int]) -> None:
    """Looked at in light and dark, on a desktop and a phone, each without an axe violation."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    source = (AXE.directory / "package" / "axe.min.js").read_text(encoding="utf-8")
    await page.evaluate(f"() => {{ if (!window.axe) {{ {source} }} }}")
    for size in sizes or (DESKTOP, PHONE):
        for scheme in ("light", "dark"):
            await page.look(*size, scheme)
            found: list[dict[str, Any]] = await page.evaluate(_AXE)
            await page.screenshot(SHOTS / f"{name}-{size[0]}-{scheme}.png")
            wide = await page.evaluate("document.documentElement.scrollWidth")
            assert wide <= size[0], f"{name} at {size[0]} px is {wide} px wide"
            assert not found, f"{name}, {size[0]} px, {scheme}: {found}"
    await page.look(*DESKTOP)


_AXE = """async () => (await axe.run(document, {resultTypes: ['violations']})).violations.map(
  v => ({id: v.id, help: v.help, at: v.nodes.slice(0, 4).map(n => n.target.join(' ') + ': ' +
    (n.any[0]?.message ?? n.all[0]?.message ?? ''))}))"""


def nothing_wrong(gateway: Gateway, *pages: Page) -> None:
    for page in pages:
        assert page.errors == []
        assert page.origins <= {f"http://{gateway.http}", f"ws://{gateway.http}"}


@pytest_twisted.ensureDeferred
async def test_the_first_view(gateway: Gateway, browser: Chromium) -> None:
    page = await browser.page(f"http://{gateway.http}/app", bypass_csp=True)
    await page.until("document.querySelectorAll('#login-user option').length > 0")
    told = await page.evaluate(
        "['navigation', 'resource'].flatMap(t => performance.getEntriesByType(t))"
        ".map(r => [r.name, r.encodedBodySize])"
    )
    assert 10_000 < sum(size for _, size in told) < 75_000, told  # half of what it may be
    await seen(page, "login")
    await page.click("#login-button")
    await page.wait("#welcome[open]")
    await seen(page, "welcome", PHONE)
    await page.click("#welcome-ok")
    await seen(page, "threads")
    nothing_wrong(gateway, page)
    await page.close()


@pytest_twisted.ensureDeferred
async def test_messages_contacts_blocks_and_settings(gateway: Gateway, browser: Chromium) -> None:
    carol = await signed_in(browser, gateway, "carol")
    dave = await signed_in(browser, gateway, "dave")
    await carol.click('[data-thread="user:dave"]')
    await carol.fill("#message-text", "Hello Dave")
    await carol.click("#message-send")
    await dave.until("document.querySelector('[data-thread=\"user:carol\"] .badge') !== null")
    await dave.click('[data-thread="user:carol"]')
    await dave.fill("#message-text", "Hello Carol, shall we talk?")
    await dave.press("Enter")
    await carol.until("document.querySelector('.message.theirs') !== null")
    await seen(carol, "thread")

    await carol.click("#thread-favourite")
    await carol.until("document.querySelector('#thread-list h2').textContent === 'Favourites'")
    await carol.click("#thread-more")
    await seen(carol, "menu", PHONE)
    await carol.click("#menu-block")
    await carol.wait("#menu", "hidden")
    await carol.click("#settings-button")
    await carol.until("document.getElementById('block-list')?.textContent.includes('@dave')")
    await carol.click("#block-list button")
    await carol.until("!document.getElementById('block-list').textContent.includes('@dave')")

    await carol.evaluate(_CHOOSE, ["set-allow-from", "contacts"])
    await carol.click("#set-do-not-disturb")
    await carol.click("#quiet-add")
    await carol.evaluate(_CHOOSE, ["set-timezone", "America/Sao_Paulo"])
    await carol.fill('[aria-label="For whom is the PIN?"]', "The plumber")
    await carol.click("#pin-create")
    await carol.until("document.getElementById('pin-list').textContent.includes('The plumber')")
    assert len((await carol.text(".secret")).replace(" ", "")) >= 6
    await carol.fill('[aria-label="Who gets the pass?"]', "bob")
    await carol.click("#pass-grant")
    await carol.until("document.getElementById('pass-list').textContent.includes('@bob')")
    await seen(carol, "settings")
    kept = await carol.evaluate("() => dmPage.client.request('settings.get')")
    assert kept["allow_from"] == "contacts" and kept["do_not_disturb"] is True
    assert kept["timezone"] == "America/Sao_Paulo"
    assert kept["quiet_hours"][0]["from"] == "22:00"
    await carol.fill("#set-ring", "5")
    await carol.press("Tab")
    await carol.wait("#settings-body .error")
    reset = {"allow_from": "everyone", "do_not_disturb": False, "quiet_hours": []}
    await carol.evaluate("(s) => dmPage.client.request('settings.set', s)", reset)

    await carol.click("#feed-button")
    await carol.wait(".post")
    await seen(carol, "feed")
    nothing_wrong(gateway, carol, dave)
    await carol.close()
    await dave.close()


_CHOOSE = """([id, value]) => {
  const select = document.getElementById(id);
  select.value = value;
  select.dispatchEvent(new Event('change'));
}"""


async def in_state(page: Page, state: str, timeout_s: float = 8) -> None:
    wanted = f"document.getElementById('call-screen').dataset.state === '{state}'"
    await page.until(wanted, timeout_s=timeout_s)


@pytest_twisted.ensureDeferred
async def test_a_call_from_ringing_to_rating(
    gateway: Gateway, browser: Chromium, cast: Cast
) -> None:
    phone = await cast.registered(gateway)
    alice = await signed_in(browser, gateway, "alice")
    bob = await signed_in(browser, gateway, "bob")
    second = await signed_in(browser, gateway, "bob")
    async with nothing_left(gateway):
        await alice.click('[data-thread="user:bob"]')
        await alice.click("#call-button")
        for page in (bob, second):
            await page.wait("#incoming-accept")
        await seen(bob, "incoming")
        await seen(alice, "ringing", PHONE)
        await bob.press("Escape")
        await bob.wait("#incoming-accept")  # Escape decides nothing
        await bob.click("#incoming-accept")
        await second.wait("#incoming", "hidden")  # answered elsewhere
        for page in (alice, bob):
            await in_state(page, "connected")
        await alice.until("document.getElementById('call-level').style.opacity > 0.5")
        await alice.until("!document.getElementById('call-quality').hidden", timeout_s=8)
        await alice.click("#call-quality")
        await seen(alice, "call")
        await alice.click("#call-keypad-button")
        await seen(alice, "keypad", PHONE)
        await alice.click("#call-keypad-button")

        await alice.click("#call-hold")
        await bob.until("document.getElementById('call-status').textContent.includes('on hold')")
        await alice.click("#call-hold")
        await bob.until("document.getElementById('call-status').textContent === 'Connected'")

        await alice.click("#call-minimise")
        await alice.click("#feed-button")
        await alice.wait(".post")
        await seen(alice, "minimised", PHONE)
        await alice.evaluate("() => document.getElementById('feed-cards').scrollBy(0, 3000)")
        await alice.until("document.querySelectorAll('.post').length > 8")
        await alice.click("#call-return")

        await alice.click("#call-add")
        await seen(alice, "picker", PHONE)
        await alice.click('#picker-list [data-address="sip:1001@dm.localhost"]')
        third = await phone.incoming()
        third.stream = phone.stream(hz=450)
        third.answer(200)
        await third.got("ACK")
        await alice.until("document.querySelectorAll('#call-parties li').length === 2")
        await seen(alice, "group")
        await alice.click('#call-parties [data-party="user:bob"] button')
        await bob.until("dmPage.call.whisper?.to === 'user:bob'")
        await alice.click('#call-parties [data-party="user:bob"] button')
        await third.bye()
        await alice.until("document.querySelectorAll('#call-parties li').length === 1")

        await bob.click("#call-hangup")
        await in_state(alice, "ended")
    await alice.wait("#rate[open]")
    await alice.click('#rate [data-score="2"]')
    await alice.click('#rate [data-tag="echo"]')
    await seen(alice, "rate", PHONE)
    await alice.click("#rate-send")
    await alice.wait("#rate", "hidden")
    await alice.click("#feed [data-close]")
    await alice.wait(".history-item")
    await alice.click("#thread-more")
    await alice.click("#menu-report")
    await seen(alice, "report", PHONE)
    await alice.click("#report-block")  # not blocked: others call here too
    await alice.click('#report [data-category="spam"]')
    await alice.until("document.getElementById('notice').textContent.includes('Thank you')")
    await seen(alice, "history")
    nothing_wrong(gateway, alice, bob, second)
    for page in (alice, bob, second):
        await page.close()


@pytest_twisted.ensureDeferred
async def test_a_call_is_declined_with_a_message(gateway: Gateway, browser: Chromium) -> None:
    alice = await signed_in(browser, gateway, "alice")
    bob = await signed_in(browser, gateway, "bob")
    async with nothing_left(gateway):
        await alice.click('[data-thread="user:bob"]')
        await alice.click("#call-button")
        await bob.click("#incoming-message")
        await bob.click("#incoming-texts button")
        await in_state(alice, "ended")
    await alice.until("document.getElementById('notice').textContent.includes('declined')")
    await alice.until("document.querySelector('.message.theirs') !== null")
    assert "call you back" in await alice.text(".message.theirs")
    nothing_wrong(gateway, alice, bob)
    await alice.close()
    await bob.close()


@pytest_twisted.ensureDeferred
async def test_without_a_microphone_it_says_what_to_do(gateway: Gateway, browser: Chromium) -> None:
    page = await signed_in(browser, gateway, "alice")
    await page.click('[data-thread="service:echo"]')
    for name, words in (("NotAllowedError", "blocked"), ("NotFoundError", "No microphone")):
        await page.evaluate(
            """(name) => { navigator.mediaDevices.getUserMedia =
                 () => Promise.reject(new DOMException('', name)); }""",
            name,
        )
        await page.click("#call-button")
        await page.until(
            f"document.getElementById('notice').textContent.includes('{words}')", timeout_s=8
        )
    nothing_wrong(gateway, page)
    await page.close()
