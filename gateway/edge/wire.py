"""The edge's own names on the wire, and sending by flow: what both directions share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.calls.console_ports import SipTap
from gateway.calls.ports import EdgeMeters
from gateway.edge.flows import Flow, Flows
from gateway.edge.listeners import Datagrams
from gateway.sip.headers import NameAddr, Via
from gateway.sip.message import Headers, Request, Response
from gateway.sip.proxying import COOKIE, decremented, with_vias
from gateway.sip.sdp import has_long_host
from gateway.sip.uri import SipUri
from gateway.values import HostPort, Transport

MARKS = "X-DMGW-"
LEG = "X-DMGW-Leg"
FLOW = "X-DMGW-Flow"
PATIENCE = "X-DMGW-Patience"
"""Seconds until an INVITE of which nothing is heard is given up."""
REMOVE = "X-DMGW-Remove"
"""Headers that an INVITE to the outside is not to have."""
SOURCE = "X-DMGW-Source"
"""Where an offer or an answer came from, for a worker: RTP may come from there, too."""
OFFERS = ("INVITE", "UPDATE")


@dataclass(slots=True)
class Wire:
    """``outer`` is the bound address, ``public`` what the outside is told."""

    outer: HostPort
    public: HostPort
    inner: HostPort
    domain: str
    ports: Mapping[Transport, int]
    """At which we can be reached by a transport other than UDP and TCP."""
    public6: HostPort | None
    udp6: Datagrams | None
    udp: Datagrams
    inside: Datagrams
    flows: Flows
    meters: EdgeMeters
    now: Callable[[], float]
    tap: SipTap | None = None

    def send(self, flow: Flow, data: bytes) -> bool:
        """Send outwards; ``False`` when the connection is gone."""
        if self.tap is not None:
            self.tap.saw(True, flow.transport, self._at(flow), flow.peer, data)
        if flow.transport == "udp":
            socket = self.udp6 if ":" in flow.peer.host else self.udp
            return socket is not None and socket.send(data, flow.peer)
        connection = self.flows.connection(flow.name)
        if connection is None:
            return False
        connection(data)
        return True

    def seen(self, flow: Flow, data: bytes) -> None:
        """It has come from outside."""
        if self.tap is not None:
            self.tap.saw(False, flow.transport, self._at(flow), flow.peer, data)

    def send_if_open(self, flow: Flow, data: bytes) -> None:
        """Where nobody waits for an answer."""
        self.send(flow, data)

    def respond(self, flow: Flow, response: Response) -> None:
        self.meters.response(response.code)
        self.send(flow, response.to_bytes())

    def to_worker(self, worker: HostPort, data: bytes) -> None:
        self.inside.send(data, worker)

    def outer_via(self, flow: Flow, branch: str | None = None) -> Via:
        at = self._at(flow)
        via = Via(flow.transport.upper(), _written(at.host), at.port, (("rport", None),))
        return via if branch is None else via.with_param("branch", branch)

    def inner_via(self, branch: str) -> Via:
        return Via("UDP", self.inner.host, self.inner.port, (("branch", branch),))

    @property
    def inner_route(self) -> str:
        return f"<sip:{self.inner};lr>"

    def contact(self, token: str, flow: Flow) -> str:
        at = self._at(flow)
        kind = "ws" if flow.transport == "wss" else flow.transport
        params = (("transport", kind),) if flow.is_stream else ()
        uri = SipUri("sip", token, None, _written(at.host), at.port, params)
        return f"<{uri}>"

    def _at(self, flow: Flow) -> HostPort:
        """Our address as this flow's other end is to write it."""
        base = self.public6 if ":" in flow.peer.host and self.public6 else self.public
        return HostPort(base.host, self.ports.get(flow.transport, base.port))

    def towards_worker(self, request: Request, key: str, uri: str) -> Request:
        """A request as a worker is to see it."""
        headers = unmarked(request.headers)
        for name in ("Route", "Authorization", "Proxy-Authorization"):
            headers = headers.without(name)
        body = request.body
        if request.method != "INVITE":  # an offer is for the worker to refuse
            headers, body = without_hazard(headers, body)
        via = self.inner_via(f"{COOKIE}{key}")
        ready = decremented(request.replaced(uri=uri, headers=headers, body=body))
        return ready.replaced(headers=with_vias(ready.headers, (via, *request.vias)))

    def from_worker(
        self, response: Response, vias: tuple[Via, ...], flow: Flow, token: str | None
    ) -> Response:
        """A worker's response as the outside is to see it; ``token`` names its dialog."""
        headers = with_vias(unmarked(response.headers), vias)
        routes = [r for r in map(str, response.record_routes) if r != self.inner_route]
        headers = headers.without("Record-Route")
        for route in routes:
            headers = headers.with_last("Record-Route", route)
        if token is not None:
            headers = with_contact(headers, self.contact(token, flow))
        return response.replaced(headers=headers)

    def is_us(self, uri: object) -> bool:
        """A Route or Request-URI that means this edge."""
        if not isinstance(uri, SipUri):
            return False
        host = uri.host.lower().strip("[]")
        secure = uri.transport == "tls" or uri.scheme == "sips"
        port = uri.port or (5061 if secure else 5060)
        others = set(self.ports.values())
        for own in (self.outer, self.public, self.public6):
            if own is not None and host == own.host.lower() and port in {own.port, *others}:
                return True
        if host == self.inner.host and port == self.inner.port:
            return True
        return host == self.domain.lower() and uri.port in (None, self.public.port, *others)


def _written(host: str) -> str:
    """IPv6 addresses have brackets in URIs and Via (RFC 3261 §25.1)."""
    return f"[{host}]" if ":" in host else host


def unmarked(headers: Headers) -> Headers:
    """Without the marks that the edge and its workers give each other."""
    return headers.without_prefix(MARKS)


def with_contact(headers: Headers, contact: str) -> Headers:
    return headers.replaced("Contact", contact) if headers.get("Contact") is not None else headers


def target_of(message: Request | Response) -> str | None:
    """The remote target that a message's Contact sets (RFC 3261 §12.1, §12.2)."""
    contacts: tuple[NameAddr, ...] = message.contacts
    return str(contacts[0].uri) if contacts else None


def without_hazard(headers: Headers, body: bytes) -> tuple[Headers, bytes]:
    """Without a body that would end a worker; to it, the far end has sent no SDP at all."""
    if not has_long_host(body):
        return headers, body
    return headers.without("Content-Type"), b""
