"""Answers to digest challenges: the examples of RFC 7616 §3.9.1, and what is chosen."""

from __future__ import annotations

import pytest

from gateway.sip.credentials import Login, answer, is_stale
from gateway.sip.digest import verify
from gateway.sip.headers import parse_auth

MUFASA = Login("Mufasa", "Circle of Life")
NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
OPAQUE = "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"


def challenge(algorithm: str, qop: str = "auth, auth-int") -> str:
    return (
        f'Digest realm="http-auth@example.org", qop="{qop}", algorithm={algorithm}, '
        f'nonce="{NONCE}", opaque="{OPAQUE}"'
    )


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_the_rfc(algorithm: str, response: str) -> None:
    value = answer([challenge(algorithm)], MUFASA, "GET", "/dir/index.html", CNONCE)
    assert value is not None
    scheme, given = parse_auth(value)
    assert (scheme, given["response"], given["opaque"]) == ("digest", response, OPAQUE)
    assert given["algorithm"] == algorithm


def test_the_first_that_can_be_met_is_taken() -> None:
    offered = [
        challenge("SHA-512-256"),
        challenge("SHA-256", "auth-int"),
        challenge("SHA-256"),
        challenge("MD5"),
    ]
    value = answer(offered, MUFASA, "REGISTER", "sip:a", CNONCE)
    assert value is not None
    assert "algorithm=SHA-256" in value


def test_as_of_old_without_qop_and_algorithm() -> None:
    offered = ['Digest realm="r \\"x\\"", nonce="n"']
    value = answer(offered, Login('a"b', "p"), "REGISTER", "sip:a", CNONCE)
    assert value is not None
    _, given = parse_auth(value)
    assert "qop" not in given
    assert "cnonce" not in given
    assert given["username"] == 'a"b'
    assert verify(given, "REGISTER", "p", ("MD5",))


@pytest.mark.parametrize("offered", [[], ["Basic x=y"], ["?"], ['Digest realm="r"']])
def test_nothing_to_answer(offered: list[str]) -> None:
    assert answer(offered, MUFASA, "GET", "/", CNONCE) is None


def test_stale() -> None:
    assert is_stale(["?", challenge("MD5") + ", stale=TRUE"])
    assert not is_stale([challenge("MD5") + ", stale=false", challenge("MD5")])


def test_a_password_is_not_shown() -> None:
    assert "Circle" not in repr(MUFASA)
