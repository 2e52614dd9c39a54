"""Reasons and SIP codes, both ways: the one place where failures become either."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway.values import LegEnd, Party, Reason


@dataclass(frozen=True, slots=True)
class Ending:
    """Why and by whom a call ends; ``retry_after_s`` goes with ``rate_limited``.

    ``why`` is what the far end that ended it said in a Reason header, for the other one.
    """

    reason: Reason
    by: Party
    retry_after_s: int | None = None
    why: str = ""

    @classmethod
    def of(cls, reason: Reason, by: Party, end: LegEnd) -> Ending:
        """With what was said as a leg ended."""
        limited = reason is Reason.RATE_LIMITED
        return cls(reason, by, end.retry_after_s if limited else None, end.why)


@dataclass(frozen=True, slots=True)
class SipRefusal:
    """``cause`` goes into a Reason header (RFC 3326) on BYE and CANCEL, where it adds meaning."""

    code: int
    text: str
    cause: int | None = None


_TO_SIP = {
    Reason.COMPLETED: SipRefusal(480, "Temporarily Unavailable"),
    Reason.DECLINED: SipRefusal(603, "Decline"),
    Reason.BUSY: SipRefusal(486, "Busy Here"),
    Reason.NO_ANSWER: SipRefusal(480, "Temporarily Unavailable"),
    Reason.CANCELLED: SipRefusal(487, "Request Terminated"),
    Reason.UNREACHABLE: SipRefusal(404, "Not Found"),
    Reason.NOT_ALLOWED: SipRefusal(403, "Forbidden"),
    # never told apart from no answer
    Reason.UNAVAILABLE: SipRefusal(480, "Temporarily Unavailable"),
    Reason.RATE_LIMITED: SipRefusal(503, "Service Unavailable"),
    Reason.MEDIA_FAILED: SipRefusal(488, "Not Acceptable Here", cause=488),
    Reason.NETWORK_LOST: SipRefusal(480, "Temporarily Unavailable"),
    Reason.LIMIT_REACHED: SipRefusal(480, "Temporarily Unavailable"),
    Reason.MODERATED: SipRefusal(403, "Forbidden"),
    Reason.GATEWAY_ERROR: SipRefusal(500, "Server Internal Error", cause=500),
    Reason.ANSWERED_ELSEWHERE: SipRefusal(487, "Request Terminated", cause=200),
}

_FROM_CALLEE = {
    403: Reason.DECLINED,
    404: Reason.UNREACHABLE,
    406: Reason.MEDIA_FAILED,  # a worker's own word for an answer without SDP
    408: Reason.NO_ANSWER,
    410: Reason.UNREACHABLE,
    415: Reason.MEDIA_FAILED,
    480: Reason.NO_ANSWER,
    484: Reason.UNREACHABLE,
    486: Reason.BUSY,
    487: Reason.NO_ANSWER,
    488: Reason.MEDIA_FAILED,
    502: Reason.UNREACHABLE,
    503: Reason.UNREACHABLE,
    504: Reason.UNREACHABLE,
    600: Reason.BUSY,
    603: Reason.DECLINED,
    606: Reason.MEDIA_FAILED,
}


def to_sip(reason: Reason) -> SipRefusal:
    """What a SIP side is told: the final response before it was answered, the cause after."""
    return _TO_SIP[reason]


def from_callee(end: LegEnd) -> Reason:
    """Why a callee's leg failed before it was answered."""
    known = _FROM_CALLEE.get(end.code)
    if known is not None:
        return known
    # 4xx that are not in the table say that this callee cannot be reached as we asked
    return Reason.UNREACHABLE if 300 <= end.code < 500 or end.code > 600 else Reason.GATEWAY_ERROR


def told_caller(reason: Reason) -> Reason:
    """Whoever called a person who does not want it cannot tell that from no answer."""
    return Reason.NO_ANSWER if reason is Reason.UNAVAILABLE else reason


class Retry(StrEnum):
    """What may still help when a trunk's target has not taken a call (RFC 3263 §4.3)."""

    TARGET = "target"
    TRUNK = "trunk"
    NONE = "none"


_RETRIES = {
    401: Retry.TRUNK,
    407: Retry.TRUNK,
    408: Retry.TARGET,
    500: Retry.TRUNK,
    502: Retry.TRUNK,
    503: Retry.TARGET,
    504: Retry.TRUNK,
}


def retry_of(end: LegEnd) -> Retry:
    """Whether another target of this trunk, or another trunk, may do better."""
    return _RETRIES.get(end.code, Retry.NONE)


def from_trunk(end: LegEnd) -> Reason:
    """Why a telephone was not reached, after the last trunk that could be tried."""
    if end.code == 403:
        return Reason.NOT_ALLOWED
    if end.code == 503 and end.retry_after_s is not None:
        return Reason.RATE_LIMITED
    return from_callee(end) if retry_of(end) is Retry.NONE else Reason.UNREACHABLE


def from_caller(end: LegEnd) -> Reason:
    """Why a caller's leg ended before it was answered."""
    if end.code in (488, 415, 606):
        return Reason.MEDIA_FAILED
    return Reason.CANCELLED if end.remote else Reason.GATEWAY_ERROR


def from_answered(end: LegEnd) -> Reason:
    """Why an answered leg ended: a BYE is a completed call (200).

    What had no codec in common, or no RTP, has failed, though it had been answered.
    """
    if end.code in (408, 415, 488, 606):
        return Reason.MEDIA_FAILED
    return Reason.COMPLETED if end.remote else Reason.GATEWAY_ERROR


def best_failure(ends: list[LegEnd]) -> LegEnd:
    """The response to pass on when every fork failed (RFC 3261 §16.7 step 6)."""

    def rank(end: LegEnd) -> tuple[int, int]:
        if end.code >= 600:
            return (0, end.code)
        preferred = end.code in (486, 488, 415)
        return (end.code // 100, 0 if preferred else end.code)

    return min(ends, key=rank)
