"""A call's SIP as files: text to read, pcap for other tools."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from ipaddress import IPv6Address, ip_address
from typing import Final

from gateway.calls.console_ports import SipSeen
from gateway.values import HostPort

_RAW: Final = 101  # LINKTYPE_RAW: a packet begins with its IP header
_LONGEST: Final = 65_000
_UDP: Final = 17


def as_text(messages: Sequence[SipSeen]) -> bytes:
    """Each message under a line that says when, from where to where, and over what."""
    parts: list[bytes] = []
    for m in messages:
        when = datetime.fromtimestamp(m.at, UTC).isoformat(timespec="milliseconds")
        source, sink = (m.here, m.there) if m.outward else (m.there, m.here)
        parts.append(f"--- {when} {m.transport} {source} -> {sink}\n".encode())
        parts.append(m.text.replace(b"\r\n", b"\n") + b"\n")
    return b"".join(parts)


def as_pcap(messages: Sequence[SipSeen]) -> bytes:
    """Every message as one UDP datagram, whatever it went over: its bytes are what counts."""
    out = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0x40000, _RAW)]
    for m in messages:
        source, sink = (m.here, m.there) if m.outward else (m.there, m.here)
        packet = _packet(source, sink, m.text[:_LONGEST])
        seconds = int(m.at)
        micros = min(999_999, round((m.at - seconds) * 1e6))
        out += [struct.pack("<IIII", seconds, micros, len(packet), len(packet)), packet]
    return b"".join(out)


def _packet(source: HostPort, sink: HostPort, payload: bytes) -> bytes:
    a, b = _address(source.host), _address(sink.host)
    if len(a) != len(b):  # we are told by name, or in the other family
        a = b = IPv6Address("::1").packed
    length = 8 + len(payload)
    ports = struct.pack("!HHH", source.port & 0xFFFF, sink.port & 0xFFFF, length)
    pseudo = a + b + struct.pack("!IHBB", length, 0, 0, _UDP)
    if len(a) == 4:
        pseudo = a + b + struct.pack("!BBH", 0, _UDP, length)
    total = _sum(pseudo + ports + b"\0\0" + payload) or 0xFFFF
    udp = ports + struct.pack("!H", total) + payload
    if len(a) == 16:
        return struct.pack("!IHBB", 6 << 28, length, _UDP, 64) + a + b + udp
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, 64, _UDP, 0) + a + b
    return head[:10] + struct.pack("!H", _sum(head)) + head[12:] + udp


def _address(host: str) -> bytes:
    try:
        return ip_address(host).packed
    except ValueError:
        return ip_address("127.0.0.1").packed


def _sum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
