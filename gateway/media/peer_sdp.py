"""Addresses in a peer's SDP that PJSIP must not see, or cannot use."""

from __future__ import annotations

import re
from typing import Final

LONGEST_ADDRESS: Final = 253
"""Of a host name; on a longer one an assertion of PJSIP's ends the process."""
_TOO_LONG: Final = re.compile(rf"^(?:c=|a=rtcp:|a=candidate:).*\S{{{LONGEST_ADDRESS + 1}}}", re.M)
_NETWORK: Final = re.compile(r"^c=IN (IP\d)", re.M)


def unusable(sdp: str) -> bool:
    """Whether an address (RFC 8866 §5.7, RFC 3605) is too long, or none is of IPv4."""
    networks = set(_NETWORK.findall(sdp))
    return _TOO_LONG.search(sdp) is not None or (bool(networks) and "IP4" not in networks)
