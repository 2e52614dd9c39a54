"""What the product's owner asks of Prometheus: how far calls come, how good people find them."""

from __future__ import annotations

from typing import Final, Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge

from gateway.calls.record import Step
from gateway.calls.review_ports import Category, Tag
from gateway.values import Direction

TALK_S: Final = 10.0
"""A connected call that is shorter was hardly a talk."""

BREACHES: Final = (
    "spend_per_day",
    "new_countries_per_day",
    "short_calls_per_hour",
    "numbers_in_a_row",
    "other",
)


class ProductMetrics:
    """Implements ``ReviewMeters``, and the part of ``CallMeters`` that counts the funnel."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._funnel = Counter(
            "dmgw_call_funnel", "How far calls came.", ("direction", "step"), registry=registry
        )
        self._callers = Gauge(
            "dmgw_callers_week",
            "Who had a connected call in the last 7 days; again: more than one.",
            ("direction", "use"),
            registry=registry,
        )
        self._scores = Counter(
            "dmgw_call_scores",
            "Opinions of calls, 1 to 5.",
            ("direction", "score"),
            registry=registry,
        )
        self._tags = Counter(
            "dmgw_call_score_tags", "What was wrong, as people said.", ("tag",), registry=registry
        )
        self._reports = Counter(
            "dmgw_reports", "Complaints about calls.", ("category",), registry=registry
        )
        self._breaches = Counter(
            "dmgw_limit_breaches",
            "What looked like fraud and stopped a person's telephone calls.",
            ("rule",),
            registry=registry,
        )
        self._api = Counter(
            "dmgw_api_requests", "Requests of the app's servers.", ("class",), registry=registry
        )
        for hundred in range(2, 6):
            self._api.labels(f"{hundred}xx")
        self._webhook_tried = Counter(
            "dmgw_webhook_deliveries",
            "Attempts to deliver an event.",
            ("receiver", "result"),
            registry=registry,
        )
        self._webhook_lost = Counter(
            "dmgw_webhook_events_lost",
            "Events given up after a day (dead), or for newer ones (dropped).",
            ("receiver", "why"),
            registry=registry,
        )
        self._webhook_waiting = Gauge(
            "dmgw_webhook_events_waiting",
            "Events that are not delivered yet.",
            ("receiver",),
            registry=registry,
        )
        self._jwks_read = Counter(
            "dmgw_jwks_reads",
            "Attempts to read the tokens' keys.",
            ("result",),
            registry=registry,
        )
        for result in ("read", "failed"):
            self._jwks_read.labels(result)
        self._jwks_keys = Gauge(
            "dmgw_jwks_keys", "Keys that tokens are verified with.", registry=registry
        )
        self._revocations = Gauge(
            "dmgw_revocations", "Tokens, or people's tokens, that are revoked.", registry=registry
        )
        self._console = Counter(
            "dmgw_console_logins",
            "Attempts to sign in to the operator's console.",
            ("result",),
            registry=registry,
        )
        for result in ("let_in", "refused", "too_many"):
            self._console.labels(result)
        for rule in BREACHES:
            self._breaches.labels(rule)
        for direction in Direction:
            for step in get_args(Step):
                self._funnel.labels(direction, step)
            for score in range(1, 6):
                self._scores.labels(direction, str(score))
            for use in ("all", "again"):
                self._callers.labels(direction, use)
        for tag in get_args(Tag):
            self._tags.labels(tag)
        for category in get_args(Category):
            self._reports.labels(category)

    def reached(self, direction: Direction, step: Step) -> None:
        self._funnel.labels(direction, step).inc()

    def call_seen(self, direction: Direction) -> None:
        self.reached(direction, "seen")

    def call_accepted(self, direction: Direction) -> None:
        self.reached(direction, "accepted")

    def callers_of_the_week(self, direction: Direction, all_: int, again: int) -> None:
        self._callers.labels(direction, "all").set(all_)
        self._callers.labels(direction, "again").set(again)

    def rated(self, direction: Direction, score: int, tags: tuple[Tag, ...]) -> None:
        self._scores.labels(direction, str(score)).inc()
        for tag in tags:
            self._tags.labels(tag).inc()

    def breached(self, rule: str) -> None:
        self._breaches.labels(rule if rule in BREACHES else "other").inc()

    def reported(self, category: Category) -> None:
        self._reports.labels(category).inc()

    def console_login(self, result: Literal["let_in", "refused", "too_many"]) -> None:
        self._console.labels(result).inc()

    # -- the API

    def api_answered(self, status: int) -> None:
        self._api.labels(f"{min(5, max(2, status // 100))}xx").inc()

    # -- KeyMeters, RevocationMeters

    def jwks_read(self, worked: bool) -> None:
        self._jwks_read.labels("read" if worked else "failed").inc()

    def jwks_keys(self, count: int) -> None:
        self._jwks_keys.set(count)

    def revocations(self, count: int) -> None:
        self._revocations.set(count)

    # -- event_ports.WebhookMeters; their names come from the settings

    def webhook_tried(self, receiver: str, result: Literal["delivered", "failed"]) -> None:
        self._webhook_tried.labels(receiver, result).inc()

    def webhook_lost(self, receiver: str, why: Literal["dead", "dropped"], count: int) -> None:
        self._webhook_lost.labels(receiver, why).inc(count)

    def webhook_waiting(self, receiver: str, count: int) -> None:
        self._webhook_waiting.labels(receiver).set(count)
