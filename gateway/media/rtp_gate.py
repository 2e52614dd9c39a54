"""Whose packets reach a leg's RTP and RTCP sockets: a filter in the kernel on each of them.

PJSIP believes any source after some packets, plays what it sends and sends it what the call says.
So its sockets take nothing until an offer and an answer have said where the far end is, then only
what comes from there, and soon only from the very address and port that was heard first.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final

SO_ATTACH_FILTER: Final = 26
_NET: Final = 0xFFF00000
"""SKF_NET_OFF: from here offsets count in the IP header; the filter itself begins at UDP's."""
_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE = 0x20, 0x28, 0x30
_IF_EQUAL, _IF_ANY_BIT, _RETURN = 0x15, 0x45, 0x06
_IPV4_WITHOUT_OPTIONS: Final = 0x45
_FRAGMENT: Final = 0x3FFF
"""More fragments, or an offset (RFC 791 §3.1)."""
_WHOLE: Final = 0xFFFF

Address = tuple[str, int]


def program(hosts: Collection[str], port: int = 0) -> bytes:
    """Classic BPF that passes UDP from these IPv4 addresses, and from this port unless it is 0.

    Packets with IP options and fragments are dropped: no telephone sends them.
    """
    wanted = [struct.unpack("!I", socket.inet_aton(h))[0] for h in sorted(hosts)]
    code: list[tuple[int, int, int, int]] = []
    if not wanted:
        return struct.pack("HBBI", _RETURN, 0, 0, 0)
    tail = 2 if port else 0  # instructions between the hosts and the verdicts
    drop = 5 + len(wanted) + tail + 1
    code.append((_LOAD_BYTE, 0, 0, _NET))
    code.append((_IF_EQUAL, 0, drop - 2, _IPV4_WITHOUT_OPTIONS))
    code.append((_LOAD_HALF, 0, 0, _NET + 6))
    code.append((_IF_ANY_BIT, drop - 4, 0, _FRAGMENT))
    code.append((_LOAD_WORD, 0, 0, _NET + 12))
    for place, address in enumerate(wanted):
        left = len(wanted) - place - 1
        code.append((_IF_EQUAL, left, 0 if left else tail + 1, address))
    if port:
        code.append((_LOAD_HALF, 0, 0, 0))
        code.append((_IF_EQUAL, 0, 1, port))
    code.append((_RETURN, 0, 0, _WHOLE))
    code.append((_RETURN, 0, 0, 0))
    return b"".join(struct.pack("HBBI", *instruction) for instruction in code)


def attach(sock: socket.socket, code: bytes) -> None:
    """In place of the filter that is there; ``OSError`` where the kernel refuses."""
    kept = ctypes.create_string_buffer(code)
    sock.setsockopt(
        socket.SOL_SOCKET,
        SO_ATTACH_FILTER,
        struct.pack("HP", len(code) // 8, ctypes.addressof(kept)),
    )


@contextmanager
def sockets_at(ports: Collection[int]) -> Iterator[dict[int, socket.socket]]:
    """This process's IPv4 UDP sockets that are bound to these ports, as copies.

    PJSIP does not tell its descriptors.
    """
    found: dict[int, socket.socket] = {}
    try:
        for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  # names, not paths
            try:
                copy = os.dup(int(name))
            except OSError:  # the listing's own
                continue
            try:
                sock = socket.socket(fileno=copy)
            except OSError:  # no socket
                os.close(copy)
                continue
            udp = (sock.family, sock.type) == (socket.AF_INET, socket.SOCK_DGRAM)
            port = sock.getsockname()[1] if udp else 0
            if port in ports and port not in found:
                found[port] = sock
            else:
                sock.close()
        yield found
    finally:
        for sock in found.values():
            sock.close()


class RtpGate:
    """The filters of one leg: ``port`` is for RTP, the next one for RTCP (RFC 3550 §11)."""

    def __init__(self) -> None:
        self.port = 0
        self.hosts: frozenset[str] = frozenset()
        self._heard: dict[int, Address] = {}

    def shut(self, port: int) -> None:
        """Fresh sockets: nothing passes, and what came before this is lost."""
        self.port = port
        self.hosts = frozenset()
        self._heard = {}
        with sockets_at((port, port + 1)) as found:
            for sock in found.values():
                attach(sock, program(()))
                _empty(sock)

    def admit(self, hosts: Collection[str]) -> None:
        """After a negotiation: what comes from these addresses, whatever its port."""
        self.hosts = frozenset(hosts)
        self._heard = {}
        with sockets_at((self.port, self.port + 1)) as found:
            for sock in found.values():
                attach(sock, program(self.hosts))

    def latch(self, rtp: Address | None, rtcp: Address | None) -> bool:
        """Where the first packets came from; from now on only from there.

        Whether both are known.
        """
        heard = {self.port: rtp, self.port + 1: rtcp}
        fresh = {
            port: source
            for port, source in heard.items()
            if source is not None and source[0] in self.hosts and port not in self._heard
        }
        if fresh:
            self._heard |= fresh
            with sockets_at(fresh) as found:
                for port, sock in found.items():
                    host, source_port = fresh[port]
                    attach(sock, program((host,), source_port))
        return len(self._heard) == len(heard)


def _empty(sock: socket.socket) -> None:
    """Throw away what waits; PJSIP reads it without waiting, too."""
    while True:
        try:
            sock.recv(1, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:  # an ICMP error that was kept for this socket
            continue
