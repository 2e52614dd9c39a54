"""SRTP with AES_CM_128_HMAC_SHA1_80 (RFC 3711), one direction: enough to be an SDES peer."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

TAG = 10


class SrtpKey:
    """``inline`` is what a crypto line carries (RFC 4568 §6.1)."""

    def __init__(self, inline: str | None = None) -> None:
        raw = base64.b64decode(inline) if inline else secrets.token_bytes(30)
        self.inline = base64.b64encode(raw).decode()
        master, salt = raw[:16], raw[16:]
        self._key = _derive(master, salt, 0, 16)
        self._auth = _derive(master, salt, 1, 20)
        self._salt = int.from_bytes(_derive(master, salt, 2, 14), "big")

    def protect(self, packet: bytes) -> bytes:
        """An RTP packet without CSRCs and extensions; sequence numbers never wrap in a test."""
        sealed = packet[:12] + self._stream(packet)
        return sealed + self._tag(sealed)

    def open(self, packet: bytes) -> bytes:
        """The RTP packet; ``ValueError`` where its tag is not right."""
        body, given = packet[:-TAG], packet[-TAG:]
        if not hmac.compare_digest(self._tag(body), given):
            raise ValueError("wrong authentication tag")
        return body[:12] + self._stream(body)

    def _tag(self, packet: bytes) -> bytes:
        return hmac.new(self._auth, packet + bytes(4), hashlib.sha1).digest()[:TAG]

    def _stream(self, packet: bytes) -> bytes:
        sequence, ssrc = int.from_bytes(packet[2:4], "big"), int.from_bytes(packet[8:12], "big")
        start = (self._salt << 16) ^ (ssrc << 64) ^ (sequence << 16)
        return _counter(self._key, start, packet[12:])


def _derive(key: bytes, salt: bytes, label: int, size: int) -> bytes:
    start = (int.from_bytes(salt, "big") ^ label << 48) << 16
    return _counter(key, start, bytes(size))


def _counter(key: bytes, start: int, data: bytes) -> bytes:
    cipher = Cipher(AES(key), CTR(start.to_bytes(16, "big"))).encryptor()
    return cipher.update(data) + cipher.finalize()
