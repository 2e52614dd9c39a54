"""What a leg is played: ringback, music on hold, prompts.

Tones are PJSIP's own generator's.  Files are 16-bit mono PCM with a plain header (RIFF ``fmt`` tag
1), of any usual rate: PJSIP's player takes no other.
"""

from __future__ import annotations

import re
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pjsua2 as pj

from gateway.media.options import Options

SHIPPED: Final = Path(__file__).parent / "sounds"
SHORTEST_S: Final = 0.1
"""Of a prompt: one that is over between two looks would never be found to have ended."""
LOOK_S: Final = 0.05

_PROMPT: Final = re.compile(r"prompt:([a-z0-9_-]{1,64})")
_RINGBACK_HZ, _RINGBACK_ON_MS, _RINGBACK_OFF_MS = 425, 1000, 4000

_AFTER_DIGIT_MS: Final = 50
_D4, _E4, _F4, _G4, _A4, _C5, _D5, _E5 = 294, 330, 349, 392, 440, 523, 587, 659
_MELODY: Final = (
    *((_C5, _E4), (_E5, _G4), (_D5, _G4), (_C5, _E4), (_A4, _F4), (_C5, _F4), (_G4, _E4), (0, 0)),
    *((_A4, _F4), (_C5, _F4), (_D5, _G4), (_C5, _E4), (_D5, _F4), (_A4, _D4), (_G4, _D4), (0, 0)),
)
_NOTE_MS, _BREATH_MS, _MUSIC_VOLUME = 360, 60, 3200
"""Amplitude of each of two voices, of 32767: well below speech."""


class Playing:
    """One sound at a time for one leg; it begins when there is media, and outlives a re-INVITE.

    ``ended(sound)`` tells of a prompt that was played to its end; ``later(s, func)`` waits.
    """

    def __init__(
        self,
        options: Options,
        clock_hz: int,
        ended: Callable[[str], None],
        later: Callable[[float, Callable[[], None]], Any],
    ) -> None:
        self._options = options
        self._clock_hz = clock_hz
        self._ended = ended
        self._later = later
        self._source: Any = None
        self._pressed: Any = None
        self._prompt = ""
        self._at = 0
        self._look: Any = None

    def play(self, sound: str, audio: Any) -> None:
        """Play it in place of what was played; ``audio`` is the leg's port, if it has media.

        ``ValueError``: no such sound, or no such file.
        """
        prompt = _PROMPT.fullmatch(sound)
        source = self._recording(prompt[1]) if prompt else self._lasting(sound)
        self.stop(audio)
        self._source = source
        if prompt:
            self._prompt, self._at = sound, 0
            self._look = self._later(LOOK_S, self._is_it_over)
        self.renew(audio)

    def press(self, digit: str, duration_ms: int, audio: Any) -> None:
        """A digit as the two tones of its key (ITU-T Q.23), besides whatever is played."""
        key = pj.ToneDigit()
        key.digit, key.on_msec, key.off_msec = digit, duration_ms, _AFTER_DIGIT_MS
        keys = pj.ToneDigitVector()
        keys.append(key)
        generator = pj.ToneGenerator()
        generator.createToneGenerator(self._clock_hz)
        generator.playDigits(keys, False)
        self._pressed = generator  # until the next one
        if audio is not None:
            generator.startTransmit(audio)

    def renew(self, audio: Any) -> None:
        """The leg has a fresh port on the bridge."""
        if audio is not None and self._source is not None:
            self._source.startTransmit(audio)

    def stop(self, audio: Any) -> None:
        """Idempotent."""
        if self._look is not None:
            self._look.cancel()
            self._look = None
        source, self._source = self._source, None
        if source is not None and audio is not None:
            source.stopTransmit(audio)

    def _is_it_over(self) -> None:
        """A player that was at its end stands at the beginning again.

        PJSIP would call back on a thread of its own, with the object perhaps gone by then.
        """
        at = self._source.getPos()
        if at >= self._at:
            self._at = at
            self._look = self._later(LOOK_S, self._is_it_over)
            return
        self._look = self._source = None
        self._ended(self._prompt)

    # -- sources

    def _lasting(self, sound: str) -> Any:
        match sound, self._options.hold_sound:
            case "ringback", _:
                return self._tones([(_RINGBACK_HZ, 0)], _RINGBACK_ON_MS, _RINGBACK_OFF_MS, 0)
            case "hold", "none":
                return None
            case "hold", "music":
                return self._tones(_MELODY, _NOTE_MS, _BREATH_MS, _MUSIC_VOLUME)
            case "hold", path:
                return _player(Path(path), loop=True)
        raise ValueError(f"no sound {sound!r}")

    def _recording(self, name: str) -> Any:
        own = self._options.prompts
        for directory in (*([Path(own)] if own else []), SHIPPED):
            path = directory / f"{name}.wav"
            if path.is_file():
                return _player(path, loop=False)
        raise ValueError(f"no prompt {name!r}")

    def _tones(self, notes: Sequence[tuple[int, int]], on_ms: int, off_ms: int, volume: int) -> Any:
        """Pairs of Hz, again and again; 0: silence.  ``volume`` 0 is PJSIP's usual one."""
        vector = pj.ToneDescVector()
        for high, low in notes:
            tone = pj.ToneDesc()
            tone.freq1, tone.freq2 = high, low
            tone.on_msec, tone.off_msec = (on_ms, off_ms) if high else (0, on_ms + off_ms)
            tone.volume = volume
            vector.append(tone)
        generator = pj.ToneGenerator()
        generator.createToneGenerator(self._clock_hz)
        generator.play(vector, True)
        return generator


def fault_of(path: Path) -> str:
    """What keeps a file from being played, in words; empty when nothing does."""
    try:
        with wave.open(str(path), "rb") as file:
            mono = file.getnchannels() == 1 and file.getsampwidth() == 2
            seconds = file.getnframes() / file.getframerate()
    except (OSError, EOFError, wave.Error, ZeroDivisionError) as e:
        return f"{path}: {e or 'it ends too early'}"
    if not mono:
        return f"{path}: should be mono PCM of 16 bits"
    return "" if seconds >= SHORTEST_S else f"{path}: should last {SHORTEST_S} s or longer"


def _player(path: Path, *, loop: bool) -> Any:
    fault = fault_of(path)
    if fault:
        raise ValueError(fault)
    player = pj.AudioMediaPlayer()
    try:
        player.createPlayer(str(path), 0 if loop else pj.PJMEDIA_FILE_NO_LOOP)
    except pj.Error as e:
        raise ValueError(f"{path}: {e.reason}") from None
    return player
