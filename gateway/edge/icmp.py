"""What ICMP says of datagrams that were sent (RFC 3261 §18.4), on Linux's error queue."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any, Final

from twisted.internet.udp import Port

from gateway.values import HostPort

_IP_RECVERR: Final = 11
_IPV6_RECVERR: Final = 25
_MOST: Final = 64
"""Errors read at a time; the rest waits for the reactor's next turn."""


class ListeningPort(Port):
    """A UDP port that tells ``refused`` to whom nothing can be sent just now."""

    refused: Callable[[HostPort], None] = staticmethod(lambda _address: None)

    def startListening(self) -> None:
        super().startListening()  # type: ignore[no-untyped-call]  # Twisted's
        sock: socket.socket = self.socket
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)

    def doRead(self) -> None:
        self._tell()
        super().doRead()  # type: ignore[no-untyped-call]  # Twisted's

    def write(self, datagram: bytes, addr: Any = None) -> Any:
        # an error of an earlier datagram would be told instead of sending this one
        if self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._tell()
        return super().write(datagram, addr)

    def _tell(self) -> None:
        for address in _refusals(self.socket):
            self.refused(address)


def _refusals(sock: socket.socket) -> Iterator[HostPort]:
    """The destinations of datagrams that came back."""
    for _ in range(_MOST):
        try:
            _, _, _, address = sock.recvmsg(0, 256, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)
        except OSError:  # empty
            return
        if address:
            yield HostPort(address[0], address[1])


def listen_udp(reactor: Any, port: int, protocol: Any, host: str, size: int) -> ListeningPort:
    """As ``reactor.listenUDP``, with the protocol's ``refused`` told of ICMP errors."""
    listening = ListeningPort(port, protocol, host, size, reactor)  # type: ignore[no-untyped-call]
    listening.refused = protocol.refused
    listening.startListening()
    return listening
