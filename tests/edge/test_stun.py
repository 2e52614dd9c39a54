"""Keep-alives by STUN on the SIP port (RFC 5626 §4.4.2)."""

from __future__ import annotations

import struct
import zlib
from ipaddress import ip_address

import pytest
import pytest_twisted

from gateway.edge.stun import answer, is_stun
from gateway.values import HostPort
from tests.edge.scene import Scene

COOKIE = 0x2112A442


def binding_request(*attributes: tuple[int, bytes], fingerprint: bool = False) -> bytes:
    body = b"".join(
        struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)
        for kind, value in attributes
    )
    length = len(body) + (8 if fingerprint else 0)
    message = struct.pack("!HHI", 1, length, COOKIE) + b"transaction!" + body
    if fingerprint:
        message += struct.pack("!HHI", 0x8028, 4, zlib.crc32(message) ^ 0x5354554E)
    return message


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
@pytest.mark.parametrize("fingerprint", [False, True])
def test_stun_says_where_a_request_came_from(host: str, fingerprint: bool) -> None:
    request = binding_request((0x8022, b"baresip"), fingerprint=fingerprint)
    assert is_stun(request)
    said = answer(request, HostPort(host, 40_000))
    assert said is not None
    kind, length, cookie = struct.unpack("!HHI", said[:8])
    assert (kind, length, cookie) == (0x0101, len(said) - 20, COOKIE)
    assert said[8:20] == b"transaction!"
    attribute, size, family, port = struct.unpack("!HHxBH", said[20:28])
    assert (attribute, port ^ 0x2112) == (0x0020, 40_000)
    key = said[4:20]
    address = bytes(a ^ b for a, b in zip(said[28 : 24 + size], key, strict=False))
    assert ip_address(address) == ip_address(host)
    assert family == (2 if ":" in host else 1)
    if fingerprint:
        assert struct.unpack("!I", said[-4:])[0] == zlib.crc32(said[:-8]) ^ 0x5354554E


def test_stun_refuses_what_it_must_understand_and_does_not() -> None:
    said = answer(binding_request((0x0003, b"\0\0\0\6")), HostPort("192.0.2.1", 1))
    assert said is not None
    assert said[:2] == b"\x01\x11"
    assert b"\0\0\x04\x14" in said
    assert struct.pack("!HHH", 0x000A, 2, 0x0003) in said


@pytest.mark.parametrize(
    "data",
    [
        binding_request()[:-1],
        binding_request()[:19],
        binding_request() + b"\0",
        b"\1\1" + binding_request()[2:],  # a response
        b"\0\x11" + binding_request()[2:],  # an indication
        binding_request((0x8022, bytes(600))),
        binding_request()[:2] + b"\0\4" + binding_request()[4:] + b"\0\6\0\4",
        binding_request()[:4] + b"abcd" + binding_request()[8:],
        b"OPTIONS sip:a SIP/2.0\r\n\r\n",
    ],
)
def test_what_is_not_answered(data: bytes) -> None:
    assert not is_stun(data) or answer(data, HostPort("192.0.2.1", 1)) is None


@pytest_twisted.ensureDeferred
async def test_stun_on_the_sip_port(scene: Scene) -> None:
    phone = scene.phone()
    heard: list[bytes] = []
    phone.datagramReceived = lambda data, addr: (heard.append(data), phone.queue.put(data))  # type: ignore[method-assign,assignment,arg-type,func-returns-value]
    phone.send(binding_request())
    await phone.next()
    assert heard[0][:2] == b"\1\1"
    assert struct.unpack("!H", heard[0][26:28])[0] ^ 0x2112 == phone.address.port
