"""Two hundred broken offers, then one that is whole: the worker is alive."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest_twisted

from gateway.errors import GatewayError, MediaFailed, SdpUnusable
from gateway.values import LegId
from tests.media.hearing import hears
from tests.media.scene import Scene, patiently
from tests.media.sdp import offer

A = LegId("a")
WHOLE = [
    offer(4000, "PCMU", "G722", "speex", "opus", ptime=20),
    offer(4000, "G722", crypto="A" * 40, profile="RTP/SAVP"),
    offer(4000, "PCMU", extra="m=video 4002 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n"),
    offer(
        4000,
        "PCMU",
        profile="RTP/AVPF",
        extra="a=ice-ufrag:x\r\na=ice-pwd:y\r\n"
        "a=candidate:1 1 udp 1 127.0.0.1 4000 typ host\r\na=rtcp:4001 IN IP4 127.0.0.1\r\n",
    ),
]
BITS = [
    "",
    " ",
    "-1",
    "0",
    "65536",
    "4294967296",
    "99999999999999999999",
    "/",
    ":",
    "IP6 ::",
    "%s",
    "é",
    "\t",
    "a" * 300,
    "\r\n",
    "m=audio 0 RTP/AVP 0\r\n",
    "UDP/TLS/RTP/SAVPF",
    "RTP/SAVP",
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:\r\n",
    "a=rtpmap:0 x/0/0\r\n",
    "255",
    "127",
    "a=fmtp:98 mode=\r\n",
    "telephone-event/0",
    "a=setup:active\r\n",
    "c=IN IP4 \r\n",
]


def mutated(rng: random.Random) -> str:
    sdp = rng.choice(WHOLE)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(4, len(sdp))
        lines = sdp.split("\r\n")
        n = rng.randrange(1, len(lines))
        match rng.randrange(6):
            case 0:
                sdp = sdp[:at] + rng.choice(BITS) + sdp[at:]
            case 1:
                sdp = sdp[:at] + sdp[at + rng.randint(1, 12) :]
            case 2:
                sdp = "\r\n".join(lines[:n] + lines[n + 1 :])
            case 3:
                sdp = "\r\n".join([*lines[:n], rng.choice(lines), *lines[n:]])
            case 4:
                words = lines[n].split(" ")
                words[rng.randrange(len(words))] = rng.choice(BITS)
                sdp = "\r\n".join([*lines[:n], " ".join(words), *lines[n + 1 :]])
            case 5:
                sdp = sdp[:at] + chr(rng.randrange(1, 256)) + sdp[at + 1 :]
    return sdp


@pytest_twisted.ensureDeferred
async def test_broken_offers_leave_the_worker_alive(scene: Scene) -> None:
    rng = random.Random(4566)
    lease = await scene.lend(3)
    steady, _ = await scene.app_leg(lease, "steady", 700)
    await lease.connect(LegId("steady"), LegId("steady"))
    outcomes = {"taken": 0, "refused": 0, "failed": 0}
    for n in range(200):
        sdp = mutated(rng)
        leg = LegId(f"f{n}")
        try:
            await patiently(lambda leg=leg, sdp=sdp: lease.open_app_leg(leg, sdp))  # type: ignore[misc]
        except SdpUnusable:
            outcomes["refused"] += 1
        except MediaFailed:
            outcomes["failed"] += 1
        else:
            outcomes["taken"] += 1
            if n % 2:
                with suppress(GatewayError):
                    await lease.reoffer(leg, mutated(rng))
            await lease.close_leg(leg, 200, "OK")
            await scene.told.that("closed", leg)
        assert not scene.told.all("lost"), sdp
    await hears(steady, 700)
    assert outcomes["refused"] > 40 and outcomes["taken"] > 20, outcomes
    assert outcomes["failed"] <= 2, outcomes


@pytest_twisted.ensureDeferred
async def test_broken_offers_of_sip_legs_leave_the_worker_alive(scene: Scene) -> None:
    """INVITEs, re-INVITEs and answers; the edge has let their bodies through."""
    rng = random.Random(3264)
    lease = await scene.lend(3)
    steady, _ = await scene.app_leg(lease, "steady", 700)
    await lease.connect(LegId("steady"), LegId("steady"))
    answered = 0
    for n in range(60):
        leg = LegId(f"f{n}")
        await patiently(lambda leg=leg: lease.expect_sip_leg(leg))  # type: ignore[misc]
        call = scene.calling(lease)
        call.send_invite(mutated(rng), ("x-dmgw-leg", leg))
        told = await scene.told.expect(
            lambda e, leg=leg: e.leg == leg and e.name in ("incoming", "closed"), leg
        )
        if told.name == "incoming":
            with suppress(MediaFailed):
                await lease.answer(leg, 200)
        final = await call.final()
        if final.code == 200:
            answered += 1
            call.learn(final)
            call.ack(final)
            again = call.request("INVITE", mutated(rng))
            call.invite = again
            scene.phone.send(again)
            call.ack(await scene.phone.final(again))
            await lease.close_leg(leg, 200, "OK")
        else:
            call.ack(final)
        await scene.told.that("closed", leg)
        assert not scene.told.all("lost")
    assert answered > 5
    await hears(steady, 700)
