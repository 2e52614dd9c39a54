"""The edge's own names on the wire, and sending by flow: what both directions share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.calls.ports import EdgeMeters
from gateway.edge.flows import Flow, Flows
from gateway.edge.listeners import Datagrams
from gateway.sip.headers import NameAddr, Via
from gateway.sip.message import Headers, Request, Response
from gateway.sip.sdp import has_long_host
from gateway.sip.uri import SipUri
from gateway.values import HostPort

MARKS = "X-DMGW-"
LEG = "X-DMGW-Leg"
FLOW = "X-DMGW-Flow"
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
    udp: Datagrams
    inside: Datagrams
    flows: Flows
    meters: EdgeMeters
    now: Callable[[], float]

    def send(self, flow: Flow, data: bytes) -> bool:
        """Send outwards; ``False`` when the connection is gone."""
        if flow.transport == "udp":
            return self.udp.send(data, flow.peer)
        connection = self.flows.connection(flow.name)
        if connection is None:
            return False
        connection(data)
        return True

    def respond(self, flow: Flow, response: Response) -> None:
        self.meters.response(response.code)
        self.send(flow, response.to_bytes())

    def to_worker(self, worker: HostPort, data: bytes) -> None:
        self.inside.send(data, worker)

    def outer_via(self, flow: Flow, branch: str | None = None) -> Via:
        via = Via(flow.transport.upper(), self.public.host, self.public.port, (("rport", None),))
        return via if branch is None else via.with_param("branch", branch)

    def inner_via(self, branch: str) -> Via:
        return Via("UDP", self.inner.host, self.inner.port, (("branch", branch),))

    @property
    def inner_route(self) -> str:
        return f"<sip:{self.inner};lr>"

    def contact(self, token: str, flow: Flow) -> str:
        params = (("transport", "tcp"),) if flow.transport == "tcp" else ()
        uri = SipUri("sip", token, None, self.public.host, self.public.port, params)
        return f"<{uri}>"

    def is_us(self, uri: object) -> bool:
        """A Route or Request-URI that means this edge."""
        if not isinstance(uri, SipUri):
            return False
        host, port = uri.host.lower(), uri.port or 5060
        for own in (self.outer, self.public, self.inner):
            if host == own.host.lower() and port == own.port:
                return True
        return host == self.domain.lower() and uri.port in (None, self.public.port)


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
