"""Flows: how the edge reaches a peer again (RFC 5626 §2), by UDP address or TCP connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gateway.values import HostPort, Transport


class Sender(Protocol):
    def __call__(self, data: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Flow:
    """``name`` is opaque to everyone but the edge."""

    name: str
    transport: Transport
    peer: HostPort


class Flows:
    """The open TCP connections by name; a UDP flow needs no keeping: its name says its address."""

    def __init__(self) -> None:
        self._connections: dict[str, tuple[Flow, Sender]] = {}
        self._serial = 0

    def opened(self, peer: HostPort, send: Sender) -> Flow:
        self._serial += 1
        flow = Flow(f"tcp:{self._serial}", "tcp", peer)
        self._connections[flow.name] = (flow, send)
        return flow

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
        return None if found is None else found[0]

    def __len__(self) -> int:
        return len(self._connections)


def udp_flow(host: str, port: int) -> Flow:
    return Flow(f"udp:{host}:{port}", "udp", HostPort(host, port))
