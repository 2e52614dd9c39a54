"""SIP INFO with digits, in the one form that workers read."""

from __future__ import annotations

import re
from typing import Final

from gateway.sip.message import Request

RELAY: Final = "application/dtmf-relay"
DURATION_MS: Final = 160
_LONGEST_MS: Final = 10_000
_DIGIT = re.compile(rb"\s*([0-9A-Da-d*#])\s*")
_SIGNAL = re.compile(rb"^[ \t]*Signal[ \t]*=[ \t]*([0-9A-Da-d*#])[ \t]*\r?$", re.I | re.M)
_DURATION = re.compile(rb"^[ \t]*Duration[ \t]*=[ \t]*([0-9]{1,5})[ \t]*\r?$", re.I | re.M)


def as_relay(request: Request) -> Request:
    """A digit of ``application/dtmf`` or ``dtmf-relay``, however its lines are written and ended.

    What holds none that can be read stays as it is.
    """
    kind = (request.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    if kind not in ("application/dtmf", RELAY):
        return request
    body = request.body[:256]
    found = _SIGNAL.search(body) or (_DIGIT.fullmatch(body) if kind != RELAY else None)
    if found is None:
        return request
    asked = _DURATION.search(body)
    duration_ms = min(_LONGEST_MS, int(asked[1])) if asked else DURATION_MS
    written = b"Signal=%b\r\nDuration=%d\r\n" % (found[1].upper(), duration_ms)
    headers = request.headers.replaced("Content-Type", RELAY)
    return request.replaced(headers=headers, body=written)
