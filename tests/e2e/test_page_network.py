"""Two browsers talk, and one changes its network: its socket and its media path are gone."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_twisted

from tests import audio
from tests.audio import Signal
from tests.e2e.residue import nothing_left
from tests.e2e.test_page_views import in_state, nothing_wrong, signed_in
from tests.peers.chromium import Chromium, Page
from tests.peers.gateway import Gateway
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


@contextmanager
def cut(port: int) -> Iterator[None]:
    """Nothing goes to this UDP port or comes from it."""

    def nft(commands: str) -> None:
        subprocess.run(["nft", "-f", "-"], input=commands, text=True, check=True)

    table = f"inet dmgw_cut_{port}"
    nft(
        f"table {table} {{\n chain c {{\n  type filter hook output priority 0\n"
        f"  udp sport {port} drop\n  udp dport {port} drop\n }}\n}}\n"
    )
    try:
        yield
    finally:
        nft(f"delete table {table}\n")


async def local_port(page: Page) -> int:
    return int(await page.evaluate(_PORT))


_PORT = """async () => {
  const stats = await dmPage.peerConnection.getStats();
  const all = [...stats.values()];
  const transport = all.find(s => s.type === 'transport');
  const pair = stats.get(transport.selectedCandidatePairId);
  return stats.get(pair.localCandidateId).port;
}"""


def silence_and_return(heard: Signal, rate: int, who: str) -> None:
    gap = audio.longest_gap_ms(heard, HZ, rate)
    print(f"{who}: {gap:.0f} ms without the other")
    # a browser fills short gaps by going on with what it heard
    assert gap < 5000, f"{who}: {gap:.0f} ms without the other"
    last = heard[-2 * rate :]
    assert audio.seconds_of(last, HZ, rate) > 1.5, f"{who} does not hear the other at the end"


@pytest_twisted.ensureDeferred
async def test_a_call_outlives_a_change_of_network(gateway: Gateway, browser: Chromium) -> None:
    alice = await signed_in(browser, gateway, "alice")
    bob = await signed_in(browser, gateway, "bob")
    async with nothing_left(gateway):
        await alice.click('[data-thread="user:bob"]')
        await alice.click("#call-button")
        await bob.click("#incoming-accept")
        for page in (alice, bob):
            await in_state(page, "connected")
        await pause(1)
        for page in (alice, bob):
            await page.start_recording()
        await pause(2)
        old = await local_port(alice)
        with cut(old):
            await alice.offline(True)
            await pause(0.5)
            await alice.offline(False)
            await pause(7)
            heard = {"alice": await alice.recording(), "bob": await bob.recording()}
            assert await local_port(alice) != old
        for who, (signal, rate) in heard.items():
            silence_and_return(signal, rate, who)
        await alice.until("document.getElementById('network').hidden")
        await bob.click("#call-hangup")
        await in_state(alice, "ended")
    # the browser's own word of what could not be reached meanwhile
    assert all("ERR_INTERNET_DISCONNECTED" in error for error in alice.errors)
    assert alice.origins <= {f"http://{gateway.http}", f"ws://{gateway.http}"}
    nothing_wrong(gateway, bob)
    await alice.close()
    await bob.close()
