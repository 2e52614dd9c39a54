"""From the workers to the outside: their requests, and the outside's responses to them."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import replace

import structlog

from gateway.calls.ports import Clock, DelayedCall, Farewell
from gateway.edge.dialogs import (
    Dialog,
    Dialogs,
    Phase,
    Role,
    ack,
    bye,
    farewell,
    new_token,
    outlived,
)
from gateway.edge.flows import Flow, direct
from gateway.edge.registrar import Registrar
from gateway.edge.transactions import INVITE_LIFE_S, LIFE_S, Outward, Table
from gateway.edge.wire import (
    FLOW,
    LEG,
    OFFERS,
    SOURCE,
    Wire,
    target_of,
    unmarked,
    with_contact,
    without_hazard,
)
from gateway.sip.errors import SipSyntaxError
from gateway.sip.headers import parse_name_addr
from gateway.sip.message import Request, Response, response_to
from gateway.sip.parser import parse_datagram
from gateway.sip.proxying import COOKIE, decremented, follow_routes, pop_route, with_vias
from gateway.sip.uri import SipUri, parse_uri
from gateway.values import HostPort

log = structlog.get_logger()

T1_S = 0.5
T2_S = 4.0
GIVE_UP_S = 32.0


class OutwardPath:
    def __init__(
        self,
        wire: Wire,
        dialogs: Dialogs,
        key: bytes,
        clock: Clock,
        registrar: Registrar,
        is_worker: Callable[[HostPort], bool],
    ) -> None:
        self._wire = wire
        self._dialogs = dialogs
        self._key = key
        self._clock = clock
        self._registrar = registrar
        self._waiting: set[DelayedCall] = set()
        self._is_worker = is_worker
        self._table: Table[Outward] = Table(50_000)

    # -- requests of workers

    def request(self, request: Request, worker: HostPort) -> None:
        branch = self._branch(request, worker)
        known = self._table.get(branch)
        if request.method in ("ACK", "CANCEL") and known is not None:
            self._follow(request, known, branch)
            return
        if known is not None:
            # a retransmission over loopback; a stream has delivered the first
            if known.flow.transport == "udp" and known.final is None:
                self._wire.send(known.flow, known.request.to_bytes())
            return
        if request.method == "CANCEL":
            self._back(request, worker, 481)
            return
        if request.to.tag is not None:
            self._in_dialog(request, worker, branch)
        elif request.method == "INVITE":
            self._invite(request, worker, branch)
        else:
            self._back(request, worker, 481)

    def _branch(self, request: Request, worker: HostPort) -> str:
        """One a transaction, the same for its CANCEL and its ACK; not to be guessed."""
        text = f"{worker}\0{request.top_via.branch or ''}"
        return hmac.digest(self._key, text.encode("utf-8", "surrogateescape"), "sha256").hex()[:24]

    def _back(self, request: Request, worker: HostPort, code: int) -> None:
        """A response of the edge's own to a worker."""
        if request.method != "ACK":
            response = response_to(request, code, to_tag=new_token())
            self._wire.to_worker(worker, response.to_bytes())

    def _invite(self, request: Request, worker: HostPort, branch: str) -> None:
        flow = self._first_flow(request)
        if isinstance(flow, int):
            self._back(request, worker, flow)
            return
        if self._dialogs.full:
            self._back(request, worker, 503)
            return
        token = new_token()
        dialog = Dialog(
            role=Role.UAC,
            worker=worker,
            leg=request.headers.get(LEG) or "",
            call_id=request.call_id,
            token=token,
            flow=flow,
            invite=request,
            local_tag=request.from_.tag,
            remote_tag=None,
            remote_target=request.uri,
            created_at=self._wire.now(),
            local_contact=target_of(request) or "",
            local_cseq=request.cseq.number,
        )
        routed = self._unrouted(request)
        path = self._path(request, flow)
        if path:
            routed = routed.replaced(headers=routed.headers.replaced("Route", *path))
        ready = self._outwards(routed, dialog, branch)
        dialog.invite = ready
        self._dialogs.add(dialog)
        self._begin(request, ready, branch, dialog, flow)

    def _first_flow(self, request: Request) -> Flow | int:
        """Where an INVITE goes: the flow its worker names, or else its Request-URI.

        Otherwise the status that refuses it.
        """
        name = request.headers.get(FLOW)
        if name:
            return self._wire.flows.find(name) or 503  # the connection is gone
        uri = parse_uri(request.uri)
        if not isinstance(uri, SipUri) or uri.scheme != "sip":
            return 416
        return direct(uri)

    def _path(self, request: Request, flow: Flow) -> tuple[str, ...]:
        """The proxies that the callee's registration named (RFC 3327 §5.3)."""
        to = request.to.uri
        user = to.user if isinstance(to, SipUri) else None
        return self._registrar.path_of(user, flow.name) if user else ()

    def _in_dialog(self, request: Request, worker: HostPort, branch: str) -> None:
        dialog = self._dialogs.by_local(request.call_id, request.from_.tag or "")
        if dialog is None or dialog.worker != worker:
            self._back(request, worker, 481)
            return
        dialog.local_cseq = max(dialog.local_cseq, request.cseq.number)
        try:
            hop = follow_routes(self._unrouted(request))
        except SipSyntaxError:
            self._back(request, worker, 400)
            return
        flow = self._flow_to(dialog, hop.uri)
        ready = self._outwards(hop.request, dialog, branch)
        if request.method == "ACK":
            self._wire.send(flow, ready.to_bytes())
            return
        if request.method in ("INVITE", "UPDATE"):
            dialog.local_contact = target_of(request) or dialog.local_contact
        self._dialogs.touched(dialog)
        self._begin(request, ready, branch, dialog, flow)

    def _begin(
        self, request: Request, ready: Request, branch: str, dialog: Dialog, flow: Flow
    ) -> None:
        entry = Outward(request.method, dialog.worker, request.vias, flow, ready, dialog)
        # until something is heard of it: then as long as it may ring
        self._table.put(branch, entry, self._wire.now() + LIFE_S)
        if not self._wire.send(flow, ready.to_bytes()):
            entry.by_edge = True
            self._refuse(entry, request)

    def _refuse(self, entry: Outward, request: Request) -> None:
        """The connection is gone: 503 (RFC 3261 §8.1.3.1)."""
        if entry.worker is None or entry.dialog is None:
            return
        entry.final = response_to(request, 503, to_tag=new_token())
        self._wire.to_worker(entry.worker, entry.final.to_bytes())
        if (
            entry.method == "INVITE" and entry.dialog.phase is Phase.EARLY
        ) or entry.method == "BYE":
            self._dialogs.remove(entry.dialog)

    def _follow(self, request: Request, known: Outward, branch: str) -> None:
        """The CANCEL or the ACK that belongs to an INVITE that is known."""
        if known.by_edge or known.dialog is None:
            return
        ready = self._outwards(self._unrouted(request), known.dialog, branch)
        if request.method == "CANCEL":
            # its response goes to the worker by the CANCEL's own Via, which is the INVITE's
            ready = ready.replaced(uri=known.request.uri)
            self._table.keep_until(branch, self._wire.now() + LIFE_S)
        self._wire.send(known.flow, ready.to_bytes())

    def _unrouted(self, request: Request) -> Request:
        """Without the Route that led here."""
        if request.routes and self._wire.is_us(request.routes[0].uri):
            return pop_route(request)
        return request

    def _outwards(self, request: Request, dialog: Dialog, branch: str) -> Request:
        """As the outside is to see it: nothing of the loopback side is left."""
        via = self._wire.outer_via(dialog.flow, f"{COOKIE}{branch}")
        headers = with_vias(unmarked(request.headers), (via,))
        headers = with_contact(headers, self._wire.contact(dialog.token, dialog.flow))
        return decremented(request.replaced(headers=headers))

    def _flow_to(self, dialog: Dialog, uri: object) -> Flow:
        """Where an in-dialog request goes: to the host that the dialog came from, and no other.

        A Contact or Route may name another port of it; another host is NAT, or an attempt to
        have us send where the sender could not.
        """
        flow = dialog.flow
        if flow.transport == "tcp" or not isinstance(uri, SipUri) or uri.host != flow.peer.host:
            return flow
        peer = HostPort(uri.host, uri.port or 5060)
        if self._is_worker(peer) or peer in (self._wire.inner, self._wire.outer):
            return flow
        return replace(flow, name=f"udp:{peer}", peer=peer)

    # -- responses from outside

    def response(self, response: Response, flow: Flow) -> None:
        branch = (response.top_via.branch or "").removeprefix(COOKIE)
        entry = self._table.get(branch)
        if entry is None or entry.flow.peer.host != flow.peer.host:
            self._wire.meters.dropped("stray_response")
            return
        if response.cseq.method == "CANCEL":
            if entry.worker is not None:
                self._to_worker(response, entry)
            return
        self._note(response, entry, branch)
        if entry.worker is None:
            self._for_nobody(response, entry)
            return
        self._to_worker(response, entry)

    def _to_worker(self, response: Response, entry: Outward) -> None:
        if entry.worker is None:
            return
        headers = with_vias(unmarked(response.headers), entry.vias)
        forms_dialog = entry.method == "INVITE" and 100 < response.code < 300
        if forms_dialog:
            # last, so that the reversed route set of the worker begins with it (§12.1.2)
            headers = headers.with_last("Record-Route", self._wire.inner_route)
        if entry.method in OFFERS:
            headers = headers.with_last(SOURCE, entry.flow.peer.host)
        headers, body = without_hazard(headers, response.body)
        ready = response.replaced(headers=headers, body=body)
        self._wire.to_worker(entry.worker, ready.to_bytes())

    def _note(self, response: Response, entry: Outward, branch: str) -> None:
        dialog, code = entry.dialog, response.code
        if code >= 200:
            entry.final = response
        life = INVITE_LIFE_S if entry.method == "INVITE" and code < 200 else LIFE_S
        self._table.keep_until(branch, self._wire.now() + life)
        if dialog is None:
            return
        if entry.method == "INVITE" and 100 < code < 300:
            if response.to.tag is not None and dialog.phase is Phase.EARLY:
                dialog.remote_tag = response.to.tag
                dialog.route_set = tuple(reversed([str(r) for r in response.record_routes]))
            dialog.remote_target = target_of(response) or dialog.remote_target
            if code >= 200 and dialog.phase is Phase.EARLY:
                dialog.phase = Phase.CONFIRMED
            self._dialogs.touched(dialog)
        elif entry.method == "INVITE" and code >= 300 and dialog.phase is Phase.EARLY:
            if entry.worker is not None:
                self._dialogs.remove(dialog)
        elif entry.method == "BYE" and code >= 200:
            self._dialogs.remove(dialog)

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
            self._later(wait_s, entry, message, until)

    def _later(self, wait_s: float, entry: Outward, message: Request, until: float) -> None:
        def again() -> None:
            self._waiting.discard(call)
            self._repeat(entry, message, min(2 * wait_s, T2_S), until)

        call = self._clock.callLater(wait_s, again)
        self._waiting.add(call)

    def _for_nobody(self, response: Response, entry: Outward) -> None:
        """An answer to the INVITE of a dead worker: acknowledged, and ended if it was a yes."""
        dialog = entry.dialog
        if dialog is None or entry.method != "INVITE" or response.code < 200:
            return
        via = self._wire.outer_via(dialog.flow)
        self._wire.send(entry.flow, ack(dialog, response, via).to_bytes())
        if response.code < 300 and dialog.phase is not Phase.ENDING:
            dialog.phase = Phase.ENDING
            self._say(bye(dialog, via), dialog)
        self._dialogs.remove(dialog)

    # -- the rest

    def flow_closed(self, flow: Flow) -> None:
        """What waits for an answer over this connection will not get one."""
        for entry in self._table.values():
            if entry.flow.name == flow.name and entry.final is None and not entry.by_edge:
                entry.by_edge = True
                original = entry.request.replaced(
                    headers=with_vias(entry.request.headers, entry.vias)
                )
                self._refuse(entry, original)

    def sweep(self) -> None:
        for entry in self._table.sweep(self._wire.now()):
            if entry.dialog is not None and outlived(entry.dialog, entry.method):
                self._dialogs.remove(entry.dialog)

    def stop(self) -> None:
        for call in self._waiting:
            call.cancel()
        self._waiting.clear()

    def __len__(self) -> int:
        return len(self._table)
