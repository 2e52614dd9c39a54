"""Calls beside what the browser itself has to say: its notices, its devices, its first view.

And the module that other pages take over, as its page of the docs says.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted

from tests import audio
from tests.e2e.residue import nothing_left
from tests.e2e.test_page_views import in_state, nothing_wrong, signed_in
from tests.peers.chromium import Chromium
from tests.peers.gateway import ROOT, Gateway
from tests.peers.waiting import pause

HZ = 700.0


@pytest_twisted.async_yield_fixture(scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Chromium]:
    directory: Path = tmp_path_factory.mktemp("chromium")
    speech = audio.write_wav(directory / "mic.wav", audio.tone(HZ, 60, 48_000, 0.3), 48_000)
    made = await Chromium.start(directory, speech)
    try:
        yield made
    finally:
        await made.stop()


@pytest_twisted.ensureDeferred
async def test_a_call_is_told_while_the_page_is_in_the_background(
    gateway: Gateway, browser: Chromium
) -> None:
    alice = await signed_in(browser, gateway, "alice")
    bob = await signed_in(browser, gateway, "bob")
    await bob.grant("notifications")
    await bob.evaluate(_BACKGROUND)
    async with nothing_left(gateway):
        await alice.click('[data-thread="user:bob"]')
        await alice.click("#call-button")
        await bob.until("notices.length === 1")
        assert await bob.evaluate("notices[0].title") == "Alice Amari is calling"
        assert not await bob.evaluate("notices[0].taken")
        await alice.click("#call-hangup")
        await in_state(alice, "ended")
        await bob.until("notices[0].taken")  # nobody is sent to a call that is over
        await bob.evaluate("() => { hiddenNow = false; }")
        await alice.click("#call-button")
        await bob.wait("#incoming-accept")
        assert await bob.evaluate("notices.length") == 1  # it is in front: the sheet is enough
        await bob.click("#incoming-decline")
        await in_state(alice, "ended")
    nothing_wrong(gateway, alice, bob)
    await alice.close()
    await bob.close()


_BACKGROUND = """() => {
  window.notices = [];
  window.hiddenNow = true;
  Object.defineProperty(document, 'hidden', {get: () => window.hiddenNow});
  window.Notification = class extends Notification {
    constructor(title, options) {
      super(title, options);
      notices.push({title, taken: false, at: this});
    }
    close() {
      notices.find(n => n.at === this).taken = true;
      super.close();
    }
  };
}"""


@pytest_twisted.ensureDeferred
async def test_another_microphone_and_speaker_in_a_call(
    gateway: Gateway, browser: Chromium
) -> None:
    alice = await signed_in(browser, gateway, "alice")
    bob = await signed_in(browser, gateway, "bob")
    async with nothing_left(gateway):
        await alice.click('[data-thread="user:bob"]')
        await alice.click("#call-button")
        await bob.click("#incoming-accept")
        for page in (alice, bob):
            await in_state(page, "connected")
        await alice.click("#call-audio")
        await alice.until("document.getElementById('call-microphone').options.length > 1")
        before = await alice.evaluate(_MICROPHONE)
        assert await alice.evaluate("document.getElementById('call-microphone').value") == before
        chosen = await alice.evaluate(_ANOTHER, "call-microphone")
        assert chosen != before
        await alice.until(f"({_MICROPHONE}) === '{chosen}'")
        await pause(0.5)
        heard, rate = await bob.record(2)
        assert audio.clear_db(heard, HZ, rate) >= 20
        assert audio.seconds_of(heard, HZ, rate) > 1.5
        if await alice.evaluate("document.getElementById('call-speaker').options.length > 1"):
            speaker = await alice.evaluate(_ANOTHER, "call-speaker")
            await alice.until(f"document.getElementById('remote-audio').sinkId === '{speaker}'")
        await alice.click("#call-hangup")
        await in_state(bob, "ended")
    nothing_wrong(gateway, alice, bob)
    await alice.close()
    await bob.close()


_MICROPHONE = "dmPage.call.microphone.getAudioTracks()[0].getSettings().deviceId"
_ANOTHER = """(id) => {
  const select = document.getElementById(id);
  select.selectedIndex = select.options.length - 1;
  select.dispatchEvent(new Event('change'));
  return select.value;
}"""


@pytest_twisted.ensureDeferred
async def test_the_first_view_is_there_at_once(gateway: Gateway, browser: Chromium) -> None:
    for path in ("app", "console"):
        page = await browser.page(f"http://{gateway.http}/{path}")
        await page.until("document.querySelector('form input, form select') !== null")
        shown = await page.evaluate(_FIRST)
        print(f"/{path}: first contentful paint after {shown:.0f} ms")
        assert shown > 0
        await page.close()


_FIRST = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


@pytest_twisted.ensureDeferred
async def test_the_module_is_used_as_its_docs_say(gateway: Gateway, browser: Chromium) -> None:
    text = (ROOT / "docs" / "dm-call.md").read_text(encoding="utf-8")
    example = re.search(r"```js\n(.*?)```", text, re.S)
    assert example is not None
    code = example[1].replace("./dm-call.js", "/app/dm-call.js")
    code = code.replace("wss://calls.example.org/v1/dm", f"ws://{gateway.http}/v1/dm")
    bob = await signed_in(browser, gateway, "bob")
    page = await browser.page(f"http://{gateway.http}/healthz", bypass_csp=True)
    await page.evaluate(_AROUND, code)
    await bob.click("#incoming-accept")
    await in_state(bob, "connected")
    heard, rate = await bob.record(2)
    assert audio.clear_db(heard, HZ, rate) >= 20
    await page.until("window.audioElement.srcObject !== null")
    logged = [told for kind, told in page.console.seen if kind == "console.log"]
    assert any(told.startswith("connected") for told in logged), logged
    await bob.click("#call-hangup")
    await in_state(bob, "ended")
    assert page.errors == []
    await page.close()
    await bob.close()


_AROUND = """(code) => {
  window.audioElement = document.createElement('audio');
  window.fetchToken = async () => {
    const answer = await fetch('/app/dev-login', {method: 'POST',
      headers: {'Content-Type': 'application/json'}, body: JSON.stringify({user: 'alice'})});
    return (await answer.json()).token;
  };
  const script = document.createElement('script');
  script.type = 'module';
  script.textContent = code;
  document.body.append(script);
}"""
