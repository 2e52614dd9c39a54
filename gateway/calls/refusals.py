"""What a caller is told of a call that is not made."""

from __future__ import annotations

import structlog
from twisted.python.failure import Failure

from gateway.calls.judging import Judgement
from gateway.calls.ports import Refuse
from gateway.calls.reasons import to_sip
from gateway.errors import GatewayError, MediaFailed, NoCapacity, NotAllowed, RateLimited
from gateway.policy.chain import Verdict
from gateway.values import Reason

log = structlog.get_logger()


def refusal(verdict: Verdict) -> GatewayError:
    """For an app client."""
    match verdict.reason:
        case Reason.RATE_LIMITED:
            return RateLimited(verdict.text, verdict.retry_after_s or 1)
        case Reason.NOT_ALLOWED:
            return NotAllowed(verdict.text)
        case _:
            return NoCapacity(verdict.text)


def refuse(reason: Reason, retry_after_s: int | None = None) -> Refuse:
    """For a SIP caller."""
    said = to_sip(reason)
    code = 503 if retry_after_s is not None else said.code
    text = "Service Unavailable" if code == 503 else said.text
    return Refuse(code, text, retry_after_s)


def transfer_refusal(reason: Reason, found: Judgement) -> GatewayError:
    """For whoever asked for a transfer."""
    if found.refused:
        return refusal(found.verdict)
    return MediaFailed(f"the target cannot be called: {reason}")


def told_by_notify(failure: Failure) -> None:
    """Who asked by REFER has been told; anything but a failed transfer is a fault of ours."""
    if not isinstance(failure.value, GatewayError):
        log.error("transfer_broke", traceback=failure.getTraceback())
