"""The pass that one call travels by, from its connecting to its end."""

from __future__ import annotations

from typing import Final

from gateway.calls.pass_ports import Passes
from gateway.values import CallId, Reason

FAILURES: Final = frozenset({Reason.MEDIA_FAILED, Reason.NETWORK_LOST, Reason.GATEWAY_ERROR})


class Fare:
    """``pass_`` ``None``: nothing to pay."""

    def __init__(
        self, passes: Passes | None, pass_: str | None, call: CallId, refund_s: float
    ) -> None:
        self._passes = passes
        self._pass = pass_
        self._call = call
        self._refund_s = refund_s
        self._spent = False

    async def paid(self, now: float) -> bool:
        """``False``: another call has used it up meanwhile, and this one must not connect."""
        if self._passes is None or self._pass is None or self._spent:
            return True
        self._spent = await self._passes.spend(self._pass, self._call, now)
        return self._spent

    async def settle(self, talk_s: float, reason: Reason) -> None:
        """What failed at once, or never came to talk, costs nothing."""
        if self._passes is None or self._pass is None or not self._spent:
            return
        self._spent = False
        refund = talk_s == 0 or (reason in FAILURES and talk_s < self._refund_s)
        await self._passes.settle(self._pass, self._call, talk_s, refund=refund)
