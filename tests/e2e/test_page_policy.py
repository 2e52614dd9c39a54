"""The page under its own Content-Security-Policy, which other tests set aside to look inside."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_twisted

from tests.e2e.residue import nothing_left
from tests.e2e.test_page_views import in_state, nothing_wrong
from tests.peers.chromium import Chromium
from tests.peers.gateway import Gateway


@pytest_twisted.async_yield_fixture(scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Chromium]:
    made = await Chromium.start(tmp_path_factory.mktemp("chromium"))
    try:
        yield made
    finally:
        await made.stop()


@pytest_twisted.ensureDeferred
async def test_the_policy_forbids_nothing_that_the_page_does(
    gateway: Gateway, browser: Chromium
) -> None:
    page = await browser.page(f"http://{gateway.http}/app")
    await page.until("document.querySelectorAll('#login-user option').length > 0")
    await page.click("#login-button")
    await page.click("#welcome-ok")
    await page.until("document.getElementById('connection').textContent === ''")
    for view in ("feed", "settings"):
        await page.click(f"#{view}-button")
        await page.wait(f"#{view}-title")
        await page.click(f"#{view} [data-close]")
    async with nothing_left(gateway):
        await page.click('[data-thread="service:echo"]')
        await page.click("#call-button")
        await in_state(page, "connected")
        await page.until("document.getElementById('call-level').style.opacity > 0.5")
        await page.click("#call-keypad-button")
        await page.click('#call-keypad [data-digit="5"]')
        await page.click("#call-hangup")
        await in_state(page, "ended")
    nothing_wrong(gateway, page)  # a violation is an error in the console
    await page.evaluate(_INLINE)
    await page.until("document.title === 'refused'")
    assert any("Content Security Policy" in error for error in page.errors)
    await page.close()


_INLINE = """() => {
  addEventListener('securitypolicyviolation', () => { document.title = 'refused'; });
  const script = document.createElement('script');
  script.textContent = "document.title = 'ran'";
  document.body.append(script);
}"""
