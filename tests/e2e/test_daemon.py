"""The daemon as its host sees it: idle cost, two beside each other, metrics, the tree."""

from __future__ import annotations

import subprocess

import pytest_twisted
from twisted.internet.threads import deferToThread

from tests.e2e.test_calls import app_calls_phone, hears
from tests.peers.fixtures import SHARED, Cast
from tests.peers.gateway import Gateway
from tests.peers.waiting import pause, reactor, together

METRICS = {
    "dmgw_calls_active",
    "dmgw_calls_total",
    "dmgw_call_setup_seconds",
    "dmgw_call_duration_seconds",
    "dmgw_legs_active",
    "dmgw_workers",
    "dmgw_sip_requests_total",
    "dmgw_sip_responses_total",
    "dmgw_edge_dropped_total",
    "dmgw_registrations",
    "dmgw_rtp_packets_total",
    "dmgw_rtp_packets_lost_total",
    "dmgw_rtp_jitter_seconds",
    "dmgw_mos",
    "dmgw_reactor_lag_seconds",
    "dmgw_build_info",
}


@pytest_twisted.ensureDeferred
async def test_idle_cost(cast: Cast) -> None:
    """Two warm workers: under 2 % of a core over 20 s, under 200 MB resident in all.

    What is in memory: pages that several processes share (Python's, PJSIP's) are there once (PSS).
    """
    gateway = await cast.gateway()
    await pause(3)  # what starting up left to do
    assert len(gateway.workers()) == 2
    cpu, began = gateway.cpu_s(), reactor.seconds()
    await pause(20)
    share = 100 * (gateway.cpu_s() - cpu) / (reactor.seconds() - began)
    memory = {k: round(v / 1e6, 1) for k, v in gateway.memory().items()}
    each = [(p.name(), round(p.memory_info().rss / 1e6, 1)) for p in gateway.processes()]
    print(f"idle: {share:.2f} % of a core, MB {memory}, RSS of each {each}")
    assert share < 2, f"{share:.2f} %"
    assert memory["pss"] < 200, memory


@pytest_twisted.ensureDeferred
async def test_two_gateways_beside_each_other(cast: Cast) -> None:
    """Only ports and the database differ; both carry a call at the same time."""
    first, second = await cast.gateway(*SHARED), await cast.gateway(*SHARED)

    async def one_call(gateway: Gateway, hz: float) -> None:
        phone, alice = await cast.registered(gateway), await cast.client(gateway)
        call, mine, sip = await app_calls_phone(alice, phone, (1000, hz))
        assert sip.stream is not None
        await hears(mine, hz, 2, f"alice at {gateway.sip}")
        await alice.hangup(call)
        await sip.got("BYE")

    await together(one_call(first, 440), one_call(second, 700))
    for gateway in (first, second):
        assert not gateway.complaints()


@pytest_twisted.ensureDeferred
async def test_metrics_are_all_there_and_promtool_likes_them(gateway: Gateway, cast: Cast) -> None:
    phone, alice = await cast.registered(gateway), await cast.client(gateway)
    before = await gateway.metric("dmgw_calls_total", direction="app_to_sip", reason="completed")
    call, _, sip = await app_calls_phone(alice, phone)
    assert await gateway.metric("dmgw_calls_active") == 1
    assert await gateway.metric("dmgw_legs_active", kind="app") == 1
    assert await gateway.metric("dmgw_legs_active", kind="sip") == 1
    assert await gateway.metric("dmgw_registrations") == 1
    quality = await alice.event("call.quality", 8, call=call)
    for side in ("sent", "received"):
        assert 1 <= quality[side]["mos"] <= 4.5
        assert set(quality[side]) == {"mos", "loss", "jitter_ms", "rtt_ms"}
    assert quality["received"]["mos"] > 4
    assert await gateway.metric("dmgw_rtp_packets_total", direction="received") > 100
    assert await gateway.metric("dmgw_sip_requests_total", method="REGISTER") >= 1
    await alice.hangup(call)
    await sip.got("BYE")
    await gateway.at_rest()
    after = await gateway.metric("dmgw_calls_total", direction="app_to_sip", reason="completed")
    assert after == before + 1
    text = await gateway.metrics_text()
    told = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    missing = METRICS - told - {f"{name}_total" for name in told}
    assert not missing

    def check() -> subprocess.CompletedProcess[str]:
        command = ["promtool", "check", "metrics"]
        return subprocess.run(command, input=text, capture_output=True, text=True, check=False)

    result = await deferToThread(check)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest_twisted.ensureDeferred
async def test_no_secret_is_logged(gateway: Gateway, cast: Cast) -> None:
    phone, alice = await cast.registered(gateway), await cast.client(gateway)
    call, _, sip = await app_calls_phone(alice, phone)
    await alice.hangup(call)
    await sip.got("BYE")
    said = "\n".join(str(e) for e in gateway.log.seen)
    assert "secret1001" not in said
    assert gateway.token("alice").split(".")[0] + "." not in said
    assert "a=crypto" not in said
