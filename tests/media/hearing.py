"""What a stream hears just now: a tone, or nothing."""

from __future__ import annotations

from tests import audio
from tests.peers.rtp import RtpStream
from tests.peers.waiting import pause

RATE = 8000
SETTLING_S = 0.25
"""The jitter buffers of both ends still hold what was said before."""


async def listen(stream: RtpStream, seconds: float = 0.6) -> audio.Signal:
    """What comes from now on, after the buffers have emptied."""
    await pause(SETTLING_S)
    since = stream.mark()
    await pause(seconds)
    return stream.audio(since)


async def hears(
    stream: RtpStream, hz: float, seconds: float = 0.6, *, speech: bool = False
) -> None:
    """The tone stands out clearly.  Codecs made for ``speech`` blur and dampen pure tones."""
    signal = await listen(stream, seconds)
    assert len(signal) > 0.7 * seconds * RATE, f"only {len(signal) / RATE:.2f} s came"
    over = audio.over_neighbours_db(signal, hz, RATE)
    assert over > (6 if speech else 20), f"{hz} Hz is {over:.0f} dB over its neighbours"
    level = audio.level_db(signal)
    assert level > (-60 if speech else -30), f"{level:.0f} dB"


async def deaf(stream: RtpStream, seconds: float = 0.6) -> None:
    """Nothing, or silence."""
    signal = await listen(stream, seconds)
    assert audio.is_silent(signal), f"{audio.level_db(signal):.0f} dB came"
