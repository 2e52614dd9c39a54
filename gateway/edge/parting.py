"""What the edge says by itself in dialogs: for a worker that died, and to a second fork."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import structlog

from gateway.calls.ports import Clock, DelayedCall, Farewell
from gateway.edge.dialogs import Dialog, Dialogs, Phase, ack, bye, cancel, farewell
from gateway.edge.flows import Flow
from gateway.edge.transactions import LIFE_S, Outward, Table
from gateway.edge.wire import Wire, target_of
from gateway.sip.errors import SipSyntaxError
from gateway.sip.headers import parse_name_addr
from gateway.sip.message import Request, Response
from gateway.sip.parser import parse_datagram
from gateway.sip.proxying import COOKIE

log = structlog.get_logger()

T1_S = 0.5
T2_S = 4.0
GIVE_UP_S = 32.0


class Parting:
    """``flow_to(dialog, uri)`` says where a request within a dialog goes."""

    def __init__(
        self,
        wire: Wire,
        dialogs: Dialogs,
        table: Table[Outward],
        clock: Clock,
        flow_to: Callable[[Dialog, object], Flow],
    ) -> None:
        self._wire = wire
        self._dialogs = dialogs
        self._table = table
        self._clock = clock
        self._flow_to = flow_to
        self._waiting: set[DelayedCall] = set()
        self._forks: dict[str, float] = {}  # those that were hung up, each until it is forgotten

    # -- two answers

    def is_second(self, response: Response, entry: Outward) -> bool:
        """A 2xx of another fork than the one that the worker has (RFC 3261 §13.2.2.4)."""
        dialog = entry.dialog
        return (
            entry.method == "INVITE"
            and 200 <= response.code < 300
            and entry.final is not None
            and entry.final.code < 300
            and dialog is not None
            and not entry.by_edge
            and response.to.tag != entry.final.to.tag
        )

    def let_go(self, response: Response, entry: Outward) -> None:
        """Two answered: the second one is acknowledged, and hung up."""
        if entry.dialog is None:
            return
        name = f"{entry.dialog.token}/{response.to.tag}"
        other = replace(
            entry.dialog,
            token=name,
            remote_tag=response.to.tag,
            remote_target=target_of(response) or entry.dialog.remote_target,
            route_set=tuple(reversed([str(r) for r in response.record_routes])),
        )
        via = self._wire.outer_via(other.flow)
        self._wire.send(entry.flow, ack(other, response, via).to_bytes())
        if name not in self._forks:
            self._forks[name] = self._wire.now() + LIFE_S
            log.info("second_answer", call_id=other.call_id, leg=other.leg)
            self._say(bye(other, via, cause="200", text="Call completed elsewhere"), other)

    # -- in place of a worker that died

    def last_word(self, dialog: Dialog) -> Farewell | None:
        """What ends the dialog in its present phase, to where it has to go."""
        word = farewell(dialog, self._wire.outer_via(dialog.flow), self._wire.outer)
        if word is None or dialog.phase is not Phase.CONFIRMED:
            return word
        return replace(word, destination=self._target_flow(dialog).peer)

    def _target_flow(self, dialog: Dialog) -> Flow:
        """Where a request of the edge's own goes within a confirmed dialog."""
        first = dialog.route_set[0] if dialog.route_set else f"<{dialog.remote_target}>"
        try:
            return self._flow_to(dialog, parse_name_addr(first).uri)
        except SipSyntaxError:
            return dialog.flow

    def worker_gone(self, dialog: Dialog) -> None:
        """End the dialog properly: BYE or CANCEL, repeated until it is answered."""
        confirmed = dialog.phase is Phase.CONFIRMED
        if not confirmed:  # what the INVITE is answered with is for the edge now
            for entry in self._table.values():
                if entry.dialog is dialog:
                    entry.worker = None
        last = self.last_word(dialog)
        if last is None:
            self._dialogs.remove(dialog)
            return
        message = parse_datagram(last.payload)
        log.info("farewell", call_id=dialog.call_id, leg=dialog.leg, phase=str(dialog.phase))
        if confirmed:
            dialog.phase = Phase.ENDING
            self._dialogs.remove(dialog)
        if isinstance(message, Request):
            self._say(message, dialog)

    def _say(self, message: Request, dialog: Dialog) -> None:
        branch = (message.top_via.branch or "").removeprefix(COOKIE)
        entry = self._table.get(branch)
        if entry is None:
            flow = self._target_flow(dialog)
            entry = Outward(message.method, None, (), flow, message, dialog)
            self._table.put(branch, entry, self._wire.now() + LIFE_S)
        self._repeat(entry, message, T1_S, self._wire.now() + GIVE_UP_S)

    def _repeat(self, entry: Outward, message: Request, wait_s: float, until: float) -> None:
        """RFC 3261 §17.1.2.2, timers E and F."""
        if entry.final is not None or self._wire.now() >= until:
            return
        if self._wire.send(entry.flow, message.to_bytes()) and entry.flow.transport == "udp":
            longer_s = min(2 * wait_s, T2_S)
            self.later(wait_s, lambda: self._repeat(entry, message, longer_s, until))

    def later(self, wait_s: float, act: Callable[[], None]) -> None:
        def due() -> None:
            self._waiting.discard(call)
            act()

        call = self._clock.callLater(wait_s, due)
        self._waiting.add(call)

    def for_nobody(self, response: Response, entry: Outward) -> None:
        """An answer to the INVITE of a worker that died, or was told that none would come.

        Acknowledged, and ended if it was a yes; cancelled while it is none yet (§9.1).
        """
        dialog = entry.dialog
        if dialog is None or entry.method != "INVITE":
            return
        if response.code < 200:
            if entry.by_edge and not entry.cancelled:
                entry.cancelled = True
                self._wire.send(entry.flow, cancel(dialog.invite).to_bytes())
            return
        via = self._wire.outer_via(dialog.flow)
        self._wire.send(entry.flow, ack(dialog, response, via).to_bytes())
        if response.code < 300 and dialog.phase is not Phase.ENDING:
            dialog.phase = Phase.ENDING
            self._say(bye(dialog, via), dialog)
        self._dialogs.remove(dialog)

    # -- the rest

    def sweep(self) -> None:
        now = self._wire.now()
        self._forks = {name: until for name, until in self._forks.items() if until > now}

    def stop(self) -> None:
        for call in self._waiting:
            call.cancel()
        self._waiting.clear()
