"""The operator's console in a real browser: every view, everything that can be done there.

Screenshots are left in var/shots/.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.utils import getProcessOutput

from tests.e2e.residue import nothing_left
from tests.e2e.test_calls import app_calls_phone
from tests.e2e.test_page_views import DESKTOP, PHONE, SHOTS, nothing_wrong, seen
from tests.e2e.test_trunks import NUMBER, Office, office, routing
from tests.peers.app_client import RpcError
from tests.peers.chromium import Chromium, Page
from tests.peers.fixtures import Cast
from tests.peers.gateway import Gateway

STATS = "media.stats_interval_s=1"
FAST = "console.logins_per_minute=600"


@pytest_twisted.async_yield_fixture(scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Chromium]:
    made = await Chromium.start(tmp_path_factory.mktemp("chromium"))
    try:
        yield made
    finally:
        await made.stop()


async def entered(browser: Chromium, gateway: Gateway, who: str, password: str) -> Page:
    page = await browser.page(f"http://{gateway.http}/console", bypass_csp=True)  # for axe
    await page.fill("[name=name]", who)
    await page.fill("[name=password]", password)
    await page.click(".sign-in button")
    await page.wait(".tiles")
    return page


async def view(page: Page, name: str, then: str) -> None:
    await page.evaluate("(name) => { location.hash = `#/${name}`; }", name)
    await page.wait(then, timeout_s=8)


def said(text: str) -> str:
    return f"document.body.innerText.includes({json.dumps(text)})"


async def sip_of(page: Page, call: str, kind: str) -> bytes:
    js = f"""async () => {{
      const answer = await fetch('/console/api/calls/{call}/sip.{kind}');
      const bytes = new Uint8Array(await answer.arrayBuffer());
      return btoa(String.fromCharCode(...bytes));
    }}"""
    return base64.b64decode(await page.evaluate(js))


@pytest_twisted.async_yield_fixture
async def here(cast: Cast) -> AsyncIterator[Office]:
    trunk = {"name": "main", "sources": ["127.0.0.0/8"], "username": "us", "password": "secret-us"}
    yield await office(cast, [trunk], routing("main"), STATS, FAST)


@pytest_twisted.ensureDeferred
async def test_calls_are_seen_and_ended(here: Office, browser: Chromium, cast: Cast) -> None:
    gateway, carrier = here.gateway, here.carriers["main"]
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    page = await browser.page(f"http://{gateway.http}/console", bypass_csp=True)
    await page.wait("[name=name]")
    await seen(page, "console-login")
    await page.fill("[name=name]", "operator")
    await page.fill("[name=password]", "not this one")
    await page.click(".sign-in button")
    await page.until(said("name or password is wrong"))
    await page.close()
    page = await entered(browser, gateway, "operator", "operator-dev")
    async with nothing_left(gateway):
        call, hers, leg = await app_calls_phone(alice, phone)
        out = await alice.invite(f"tel:{NUMBER}", alice.stream())
        there = await carrier.incoming()
        there.answer(180)
        await page.until("document.querySelectorAll('[aria-label=Calls] tbody tr').length === 2")
        await page.until(said("by main"))
        await page.until(said("connected"))
        await page.until("/[1-4]\\.\\d\\d/.test(document.querySelector('tbody').innerText)", 8)
        await seen(page, "console-now")

        await page.fill('[aria-label="Filter calls"]', "ringing")
        await page.until("document.querySelectorAll('[aria-label=Calls] tbody tr').length === 1")
        await page.fill('[aria-label="Filter calls"]', "")
        await page.click("[aria-label=Calls] th:nth-child(2) button")
        await page.wait("[aria-label=Calls] th:nth-child(2)[aria-sort=ascending]")

        await view(page, f"call/{call}", ".ladder")
        await page.wait(".chart canvas", timeout_s=8)
        await page.until("document.querySelectorAll('.messages li').length === 4")
        await page.click(".messages li:nth-child(1) button")
        await page.wait(".message")
        shown = await page.text(".message")
        assert shown.startswith("INVITE sip:") and "m=audio" in shown, shown
        await seen(page, "console-call")
        await page.look(*DESKTOP)
        await page.screenshot(SHOTS / "console-call-whole.png", full_page=True)

        await view(page, f"call/{out}", ".timeline")
        await page.until(said("route: world (+) fits"))
        await page.until(said("trunk tried"))
        await view(page, f"call/{call}", ".ladder")
        await page.click("article .danger")
        await page.wait("dialog[open]")
        await seen(page, "console-end", PHONE)
        await page.evaluate(_CHOOSE, "moderated")
        await page.click("dialog .danger")
        assert (await alice.ended(call))["reason"] == "moderated"
        await page.until(said("moderated, by the gateway"), timeout_s=8)
        there.answer(486)
        await alice.ended(out)
        assert hers is not None and leg is not None

    text = (await sip_of(page, call, "txt")).decode()
    assert text.count("INVITE sip:") == 1 and "BYE sip:" in text and "m=audio" in text
    file = SHOTS / "call.pcap"
    file.write_bytes(await sip_of(page, call, "pcap"))
    asked = ["-n", "-vv", "-A", "-r", str(file)]
    told = (await getProcessOutput("/usr/bin/tcpdump", asked, errortoo=True)).decode()
    for line in ("INVITE sip:", "SIP/2.0 180 ", "SIP/2.0 200 ", "ACK sip:", "BYE sip:"):
        assert line in told, told
    assert told.count("[udp sum ok]") == told.count("UDP, length") == 6, told

    await view(page, "calls", "[aria-label='Calls that were'] tbody tr")
    await page.fill("[placeholder='user:alice']", f"tel:{NUMBER}")
    await page.press("Enter")
    await page.until("document.querySelectorAll('tbody tr').length === 1")
    await seen(page, "console-calls")
    await view(page, "product", ".funnel")
    await page.wait(".chart canvas")
    await seen(page, "console-product")
    await page.look(*DESKTOP)
    await page.screenshot(SHOTS / "console-product-whole.png", full_page=True)
    await view(page, "audit", "[aria-label='What was done here'] tbody tr")
    await page.until(said("end call") + " && " + said(f"{call} moderated"))
    await page.until(said("download") + " && " + said(f"{call}.pcap"))
    await page.until(said("refused"))
    await seen(page, "console-audit")
    nothing_wrong(gateway, page)
    await page.close()


@pytest_twisted.ensureDeferred
async def test_no_secret_is_kept_of_a_call(here: Office, browser: Chromium, cast: Cast) -> None:
    gateway, carrier = here.gateway, here.carriers["main"]
    alice = await cast.client(gateway)
    call = await alice.invite(f"tel:{NUMBER}", alice.stream())
    there = await carrier.incoming()
    seen_so_far = carrier.messages.mark()
    asks = 'Digest realm="carrier", nonce="8f3a", algorithm=MD5, qop="auth"'
    there.answer(407, "", "", ("proxy-authenticate", asks))
    again = await carrier.incoming(since=seen_so_far)
    proof = again.invite.get("proxy-authorization")
    assert 'response="' in proof
    again.answer(486)
    await alice.ended(call)
    page = await entered(browser, gateway, "operator", "operator-dev")
    text = (await sip_of(page, call, "txt")).decode()
    assert 'username="us"' in text and "response=" not in text and "*****" in text
    digest = proof.partition('response="')[2].partition('"')[0]
    assert digest not in text and "secret-us" not in text
    nothing_wrong(gateway, page)
    await page.close()


@pytest_twisted.ensureDeferred
async def test_a_viewer_looks_and_does_not_act(
    gateway: Gateway, browser: Chromium, cast: Cast
) -> None:
    page = await entered(browser, gateway, "viewer", "viewer-dev-1")
    assert not await page.evaluate("document.body.innerText.includes('Drain')")
    status = await page.evaluate(_POST, ["drain", {}])
    assert status == 403
    alice = await cast.client(gateway)
    call = await alice.invite("service:echo", alice.stream())
    await alice.connected(call)
    assert await page.evaluate(_POST, [f"calls/{call}/end", {}]) == 403
    await alice.hangup(call)
    await view(page, "audit", "tbody tr")
    await page.until(said("not allowed"))
    await page.click(".me button")
    await page.wait("[name=password]")
    assert await page.evaluate("fetch('/console/api/now').then(a => a.status)") == 401
    await page.close()


_CHOOSE = "(value) => { document.querySelector('dialog select').value = value; }"
_POST = """([path, body]) => fetch('/console/api/' + path, {method: 'POST',
  headers: {'Content-Type': 'application/json'}, body: JSON.stringify(body)}).then(a => a.status)"""


@pytest_twisted.ensureDeferred
async def test_draining_and_not(gateway: Gateway, browser: Chromium, cast: Cast) -> None:
    alice = await cast.client(gateway)
    call = await alice.invite("service:echo", alice.stream())
    await alice.connected(call)
    page = await entered(browser, gateway, "operator", "operator-dev")
    await page.click("#view p.row button")
    await page.until(said("Take new calls again"))
    assert not await gateway.ready()
    with pytest.raises(RpcError):
        await alice.invite("service:echo", alice.stream())
    await page.click("#view p.row button")
    await page.until(said("Drain: take no new calls"))
    assert await gateway.ready()
    again = await alice.invite("service:echo", alice.stream())
    await alice.connected(again)
    for one in (call, again):  # what went on meanwhile goes on
        await alice.hangup(one)
        await alice.ended(one)
    nothing_wrong(gateway, page)
    await page.close()


@pytest_twisted.ensureDeferred
async def test_reports_and_bans(gateway: Gateway, browser: Chromium, cast: Cast) -> None:
    alice, mallory = await cast.client(gateway), await cast.client(gateway, "mallory")
    call = await mallory.invite("user:alice", mallory.stream())
    await alice.accept(call, alice.stream())
    await alice.connected(call)
    await alice.hangup(call)
    await alice.ended(call)
    words = "shouted <b>at</b> me"
    await alice.request("call.report", call=call, category="harassment", comment=words)
    page = await entered(browser, gateway, "operator", "operator-dev")
    await view(page, "safety", "[aria-label=Reports] tbody tr")
    await page.until(said(words))  # as text, not as markup
    await seen(page, "console-safety")
    await page.click('[aria-label="Uphold the report about user:mallory"]')
    await page.fill("dialog [name=note]", "heard")
    await page.click("dialog [name=ban]")
    await page.click("dialog .danger")
    await page.wait("[aria-label=Bans] tbody tr")
    await page.until(said("No report is open."))
    with pytest.raises(RpcError):
        await mallory.invite("user:alice", mallory.stream())
    await page.click('[aria-label="Lift the ban of user:mallory"]')
    await page.until(said("Nobody is banned."))
    await mallory.hangup(await mallory.invite("user:alice", mallory.stream()))
    await view(page, "audit", "tbody tr")
    await page.until(said("upheld with a ban") + " && " + said("lift ban"))
    nothing_wrong(gateway, page)
    await page.close()


@pytest_twisted.ensureDeferred
async def test_a_fraud_alert_is_seen_and_released(browser: Chromium, cast: Cast) -> None:
    fraud = "limits={telephone: {new_countries_per_day: 1}}"
    made = await office(cast, [{"name": "main"}], routing("main"), fraud, FAST)
    gateway, carrier = made.gateway, made.carriers["main"]
    alice = await cast.client(gateway)

    async def dials(number: str) -> None:
        mark = carrier.messages.mark()
        call = await alice.invite(f"tel:{number}", alice.stream())
        (await carrier.incoming(since=mark)).answer(486)
        await alice.ended(call)

    page = await entered(browser, gateway, "operator", "operator-dev")
    await view(page, "safety", "[aria-label=Bans]")
    await dials(NUMBER)
    with pytest.raises(RpcError):
        for number in ("+493012345678", "+33142685300", "+81332111111"):
            await dials(number)
    with pytest.raises(RpcError):
        await dials(NUMBER)  # all telephone calls are stopped
    await page.evaluate("() => { location.hash = '#/now'; }")
    await view(page, "safety", '[aria-label="Release user:alice"]')
    await page.until(said("new countries per day"))
    await page.click('[aria-label="Release user:alice"]')
    await page.until(said("Nobody's telephone calls are stopped."))
    await dials(NUMBER)
    nothing_wrong(gateway, page)
    await page.close()


@pytest_twisted.ensureDeferred
async def test_the_first_view_is_small(gateway: Gateway, browser: Chromium) -> None:
    page = await browser.page(f"http://{gateway.http}/console")
    await page.wait("[name=name]")
    told: list[Any] = await page.evaluate(
        "['navigation', 'resource'].flatMap(t => performance.getEntriesByType(t))"
        ".map(r => [r.name, r.encodedBodySize])"
    )
    assert 10_000 < sum(size for _, size in told) < 75_000, told  # half of what it may be
    nothing_wrong(gateway, page)
    await page.close()
