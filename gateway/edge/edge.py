"""The edge: one public SIP address in front of many workers."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
from twisted.internet.defer import maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.task import LoopingCall

from gateway.calls.console_ports import BindingView, SipTap
from gateway.calls.ports import Anchor, Clock, EdgeMeters, IncomingCalls, Wills
from gateway.edge.admission import Admission
from gateway.edge.client import Client
from gateway.edge.connections import Connections
from gateway.edge.dialogs import Dialog, Dialogs, Role
from gateway.edge.flows import Flow, Flows, udp_flow
from gateway.edge.icmp import listen_udp
from gateway.edge.inward import InwardPath
from gateway.edge.listeners import Datagrams, StreamEvents, Streams
from gateway.edge.outward import OutwardPath
from gateway.edge.passages import Passage
from gateway.edge.registrar import Registrar
from gateway.edge.stun import answer as stun_answer
from gateway.edge.stun import is_stun
from gateway.edge.tls import ServerContexts, check
from gateway.edge.websocket import WebSockets
from gateway.edge.wire import Wire
from gateway.errors import CannotStart
from gateway.settings import SipSection, Trunk
from gateway.sip.errors import SipParseError, SipSyntaxError
from gateway.sip.message import Message, Request, response_to
from gateway.sip.parser import parse_datagram
from gateway.sip.proxying import add_received
from gateway.values import Contact, HostPort, LegId, SipAddress, Transport

log = structlog.get_logger()

SWEEP_S = 5.0
FREE_PORT_TRIES = 8
FORGOTTEN_S = 90_000.0
"""No call lasts longer (``calls.max_duration_s`` is a day at most)."""


def _plain(text: str) -> str:
    """What a reason phrase can hold of it."""
    return "".join(c if c.isprintable() and c.isascii() else "?" for c in text)[:180]


def name_of(trunk: Trunk) -> str:
    """What its certificate has to bear: the domain that is looked up."""
    place = trunk.address
    return place[1:].partition("]")[0] if place.startswith("[") else place.partition(":")[0]


class Edge:
    """Implements ``ports.WorkerWatch``, ``AnchoredLegs`` and ``Locations``.

    ``calls`` and ``wills`` are set before ``start`` is over and the first INVITE comes.
    """

    wills: Wills | None = None
    tap: SipTap | None = None
    """Is told of every message between us and far ends; set before ``start``."""

    def __init__(
        self,
        settings: SipSection,
        passwords: Mapping[str, str],
        reactor: Any,
        meters: EdgeMeters,
        trunks: Sequence[Trunk] = (),
    ) -> None:
        self._settings = settings
        self._reactor: Any = reactor
        self._clock: Clock = reactor
        self._meters = meters
        self._workers: set[HostPort] = set()
        self._flows = Flows()
        self._dialogs = Dialogs(settings.dialogs, self._dialog_changed)
        self._registrar = Registrar(settings, self._flows, self._now, meters.registrations)
        self._admission = Admission(settings, passwords, self._registrar, self._now, trunks)
        self._anchors: dict[str, Anchor] = {}
        self._udp = Datagrams(self._from_outside, self._refused)
        self._udp6: Datagrams | None = None
        self._accepting: list[Streams | WebSockets] = []
        self._at_ports: dict[Transport, int] = {}
        self._contexts: ServerContexts | None = None
        self._trust = {name_of(t): t.ca_file for t in trunks}
        self._inside = Datagrams(self._from_inside)
        self._ports: list[Any] = []
        self._sweeping = LoopingCall(self.sweep)
        self._sweeping.clock = reactor
        meters.registrations(0)

    def _now(self) -> float:
        return self._clock.seconds()

    # -- life

    async def start(self) -> None:
        """Bind the three sockets; ``CannotStart`` says which one could not be."""
        s = self._settings
        try:
            udp, tcp = await self._bind_outer()
            self._bind_secure()
            inner = self._reactor.listenUDP(0, self._inside, "127.0.0.1", 65_536)
        except CannotStart:
            await self.stop()
            raise
        except CannotListenError as e:
            await self.stop()
            problem = f"cannot listen for SIP on {s.host}:{s.port}: {e.socketError}; "
            raise CannotStart(problem + "is another server there?") from e
        self._ports += [inner]
        at = udp.getHost()
        outer = HostPort(s.host, at.port)
        public = HostPort(s.public_host or s.host, at.port)
        key = secrets.token_bytes(32)
        self.outer, self.inner = outer, HostPort("127.0.0.1", inner.getHost().port)
        self._wire = Wire(
            outer=outer,
            public=public,
            inner=self.inner,
            domain=s.domain,
            ports=self._at_ports,
            public6=None if s.host6 is None else HostPort(s.host6, at.port),
            udp6=self._udp6,
            udp=self._udp,
            inside=self._inside,
            flows=self._flows,
            meters=self._meters,
            now=self._now,
            tap=self.tap,
        )
        self.inward = InwardPath(
            self._wire,
            self._dialogs,
            self._admission,
            self._registrar,
            key,
            self._is_worker,
            self._passage,
        )
        self.outward = OutwardPath(
            self._wire,
            self._dialogs,
            key,
            self._clock,
            self._registrar,
            self._is_worker,
            self._passage,
            self._settings.udp_bytes,
        )
        self.client = Client(self._wire, self._clock)
        self._connections = Connections(
            self._reactor,
            self._flows,
            self._stream_events,
            s.max_message_bytes,
            s.tcp_idle_s,
            s.tls,
            self._authorities,
        )
        self._flows.reach = self._connections.reach
        self._sweeping.start(SWEEP_S, now=False)
        log.info("sip_listening", address=str(outer), domain=s.domain, tcp=tcp.getHost().port)

    async def _bind_outer(self) -> tuple[Any, Any]:
        s = self._settings
        self._stream_events = events = StreamEvents(
            self._from_stream, self._flow_closed, self._meters.dropped
        )
        limits = (s.tcp_connections, s.max_message_bytes, s.tcp_idle_s)
        factory = Streams(events, self._flows, *limits)
        self._accepting.append(factory)
        # with port 0 the system chooses one that is free for UDP; it may be taken for TCP
        for attempt in range(FREE_PORT_TRIES):
            udp: Any = listen_udp(self._reactor, s.port, self._udp, s.host, 65_536)
            try:
                tcp = self._reactor.listenTCP(udp.getHost().port, factory, interface=s.host)
            except CannotListenError:
                await maybeDeferred(udp.stopListening)
                if s.port or attempt == FREE_PORT_TRIES - 1:
                    raise
                continue
            self._ports += [udp, tcp]
            break
        port = udp.getHost().port
        if s.host6 is not None:
            self._udp6 = Datagrams(self._from_outside, self._refused)
            self._ports.append(listen_udp(self._reactor, port, self._udp6, s.host6, 65_536))
            self._ports.append(self._reactor.listenTCP(port, factory, interface=s.host6))
        return udp, tcp

    def _bind_secure(self) -> None:
        """TLS and WebSockets, where they are wanted."""
        s = self._settings
        limits = (s.tcp_connections, s.max_message_bytes, s.tcp_idle_s)
        hosts = [h for h in (s.host, s.host6) if h is not None]
        check(s.tls, tuple(self._trust.values()))
        if s.tls.wanted:
            self._contexts = ServerContexts(s.tls)
        if s.tls.port is not None and self._contexts is not None:
            factory = Streams(self._stream_events, self._flows, *limits, secure=True)
            self._accepting.append(factory)
            self._listen("tls", s.tls.port, factory, hosts, self._contexts)
        for kind, port in (("ws", s.websocket.port), ("wss", s.websocket.secure_port)):
            if port is None:
                continue
            sockets = WebSockets(
                self._stream_events,
                self._flows,
                "wss" if kind == "wss" else "ws",
                s.tcp_connections,
                s.max_message_bytes,
                s.websocket.allowed_origins,
            )
            self._accepting.append(sockets)
            secure = self._contexts if kind == "wss" else None
            self._listen("wss" if kind == "wss" else "ws", port, sockets, hosts, secure)

    def _listen(
        self,
        kind: Transport,
        port: int,
        factory: Any,
        hosts: Sequence[str],
        contexts: ServerContexts | None,
    ) -> None:
        for host in hosts:
            if contexts is None:
                listening = self._reactor.listenTCP(port, factory, interface=host)
            else:
                listening = self._reactor.listenSSL(port, factory, contexts, interface=host)
            self._ports.append(listening)
            port = listening.getHost().port
        self._at_ports[kind] = port

    def _authorities(self, name: str) -> Path | None:
        return self._trust.get(name)

    def serve(self, calls: IncomingCalls) -> None:
        self.inward.calls = calls

    def refuse_new(self, draining: bool) -> None:
        self.inward.draining = draining

    async def stop(self) -> None:
        """Close everything, open connections too.  Idempotent."""
        ports, self._ports = self._ports, []
        if ports:
            for factory in self._accepting:
                factory.close_all()
            if self._sweeping.running:  # it was started in full
                self._connections.close_all()
                self._sweeping.stop()
                self.inward.stop()
                self.outward.stop()
                self.client.stop()
        for port in ports:
            await port.stopListening()

    def sweep(self) -> None:
        """Forget what is over; it happens by itself every ``SWEEP_S`` seconds."""
        if self._contexts is not None:
            self._contexts.look()
        self._registrar.sweep()
        self.inward.sweep()
        self.outward.sweep()
        for dialog in self._dialogs.older_than(self._now() - FORGOTTEN_S):
            self._dialogs.remove(dialog)

    # -- bytes in

    def _mapped(self, data: bytes, source: HostPort) -> None:
        """A phone behind a NAT keeps its mapping open, and learns it (RFC 5626 §4.4.2)."""
        if not self._admission.within_rate(source.host):
            self._meters.dropped("rate")
            return
        said = stun_answer(data, source)
        if said is not None:
            self._wire.send(udp_flow(source.host, source.port), said)

    def _from_outside(self, data: bytes, source: HostPort) -> None:
        if len(data) <= 4 and not data.strip(b"\r\n\0"):
            return  # a keep-alive
        if is_stun(data):
            self._mapped(data, source)
            return
        if len(data) > self._settings.max_message_bytes:
            self._meters.dropped("too_big")
            return
        if not self._admission.within_rate(source.host):
            self._meters.dropped("rate")
            return
        flow = udp_flow(source.host, source.port)
        try:
            message: Message | SipParseError = parse_datagram(data)
        except SipParseError as e:
            message = e
        self._message(message, flow)

    def _from_stream(self, message: Message | SipParseError, flow: Flow) -> None:
        if not self._admission.within_rate(flow.peer.host) and isinstance(message, Request):
            # a stream has delivered it, so nobody would send it again: say no
            self._meters.dropped("rate")
            if message.method != "ACK":
                busy = response_to(message, 503, headers=(("Retry-After", "5"),))
                self._wire.respond(flow, busy)
            return
        self._message(message, flow)

    def _message(self, message: Message | SipParseError, flow: Flow) -> None:
        if isinstance(message, SipParseError):
            self._broken(message, flow)
            return
        if self.tap is not None:
            self._wire.seen(flow, message.to_bytes())
        try:
            if isinstance(message, Request):
                self.inward.request(message, flow)
            elif not self.client.response(message, flow):
                self.outward.response(message, flow)
        except SipSyntaxError as e:
            request = message if isinstance(message, Request) else None
            self._broken(SipParseError(str(e), 400, request), flow)

    def _broken(self, error: SipParseError, flow: Flow) -> None:
        self._meters.dropped("malformed")
        log.debug("sip_malformed", source=str(flow.peer), why=error.what)
        request = error.request
        if request is None or request.method == "ACK":
            return
        reason = f"Bad Request - {_plain(error.what)}" if error.code == 400 else None
        request = add_received(request, flow.peer.host, flow.peer.port)
        response = response_to(request, error.code, reason)
        self._wire.respond(flow, response)

    def _from_inside(self, data: bytes, source: HostPort) -> None:
        if source not in self._workers:
            self._meters.dropped("not_a_worker")
            return
        try:
            message = parse_datagram(data)
            if isinstance(message, Request):
                self.outward.request(message, source)
            else:
                self.inward.response(message, source)
        except SipSyntaxError as e:
            log.error("worker_sent_nonsense", worker=str(source), why=str(e))

    def _flow_closed(self, flow: Flow) -> None:
        self._registrar.flow_closed(flow)
        self.inward.flow_closed(flow)
        self.outward.flow_closed(flow)
        self.client.flow_closed(flow)

    def _refused(self, address: HostPort) -> None:
        self.outward.refused(address)
        self.client.refused(address)

    # -- ports.WorkerWatch

    def _is_worker(self, address: HostPort) -> bool:
        return address in self._workers

    def worker_up(self, sip: HostPort) -> None:
        self._workers.add(sip)

    def worker_gone(self, sip: HostPort) -> None:
        self._workers.discard(sip)
        for dialog in self._dialogs.of_worker(sip):
            if dialog.role is Role.UAS and dialog.phase == "early":
                self.inward.worker_gone(dialog)
                self._dialogs.remove(dialog)
            else:
                self.outward.worker_gone(dialog)

    def _dialog_changed(self, dialog: Dialog, alive: bool) -> None:
        if alive and self.tap is not None:
            self.tap.joins(dialog.call_id, LegId(dialog.leg))
        if self.wills is None or dialog.worker not in self._workers:
            return
        if dialog.flow.transport not in ("udp", "tcp"):
            return  # a worker cannot speak for us there
        last = self.outward.last_word(dialog) if alive else None
        self.wills.keep(dialog.worker, dialog.name, last)

    # -- ports.AnchoredLegs

    def anchored(self, leg: LegId, anchor: Anchor | None) -> None:
        if anchor is None:
            self._anchors.pop(leg, None)
        else:
            self._anchors[leg] = anchor

    def _passage(self, leg: str) -> Passage | None:
        anchor = self._anchors.get(leg)
        return None if anchor is None else Passage(anchor, leg)

    # -- ports.Locations

    def is_account(self, aor: SipAddress) -> bool:
        return self._registrar.is_account(aor)

    def display_name(self, aor: SipAddress) -> str:
        return self._registrar.display_name(aor)

    def bindings(self, most: int) -> Sequence[BindingView]:
        return self._registrar.bindings(most)

    def contacts(self, aor: SipAddress) -> Sequence[Contact]:
        return self._registrar.contacts(aor)

    # -- figures for tests and the doctor

    def remembered(self) -> dict[str, int]:
        """How much the edge holds just now."""
        return {
            "dialogs": len(self._dialogs),
            "inward": len(self.inward),
            "outward": len(self.outward),
            "connections": len(self._flows),
            "anchors": len(self._anchors),
        }
