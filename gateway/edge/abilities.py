"""What the edge takes from outside (RFC 3261 §8.2.1, §8.2.2)."""

from __future__ import annotations

from typing import Final

METHODS: Final = frozenset(
    {"INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "REGISTER", "INFO", "UPDATE", "PRACK", "REFER"}
)
SUPPORTED: Final = frozenset({"100rel", "timer", "path", "outbound", "replaces"})
IN_DIALOG: Final = frozenset({"INVITE", "BYE", "INFO", "UPDATE", "PRACK", "OPTIONS", "REFER"})
TOLD: Final = (
    ("Allow", ", ".join(sorted(METHODS))),
    ("Accept", "application/sdp"),
    ("Accept-Encoding", "identity"),
    ("Accept-Language", "en"),
    ("Supported", ", ".join(sorted(SUPPORTED))),
)
"""What OPTIONS is answered with (RFC 3261 §11.2)."""
