"""Flows: how the edge reaches a peer again (RFC 5626 §2), by UDP address or TCP connection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Protocol

from gateway.sip.uri import SipUri
from gateway.values import Hop, HostPort, Transport


class Sender(Protocol):
    def __call__(self, data: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Flow:
    """``name`` is opaque to all but the edge; ``names`` are those of a verified certificate."""

    name: str
    transport: Transport
    peer: HostPort
    names: frozenset[str] = frozenset()

    @property
    def is_stream(self) -> bool:
        """It delivers what is sent, or tells that it cannot (RFC 3261 §17)."""
        return self.transport != "udp"


class Flows:
    """The open connections by name; a UDP flow needs no keeping: its name says its address.

    ``reach`` opens those whose name says where they lead.
    """

    def __init__(self) -> None:
        self._connections: dict[str, tuple[Flow, Sender]] = {}
        self._serial = 0
        self.reach: Callable[[str], Flow | None] = lambda _name: None

    def opened(
        self,
        peer: HostPort,
        send: Sender,
        transport: Transport = "tcp",
        names: frozenset[str] = frozenset(),
    ) -> Flow:
        self._serial += 1
        flow = Flow(f"{transport}:{self._serial}", transport, peer, names)
        self._connections[flow.name] = (flow, send)
        return flow

    def opened_as(self, flow: Flow, send: Sender) -> None:
        """A connection of ours."""
        self._connections[flow.name] = (flow, send)

    def closed(self, flow: Flow) -> None:
        self._connections.pop(flow.name, None)

    def connection(self, name: str) -> Sender | None:
        found = self._connections.get(name)
        return None if found is None else found[1]

    def find(self, name: str) -> Flow | None:
        """The flow of this name, if it can still be used."""
        kind, _, rest = name.partition(":")
        if kind == "udp":
            host, _, port = rest.rpartition(":")
            if host and port.isdigit():
                return Flow(name, "udp", HostPort(host, int(port)))
            return None
        found = self._connections.get(name)
        return self.reach(name) if found is None and kind == "to" else found and found[0]

    def __len__(self) -> int:
        return len(self._connections)


def udp_flow(host: str, port: int) -> Flow:
    return Flow(f"udp:{host}:{port}", "udp", HostPort(host, port))


def stream_flow_name(peer: HostPort) -> str:
    """Of a TCP connection of ours to where a UDP flow leads."""
    return Hop("tcp", peer).flow


def direct(uri: SipUri) -> Flow | int:
    """The way to an address that nothing is registered at; or the status that refuses it.

    Numeric UDP addresses alone, and none that is not on the outside.
    """
    if uri.param("transport") not in (None, "udp"):
        return 503
    try:
        address = ip_address(uri.host)
    except ValueError:
        return 503
    if address.version != 4 or not 0 < (uri.port or 5060) < 65_536:
        return 503
    if address.is_loopback or address.is_unspecified or address.is_multicast:
        return 403
    if address.is_link_local or address.is_reserved:
        return 403
    return udp_flow(str(address), uri.port or 5060)
