"""From the workers to the outside: their requests, and the outside's responses to them."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import replace

import structlog

from gateway.calls.ports import Clock
from gateway.edge.dialogs import (
    Dialog,
    Dialogs,
    Phase,
    Role,
    new_token,
    outlived,
)
from gateway.edge.flows import Flow, direct, stream_flow_name
from gateway.edge.parting import Parting
from gateway.edge.passages import Passage, pass_on
from gateway.edge.registrar import Registrar
from gateway.edge.transactions import INVITE_LIFE_S, LIFE_S, Outward, Table
from gateway.edge.wire import (
    FLOW,
    LEG,
    OFFERS,
    PATIENCE,
    REMOVE,
    SOURCE,
    Wire,
    target_of,
    unmarked,
    with_contact,
    without_hazard,
)
from gateway.errors import GatewayError
from gateway.sip.errors import SipSyntaxError
from gateway.sip.message import Headers, Request, Response, response_to
from gateway.sip.proxying import COOKIE, decremented, follow_routes, pop_route, with_vias
from gateway.sip.uri import SipUri, parse_uri
from gateway.values import HostPort

log = structlog.get_logger()

FLOW_FAILED = 430
"""RFC 5626 §11.5: a proxy further on has lost the flow."""
WITHOUT_TCP_S = 600.0
"""How long a peer that refused TCP is sent large requests by UDP at once."""


class OutwardPath:
    def __init__(
        self,
        wire: Wire,
        dialogs: Dialogs,
        key: bytes,
        clock: Clock,
        registrar: Registrar,
        is_worker: Callable[[HostPort], bool],
        passage: Callable[[str], Passage | None],
        udp_bytes: int,
    ) -> None:
        self._wire = wire
        self._dialogs = dialogs
        self._key = key
        self._registrar = registrar
        self._is_worker = is_worker
        self._passage = passage
        self._udp_bytes = udp_bytes
        self._without_tcp: Table[str] = Table(1000)
        self._table: Table[Outward] = Table(50_000)
        self._parting = Parting(wire, dialogs, self._table, clock, self._flow_to)
        self.last_word = self._parting.last_word
        self.worker_gone = self._parting.worker_gone

    # -- requests of workers

    def request(self, request: Request, worker: HostPort) -> None:
        branch = self._branch(request, worker)
        known = self._table.get(branch)
        if request.method in ("ACK", "CANCEL") and known is not None:
            self._follow(request, known, branch)
            return
        if known is not None:
            # a retransmission over loopback; a stream has delivered the first
            if known.flow.transport == "udp" and known.final is None and known.sent:
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
            passage=self._passage(request.headers.get(LEG) or ""),
        )
        routed = _without_removed(self._unrouted(request))
        path = self._path(request, flow)
        if path:
            routed = routed.replaced(headers=routed.headers.replaced("Route", *path))
        ready = self._outwards(routed, dialog, branch, flow)
        dialog.invite = ready
        self._dialogs.add(dialog)
        self._begin(request, ready, branch, dialog, flow)
        patience_s = request.headers.get(PATIENCE)
        if patience_s:
            self._parting.later(float(patience_s), lambda: self._silent(branch))

    def _silent(self, branch: str) -> None:
        """Nothing was heard of an INVITE: what may still come is for the edge to end."""
        entry = self._table.get(branch)
        if entry is None or entry.heard or entry.by_edge or entry.worker is None:
            return
        self._give_up(branch, entry, 408, "Nothing heard")

    def _give_up(self, branch: str, entry: Outward, code: int, why: str) -> None:
        """Answer for the far end, and expect no more of it."""
        log.info("no_answer_from", peer=str(entry.flow.peer), method=entry.method, why=why)
        entry.by_edge = True
        original = entry.request.replaced(headers=with_vias(entry.request.headers, entry.vias))
        self._refuse(entry, original, code)
        if entry.method == "INVITE":
            entry.worker = None

    def refused(self, address: HostPort) -> None:
        """ICMP says that nobody is at this UDP address (RFC 3261 §18.4)."""
        for branch, entry in self._table.items():
            udp = entry.flow.transport == "udp" and entry.flow.peer == address
            if udp and not entry.heard and not entry.by_edge and entry.worker is not None:
                self._give_up(branch, entry, 503, "refused")

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
        return self._registrar.path_of(_user(request), flow.name)

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
        ready = self._outwards(hop.request, dialog, branch, dialog.flow)
        if request.method == "ACK":
            pass_on(
                dialog.passage,
                ready,
                offer=False,
                from_worker=True,
                go=lambda ack: self._wire.send_if_open(flow, ack.to_bytes()),
                broke=lambda _: None,
            )
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

        def go(passed: Request) -> None:
            if entry.by_edge:
                return  # given up while its offer was on the way
            entry.request, entry.sent = passed, True
            if request.method == "INVITE" and dialog.phase is Phase.EARLY:
                dialog.invite = passed
            self._by_size(entry)
            if not self._wire.send(entry.flow, entry.request.to_bytes()):
                entry.by_edge = True
                self._refuse(entry, request)

        def broke(error: GatewayError) -> None:
            entry.by_edge = True
            self._refuse(entry, request, error.sip_code)

        pass_on(
            dialog.passage,
            ready,
            offer=request.method in ("INVITE", "UPDATE"),
            from_worker=True,
            go=go,
            broke=broke,
        )

    def _by_size(self, entry: Outward) -> None:
        """What is too large for a datagram goes over TCP (RFC 3261 §18.1.1).

        Not to a phone that has registered over UDP: that flow is the way to it (RFC 5626 §5.3).
        """
        flow, request = entry.flow, entry.request
        if flow.is_stream or len(request.to_bytes()) <= self._udp_bytes:
            return
        if self._without_tcp.get(str(flow.peer)) is not None or self._registered(request, flow):
            return
        stream = self._wire.flows.find(stream_flow_name(flow.peer))
        if stream is None:
            return
        entry.datagram, entry.flow = (flow, request), stream
        via = self._wire.outer_via(stream, request.top_via.branch)
        entry.request = request.replaced(headers=with_vias(request.headers, (via,)))

    def _registered(self, request: Request, flow: Flow) -> bool:
        parties = (request.to.uri, request.from_.uri)
        users = [uri.user for uri in parties if isinstance(uri, SipUri) and uri.user]
        return any(self._registrar.is_at(user, flow) for user in users)

    def _as_datagram(self, entry: Outward) -> bool:
        """Back to UDP, where TCP was refused; ``False``: that was not what it went by."""
        if entry.datagram is None or entry.heard:
            return False
        (entry.flow, entry.request), entry.datagram = entry.datagram, None
        peer = str(entry.flow.peer)
        self._without_tcp.put(peer, peer, self._wire.now() + WITHOUT_TCP_S)
        return self._wire.send(entry.flow, entry.request.to_bytes())

    def _refuse(self, entry: Outward, request: Request, code: int = 503) -> None:
        """The connection is gone: 503 (RFC 3261 §8.1.3.1)."""
        if entry.worker is None or entry.dialog is None:
            return
        entry.final = response_to(request, code, to_tag=new_token())
        self._wire.to_worker(entry.worker, entry.final.to_bytes())
        if (
            entry.method == "INVITE" and entry.dialog.phase is Phase.EARLY
        ) or entry.method == "BYE":
            self._dialogs.remove(entry.dialog)

    def _follow(self, request: Request, known: Outward, branch: str) -> None:
        """The CANCEL or the ACK that belongs to an INVITE that is known."""
        if known.by_edge or known.dialog is None:
            return
        if not known.sent:  # its offer is still on the way to the other side
            if request.method == "CANCEL" and known.worker is not None:
                self._back(request, known.worker, 200)
                self._give_up(branch, known, 487, "cancelled before it was sent")
            return
        ready = self._outwards(self._unrouted(request), known.dialog, branch, known.flow)
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

    def _outwards(self, request: Request, dialog: Dialog, branch: str, flow: Flow) -> Request:
        """As the outside is to see it: nothing of the loopback side is left."""
        via = self._wire.outer_via(flow, f"{COOKIE}{branch}")
        headers = with_vias(unmarked(request.headers), (via,))
        headers = with_contact(headers, self._wire.contact(dialog.token, dialog.flow))
        return decremented(request.replaced(headers=headers))

    def _flow_to(self, dialog: Dialog, uri: object) -> Flow:
        """Where an in-dialog request goes: to the host that the dialog came from, and no other.

        A Contact or Route may name another port of it; another host is NAT, or an attempt to
        have us send where the sender could not.
        """
        flow = dialog.flow
        if flow.is_stream or not isinstance(uri, SipUri) or uri.host != flow.peer.host:
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
        if self._parting.is_second(response, entry):
            self._parting.let_go(response, entry)
            return
        self._note(response, entry, branch)
        if entry.worker is None:
            self._parting.for_nobody(response, entry)
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
        worker = entry.worker
        pass_on(
            entry.dialog.passage if entry.dialog is not None else None,
            response.replaced(headers=headers, body=body),
            offer=not entry.request.body,
            from_worker=False,
            go=lambda ready: self._wire.to_worker(worker, ready.to_bytes()),
            broke=lambda _: self._wire.to_worker(worker, _bare(response, headers)),
        )

    def _note(self, response: Response, entry: Outward, branch: str) -> None:
        dialog, code = entry.dialog, response.code
        entry.heard = True
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
            if code == FLOW_FAILED:
                self._registrar.flow_failed(_user(entry.request), entry.flow)
            if entry.worker is not None:
                self._dialogs.remove(dialog)
        elif entry.method == "BYE" and code >= 200:
            self._dialogs.remove(dialog)

    # -- the rest

    def flow_closed(self, flow: Flow) -> None:
        """What waits for an answer over this connection will not get one."""
        for entry in tuple(self._table.values()):
            if entry.flow.name == flow.name and entry.final is None and not entry.by_edge:
                if self._as_datagram(entry):
                    continue
                entry.by_edge = True
                original = entry.request.replaced(
                    headers=with_vias(entry.request.headers, entry.vias)
                )
                self._refuse(entry, original)

    def sweep(self) -> None:
        self._parting.sweep()
        self._without_tcp.sweep(self._wire.now())
        for entry in self._table.sweep(self._wire.now()):
            if entry.dialog is not None and outlived(entry.dialog, entry.method):
                self._dialogs.remove(entry.dialog)

    def stop(self) -> None:
        self._parting.stop()

    def __len__(self) -> int:
        return len(self._table)


def _user(request: Request) -> str:
    """Whom it is for, where that is an account."""
    to = request.to.uri
    return (to.user or "") if isinstance(to, SipUri) else ""


def _without_removed(request: Request) -> Request:
    """Without the headers that its trunk does not want."""
    headers = request.headers
    for names in headers.fields(REMOVE):
        for name in names.split(","):
            headers = headers.without(name.strip())
    return request.replaced(headers=headers)


def _bare(response: Response, headers: Headers) -> bytes:
    """Without its SDP, which the worker then misses, and says so to the far end."""
    return response.replaced(headers=headers.without("Content-Type"), body=b"").to_bytes()
