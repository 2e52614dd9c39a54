"""Digits in SIP INFO, however their lines are written."""

from __future__ import annotations

import pytest

from gateway.edge.info import as_relay
from gateway.sip.message import Request
from gateway.sip.parser import parse_datagram

RELAY, BARE = "application/dtmf-relay", "application/dtmf"


def info(kind: str, body: bytes) -> Request:
    head = (
        "INFO sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP c;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n"
        f"To: <sip:a@b>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INFO\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    made = parse_datagram(head.encode() + body)
    assert isinstance(made, Request)
    return made


@pytest.mark.parametrize(
    ("kind", "body", "written"),
    [
        (RELAY, b"Signal=5\r\nDuration=2000", b"Signal=5\r\nDuration=2000\r\n"),
        (RELAY, b"Signal= 5\nDuration= 250\n", b"Signal=5\r\nDuration=250\r\n"),
        (RELAY, b"signal=a\r\n", b"Signal=A\r\nDuration=160\r\n"),
        (RELAY, b"Duration=90\r\nSignal=#\r\n", b"Signal=#\r\nDuration=90\r\n"),
        (RELAY, b"Signal=1\r\nDuration=99999\r\n", b"Signal=1\r\nDuration=10000\r\n"),
        (RELAY, b"Signal=16\r\n", None),
        (RELAY, b"5", None),
        (RELAY, b"", None),
        (BARE, b" 7\r\n", b"Signal=7\r\nDuration=160\r\n"),
        (BARE, b"Signal=*\r\nDuration=80", b"Signal=*\r\nDuration=80\r\n"),
        (BARE, b"77", None),
        ("application/json", b"Signal=5\r\n", None),
    ],
)
def test_one_form(kind: str, body: bytes, written: bytes | None) -> None:
    relayed = as_relay(info(kind, body))
    assert relayed.body == (body if written is None else written)
    expected = kind if written is None else RELAY
    assert relayed.headers.get("Content-Type") == expected
