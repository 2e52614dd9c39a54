"""Digits that are sound, at a trunk that has nothing better: both ways, in both directions."""

from __future__ import annotations

import pytest
import pytest_twisted

from tests import audio
from tests.audio import DTMF_COLUMNS, DTMF_ROWS, Signal
from tests.e2e.residue import nothing_left
from tests.e2e.test_trunks import NUMBER, OURS, Office, office, routing
from tests.peers import g711
from tests.peers.app_client import AppClient
from tests.peers.fixtures import Cast
from tests.peers.rtp import RtpStream
from tests.peers.sip_phone import SipCall
from tests.peers.waiting import pause, until

KEYS = ("123A", "456B", "789C", "*0#D")


def tones_of(digits: str) -> Signal:
    """Each for 100 ms, after as much silence."""
    parts = [audio.tone(0, 0.3)]
    for digit in digits:
        row = next(r for r, keys in enumerate(KEYS) if digit in keys)
        column = KEYS[row].index(digit)
        low, high = DTMF_ROWS[row], DTMF_COLUMNS[column]
        parts += [audio.tone(low, 0.1, level=0.2) + audio.tone(high, 0.1, level=0.2)]
        parts += [audio.tone(0, 0.1)]
    return audio.np.concatenate(parts)


def digits_in(signal: Signal) -> str:
    """By the loudest pair of each 20 ms; told once while it lasts."""
    found = ""
    last = ""
    for at in range(0, len(signal) - 159, 160):
        chunk = signal[at : at + 160]
        rows = [audio.power(chunk, hz, 8000) for hz in DTMF_ROWS]
        columns = [audio.power(chunk, hz, 8000) for hz in DTMF_COLUMNS]
        row, column = max(range(4), key=rows.__getitem__), max(range(4), key=columns.__getitem__)
        clear = rows[row] > 1e-4 and columns[column] > 1e-4
        now = KEYS[row][column] if clear else ""
        if now and now != last:
            found += now
        last = now
    return found


def plays(stream: RtpStream, digits: str) -> None:
    stream.say_once(g711.encode(tones_of(digits), stream.codec))


async def told(client: AppClient, call: str, digits: str) -> None:
    await until(lambda: len(client.digits(call)) >= len(digits), f"digits {digits}", 6)
    await pause(0.4)
    assert client.digits(call) == digits


async def both_ways(client: AppClient, call: str, mine: RtpStream, leg: SipCall) -> None:
    assert leg.stream is not None
    await pause(0.5)
    plays(leg.stream, "1590#D")
    await told(client, call, "1590#D")
    since, own = leg.stream.mark(), mine.mark()
    await client.request("call.dtmf", call=call, digits="80*A", duration_ms=120)
    await pause(0.6)
    assert digits_in(leg.stream.audio(since)) == "80*A"
    assert leg.stream.digits() == ""  # it has no telephone-event, and gets none
    assert not audio.has_dtmf(mine.audio(own), 8000)


@pytest.fixture
def trunk() -> dict[str, object]:
    return {"name": "old", "sources": ["127.0.0.0/8"], "dtmf": "inband"}


@pytest_twisted.ensureDeferred
async def test_we_call(cast: Cast, trunk: dict[str, object]) -> None:
    here: Office = await office(cast, [trunk], routing("old"))
    carrier = here.carriers["old"]
    alice = await cast.client(here.gateway)
    async with nothing_left(here.gateway):
        mine = alice.stream(hz=None)
        call = await alice.invite(f"tel:{NUMBER}", mine)
        leg = await carrier.incoming()
        assert "telephone-event" not in leg.invite.body
        leg.stream = carrier.stream(hz=None, events=False)
        leg.answer(200)
        await alice.connected(call)
        await both_ways(alice, call, mine, leg)
        await alice.hangup(call)
        await leg.got("BYE")


@pytest_twisted.ensureDeferred
async def test_they_call(cast: Cast, trunk: dict[str, object]) -> None:
    here: Office = await office(cast, [trunk], routing("old"))
    carrier = here.carriers["old"]
    alice = await cast.client(here.gateway)
    async with nothing_left(here.gateway):
        leg = carrier.call(OURS, carrier.stream(hz=None, events=False))
        await leg.admitted()
        call = (await alice.incoming())["call"]
        mine = alice.stream(hz=None)
        await alice.accept(call, mine)
        await leg.answered()
        await alice.connected(call)
        await both_ways(alice, call, mine, leg)
        await leg.bye()
        await alice.ended(call)
