"""A browser as SIP phone (RFC 7118): SIP.js in Chromium, DTLS-SRTP and ICE on its SIP leg."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.web.server import Site
from twisted.web.static import File

from tests import audio
from tests.e2e.residue import nothing_left
from tests.e2e.talk import assert_tone
from tests.e2e.test_calls import hears
from tests.edge.test_transports import Papers
from tests.peers.app_client import AppClient
from tests.peers.chromium import Chromium, Page
from tests.peers.fixtures import SHARED, Cast
from tests.peers.gateway import Gateway
from tests.peers.npm import SIP_JS
from tests.peers.ports import free_ports
from tests.peers.rtp import RtpStream
from tests.peers.waiting import pause, reactor, until

BROWSER_HZ, APP_HZ = 700.0, 1000.0
PAGE = """<!doctype html><meta charset="utf-8"><title>SIP.js</title>
<audio id="ear" autoplay></audio>
<script type="module">
import { SimpleUser } from "/lib/platform/web/index.js";
window.heard = { digits: "", rings: 0 };
window.phone = async (server, user, password, domain) => {
  const made = new SimpleUser(server, {
    aor: `sip:${user}@${domain}`,
    media: { remote: { audio: document.getElementById("ear") } },
    userAgentOptions: { authorizationUsername: user, authorizationPassword: password,
                        logLevel: "error" },
    delegate: { onCallReceived: () => { window.heard.rings += 1; },
                onCallDTMFReceived: (tone) => { window.heard.digits += tone; },
                onCallAnswered: () => { window.heard.answered = true; },
                onCallHangup: () => { window.heard.over = true; } },
  });
  await made.connect();
  await made.register();
  window.user = made;
};
</script>"""


@pytest_twisted.async_yield_fixture(scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Chromium]:
    directory: Path = tmp_path_factory.mktemp("chromium")
    speech = audio.write_wav(directory / "mic.wav", audio.tone(BROWSER_HZ, 60, 48_000, 0.3), 48_000)
    made = await Chromium.start(directory, speech)
    try:
        yield made
    finally:
        await made.stop()


@pytest_twisted.async_yield_fixture
async def page(browser: Chromium, tmp_path: Path) -> AsyncIterator[Page]:
    """Served by a web server of its own, as a page that is no part of the gateway is."""
    (tmp_path / "index.html").write_text(PAGE)
    (tmp_path / "lib").symlink_to(SIP_JS.directory / "package" / "lib")
    port: Any = reactor.listenTCP(0, Site(File(str(tmp_path))), interface="127.0.0.1")
    made = await browser.page(f"http://127.0.0.1:{port.getHost().port}/index.html", any_ca=True)
    try:
        yield made
    finally:
        await made.close()
        await port.stopListening()


async def registered(cast: Cast, page: Page, papers: Papers | None) -> Gateway:
    """Over a secure WebSocket, where there are papers."""
    port = free_ports()
    origin = str(await page.evaluate("() => location.origin"))
    sets = [f"sip.websocket={{port: {port}, allowed_origins: ['{origin}']}}"]
    if papers is not None:
        certificate, key = papers.write("gateway", "127.0.0.1")
        sets = [s.replace("{port", "{secure_port") for s in sets]
        sets += [f"sip.tls={{certificate_file: {certificate}, key_file: {key}}}"]
    gateway = await cast.gateway(*SHARED, *sets)
    await page.until("!!window.phone")
    await page.evaluate(
        "([s, u, p, d]) => phone(s, u, p, d)",
        [
            f"{'ws' if papers is None else 'wss'}://127.0.0.1:{port}",
            "1001",
            "secret1001",
            "dm.localhost",
        ],
    )
    await until(lambda: _bound(gateway), "the browser's registration")
    return gateway


def _bound(gateway: Gateway) -> bool:
    return any(
        e.get("event") == "registered" and e.get("transport") in ("ws", "wss")
        for e in gateway.log.seen
    )


async def both_hear(page: Page, mine: RtpStream, alice: AppClient, call: str) -> None:
    await pause(0.5)
    await page.start_recording()
    await hears(mine, BROWSER_HZ, 2, "the app's client")
    heard, rate = await page.recording()
    assert_tone(heard[rate // 2 :], rate, APP_HZ, 1, "the browser")


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
@pytest_twisted.ensureDeferred
async def test_it_calls_and_is_called(cast: Cast, page: Page, tmp_path: Path, secure: bool) -> None:
    gateway = await registered(cast, page, Papers(tmp_path) if secure else None)
    alice = AppClient("alice")
    await alice.connect(gateway)
    await alice.open(gateway.token("alice"))
    try:
        async with nothing_left(gateway):
            call = await alice.invite("sip:1001@dm.localhost", mine := alice.stream(hz=APP_HZ))
            await page.until("heard.rings === 1")
            await page.evaluate("() => user.answer()")
            connected = await alice.connected(call)
            assert connected["peer_codec"]
            await both_hear(page, mine, alice, call)
            await page.evaluate("() => user.sendDTMF('5')")  # INFO
            await until(lambda: alice.digits(call) == "5", "the digit by INFO")
            await alice.hangup(call)
            await page.until("heard.over")
            seen = alice.events.mark()
            await page.evaluate(
                "() => { heard.over = false; user.call('sip:alice@dm.localhost'); }"
            )
            again = (await alice.incoming(since=seen))["call"]
            mine = await alice.accept(again, alice.stream(hz=APP_HZ))
            await alice.connected(again)
            await both_hear(page, mine, alice, again)
            await page.evaluate("() => user.hangup()")
            assert (await alice.ended(again))["reason"] == "completed"
    finally:
        await alice.leave()
    assert gateway.complaints() == []
