"""How late the reactor runs, on a clock that can be stopped."""

from __future__ import annotations

from structlog.testing import capture_logs
from twisted.internet.task import Clock

from gateway.observe.lag import EVERY_S, LagMeter
from gateway.observe.metrics import Metrics
from gateway.observe.mos import EModel


def count(metrics: Metrics, below: str = "+Inf") -> float:
    found = metrics.registry.get_sample_value("dmgw_reactor_lag_seconds_bucket", {"le": below})
    assert found is not None
    return found


def test_a_reactor_in_time_has_no_lag() -> None:
    clock, metrics = Clock(), Metrics(EModel())
    meter = LagMeter(clock, metrics.lag)
    meter.start()
    with capture_logs() as told:
        clock.pump([EVERY_S] * 20)
    assert count(metrics) == count(metrics, "0.001") == 20
    assert told == []


def test_what_blocked_it_is_measured_and_told() -> None:
    clock, metrics = Clock(), Metrics(EModel())
    LagMeter(clock, metrics.lag).start()
    with capture_logs() as told:
        clock.advance(EVERY_S + 0.04)
        clock.advance(EVERY_S - 0.04 + 0.2)
        # in time again, on the old beat
        clock.advance(EVERY_S - 0.2)
        # several beats missed at once
        clock.advance(EVERY_S * 4 + 0.3)
        clock.advance(0.2)
    assert [(e["event"], e["lag_ms"]) for e in told] == [
        ("reactor_lag", 200),
        ("reactor_lag", 1800),
    ]
    assert count(metrics) == 5
    assert count(metrics, "0.001") == 2


def test_it_stops() -> None:
    clock, metrics = Clock(), Metrics(EModel())
    meter = LagMeter(clock, metrics.lag)
    meter.stop()
    meter.start()
    meter.stop()
    meter.stop()
    assert clock.getDelayedCalls() == []
