"""Offers of every kind that a plain RTP peer makes, and relays between two answerers."""

from __future__ import annotations

import re
from collections.abc import Callable

from twisted.internet.protocol import DatagramProtocol

from tests.peers.ports import free_ports
from tests.peers.waiting import reactor

MAPS = {
    "PCMU": (0, "PCMU/8000"),
    "PCMA": (8, "PCMA/8000"),
    "G722": (9, "G722/8000"),
    "GSM": (3, "GSM/8000"),
    "iLBC": (98, "iLBC/8000"),
    "speex": (99, "speex/16000"),
    "opus": (111, "opus/48000/2"),
}


def offer(
    port: int,
    *codecs: str,
    ptime: int | None = None,
    crypto: str = "",
    profile: str = "RTP/AVP",
    events: str = "101 telephone-event/8000",
    extra: str = "",
) -> str:
    """SDP that offers these codecs, best first."""
    chosen = [MAPS[c] for c in codecs]
    event_pt = events.split(maxsplit=1)[0] if events else ""
    formats = " ".join([*(str(pt) for pt, _ in chosen), *([event_pt] if events else [])])
    lines = [
        "v=0",
        f"o=- {port} 1 IN IP4 127.0.0.1",
        "s=-",
        "c=IN IP4 127.0.0.1",
        "t=0 0",
        f"m=audio {port} {profile} {formats}",
        *(f"a=rtpmap:{pt} {name}" for pt, name in chosen),
        *([f"a=rtpmap:{events}", f"a=fmtp:{event_pt} 0-15"] if events else []),
        *([f"a=ptime:{ptime}"] if ptime else []),
        *([f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{crypto}"] if crypto else []),
        "a=sendrecv",
    ]
    return "\r\n".join(lines) + "\r\n" + extra


def audio_line(sdp: str) -> tuple[int, str, list[int]]:
    """Port, profile and payload types of the first audio line."""
    found = re.search(r"^m=audio (\d+) (\S+) ([\d ]+)", sdp, re.M)
    assert found, sdp
    return int(found[1]), found[2], [int(pt) for pt in found[3].split()]


class Relay:
    """Two ports; what comes to one leaves from the other."""

    def __init__(self) -> None:
        self._ends = (_End(), _End())
        for end, other in (self._ends, self._ends[::-1]):
            end.pass_on = other.send

    @property
    def ports(self) -> tuple[int, int]:
        a, b = self._ends
        return a.port, b.port

    def join(self, a: str, b: str) -> None:
        """The answers that came for the offers with the first and the second port."""
        for end, answer in zip(self._ends, (a, b), strict=True):
            end.to = ("127.0.0.1", audio_line(answer)[0])

    async def close(self) -> None:
        for end in self._ends:
            await end.listener.stopListening()


class _End(DatagramProtocol):
    def __init__(self) -> None:
        self.port = free_ports(2)
        self.to: tuple[str, int] | None = None
        self.pass_on: Callable[[bytes], None] = lambda _: None
        self.listener = reactor.listenUDP(self.port, self, "127.0.0.1")

    def send(self, datagram: bytes) -> None:
        if self.to is not None:
            self.listener.write(datagram, self.to)

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        self.pass_on(datagram)
