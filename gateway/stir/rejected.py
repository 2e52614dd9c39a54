"""Why an Identity header does not hold, and how that is told (RFC 8224 §6.2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.calls.identity_ports import StirResult
from gateway.errors import GatewayError

RESPONSES: Final[Mapping[StirResult, tuple[int, str]]] = {
    "none": (428, "Use Identity Header"),
    "stale_date": (403, "Stale Date"),
    "bad_identity_info": (436, "Bad Identity Info"),
    "unsupported_credential": (437, "Unsupported Credential"),
    "invalid_identity_header": (438, "Invalid Identity Header"),
}


class Rejected(GatewayError):
    """``result`` says which of the RFC's failures it is; the text is for logs and operators."""

    sip_code, fault = 438, "peer"

    def __init__(self, result: StirResult, why: str) -> None:
        super().__init__(why)
        self.result: StirResult = result
