"""Legs from bare SDP, with real workers and real audio."""

from __future__ import annotations

import pytest_twisted

from gateway.values import LegId
from tests.media.hearing import deaf, hears
from tests.media.scene import Scene

A, B = LegId("a"), LegId("b")


@pytest_twisted.ensureDeferred
async def test_an_echo(scene: Scene) -> None:
    lease = await scene.lend(1)
    stream, answer = await scene.app_leg(lease, "a", 700)
    assert answer.media.codec == "PCMU" and not answer.media.secure
    await deaf(stream, 0.5)
    await lease.connect(A, A)
    await hears(stream, 700)


@pytest_twisted.ensureDeferred
async def test_two_hear_each_other_once_connected_and_not_before(scene: Scene) -> None:
    lease = await scene.lend(2)
    a, _ = await scene.app_leg(lease, "a", 700)
    b, _ = await scene.app_leg(lease, "b", 1000, "PCMA")
    await deaf(a, 0.5)
    await deaf(b, 0.2)
    await lease.connect(A, B)
    await hears(a, 1000)
    await hears(b, 700)
    await lease.disconnect(A, B)
    await deaf(a, 0.5)
    await deaf(b, 0.2)
