"""STUN keep-alives on the SIP port (RFC 5626 §4.4.2): Binding requests in, responses out."""

from __future__ import annotations

import struct
import zlib
from ipaddress import ip_address
from typing import Final

from gateway.values import HostPort

MAX_BYTES: Final = 548
"""RFC 8489 §6.1: what passes everywhere; a keep-alive has next to nothing to say."""
_COOKIE: Final = 0x2112A442
_REQUEST: Final = 0x0001
_SUCCESS: Final = 0x0101
_FAILURE: Final = 0x0111
_XOR_MAPPED_ADDRESS: Final = 0x0020
_ERROR_CODE: Final = 0x0009
_UNKNOWN_ATTRIBUTES: Final = 0x000A
_FINGERPRINT: Final = 0x8028
_IGNORED: Final = frozenset({0x0006, 0x0008, 0x0014, 0x0015, 0x0024, 0x0025})
"""Credentials and ICE's words: this use of STUN has no need of either."""


def is_stun(data: bytes) -> bool:
    """No SIP message begins with a byte below 4 (RFC 8489 §5, RFC 5626 §8.3)."""
    return len(data) >= 20 and data[0] < 4 and data[4:8] == _COOKIE.to_bytes(4, "big")


def answer(data: bytes, source: HostPort) -> bytes | None:
    """What a Binding request is answered with; ``None`` for anything else (RFC 8489 §6.3)."""
    kind, length = struct.unpack("!HH", data[:4])
    if kind != _REQUEST or len(data) > MAX_BYTES or length % 4 or length != len(data) - 20:
        return None
    types = _attribute_types(data[20:])
    if types is None:
        return None
    transaction = data[8:20]
    unknown = [t for t in types if t < 0x8000 and t not in _IGNORED]
    if unknown:
        listed = b"".join(struct.pack("!H", t) for t in unknown[:16])
        body = _attribute(_ERROR_CODE, b"\0\0\x04\x14Unknown Attribute")
        body += _attribute(_UNKNOWN_ATTRIBUTES, listed)
        return _message(_FAILURE, transaction, body, _FINGERPRINT in types)
    body = _attribute(_XOR_MAPPED_ADDRESS, _xored(source, transaction))
    return _message(_SUCCESS, transaction, body, _FINGERPRINT in types)


def _attribute_types(body: bytes) -> list[int] | None:
    types: list[int] = []
    at = 0
    while at < len(body):
        kind, length = struct.unpack_from("!HH", body, at)
        at += 4 + length + -length % 4
        if at > len(body):
            return None
        types.append(kind)
    return types


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def _xored(source: HostPort, transaction: bytes) -> bytes:
    """RFC 8489 §14.2."""
    address = ip_address(source.host.partition("%")[0])
    key = _COOKIE.to_bytes(4, "big") + transaction
    host = bytes(a ^ b for a, b in zip(address.packed, key, strict=False))
    return struct.pack("!BBH", 0, 1 if address.version == 4 else 2, source.port ^ 0x2112) + host


def _message(kind: int, transaction: bytes, body: bytes, fingerprint: bool) -> bytes:
    length = len(body) + (8 if fingerprint else 0)
    message = struct.pack("!HHI", kind, length, _COOKIE) + transaction + body
    if not fingerprint:
        return message
    check = zlib.crc32(message) ^ 0x5354554E
    return message + struct.pack("!HHI", _FINGERPRINT, 4, check)
