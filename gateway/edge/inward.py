"""From outside to the workers: requests that come in, and the workers' responses to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from gateway.calls.ports import Forward, IncomingCalls, Refuse
from gateway.edge.abilities import IN_DIALOG, METHODS, SUPPORTED, TOLD
from gateway.edge.admission import Admission, Admitted, Challenge
from gateway.edge.dialogs import Dialog, Dialogs, Phase, Role, cancel, new_token, outlived
from gateway.edge.flows import Flow
from gateway.edge.info import as_relay
from gateway.edge.invites import read_invite
from gateway.edge.passages import Passage, pass_on
from gateway.edge.referrals import read_referral, replacing
from gateway.edge.registrar import Registrar
from gateway.edge.transactions import INVITE_LIFE_S, LIFE_S, Inward, Table
from gateway.edge.wire import LEG, OFFERS, SOURCE, Wire, target_of
from gateway.errors import BadAddress, GatewayError
from gateway.sip.errors import SipSyntaxError
from gateway.sip.headers import Via, is_sip
from gateway.sip.message import Request, Response, response_to
from gateway.sip.parser import parse_datagram
from gateway.sip.proxying import (
    COOKIE,
    add_received,
    has_been_here,
    loop_key,
    refusal,
)
from gateway.sip.uri import SipUri, parse_uri
from gateway.values import HostPort, LegId

log = structlog.get_logger()


class InwardPath:
    """``calls`` decides on INVITEs; everything else is decided here."""

    calls: IncomingCalls

    def __init__(
        self,
        wire: Wire,
        dialogs: Dialogs,
        admission: Admission,
        registrar: Registrar,
        key: bytes,
        is_worker: Callable[[HostPort], bool],
        passage: Callable[[str], Passage | None],
    ) -> None:
        self._wire = wire
        self._dialogs = dialogs
        self._admission = admission
        self._registrar = registrar
        self._key = key
        self._is_worker = is_worker
        self._passage = passage
        self._table: Table[Inward] = Table(50_000)
        self._deciding: dict[tuple[str, int, str], str] = {}
        self.draining = False

    # -- requests from outside

    def request(self, request: Request, flow: Flow) -> None:
        """One request that was parsed; raises ``SipSyntaxError`` for broken typed headers."""
        wire = self._wire
        wire.meters.request(request.method)
        here = has_been_here(request, wire.public.host, wire.public.port)
        request = add_received(request, flow.peer.host, flow.peer.port)
        flow = self._way_back(flow, request.top_via)
        key = loop_key(request, self._key)
        if request.method == "ACK":
            self._ack(request, key)
            return
        known = self._table.get(key)
        if request.method == "CANCEL":
            self._cancel(request, key, known, flow)
            return
        if known is not None and known.request.method == request.method:
            self._again(known)
            return
        wrong = refusal(request, METHODS, SUPPORTED)
        if wrong is None and here:
            self._answer(request, flow, 482, "Loop Detected")
            return
        if wrong is not None:
            self._answer(request, flow, wrong.code, wrong.reason, wrong.headers)
            return
        if request.to.tag is not None and request.method in IN_DIALOG:
            self._in_dialog(request, key, flow)
        elif request.method == "REGISTER":
            self._register(request, key, flow)
        elif request.method == "OPTIONS":
            self._options(request, flow)
        elif request.method == "INVITE":
            self._invite(request, key, flow)
        else:
            self._answer(request, flow, 481)

    def _answer(
        self,
        request: Request,
        flow: Flow,
        code: int,
        reason: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Response:
        response = response_to(request, code, reason, to_tag=self._tag(request), headers=headers)
        self._wire.respond(flow, response)
        return response

    def _tag(self, request: Request) -> str:
        """The same for retransmissions, though nothing is remembered (RFC 3261 §8.2.7)."""
        return "e" + loop_key(request, self._key)[:16]

    def _again(self, known: Inward) -> None:
        """A retransmission: what was said is said again."""
        if known.final is not None:
            self._wire.respond(known.flow, known.final)
            return
        if known.request.method == "INVITE":
            self._trying(known)
        if known.worker is not None:
            self._wire.to_worker(known.worker, known.forwarded)

    def _trying(self, entry: Inward) -> None:
        self._wire.respond(entry.flow, response_to(entry.request, 100))

    def _options(self, request: Request, flow: Flow) -> None:
        uri = parse_uri(request.uri)
        if not self._wire.is_us(uri):
            self._answer(request, flow, 404)
            return
        self._answer(request, flow, 200, headers=TOLD)

    def _register(self, request: Request, key: str, flow: Flow) -> None:
        if not self._wire.is_us(parse_uri(request.uri)):
            self._answer(request, flow, 403, "Not a registrar for this domain")
            return
        verdict = self._admission.of_registration(request)
        if isinstance(verdict, Challenge):
            self._answer(request, flow, verdict.code, headers=verdict.headers)
        elif isinstance(verdict, Admitted) and verdict.account is not None:
            tag = self._tag(request)
            response = self._registrar.register(verdict.account, request, flow, tag)
            entry = Inward(request, flow, final=response, by_edge=True)
            self._table.put(key, entry, self._wire.now() + LIFE_S)
            self._wire.respond(flow, response)
        elif not isinstance(verdict, Admitted):
            self._wire.meters.dropped("denied")
            self._answer(request, flow, verdict.code, verdict.text)

    # -- INVITEs that begin a call

    def _invite(self, request: Request, key: str, flow: Flow) -> None:
        wire = self._wire
        merged = (request.call_id, request.cseq.number, request.from_.tag or "")
        if merged in self._deciding:
            self._answer(request, flow, 482, "Loop Detected")
            return
        verdict = self._admission.of_call(request, flow)
        uri = parse_uri(request.uri)
        if isinstance(verdict, Challenge) and not wire.is_us(uri):
            # a stranger asks for a domain that is not ours: there is nothing to sign in for
            wire.meters.dropped("relay")
            self._answer(request, flow, 403)
            return
        if isinstance(verdict, Challenge):
            self._answer(request, flow, verdict.code, headers=verdict.headers)
            return
        if not isinstance(verdict, Admitted):
            wire.meters.dropped("denied")
            self._answer(request, flow, verdict.code, verdict.text)
            return
        if self._dialogs.full or self.draining:
            self._answer(request, flow, 503, headers=(("Retry-After", "30"),))
            return
        refused = replacing(request, self._dialogs)
        if refused is not None:
            self._answer(request, flow, refused)
            return
        try:
            invite = read_invite(request, flow, verdict, self._wire, self._registrar)
        except (BadAddress, SipSyntaxError) as e:
            self._answer(request, flow, 404 if isinstance(e, BadAddress) else 400)
            return
        entry = Inward(request, flow)
        self._table.put(key, entry, wire.now() + INVITE_LIFE_S)
        self._deciding[merged] = key
        self._trying(entry)
        entry.deciding = Deferred.fromCoroutine(self.calls.incoming(invite))
        entry.deciding.addBoth(partial(self._decided, entry, key, merged))

    def _decided(
        self,
        entry: Inward,
        key: str,
        merged: tuple[str, int, str],
        result: Forward | Refuse | Failure,
    ) -> None:
        entry.deciding = None
        self._deciding.pop(merged, None)
        if isinstance(result, Failure):
            if isinstance(result.value, CancelledError):
                result = Refuse(487, "Request Terminated")
            elif isinstance(result.value, GatewayError):
                result = Refuse(result.value.sip_code)
            else:
                log.error("invite_broke", traceback=result.getTraceback())
                result = Refuse(500)
        if isinstance(result, Refuse):
            after = result.retry_after_s
            headers = () if after is None else (("Retry-After", str(after)),)
            self._final(entry, key, result.code, result.text or None, headers)
            return
        if not self._is_worker(result.worker):
            self._final(entry, key, 500)
            return
        self._forward_invite(entry, key, result)

    def _final(
        self,
        entry: Inward,
        key: str,
        code: int,
        reason: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        entry.by_edge = True
        entry.final = self._answer(entry.request, entry.flow, code, reason, headers)
        self._table.keep_until(key, self._wire.now() + LIFE_S)

    def _forward_invite(self, entry: Inward, key: str, to: Forward) -> None:
        request = entry.request
        dialog = Dialog(
            role=Role.UAS,
            worker=to.worker,
            leg=to.leg,
            call_id=request.call_id,
            token=new_token(),
            flow=entry.flow,
            invite=request,
            local_tag=None,
            remote_tag=request.from_.tag or "",
            remote_target=target_of(request) or "",
            created_at=self._wire.now(),
            route_set=tuple(map(str, request.record_routes)),
            remote_cseq=request.cseq.number,
            passage=self._passage(to.leg),
        )
        entry.dialog = dialog
        self._dialogs.add(dialog)
        uri = parse_uri(request.uri)
        user = uri.user if isinstance(uri, SipUri) else None
        local = SipUri("sip", user, None, to.worker.host, to.worker.port)
        if to.offer is not None:
            request = request.replaced(body=to.offer)
        forwarded = self._wire.towards_worker(request, key, str(local))
        headers = forwarded.headers.with_first("Record-Route", self._wire.inner_route)
        self._send(entry, to.worker, forwarded.replaced(headers=headers.with_last(LEG, to.leg)))
        if entry.given_up:  # the decision and the CANCEL crossed
            self._take_back(entry)

    def _take_back(self, entry: Inward) -> None:
        """CANCEL towards the worker, of the edge's own: nobody is there to be answered."""
        invite = parse_datagram(entry.forwarded)
        if entry.worker is not None and isinstance(invite, Request):
            self._wire.to_worker(entry.worker, cancel(invite).to_bytes())

    def _send(self, entry: Inward, worker: HostPort, request: Request) -> None:
        if request.method in OFFERS:
            headers = request.headers.with_last(SOURCE, entry.flow.peer.host)
            request = request.replaced(headers=headers)
        entry.worker = worker
        entry.forwarded = request.to_bytes()
        self._wire.to_worker(worker, entry.forwarded)

    # -- requests within dialogs

    def _in_dialog(self, request: Request, key: str, flow: Flow) -> None:
        dialog = self._dialog(request)
        if dialog is None:
            self._answer(request, flow, 481)
            return
        if request.method == "REFER":
            self._refer(request, key, flow, dialog)
            return
        if request.method == "INFO":
            request = as_relay(request)
        dialog.remote_cseq = max(dialog.remote_cseq, request.cseq.number)
        if flow.is_stream:
            dialog.flow = flow  # it may have connected anew
        if request.method in ("INVITE", "UPDATE"):
            dialog.remote_target = target_of(request) or dialog.remote_target
            self._dialogs.touched(dialog)
        entry = Inward(request, flow, dialog)
        life = INVITE_LIFE_S if request.method == "INVITE" else LIFE_S
        self._table.put(key, entry, self._wire.now() + life)
        if request.method == "INVITE":
            self._trying(entry)

        def go(ready: Request) -> None:
            forwarded = self._wire.towards_worker(ready, key, dialog.local_contact)
            self._send(entry, dialog.worker, forwarded)

        pass_on(
            dialog.passage,
            request,
            offer=request.method in ("INVITE", "UPDATE"),
            from_worker=False,
            go=go,
            broke=lambda e: self._final(entry, key, e.sip_code),
        )

    def _refer(self, request: Request, key: str, flow: Flow, dialog: Dialog) -> None:
        """A transfer is the call machine's affair; PJSIP would call whom the far end names."""
        dialog.remote_cseq = max(dialog.remote_cseq, request.cseq.number)
        entry = Inward(request, flow, dialog)
        self._table.put(key, entry, self._wire.now() + LIFE_S)
        referral = read_referral(request, dialog, self._dialogs, self._wire)
        if dialog.phase is not Phase.CONFIRMED or referral is None:
            self._final(entry, key, 481 if referral is None else 403)
            return
        refused = self.calls.refer(LegId(dialog.leg), referral)
        if refused is None:
            self._final(entry, key, 202)
        else:
            self._final(entry, key, refused.code, refused.text or None)

    def _dialog(self, request: Request) -> Dialog | None:
        """RFC 3261 §12.2.2: Call-ID and both tags; and the Contact token, where it was used."""
        dialog = self._dialogs.by_local(request.call_id, request.to.tag or "")
        if dialog is None or not dialog.local_contact:
            return None
        if (dialog.remote_tag or "") != (request.from_.tag or ""):
            return None
        uri = parse_uri(request.uri)
        if is_sip(uri) and self._wire.is_us(uri):
            user = uri.user if isinstance(uri, SipUri) else None
            if user is not None and user != dialog.token:
                return None
        return dialog

    def _ack(self, request: Request, key: str) -> None:
        known = self._table.get(key)
        if known is not None and known.final is not None and known.final.code >= 300:
            if known.by_edge or known.worker is None:
                return
            forwarded = self._wire.towards_worker(request, key, self._worker_uri(known))
            self._wire.to_worker(known.worker, forwarded.to_bytes())
            return
        dialog = self._dialog(request)
        if dialog is None:
            return

        def go(ready: Request) -> None:
            forwarded = self._wire.towards_worker(ready, key, dialog.local_contact)
            self._wire.to_worker(dialog.worker, forwarded.to_bytes())

        pass_on(
            dialog.passage, request, offer=False, from_worker=False, go=go, broke=lambda _: None
        )

    def _worker_uri(self, entry: Inward) -> str:
        if entry.dialog is not None and entry.dialog.local_contact:
            return entry.dialog.local_contact
        return f"sip:{entry.worker}"

    def _cancel(self, request: Request, key: str, known: Inward | None, flow: Flow) -> None:
        if known is None or known.request.method != "INVITE":
            self._answer(request, flow, 481)
            return
        if known.final is not None or known.deciding is not None or known.worker is None:
            # answered at this hop: too late, or before anything was forwarded (§16.10)
            self._answer(request, flow, 200)
            if known.deciding is not None:
                known.given_up = True
                known.deciding.cancel()
            return
        forwarded = self._wire.towards_worker(request, key, f"sip:{known.worker}")
        first_line = known.forwarded.split(b" ", 2)
        uri = first_line[1].decode("utf-8", "surrogateescape")
        self._wire.to_worker(known.worker, forwarded.replaced(uri=uri).to_bytes())

    # -- responses of workers

    def response(self, response: Response, worker: HostPort) -> None:
        """A worker's response to a request that came from outside."""
        mine, rest = response.top_via, response.vias[1:]
        branch = mine.branch or ""
        entry = self._table.get(branch.removeprefix(COOKIE))
        if entry is None or entry.worker != worker or not rest:
            self._wire.meters.dropped("stray_response")
            return
        if response.code == 100:
            return  # said already, by the edge
        method = response.cseq.method
        token = None if entry.dialog is None else entry.dialog.token
        ready = self._wire.from_worker(response, rest, entry.flow, token)
        if method == "CANCEL":
            if not entry.given_up:
                self._wire.respond(entry.flow, ready)
            return
        if entry.final is not None and entry.flow.is_stream:
            return  # a retransmission over loopback; TCP has delivered the first
        self._note(response, entry, branch.removeprefix(COOKIE))
        key = branch.removeprefix(COOKIE)

        def go(ready: Response) -> None:
            if response.code >= 200:
                entry.final = ready
            self._wire.respond(entry.flow, ready)

        pass_on(
            entry.dialog.passage if entry.dialog is not None else None,
            ready,
            offer=not entry.request.body,
            from_worker=True,
            go=go,
            broke=lambda e: self._final(entry, key, e.sip_code),
        )

    def _way_back(self, flow: Flow, via: Via) -> Flow:
        """Where responses go: the connection, the source with ``rport`` (RFC 3581 §4), or the
        source's host at the port its Via names (RFC 3261 §18.2.2)."""
        if flow.is_stream or via.rport is not None:
            return flow
        peer = HostPort(flow.peer.host, via.port or 5060)
        if self._is_worker(peer) or peer in (self._wire.inner, self._wire.outer):
            return flow
        return replace(flow, peer=peer)

    def _note(self, response: Response, entry: Inward, key: str) -> None:
        """What the response means for its dialog."""
        dialog, code = entry.dialog, response.code
        if code >= 200:
            self._table.keep_until(key, self._wire.now() + LIFE_S)
        if dialog is None:
            return
        method = response.cseq.method
        if method == "INVITE":
            contact = target_of(response)
            tag = response.to.tag
            if 100 < code < 300 and tag is not None:
                self._dialogs.local_tag_seen(dialog, tag)
                dialog.local_contact = contact or dialog.local_contact
            if dialog.phase is Phase.EARLY:
                if code >= 300:
                    self._dialogs.remove(dialog)
                elif code >= 200:
                    dialog.phase = Phase.CONFIRMED
            self._dialogs.touched(dialog)
        elif method == "BYE":
            self._dialogs.remove(dialog)

    # -- the rest

    def worker_gone(self, dialog: Dialog) -> None:
        """The worker of an unanswered INVITE died: its caller gets a 500 from here."""
        for entry in self._table.values():
            if entry.dialog is dialog and entry.final is None:
                entry.by_edge = True
                entry.final = self._answer(entry.request, entry.flow, 500)

    def flow_closed(self, flow: Flow) -> None:
        """Whoever called over this connection has given up: nothing can reach them any more."""
        for entry in self._table.values():
            if entry.flow.name != flow.name or entry.final is not None:
                continue
            dialog = entry.dialog
            if entry.deciding is not None:
                entry.given_up = True
                entry.deciding.cancel()
            elif dialog is not None and dialog.phase is Phase.EARLY and not entry.given_up:
                entry.given_up = True
                self._take_back(entry)

    def sweep(self) -> None:
        for entry in self._table.sweep(self._wire.now()):
            if entry.dialog is not None and outlived(entry.dialog, entry.request.method):
                self._dialogs.remove(entry.dialog)

    def stop(self) -> None:
        for entry in self._table.values():
            if entry.deciding is not None:
                entry.deciding.cancel()

    def __len__(self) -> int:
        return len(self._table)
