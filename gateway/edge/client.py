"""Requests of the edge's own: OPTIONS and REGISTER to trunks (RFC 3261 §17.1.2)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

from twisted.internet.defer import Deferred

from gateway.calls.ports import Clock, DelayedCall
from gateway.edge.flows import Flow
from gateway.edge.wire import Wire
from gateway.errors import NoResponse
from gateway.sip.message import Request, Response
from gateway.sip.proxying import COOKIE
from gateway.values import Hop, HostPort

T1_S: Final = 0.5
T2_S: Final = 4.0
MAX_WAITING: Final = 1000


@dataclass(slots=True)
class _Waiting:
    flow: Flow
    data: bytes
    method: str
    answered: Deferred[Response]
    again: DelayedCall | None = None
    give_up: DelayedCall | None = None


class Client:
    """Non-INVITE client transactions.  Implements ``ports.SipClient``."""

    def __init__(self, wire: Wire, clock: Clock) -> None:
        self._wire = wire
        self._clock = clock
        self._waiting: dict[str, _Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def contact(self, user: str, hop: Hop) -> str:
        flow = self._wire.flows.find(hop.flow)
        return self._wire.contact(user, flow) if flow is not None else ""

    async def ask(self, request: Request, hop: Hop, give_up_s: float) -> Response:
        """Send, wait for the final response; ``NoResponse`` says why there is none.

        The request comes without a Via.
        """
        flow = self._wire.flows.find(hop.flow)
        if flow is None or len(self._waiting) >= MAX_WAITING:
            raise NoResponse(f"no way to {hop.address} by {hop.transport}")
        branch = f"c{secrets.token_hex(10)}"
        via = self._wire.outer_via(flow, f"{COOKIE}{branch}")
        ready = request.replaced(headers=request.headers.with_first("Via", str(via)))
        entry = _Waiting(flow, ready.to_bytes(), request.method, Deferred())
        self._waiting[branch] = entry
        entry.give_up = self._clock.callLater(
            give_up_s, lambda: self._fail(branch, f"silent for {give_up_s:g} s")
        )
        self._send(branch, entry, T1_S)
        try:
            return await entry.answered
        finally:
            self._forget(branch)

    def _send(self, branch: str, entry: _Waiting, wait_s: float) -> None:
        """Timer E: over UDP again and again until something is heard."""
        entry.again = None
        if not self._wire.send(entry.flow, entry.data):
            # on the next turn, so that nobody is told before it waits
            self._clock.callLater(0, lambda: self._fail(branch, "it cannot be sent"))
        elif entry.flow.transport == "udp":
            entry.again = self._clock.callLater(
                wait_s, lambda: self._send(branch, entry, min(2 * wait_s, T2_S))
            )

    def _forget(self, branch: str) -> None:
        entry = self._waiting.pop(branch, None)
        if entry is None:
            return
        for timer in (entry.again, entry.give_up):
            if timer is not None and timer.active():
                timer.cancel()

    def _fail(self, branch: str, why: str) -> None:
        entry = self._waiting.get(branch)
        if entry is not None and not entry.answered.called:
            problem = f"{entry.method} to {entry.flow.peer} by {entry.flow.transport}: {why}"
            entry.answered.errback(NoResponse(problem))

    # -- what the edge hears

    def response(self, response: Response, flow: Flow) -> bool:
        """Whether a response was ours; provisional ones are of no use."""
        branch = (response.top_via.branch or "").removeprefix(COOKIE)
        entry = self._waiting.get(branch)
        if entry is None or entry.flow.peer.host != flow.peer.host:
            return False
        if response.cseq.method != entry.method:
            return False
        if response.code >= 200 and not entry.answered.called:
            entry.answered.callback(response)
        return True

    def refused(self, address: HostPort) -> None:
        """ICMP says that nobody is there."""
        for branch, entry in tuple(self._waiting.items()):
            if entry.flow.transport == "udp" and entry.flow.peer == address:
                self._fail(branch, "refused")

    def flow_closed(self, flow: Flow) -> None:
        for branch, entry in tuple(self._waiting.items()):
            if entry.flow.name == flow.name:
                self._fail(branch, "the connection is closed")

    def stop(self) -> None:
        for branch in tuple(self._waiting):
            self._fail(branch, "the gateway is stopping")
