"""A plain RTP peer: sends a G.711 tone from its own thread and keeps what it hears.

The thread keeps its own time, so that a busy reactor does not make gaps that are not there.
"""

from __future__ import annotations

import math
import random
import socket
import struct
import threading
import time

import numpy as np

RATE = 8000
FRAME = 160
BIAS, CLIP = 0x84, 32635


def encode_ulaw(samples: np.ndarray) -> bytes:
    """ITU-T G.711 µ-law, 16-bit PCM in."""
    out = bytearray()
    for value in samples.astype(int).tolist():
        sign = 0x80 if value < 0 else 0
        magnitude = min(abs(value), CLIP) + BIAS
        exponent = magnitude.bit_length() - 8
        mantissa = (magnitude >> (exponent + 3)) & 0x0F
        out.append(~(sign | exponent << 4 | mantissa) & 0xFF)
    return bytes(out)


def _ulaw_table() -> np.ndarray:
    table = []
    for code in range(256):
        u = ~code & 0xFF
        value = ((((u & 0x0F) << 3) + BIAS) << ((u >> 4) & 7)) - BIAS
        table.append(-value if u & 0x80 else value)
    return np.array(table, dtype=np.int16)


ULAW = _ulaw_table()


def level_db(samples: np.ndarray, hz: float) -> float:
    """Power of one tone in dB relative to full scale (Goertzel)."""
    if not len(samples):
        return -120.0
    n = np.arange(len(samples))
    wave = np.exp(-2j * math.pi * hz * n / RATE)
    amplitude = 2 * abs(np.dot(samples.astype(float), wave)) / len(samples)
    return 20 * math.log10(max(amplitude, 1e-3) / 32768)


def hears(samples: np.ndarray, hz: float) -> bool:
    """The tone stands 20 dB over its neighbours and over -40 dBFS."""
    around = max(level_db(samples, hz * f) for f in (0.81, 0.9, 1.13, 1.27))
    return level_db(samples, hz) > max(-40.0, around + 20)


class RtpTone:
    def __init__(self, hz: float, payload_type: int = 0) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.005)
        self.port: int = self.socket.getsockname()[1]
        self.to: tuple[str, int] | None = None
        self.packets: list[bytes] = []
        self.events: list[bytes] = []
        self.queue: list[bytes] = []
        self.event_type = 101
        self._type = payload_type
        t = np.arange(RATE) / RATE
        wave = encode_ulaw(np.sin(2 * math.pi * hz * t) * 12_000)
        self._frames = [wave[i : i + FRAME] for i in range(0, RATE, FRAME)]
        self._sequence = random.randrange(30_000)
        self._ssrc = random.randrange(2**32)
        self._stamp = 0
        self._running = True
        self._thread = threading.Thread(target=self._run, daemon=True)

    def offer(self, *codecs: str, ptime: int | None = None, extra: str = "") -> str:
        """SDP that offers PCMU (or the given rtpmaps) and telephone-event."""
        maps = codecs or ("0 PCMU/8000",)
        types = " ".join(m.split()[0] for m in maps)
        lines = [
            "v=0",
            "o=- 1 1 IN IP4 127.0.0.1",
            "s=-",
            "c=IN IP4 127.0.0.1",
            "t=0 0",
            f"m=audio {self.port} RTP/AVP {types} {self.event_type}",
            *(f"a=rtpmap:{m}" for m in maps),
            f"a=rtpmap:{self.event_type} telephone-event/8000",
            f"a=fmtp:{self.event_type} 0-16",
        ]
        if ptime:
            lines.append(f"a=ptime:{ptime}")
        return "\r\n".join(lines) + "\r\n" + extra

    def talk_to(self, answer: str) -> None:
        port = next(line for line in answer.splitlines() if line.startswith("m=audio"))
        self.to = ("127.0.0.1", int(port.split()[1]))
        if not self._thread.is_alive():
            self._thread.start()

    def _run(self) -> None:
        due = time.monotonic()
        n = 0
        while self._running:
            now = time.monotonic()
            if now >= due:
                due += 0.02
                self._send(self._frames[n % len(self._frames)])
                n += 1
            try:
                self._heard(self.socket.recv(2048))
            except TimeoutError:
                continue
            except OSError:
                return

    def _send(self, payload: bytes) -> None:
        self._sequence = (self._sequence + 1) % 65536
        self._stamp += FRAME
        kind = self._type
        if self.queue:
            payload, kind = self.queue.pop(0), self.event_type
        stamp = self._stamp if kind == self._type else self._press_stamp
        head = struct.pack("!BBHII", 0x80, kind, self._sequence, stamp % 2**32, self._ssrc)
        if self.to is not None:
            self.socket.sendto(head + payload, self.to)

    _press_stamp = 0

    def press(self, digit: str, duration_ms: int = 100) -> None:
        """RFC 4733: updates every 20 ms, the end three times."""
        code = "0123456789*#ABCD".index(digit)
        self._press_stamp = self._stamp + FRAME
        for n in range(1, duration_ms // 20 + 1):
            self.queue.append(struct.pack("!BBH", code, 10, n * FRAME))
        self.queue += [struct.pack("!BBH", code, 0x8A, duration_ms * 8)] * 3

    def _heard(self, packet: bytes) -> None:
        if len(packet) < 12 or packet[1] & 0x7F >= 72 and packet[1] & 0x7F <= 76:
            return
        kind = packet[1] & 0x7F
        if kind == self.event_type:
            self.events.append(packet)
        elif kind in (0, self._type):
            self.packets.append(packet)

    def digits(self) -> list[tuple[str, int]]:
        """What was pressed at us: digit and duration in ms, once a press (by timestamp)."""
        seen: dict[int, tuple[str, int]] = {}
        for packet in self.events:
            stamp = struct.unpack("!I", packet[4:8])[0]
            code, flags, duration = struct.unpack("!BBH", packet[12:16])
            if flags & 0x80:
                seen[stamp] = ("0123456789*#ABCD"[code], duration // 8)
        return list(seen.values())

    def heard(self, last_s: float | None = None) -> np.ndarray:
        """The last seconds of what came, as 16-bit PCM."""
        data = b"".join(p[12:] for p in self.packets)
        samples = ULAW[np.frombuffer(data, dtype=np.uint8)]
        return samples if last_s is None else samples[-int(last_s * RATE) :]

    def close(self) -> None:
        self._running = False
        if self._thread.is_alive():
            self._thread.join(1)
        self.socket.close()
