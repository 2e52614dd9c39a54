"""SIP INFO with digits, in the one form that workers read."""

from __future__ import annotations

import re

from gateway.sip.message import Request

_DIGIT = re.compile(rb"\s*([0-9A-Da-d*#])\s*")
DURATION_MS = 160


def as_relay(request: Request) -> Request:
    """``application/dtmf`` (a bare digit) becomes ``application/dtmf-relay``; others stay."""
    kind = (request.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    if kind != "application/dtmf":
        return request
    match = _DIGIT.fullmatch(request.body[:16])
    if match is None:
        signal = re.search(rb"Signal\s*=\s*([0-9A-Da-d*#])", request.body[:256])
        if signal is None:
            return request
        digit = signal[1]
    else:
        digit = match[1]
    body = b"Signal=%b\r\nDuration=%d\r\n" % (digit.upper(), DURATION_MS)
    headers = request.headers.replaced("Content-Type", "application/dtmf-relay")
    return request.replaced(headers=headers, body=body)
