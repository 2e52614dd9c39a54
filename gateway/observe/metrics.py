"""What Prometheus scrapes.  Labels are bounded sets; nothing that a user chooses is one."""

from __future__ import annotations

import sys
from typing import get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import generate_latest

from gateway import __version__
from gateway.calls.identity_ports import StirResult
from gateway.calls.ports import QualityModel, WorkerState
from gateway.observe.product import TALK_S, ProductMetrics
from gateway.values import Attestation, Direction, LegKind, LegStats, Reason, StreamStats

METHODS = frozenset(
    {"INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "REGISTER", "INFO", "UPDATE", "PRACK", "REFER"}
)
DROPS = frozenset(
    {
        "connections",
        "denied",
        "framing",
        "malformed",
        "not_a_worker",
        "rate",
        "relay",
        "slow_peer",
        "stray_response",
        "too_big",
    }
)
DNS_TYPES = ("NAPTR", "SRV", "A", "AAAA")
DNS_RESULTS = ("found", "no_record", "no_name", "timeout", "failed")
DNS_S = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
SETUP_S = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60)
DURATION_S = (1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)
JITTER_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
MOS = (1.5, 2, 2.5, 3, 3.25, 3.5, 3.75, 4, 4.25, 4.5)
LAG_S = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)


class Metrics(ProductMetrics):
    """Implements every ``Meters`` of ``ports`` and ``trunk_ports``."""

    def __init__(self, quality: QualityModel) -> None:
        self._quality = quality
        # a second series beside each counter that only says when the daemon was started
        disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client's
        self.registry = r = CollectorRegistry()
        super().__init__(r)
        self._active = Gauge(
            "dmgw_calls_active", "Calls that have begun and not ended.", registry=r
        )
        self._calls = Counter(
            "dmgw_calls", "Calls that have ended.", ("direction", "reason"), registry=r
        )
        self._setup = Histogram(
            "dmgw_call_setup_seconds",
            "From the invitation to both sides hearing each other.",
            buckets=SETUP_S,
            registry=r,
        )
        self._duration = Histogram(
            "dmgw_call_duration_seconds",
            "Length of connected calls.",
            buckets=DURATION_S,
            registry=r,
        )
        self._groups = Gauge(
            "dmgw_groups_active", "Calls that others have been added to.", registry=r
        )
        self._joins = Counter(
            "dmgw_group_joins", "People who were added to a call and came.", registry=r
        )
        self._legs = Gauge("dmgw_legs_active", "Open legs.", ("kind",), registry=r)
        self._opus = Gauge("dmgw_opus_legs", "Browsers that have Opus.", registry=r)
        self._workers = Gauge("dmgw_workers", "Media workers.", ("state",), registry=r)
        self._requests = Counter(
            "dmgw_sip_requests", "SIP requests from outside.", ("method",), registry=r
        )
        self._responses = Counter(
            "dmgw_sip_responses", "SIP responses sent to the outside.", ("class",), registry=r
        )
        self._dropped = Counter(
            "dmgw_edge_dropped", "What the SIP edge did not let in.", ("reason",), registry=r
        )
        self._registrations = Gauge(
            "dmgw_registrations", "Bindings of softphones just now.", registry=r
        )
        self._verified = Counter(
            "dmgw_stir_verifications", "Calls by their Identity headers.", ("result",), registry=r
        )
        self._signed = Counter(
            "dmgw_stir_signatures", "Calls that were signed.", ("level",), registry=r
        )
        self._packets = Counter(
            "dmgw_rtp_packets",
            "RTP packets of ended and measured legs.",
            ("direction",),
            registry=r,
        )
        self._lost = Counter(
            "dmgw_rtp_packets_lost",
            "RTP packets that did not arrive; sent: as the far end reports.",
            ("direction",),
            registry=r,
        )
        self._jitter = Histogram(
            "dmgw_rtp_jitter_seconds",
            "Interarrival jitter of received RTP, each time a leg is measured.",
            buckets=JITTER_S,
            registry=r,
        )
        self._mos = Histogram(
            "dmgw_mos",
            "Estimated opinion score (E-model, ITU-T G.107), each time a leg is measured.",
            buckets=MOS,
            registry=r,
        )
        self._dns = Counter(
            "dmgw_dns_queries", "Questions put to name servers.", ("type", "result"), registry=r
        )
        self._dns_seconds = Histogram(
            "dmgw_dns_query_seconds",
            "From a question to its answer, or to giving it up.",
            buckets=DNS_S,
            registry=r,
        )
        self.lag = Histogram(
            "dmgw_reactor_lag_seconds",
            "How late the reactor runs what is due.",
            buckets=LAG_S,
            registry=r,
        )
        self._trunk_registered = Gauge(
            "dmgw_trunk_registered",
            "Whether we are registered there: 1 or 0.",
            ("trunk",),
            registry=r,
        )
        self._trunk_targets = Gauge(
            "dmgw_trunk_targets", "Targets that DNS names.", ("trunk", "state"), registry=r
        )
        self._trunk_calls = Gauge(
            "dmgw_trunk_calls_active", "Calls over a trunk, both ways.", ("trunk",), registry=r
        )
        self._trunk_tried = Counter(
            "dmgw_trunk_attempts", "Attempts at a target.", ("trunk", "result"), registry=r
        )
        info = Gauge(
            "dmgw_build_info",
            "Always 1; the labels say what runs.",
            ("version", "python"),
            registry=r,
        )
        info.labels(__version__, ".".join(map(str, sys.version_info[:3]))).set(1)
        # CPU, memory and descriptors of the daemon itself: process_*
        ProcessCollector(registry=r)
        self._prepare()

    def _prepare(self) -> None:
        """Every series that can be there is there from the start, so that rates are right."""
        for direction in Direction:
            for reason in Reason:
                self._calls.labels(direction, reason)
        for kind in LegKind:
            self._legs.labels(kind)
        for method in (*METHODS, "other"):
            self._requests.labels(method)
        for hundred in range(1, 7):
            self._responses.labels(f"{hundred}xx")
        self._responses.labels("other")
        for drop in (*DROPS, "other"):
            self._dropped.labels(drop)
        for result in get_args(StirResult):
            self._verified.labels(result)
        for level in get_args(Attestation):
            self._signed.labels(level)
        for way in ("received", "sent"):
            self._packets.labels(way)
            self._lost.labels(way)
        for state in ("starting", "idle", "busy", "draining"):
            self._workers.labels(state)
        for rdtype in DNS_TYPES:
            for result in DNS_RESULTS:
                self._dns.labels(rdtype, result)

    def render(self) -> bytes:
        text: bytes = generate_latest(self.registry)
        return text

    # -- ports.CallMeters

    def call_began(self, direction: Direction) -> None:  # by direction when ended
        self._active.inc()
        self.reached(direction, "invited")

    def group_began(self) -> None:
        self._groups.inc()

    def group_joined(self) -> None:
        self._joins.inc()

    def group_ended(self) -> None:
        self._groups.dec()

    def call_connected(self, direction: Direction, setup_s: float) -> None:
        self._setup.observe(setup_s)
        self.reached(direction, "connected")

    def call_ended(self, direction: Direction, reason: Reason, duration_s: float) -> None:
        self._active.dec()
        self._calls.labels(direction, reason).inc()
        if duration_s > 0:
            self._duration.observe(duration_s)
        if duration_s >= TALK_S:
            self.reached(direction, "talked")

    def opus_legs(self, count: int) -> None:
        self._opus.set(count)

    def leg_began(self, kind: LegKind) -> None:
        self._legs.labels(kind).inc()

    def leg_ended(self, kind: LegKind) -> None:
        self._legs.labels(kind).dec()

    def leg_measured(self, before: LegStats, now: LegStats) -> None:
        ways: tuple[tuple[str, StreamStats, StreamStats], ...] = (
            ("received", before.received, now.received),
            ("sent", before.sent, now.sent),
        )
        for way, then, since in ways:
            self._packets.labels(way).inc(max(0, since.packets - then.packets))
            self._lost.labels(way).inc(max(0, since.lost - then.lost))
        got = max(0, now.received.packets - before.received.packets)
        if got:
            lost = max(0, now.received.lost - before.received.lost)
            jitter = now.received.jitter_ms
            self._jitter.observe(jitter / 1000)
            score = self._quality.mos(now.codec, lost / (got + lost), jitter, now.rtt_ms)
            self._mos.observe(score)

    # -- ports.EdgeMeters

    def request(self, method: str) -> None:
        self._requests.labels(method if method in METHODS else "other").inc()

    def response(self, code: int) -> None:
        hundred = code // 100
        self._responses.labels(f"{hundred}xx" if 1 <= hundred <= 6 else "other").inc()

    def dropped(self, reason: str) -> None:
        self._dropped.labels(reason if reason in DROPS else "other").inc()

    def registrations(self, count: int) -> None:
        self._registrations.set(count)

    # -- ports.TrunkMeters; their names come from the settings

    def trunk_registered(self, trunk: str, registered: bool) -> None:
        self._trunk_registered.labels(trunk).set(registered)

    def trunk_targets(self, trunk: str, up: int, down: int) -> None:
        self._trunk_targets.labels(trunk, "up").set(up)
        self._trunk_targets.labels(trunk, "down").set(down)

    def trunk_calls(self, trunk: str, count: int) -> None:
        self._trunk_calls.labels(trunk).set(count)

    def trunk_tried(self, trunk: str, worked: bool) -> None:
        self._trunk_tried.labels(trunk, "taken" if worked else "failed").inc()

    # -- ports.PoolMeters

    def workers(self, state: WorkerState, count: int) -> None:
        self._workers.labels(state).set(count)

    # -- ports.StirMeters

    def verified(self, result: StirResult) -> None:
        self._verified.labels(result).inc()

    def signed(self, level: Attestation) -> None:
        self._signed.labels(level).inc()

    # -- ports.DnsMeters

    def dns_query(self, rdtype: str, result: str, seconds: float) -> None:
        self._dns.labels(rdtype, result).inc()
        self._dns_seconds.observe(seconds)
