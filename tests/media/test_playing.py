"""What the gateway itself plays to a leg, and who hears whom one way."""

from __future__ import annotations

from pathlib import Path

import pytest
import pytest_twisted

from gateway.calls.ports import Prompt, Sound, prompt
from gateway.errors import MediaFailed
from gateway.values import LegId
from tests import audio
from tests.media.conftest import MakeScene
from tests.media.hearing import deaf, hears, listen
from tests.media.scene import Scene, target
from tests.peers.app_client import plain_offer
from tests.peers.waiting import pause

A, S = LegId("a"), LegId("s")


def _recording(directory: Path, name: str, hz: float, seconds: float = 0.8) -> Path:
    return audio.write_wav(directory / f"{name}.wav", audio.tone(hz, seconds, 16_000), 16_000)


@pytest_twisted.ensureDeferred
async def test_prompts_are_played_once_each(make_scene: MakeScene, tmp_path: Path) -> None:
    _recording(tmp_path, "welcome", 1000)
    _recording(tmp_path, "goodbye-2", 1500)
    scene = await make_scene(prompts=tmp_path)
    lease = await scene.lend(1)
    app, _ = await scene.app_leg(lease, "a", None)
    await pause(0.2)
    since = app.mark()
    await lease.play(A, prompt("welcome"))
    assert await scene.told.that("played", "a") == "prompt:welcome"
    await lease.play(A, prompt("goodbye-2"))
    await scene.told.expect(lambda e: e.value == "prompt:goodbye-2", "the second one's end")
    await pause(0.4)
    heard = app.audio(since)
    for hz in (1000, 1500):
        assert 0.7 <= audio.seconds_of(heard, hz, 8000) <= 0.95
        assert audio.longest_gap_ms(heard, hz, 8000) <= 40
    assert scene.told.all("played") == ["prompt:welcome", "prompt:goodbye-2"]


@pytest_twisted.ensureDeferred
async def test_what_is_stopped_or_replaced_has_not_been_played(
    make_scene: MakeScene, tmp_path: Path
) -> None:
    _recording(tmp_path, "one", 1000)
    _recording(tmp_path, "two", 1500)
    scene = await make_scene(prompts=tmp_path)
    lease = await scene.lend(1)
    app, _ = await scene.app_leg(lease, "a", None)
    await lease.play(A, prompt("one"))
    await lease.play(A, prompt("two"))
    await hears(app, 1500, 0.3)
    await lease.stop(A)
    await deaf(app, 0.4)
    await pause(0.5)
    assert not scene.told.all("played")


@pytest_twisted.ensureDeferred
async def test_a_prompt_waits_for_media(make_scene: MakeScene, tmp_path: Path) -> None:
    """Asked for before the far end has answered, it is heard whole."""
    _recording(tmp_path, "welcome", 1000)
    scene = await make_scene(prompts=tmp_path)
    lease = await scene.lend(1)
    await lease.open_sip_leg(S, target())
    call = await scene.phone.incoming()
    await lease.play(S, prompt("welcome"))
    await pause(0.5)
    assert not scene.told.all("played")
    call.stream = scene.phone.stream("PCMU", None)
    call.answer(200)
    await scene.told.that("played", "s")
    assert 0.7 <= audio.seconds_of(call.stream.audio(), 1000, 8000) <= 0.95


BAD: dict[str, bytes] = {
    "empty": b"",
    "cut": b"RIFF\x24\x00\x00\x00WAVEfmt ",
    "text": b"not a recording at all",
}


@pytest_twisted.ensureDeferred
async def test_what_cannot_be_played(make_scene: MakeScene, tmp_path: Path) -> None:
    for name, content in BAD.items():
        (tmp_path / f"{name}.wav").write_bytes(content)
    _recording(tmp_path, "short", 1000, 0.05)
    stereo = bytearray(_recording(tmp_path, "stereo", 1000).read_bytes())
    stereo[22] = 2
    (tmp_path / "stereo.wav").write_bytes(stereo)
    scene = await make_scene(prompts=tmp_path)
    lease = await scene.lend(1)
    app, _ = await scene.app_leg(lease, "a", None)
    await lease.play(A, "ringback")
    names = ("none", "../etc/x", "", *BAD)
    for sound in ("nothing", *(f"prompt:{name}" for name in names)):
        with pytest.raises(MediaFailed):
            await lease.play(A, Prompt(sound))
    for sound, fault in (("short", "longer"), ("stereo", "mono")):
        with pytest.raises(MediaFailed, match=fault):
            await lease.play(A, prompt(sound))
    await hears(app, 425, 0.4)  # what was played goes on


@pytest_twisted.ensureDeferred
async def test_music_on_hold_until_it_is_stopped(scene: Scene) -> None:
    lease = await scene.lend(1)
    app, _ = await scene.app_leg(lease, "a", None)
    await lease.play(A, "hold")
    heard = await listen(app, 1.2)
    for hz in (523, 587, 659):
        assert audio.over_neighbours_db(heard, hz, 8000, (0.95, 1.05)) > 10
    assert not audio.is_silent(heard) and audio.level_db(heard) < -15
    await lease.stop(A)
    await deaf(app, 0.4)


@pytest.mark.parametrize("kind", ["none", "file"])
@pytest_twisted.ensureDeferred
async def test_the_sound_of_hold_is_a_setting(
    make_scene: MakeScene, tmp_path: Path, kind: str
) -> None:
    chosen = "none" if kind == "none" else str(_recording(tmp_path, "own", 1000, 0.5))
    scene = await make_scene(hold_sound=chosen)
    lease = await scene.lend(1)
    app, _ = await scene.app_leg(lease, "a", None)
    sound: Sound = "hold"
    await lease.play(A, sound)
    if kind == "none":
        await deaf(app, 0.4)
        return
    await pause(0.7)
    await hears(app, 1000)  # again and again
    assert not scene.told.all("played")


@pytest_twisted.ensureDeferred
async def test_early_media_is_heard_one_way_until_the_far_end_has_accepted(scene: Scene) -> None:
    lease = await scene.lend(2)
    app, _ = await scene.app_leg(lease, "a", 700)
    await lease.open_sip_leg(S, target())
    call = await scene.phone.incoming()
    call.stream = scene.phone.stream("PCMU", 440)
    assert call.invite is not None
    call.answer(183, "Session Progress", plain_offer(call.stream))
    call.listen_to(call.invite.body)
    await scene.told.that("media", "s")
    assert not scene.told.all("answered", "s")
    await deaf(app, 0.3)
    await lease.listen(S, A)
    await hears(app, 440, 0.3)
    await deaf(call.stream, 0.3)
    call.answer(200)
    await scene.told.that("answered", "s")
    await hears(app, 440, 0.3)
    await deaf(call.stream, 0.3)
    await lease.connect(A, S)
    await hears(app, 440, 0.3)
    await hears(call.stream, 700)
    await lease.disconnect(S, A)
    await deaf(app, 0.4)
    await deaf(call.stream, 0.3)
