"""SIP as files that other tools read."""

from __future__ import annotations

import struct

import pytest

from gateway.calls.console_ports import SipSeen
from gateway.console.downloads import as_pcap, as_text
from gateway.values import HostPort

OPTIONS = b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 0\r\n\r\n"


def seen(here: str, there: str, text: bytes = OPTIONS, *, outward: bool = True) -> SipSeen:
    return SipSeen(1000.25, outward, "udp", HostPort(here, 5060), HostPort(there, 5070), text)


def _sums_up(packet: bytes) -> bool:
    """The UDP checksum, by RFC 768 and RFC 8200 §8.1, another way than ours."""
    if packet[0] >> 4 == 4:
        addresses, udp = packet[12:20], packet[20:]
    else:
        addresses, udp = packet[8:40], packet[40:]
    data = addresses + bytes([0, 17]) + struct.pack("!H", len(udp)) + udp
    data += b"\0" * (len(data) % 2)
    return sum(data[i] << 8 | data[i + 1] for i in range(0, len(data), 2)) % 0xFFFF == 0


@pytest.mark.parametrize(
    ("here", "there", "version"),
    [
        ("127.0.0.1", "192.0.2.1", 4),
        ("::1", "2001:db8::1", 6),
        ("sip.example.org", "192.0.2.1", 4),  # we may be told by name
        ("192.0.2.9", "2001:db8::1", 6),
    ],
)
@pytest.mark.parametrize("text", [OPTIONS, OPTIONS + b"x", b"y" * 70_000])
def test_packets(here: str, there: str, version: int, text: bytes) -> None:
    made = as_pcap([seen(here, there, text)])
    magic, _, _, _, _, _, link = struct.unpack("<IHHiIII", made[:24])
    seconds, micros, size, whole = struct.unpack("<IIII", made[24:40])
    packet = made[40:]
    assert (magic, link) == (0xA1B2C3D4, 101)
    assert (seconds, micros) == (1000, 250_000)
    assert size == whole == len(packet) <= 65_535
    assert packet[0] >> 4 == version
    assert packet.endswith(text[:60_000][-20:])
    assert _sums_up(packet)


def test_text_says_from_where_to_where() -> None:
    text = as_text([seen("127.0.0.1", "192.0.2.1"), seen("127.0.0.1", "::1", outward=False)])
    assert b"--- 1970-01-01T00:16:40.250+00:00 udp 127.0.0.1:5060 -> 192.0.2.1:5070\n" in text
    assert b" udp [::1]:5070 -> 127.0.0.1:5060\nOPTIONS sip:a@b SIP/2.0\n" in text
