"""Secrets are struck out of messages, and nothing else; lengths stay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sip.redaction import redacted

DIGEST = (
    'Digest username="1001", realm="dm.localhost", nonce="n0nce", uri="sip:a@b", '
    'response="r3sp0nse", algorithm=MD5, cnonce="cn0nce", qop=auth, nc=00000001, opaque="0paque"'
)


def message(headers: str = "", body: str = "", kind: str = "application/sdp") -> bytes:
    lines = ["INVITE sip:bob@b SIP/2.0", "Via: SIP/2.0/UDP h;branch=z9hG4bK1"]
    lines += [headers] if headers else []
    lines += [f"Content-Type: {kind}"] if body else []
    lines += [f"Content-Length: {len(body)}", "", body]
    return "\r\n".join(lines).encode()


@pytest.mark.parametrize("name", ["Authorization", "Proxy-Authorization", "proxy-authorization "])
def test_credentials_tell_who_and_not_the_proof(name: str) -> None:
    text = redacted(message(f"{name}: {DIGEST}")).decode()
    for kept in ('username="1001"', 'realm="dm.localhost"', 'uri="sip:a@b"', "algorithm=MD5"):
        assert kept in text
    for secret in ("r3sp0nse", "cn0nce", "n0nce", "0paque"):
        assert secret not in text
    assert "INVITE sip:bob@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n" in text


@pytest.mark.parametrize(
    ("headers", "secret"),
    [
        ('Authorization: Digest username="a",\r\n response="f0lded"', "f0lded"),
        ("Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("Authorization: Bearer s3cret.t0ken", "s3cret"),
        ('Authorization: Digest username="x", evil=username="y", response="l8"', "l8"),
        ("Identity: eyJhbGciOiJ.eyJkZXN0Ijp7.c2ln;info=<https://c/a>", "c2ln"),
        ("y: eyJhbGciOiJ.eyJkZXN0Ijp7.c2ln;info=<https://c/a>", "c2ln"),
        ("Cookie: session=abc123", "abc123"),
        ("X-Token: eyJhbGciOiJ.eyJkZXN0Ijp7.c2ln", "c2ln"),
        ("Refer-To: <sip:a@b?X=Bearer tok3n>", "tok3n"),
    ],
)
def test_headers(headers: str, secret: str) -> None:
    whole = message(headers)
    assert secret in whole.decode()
    assert secret not in redacted(whole).decode()


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:S3cretKey0123/+=|2^20|1:4", "S3cretKey0123"),
        ("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:One1;inline:Two2", "Two2"),
        ("a=ice-pwd:asd88fgpdd777uzjYhagZg", "asd88fgpdd777uzjYhagZg"),
        ("a=key-mgmt:mikey AQAFgM0X", "AQAFgM0X"),
        ("k=clear:hunter2", "hunter2"),
    ],
)
def test_keys_of_sdp(line: str, secret: str) -> None:
    whole = message(body=f"v=0\r\nm=audio 5004 RTP/SAVP 0\r\n{line}\r\na=sendrecv\r\n")
    text = redacted(whole).decode()
    assert secret in whole.decode() and secret not in text
    assert "m=audio 5004 RTP/SAVP 0\r\n" in text and "a=sendrecv\r\n" in text


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n"),
        ("application/dtmf", "7"),
        ("text/plain", "my PIN is 1234"),
        ("multipart/mixed; boundary=x", "--x\r\n\r\nv=0"),
    ],
)
def test_other_bodies_are_stars(kind: str, body: str) -> None:
    text = redacted(message(body=body, kind=kind))
    assert set(text.partition(b"\r\n\r\n")[2]) <= set(b"*\r\n\t ")


def test_a_body_of_no_type_is_stars() -> None:
    assert redacted(b"INFO sip:a SIP/2.0\r\n\r\n1234").endswith(b"\r\n\r\n****")


@given(st.binary(max_size=300))
def test_whatever_it_is_its_length_stays(data: bytes) -> None:
    assert len(redacted(data)) == len(data)


_PART = st.sampled_from(
    [
        b"Authorization: Digest ",
        b'username="1"',
        b'response="SECRET"',
        b"inline:SECRET",
        b"a=ice-pwd:SECRET",
        b"\r\n",
        b"\r\n ",
        b"\r\n\r\n",
        b"Content-Type: application/sdp",
        b", ",
        b"x",
    ]
)


@given(st.lists(_PART, max_size=20).map(b"".join))
def test_lengths_and_lines_stay(data: bytes) -> None:
    out = redacted(data)
    assert len(out) == len(data)
    assert out.count(b"\r\n") == data.count(b"\r\n")
