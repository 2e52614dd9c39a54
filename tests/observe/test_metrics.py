"""What is counted, under which names, and what Prometheus thinks of it."""

from __future__ import annotations

import re
import subprocess
import time

import pytest
import pytest_twisted
import treq
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from gateway import __version__
from gateway.errors import CannotStart
from gateway.observe.metrics import DROPS, METHODS, Metrics
from gateway.observe.mos import EModel
from gateway.observe.scrape import MetricsServer
from gateway.settings import MetricsSection
from gateway.values import Direction, LegKind, LegStats, Reason, StreamStats
from tests.peers.waiting import reactor

NAMES = {
    "dmgw_calls_active": ("gauge", set()),
    "dmgw_groups_active": ("gauge", set()),
    "dmgw_group_joins_total": ("counter", set()),
    "dmgw_calls_total": ("counter", {"direction", "reason"}),
    "dmgw_call_setup_seconds": ("histogram", set()),
    "dmgw_call_duration_seconds": ("histogram", set()),
    "dmgw_call_funnel_total": ("counter", {"direction", "step"}),
    "dmgw_callers_week": ("gauge", {"direction", "use"}),
    "dmgw_call_scores_total": ("counter", {"direction", "score"}),
    "dmgw_call_score_tags_total": ("counter", {"tag"}),
    "dmgw_limit_breaches_total": ("counter", {"rule"}),
    "dmgw_reports_total": ("counter", {"category"}),
    "dmgw_legs_active": ("gauge", {"kind"}),
    "dmgw_workers": ("gauge", {"state"}),
    "dmgw_sip_requests_total": ("counter", {"method"}),
    "dmgw_sip_responses_total": ("counter", {"class"}),
    "dmgw_edge_dropped_total": ("counter", {"reason"}),
    "dmgw_registrations": ("gauge", set()),
    "dmgw_stir_verifications_total": ("counter", {"result"}),
    "dmgw_stir_signatures_total": ("counter", {"level"}),
    "dmgw_rtp_packets_total": ("counter", {"direction"}),
    "dmgw_rtp_packets_lost_total": ("counter", {"direction"}),
    "dmgw_rtp_jitter_seconds": ("histogram", set()),
    "dmgw_mos": ("histogram", set()),
    "dmgw_dns_queries_total": ("counter", {"type", "result"}),
    "dmgw_dns_query_seconds": ("histogram", set()),
    "dmgw_reactor_lag_seconds": ("histogram", set()),
    "dmgw_trunk_registered": ("gauge", set()),
    "dmgw_trunk_targets": ("gauge", set()),
    "dmgw_trunk_calls_active": ("gauge", set()),
    "dmgw_trunk_attempts_total": ("counter", set()),
    "dmgw_jwks_reads_total": ("counter", {"result"}),
    "dmgw_jwks_keys": ("gauge", set()),
    "dmgw_revocations": ("gauge", set()),
    "dmgw_opus_legs": ("gauge", set()),
    "dmgw_console_logins_total": ("counter", {"result"}),
    "dmgw_api_requests_total": ("counter", {"class"}),
    "dmgw_webhook_deliveries_total": ("counter", set()),
    "dmgw_webhook_events_lost_total": ("counter", set()),
    "dmgw_webhook_events_waiting": ("gauge", set()),
    "dmgw_build_info": ("gauge", {"version", "python"}),
}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(EModel())


def samples(metrics: Metrics) -> list[Sample]:
    families = text_string_to_metric_families(metrics.render().decode())
    return [s for family in families for s in family.samples]


def value(metrics: Metrics, name: str, **labels: str) -> float:
    (found,) = [s.value for s in samples(metrics) if s.name == name and s.labels == labels]
    return float(found)


def used(metrics: Metrics) -> None:
    """Every figure moves once."""
    metrics.call_began(Direction.APP_TO_SIP)
    metrics.call_connected(Direction.APP_TO_SIP, 0.3)
    metrics.leg_began(LegKind.APP)
    received = StreamStats(packets=1000, lost=10, jitter_ms=4)
    now = LegStats(received=received, sent=StreamStats(900, 9, 2), rtt_ms=40, codec="G722")
    metrics.leg_measured(LegStats(), now)
    metrics.call_ended(Direction.APP_TO_SIP, Reason.COMPLETED, 12.5)
    metrics.request("INVITE")
    metrics.response(200)
    metrics.dropped("rate")
    metrics.registrations(3)
    metrics.workers("idle", 2)
    metrics.verified("passed")
    metrics.signed("A")
    metrics.dns_query("NAPTR", "no_record", 0.02)
    metrics.lag.observe(0.002)


