"""Plain RTP by hand: G.711 paced by a thread, RFC 4733 events, a receiver with arrival times."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from twisted.internet.protocol import DatagramProtocol

from tests.audio import Signal, tone
from tests.peers import g711
from tests.peers.ports import free_ports
from tests.peers.waiting import Happenings, pause, reactor

DIGITS = "0123456789*#ABCD"
FRAME = 160
_PT = {"PCMU": 0, "PCMA": 8}


class _Pacer(threading.Thread):
    """One thread that gives every stream its frame each 20 ms and catches up when late."""

    def __init__(self) -> None:
        super().__init__(daemon=True, name="rtp-pacer")
        self._streams: dict[int, RtpStream] = {}
        self._lock = threading.Lock()
        self.start()

    def add(self, stream: RtpStream) -> None:
        with self._lock:
            self._streams[id(stream)] = stream

    def remove(self, stream: RtpStream) -> None:
        with self._lock:
            self._streams.pop(id(stream), None)

    def run(self) -> None:
        due = time.monotonic()
        while True:
            due += 0.02
            late = due - time.monotonic()
            if late > 0:
                time.sleep(late)
            elif late < -1:
                due = time.monotonic()  # the machine stood still: do not send a second at once
            with self._lock:
                streams = tuple(self._streams.values())
            for stream in streams:
                stream.tick()


_pacers: list[_Pacer] = []


def _pacer() -> _Pacer:
    if not _pacers:
        _pacers.append(_Pacer())
    return _pacers[0]


@dataclass
class Press:
    """One RFC 4733 event as received: ``duration`` in timestamp units, ``ended`` by its E bit."""

    digit: str
    timestamp: int
    duration: int
    ended: bool = False


@dataclass
class Heard:
    """Received audio packets: (arrival, sequence, timestamp, payload type, payload)."""

    packets: list[tuple[float, int, int, int, bytes]] = field(default_factory=list)
    sources: set[int] = field(default_factory=set)


class RtpStream(DatagramProtocol):
    """One end of a G.711 RTP session with telephone-event, on a UDP socket of its own."""

    def __init__(
        self,
        codec: str = "PCMU",
        hz: float | None = 1000,
        event_pt: int = 101,
        host: str = "127.0.0.1",
    ) -> None:
        self.codec = codec
        self.event_pt = self.send_event_pt = event_pt  # what we announce, what the far end does
        self.payload_type = _PT[codec]
        self.port = free_ports(2, step=1)
        self.heard = Heard()
        self.presses: Happenings[Press] = Happenings(f"RTP events at {self.port}")
        self.remote: tuple[str, int] | None = None
        self._say = g711.encode(tone(hz, 2, level=0.3), codec) if hz else b"\xff" * FRAME * 100
        self._sequence, self._timestamp, self._ssrc = 100, 8000, self.port * 7919
        self._frame = 0
        self.announces_events = True
        self._once: deque[bytes] = deque()
        self._events: deque[tuple[int, int]] = deque()  # (code or -1: silence, frames left)
        self._event_start = 0
        self._event_frames = 0
        self._sending = False
        self._listener = reactor.listenUDP(self.port, self, interface=host, maxPacketSize=2048)
        self._socket: socket.socket = self._listener.socket

    def say(self, hz: float) -> None:
        self._say = g711.encode(tone(hz, 2, level=0.3), self.codec)

    def say_once(self, encoded: bytes) -> None:
        """In place of what it says else, until it is over."""
        self._once.extend(encoded[at : at + FRAME] for at in range(0, len(encoded), FRAME))

    def send_to(self, host: str, port: int) -> None:
        self.remote = (host, port)
        if not self._sending:
            self._sending = True
            _pacer().add(self)

    def quiet(self) -> None:
        """Stop sending (the session stays)."""
        self._sending = False
        _pacer().remove(self)

    async def close(self) -> None:
        self.quiet()
        if self._listener is not None:
            listener, self._listener = self._listener, None
            await listener.stopListening()

    # -- sending (in the pacer's thread)

    def tick(self) -> None:
        if self.remote is None:
            return
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._timestamp += FRAME
        if self._events:
            self._tick_event()
            return
        if self._once:
            self._packet(self.payload_type, self._timestamp, self._once.popleft(), marker=False)
            return
        at = self._frame * FRAME % len(self._say)
        self._frame += 1
        self._packet(self.payload_type, self._timestamp, self._say[at : at + FRAME], marker=False)

    def _tick_event(self) -> None:
        code, left = self._events[0]
        if code < 0:
            silence = b"\xff" if self.codec == "PCMU" else b"\xd5"
            self._packet(self.payload_type, self._timestamp, silence * FRAME, marker=False)
        else:
            first = self._event_frames == 0
            if first:
                self._event_start = self._timestamp
            self._event_frames += 1
            duration = self._event_frames * FRAME
            last = left == 1
            payload = struct.pack("!BBH", code, 0x80 | 10 if last else 10, duration)
            for repeat in range(3 if last else 1):  # RFC 4733 §2.5.1.4: the end three times
                if repeat:
                    self._sequence = (self._sequence + 1) & 0xFFFF
                self._packet(self.send_event_pt, self._event_start, payload, marker=first)
        if left == 1:
            self._events.popleft()
            self._event_frames = 0
        else:
            self._events[0] = (code, left - 1)

    def _packet(self, kind: int, timestamp: int, payload: bytes, marker: bool) -> None:
        header = struct.pack(
            "!BBHII",
            0x80,
            kind | (0x80 if marker else 0),
            self._sequence,
            timestamp & 0xFFFFFFFF,
            self._ssrc & 0xFFFFFFFF,
        )
        try:
            assert self.remote is not None
            self._socket.sendto(header + payload, self.remote)
        except OSError:
            return  # the far end is gone (ICMP) or the socket is being closed

    def comfort(self) -> None:
        """One packet of comfort noise (RFC 3389), in place of audio."""
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._timestamp += FRAME
        self._packet(13, self._timestamp, b"\x40", marker=False)

    def event(
        self,
        digit: str,
        timestamp: int,
        duration: int,
        *,
        ended: bool = False,
        marker: bool = False,
    ) -> None:
        """One packet of an event; times in units of its clock."""
        self._sequence = (self._sequence + 1) & 0xFFFF
        payload = struct.pack("!BBH", DIGITS.index(digit), 0x8A if ended else 0x0A, duration)
        self._packet(self.send_event_pt, timestamp, payload, marker)

    async def press(self, digits: str, duration_ms: int = 100, gap_ms: int = 60) -> None:
        """Send RFC 4733 events; done when the last is out."""
        for digit in digits:
            self._events.append((DIGITS.index(digit), max(1, duration_ms // 20)))
            self._events.append((-1, max(1, gap_ms // 20)))
        await pause(len(digits) * (duration_ms + gap_ms) / 1000)
        for _ in range(100):
            if not self._events:
                return
            await pause(0.02)
        raise AssertionError("events were not sent: the stream does not run")

    # -- receiving (in the reactor)

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        if len(datagram) < 12 or datagram[0] >> 6 != 2:
            return
        first, second, sequence, timestamp, ssrc = struct.unpack("!BBHII", datagram[:12])
        payload = datagram[12 + 4 * (first & 15) :]
        kind = second & 0x7F
        self.heard.sources.add(ssrc)
        if kind == self.event_pt and len(payload) >= 4:
            self._event(timestamp, payload)
        else:
            arrival = time.monotonic()
            self.heard.packets.append((arrival, sequence, timestamp, kind, payload))

    def _event(self, timestamp: int, payload: bytes) -> None:
        code, flags, duration = struct.unpack("!BBH", payload[:4])
        if code >= len(DIGITS):
            return
        for press in reversed(self.presses.seen[-4:]):
            if press.timestamp == timestamp and press.digit == DIGITS[code]:
                press.duration = max(press.duration, duration)
                press.ended = press.ended or bool(flags & 0x80)
                return
        self.presses.add(Press(DIGITS[code], timestamp, duration, bool(flags & 0x80)))

    def digits(self) -> str:
        return "".join(p.digit for p in self.presses.seen)

    def mark(self) -> int:
        """A place in what was heard, for ``audio(since)``."""
        return len(self.heard.packets)

    def audio(self, since: int = 0) -> Signal:
        """What was heard, by timestamp, with silence where a packet is missing (8 kHz)."""
        law = {v: k for k, v in _PT.items()}
        packets = [p for p in self.heard.packets[since:] if p[3] in law]
        if not packets:
            return np.zeros(0)
        start = packets[0][2]
        span = max((p[2] - start) & 0xFFFFFFFF for p in packets if self._near(p[2], start))
        out = np.zeros(span + 2 * FRAME)
        for _, _, timestamp, kind, payload in packets:
            if self._near(timestamp, start):
                at = (timestamp - start) & 0xFFFFFFFF
                samples = g711.decode(payload, law[kind])[: len(out) - at]
                out[at : at + len(samples)] = samples
        return out[: span + FRAME]

    @staticmethod
    def _near(timestamp: int, start: int) -> bool:
        return (timestamp - start) & 0xFFFFFFFF < 8000 * 600  # within ten minutes after

    def longest_wait_ms(self, since: int = 0) -> float:
        """The longest time without an audio packet, by arrival."""
        arrivals = [p[0] for p in self.heard.packets[since:]]
        return max((b - a for a, b in pairwise(arrivals)), default=0) * 1000
