"""Addresses: read and written, and refused with a word about what would be right."""

from __future__ import annotations

import pytest

from gateway.errors import BadAddress
from gateway.values import HostPort, parse_address


@pytest.mark.parametrize(
    "text",
    ["user:alice", "user:A.b-c_9", "tel:+14155550123", "sip:1001@example.org", "service:echo"],
)
def test_addresses_survive_a_round_trip(text: str) -> None:
    assert str(parse_address(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "alice",
        "user:",
        "user:" + "a" * 65,
        "user:a b",
        "user:alice\n",
        "tel:14155550123",
        "tel:+0123",
        "tel:+1234567890123456",
        "sip:1001",
        "sip:@example.org",
        "sip:1001@",
        "sip:a@b c",
        "sip:a\r\nTo: x@h",
        "service:shell",
        "mailto:a@b",
        "sip:" + "a" * 500 + "@h",
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(BadAddress, match=r"right are user:HANDLE, tel:\+E164"):
        parse_address(text)


def test_host_and_port() -> None:
    assert str(HostPort("127.0.0.1", 5060)) == "127.0.0.1:5060"
    assert str(HostPort("::1", 5060)) == "[::1]:5060"