def test_the_names_types_and_labels_that_dashboards_rely_on(metrics: Metrics) -> None:
    used(metrics)
    found = {}
    for family in text_string_to_metric_families(metrics.render().decode()):
        if family.name.startswith("dmgw_"):
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = {label for s in family.samples for label in s.labels} - {"le"}
            found[name] = (family.type, labels)
            assert re.fullmatch(r"[A-Z].*\.", family.documentation), family.documentation
    assert found == NAMES


def promtool(text: bytes) -> tuple[int, bytes]:
    """Its exit code, and all it says."""
    command = ["promtool", "check", "metrics"]
    done = subprocess.run(command, input=text, capture_output=True, timeout=30, check=False)
    return done.returncode, done.stdout + done.stderr


def test_promtool_has_nothing_to_say(metrics: Metrics) -> None:
    assert promtool(metrics.render()) == (0, b"")
    used(metrics)
    assert promtool(metrics.render()) == (0, b"")
    code, said = promtool(re.sub(rb"# HELP dmgw_mos .*\n", b"", metrics.render()))
    assert code != 0
    assert b"dmgw_mos" in said


def test_calls_and_legs(metrics: Metrics) -> None:
    way, reason = Direction.SIP_TO_APP, Reason.BUSY
    for _ in range(3):
        metrics.call_began(way)
        metrics.leg_began(LegKind.SIP)
    metrics.call_connected(way, 0.2)
    metrics.call_ended(way, Reason.COMPLETED, 61.0)
    metrics.call_ended(way, reason, 0)
    metrics.leg_ended(LegKind.SIP)
    assert value(metrics, "dmgw_calls_active") == 1
    assert value(metrics, "dmgw_calls_total", direction="sip_to_app", reason="busy") == 1
    assert value(metrics, "dmgw_calls_total", direction="sip_to_app", reason="completed") == 1
    assert value(metrics, "dmgw_legs_active", kind="sip") == 2
    assert value(metrics, "dmgw_call_setup_seconds_count") == 1
    # what never connected has no length
    assert value(metrics, "dmgw_call_duration_seconds_count") == 1
    assert value(metrics, "dmgw_call_duration_seconds_sum") == 61


