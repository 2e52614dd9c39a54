"""The interfaces to signatures of callers' numbers (RFC 8224); implemented by ``stir/``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from gateway.calls.ports import Refuse
from gateway.values import Attestation, Verification


class Attestor(Protocol):
    """Vouches for our callers (RFC 8224 §5); implemented by ``stir/``."""

    def sign(self, orig: str, dest: str, level: Attestation, now: float) -> str:
        """The value of an Identity header.

        ``orig`` and ``dest`` are telephone numbers or SIP URIs, as they stand in From (or
        P-Asserted-Identity) and To; ``SipSyntaxError`` for what is neither.
        """


class IdentityCheck(Protocol):
    """Whether a caller's number is vouched for (RFC 8224 §6); implemented by ``stir/``."""

    async def verify(
        self,
        identity: Sequence[str],
        orig: str,
        dest: str,
        now: float,
        date: float | None = None,
    ) -> Verification:
        """Judge the fields of a request's Identity header; never raises.

        ``orig`` and ``dest`` as in ``Attestor.sign``; ``date`` is that of the Date header, which
        the compact form needs.
        """

    def refusal(self, found: Verification) -> Refuse | None:
        """How the call is to be refused for it; ``None``: it goes on, marked."""


StirResult = Literal[
    "passed",
    "none",
    "stale_date",
    "bad_identity_info",
    "unsupported_credential",
    "invalid_identity_header",
]


class StirMeters(Protocol):
    def verified(self, result: StirResult) -> None: ...
    def signed(self, level: Attestation) -> None: ...
