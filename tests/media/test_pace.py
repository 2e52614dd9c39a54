"""Bursts of short calls: PJSIP's table of sockets must never be full, for that ends the process."""

from __future__ import annotations

import pytest_twisted

from gateway.errors import MediaFailed
from gateway.media.options import LEGS_A_SECOND, Pace
from gateway.values import LegId
from tests.media.conftest import MakeScene
from tests.media.scene import Scene
from tests.peers.app_client import plain_offer
from tests.peers.rtp import RtpStream


def test_a_place_is_free_again_after_a_second() -> None:
    pace = Pace(LEGS_A_SECOND)
    pace.begin(10.0, LEGS_A_SECOND - 1)
    assert pace.room(10.5) == 1
    pace.begin(10.5)
    assert pace.room(10.9) == 0
    assert pace.room(11.0) == LEGS_A_SECOND - 1
    assert pace.room(11.5) == LEGS_A_SECOND


@pytest_twisted.ensureDeferred
async def test_a_worker_refuses_what_would_end_it(scene: Scene) -> None:
    lease = await scene.lend(1)
    stream = RtpStream()
    refused = 0
    try:
        for n in range(3 * LEGS_A_SECOND):
            leg = LegId(f"a{n}")
            try:
                await lease.open_app_leg(leg, plain_offer(stream))
            except MediaFailed as e:
                assert "too many legs in one second" in str(e)
                refused += 1
                continue
            await lease.close_leg(leg, 200, "OK")
            await scene.told.that("closed", leg)
    finally:
        await stream.close()
    assert refused
    assert scene.watch.gone == []


@pytest_twisted.ensureDeferred
async def test_calls_in_a_burst_wait_instead(make_scene: MakeScene) -> None:
    scene = await make_scene(warm_workers=1, max_workers=1)
    stream = RtpStream()
    try:
        for n in range(LEGS_A_SECOND + 5):
            lease = await scene.lend(1)
            leg = LegId(f"b{n}")
            await lease.open_app_leg(leg, plain_offer(stream))
            await lease.close_leg(leg, 200, "OK")
            await scene.told.that("closed", leg)
            await lease.release()
    finally:
        await stream.close()
    assert scene.watch.gone == []


@pytest_twisted.ensureDeferred
async def test_hundreds_of_calls_of_a_moment_leave_the_bridge_empty(scene: Scene) -> None:
    """More legs than the conference bridge has ports, none of them long enough for a frame."""
    stream = RtpStream()
    try:
        for n in range(300):
            lease = await scene.lend(1)
            leg = LegId(f"c{n}")
            await lease.open_app_leg(leg, plain_offer(stream))
            await lease.release()
            if n % 50 == 0:
                assert scene.watch.gone == []
    finally:
        await stream.close()