def test_legs_are_counted_by_what_is_new(metrics: Metrics) -> None:
    def leg(packets: int, lost: int) -> LegStats:
        return LegStats(
            received=StreamStats(packets, lost, 3.0),
            sent=StreamStats(packets // 2, 1),
            codec="PCMU",
        )

    metrics.leg_measured(LegStats(), leg(250, 5))
    metrics.leg_measured(leg(250, 5), leg(500, 5))
    # a stream that began anew counts nothing back
    metrics.leg_measured(leg(500, 5), leg(10, 0))
    assert value(metrics, "dmgw_rtp_packets_total", direction="received") == 500
    assert value(metrics, "dmgw_rtp_packets_total", direction="sent") == 250
    assert value(metrics, "dmgw_rtp_packets_lost_total", direction="received") == 5
    assert value(metrics, "dmgw_rtp_packets_lost_total", direction="sent") == 1
    # judged only where something arrived; the second time nothing was lost
    assert value(metrics, "dmgw_mos_count") == 2
    best = EModel().mos("PCMU", 0, 3.0, None)
    worse = EModel().mos("PCMU", 5 / 255, 3.0, None)
    assert value(metrics, "dmgw_mos_sum") == pytest.approx(best + worse)
    assert value(metrics, "dmgw_rtp_jitter_seconds_sum") == pytest.approx(0.006)


def test_labels_that_strangers_choose_are_bounded(metrics: Metrics) -> None:
    before = len(samples(metrics))
    for n in range(500):
        metrics.request(f"METHOD{n}")
        metrics.dropped(f"reason{n}")
        metrics.response(n * 10)
    metrics.request("invite")
    assert len(samples(metrics)) == before
    assert value(metrics, "dmgw_sip_requests_total", method="other") == 501
    assert value(metrics, "dmgw_edge_dropped_total", reason="other") == 500
    assert value(metrics, "dmgw_sip_responses_total", **{"class": "2xx"}) == 10
    assert value(metrics, "dmgw_sip_responses_total", **{"class": "other"}) == 440


def test_every_series_is_there_from_the_start(metrics: Metrics) -> None:
    """A counter that appears with its first 1 shows no rate."""
    before = {(s.name, *s.labels.items()) for s in samples(metrics)}
    used(metrics)
    for direction in Direction:
        for reason in Reason:
            metrics.call_began(direction)
            metrics.call_ended(direction, reason, 1)
    for method in METHODS:
        metrics.request(method)
    for drop in DROPS:
        metrics.dropped(drop)
    assert {(s.name, *s.labels.items()) for s in samples(metrics)} == before


def test_it_says_what_runs(metrics: Metrics) -> None:
    (info,) = [s for s in samples(metrics) if s.name == "dmgw_build_info"]
    assert info.value == 1
    assert info.labels["version"] == __version__


def test_two_daemons_in_one_process_do_not_share_figures() -> None:
    one, other = Metrics(EModel()), Metrics(EModel())
    one.registrations(5)
    assert value(other, "dmgw_registrations") == 0


def test_a_scrape_takes_no_time_from_calls(metrics: Metrics) -> None:
    best = 1.0
    for _ in range(10):
        began = time.perf_counter()
        metrics.render()
        best = min(best, time.perf_counter() - began)
    assert best < 0.02


# --- over HTTP ------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_the_server(metrics: Metrics) -> None:
    server = MetricsServer(MetricsSection(port=0), reactor, metrics)
    await server.start()
    try:
        at = f"http://{server.address}"
        response = await treq.get(f"{at}/metrics", persistent=False, timeout=5)
        body = await response.content()
        assert response.code == 200
        assert response.headers.getRawHeaders("content-type")[0].startswith("text/plain; version=")
        assert b"\ndmgw_calls_active 0.0\n" in body
        assert promtool(body) == (0, b"")
        for path, method in (("/", "GET"), ("/metrics/x", "GET"), ("/metrics", "POST")):
            refused = await treq.request(method, at + path, persistent=False, timeout=5)
            await refused.content()
            assert refused.code in ((405, 501) if method == "POST" else (404, 200)), path
        taken = MetricsServer(MetricsSection(port=server.address.port), reactor, metrics)
        with pytest.raises(CannotStart, match=r"metrics cannot listen on 127\.0\.0\.1:\d+ "):
            await taken.start()
    finally:
        await server.stop()
        await server.stop()


def test_where_calls_are_lost(metrics: Metrics) -> None:
    way = Direction.APP_TO_SIP
    for reached in range(5):
        metrics.call_began(way)
        for step in (metrics.call_seen, metrics.call_accepted)[:reached]:
            step(way)
        if reached >= 3:
            metrics.call_connected(way, 0.2)
        metrics.call_ended(way, Reason.COMPLETED, {3: 9.9, 4: 10.0}.get(reached, 0))
    steps = ("invited", "seen", "accepted", "connected", "talked")
    counts = [
        value(metrics, "dmgw_call_funnel_total", direction="app_to_sip", step=s) for s in steps
    ]
    assert counts == [5, 4, 3, 2, 1]


def test_opinions(metrics: Metrics) -> None:
    metrics.rated(Direction.APP_TO_SIP, 2, ("echo", "noise"))
    metrics.reported("spam")
    metrics.callers_of_the_week(Direction.APP_TO_SIP, 7, 3)
    way = {"direction": "app_to_sip"}
    assert value(metrics, "dmgw_call_scores_total", score="2", **way) == 1
    assert value(metrics, "dmgw_call_scores_total", score="3", **way) == 0
    assert value(metrics, "dmgw_call_score_tags_total", tag="noise") == 1
    assert value(metrics, "dmgw_reports_total", category="spam") == 1
    assert value(metrics, "dmgw_callers_week", use="again", **way) == 3
