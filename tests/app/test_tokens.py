"""Tokens: who is let in, and that a refusal says nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gateway.app.tokens import Tokens, mint
from gateway.errors import CannotStart, TokenRefused
from gateway.settings import TokenSection

SECRET = "0123456789abcdef0123456789abcdef"
NOW = 1_700_000_000.0
GOOD = {"sub": "alice", "aud": "dm-call", "exp": NOW + 60}


def section(**more: Any) -> TokenSection:
    return TokenSection.model_validate({"secret": SECRET, "leeway_s": 10, **more})


def signed(claims: dict[str, Any], key: Any = SECRET, **more: Any) -> str:
    return jwt.encode(claims, key, **{"algorithm": "HS256", **more})


def read(token: str, **more: Any) -> Any:
    return at_once(Tokens(section(**more), lambda: NOW), token)


def at_once(tokens: Tokens, token: str) -> Any:
    """What is read without waiting for anything."""
    got: list[Any] = []
    Deferred.fromCoroutine(tokens.read(token)).addBoth(got.append)
    (found,) = got
    if isinstance(found, Failure):
        found.raiseException()
    return found


def test_all_claims_make_a_principal() -> None:
    claims = {"name": "Alice", "region": "DE", "groups": ["beta", "x"], "age": "16-17"}
    who = read(signed(GOOD | claims))
    assert (who.handle, who.name, who.region, who.age) == ("alice", "Alice", "DE", "16-17")
    assert who.groups == {"beta", "x"}
    assert who.expires == NOW + 60
    assert read(signed(GOOD)).name == "alice"
    assert read(signed(GOOD | {"aud": ["other", "dm-call"], "extra": {"any": 1}})).handle == "alice"


@pytest.mark.parametrize(
    ("zone", "known"),
    [("Europe/Berlin", "Europe/Berlin"), ("UTC", "UTC"), ("Berlin", None), ("", None), (7, None)],
)
def test_a_time_zone_that_is_not_known_counts_as_none(zone: Any, known: str | None) -> None:
    assert read(signed(GOOD | {"zoneinfo": zone})).timezone == known


@pytest.mark.parametrize(
    "change",
    [
        {"sub": None},
        {"sub": "a b"},
        {"sub": "a\n"},
        {"sub": "a" * 65},
        {"sub": 7},
        {"aud": "other"},
        {"aud": None},
        {"exp": None},
        {"exp": NOW - 10},
        {"exp": "soon"},
        {"exp": True},
        {"exp": float("inf")},
        {"exp": 10**400},
        {"nbf": NOW + 11},
        {"region": "Germany"},
        {"region": "de"},
        {"groups": "beta"},
        {"groups": [1]},
        {"groups": ["g"] * 65},
        {"age": "17"},
        {"name": "x" * 101},
        {"name": "a\x07"},
    ],
    ids=str,
)
def test_a_wrong_claim_is_refused_and_the_refusal_is_always_the_same(change: Any) -> None:
    claims = {k: v for k, v in (GOOD | change).items() if v is not None}
    with pytest.raises(TokenRefused) as caught:
        read(signed(claims))
    assert str(caught.value) == "token refused"
    assert caught.value.data() is None


def test_leeway() -> None:
    assert read(signed(GOOD | {"exp": NOW - 9}))
    assert read(signed(GOOD | {"nbf": NOW + 9}))


def test_the_algorithm_is_pinned() -> None:
    for token in (
        signed(GOOD, None, algorithm="none"),
        signed(GOOD, SECRET * 2, algorithm="HS512"),
        signed(GOOD, "another secret of 32 characters!"),
        signed(GOOD) + "x",
        "a.b.c",
        "",
        "é",
        jwt.utils.base64url_encode(b'{"a":' + b"[" * 4000).decode() + ".e30.x",
    ):
        with pytest.raises(TokenRefused):
            read(token)


def test_the_issuer_is_checked_when_it_is_set() -> None:
    assert read(signed(GOOD | {"iss": "dm"}), issuer="dm").handle == "alice"
    for claims in (GOOD, GOOD | {"iss": "other"}):
        with pytest.raises(TokenRefused):
            read(signed(claims), issuer="dm")


def _pem(key: Any) -> str:
    public: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return public.decode()


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_public_key_or_a_key_set(algorithm: str, tmp_path: Path) -> None:
    rs = algorithm == "RS256"
    keys: list[Any] = [
        rsa.generate_private_key(65537, 2048) if rs else ec.generate_private_key(ec.SECP256R1())
        for _ in range(2)
    ]
    pem = tmp_path / "key.pem"
    pem.write_text(_pem(keys[0]))
    by_key = Tokens(TokenSection(algorithm=algorithm, key_file=pem, secret=None), lambda: NOW)
    assert at_once(by_key, signed(GOOD, keys[0], algorithm=algorithm)).handle == "alice"
    for wrong in (
        signed(GOOD, keys[1], algorithm=algorithm),
        # the public key as an HMAC secret: the classic confusion
        _hmac_with(pem.read_text()),
    ):
        with pytest.raises(TokenRefused):
            at_once(by_key, wrong)

    to_jwk = jwt.get_algorithm_by_name(algorithm).to_jwk
    jwks = {
        "keys": [json.loads(to_jwk(k.public_key())) | {"kid": str(i)} for i, k in enumerate(keys)]
    }
    set_file = tmp_path / "jwks.json"
    set_file.write_text(json.dumps(jwks))
    by_set = Tokens(TokenSection(algorithm=algorithm, key_file=set_file), lambda: NOW)
    for i, key in enumerate(keys):
        token = signed(GOOD, key, algorithm=algorithm, headers={"kid": str(i)})
        assert at_once(by_set, token).handle == "alice"
    for headers in ({"kid": "1"}, {"kid": "9"}, {}):
        with pytest.raises(TokenRefused):
            at_once(by_set, signed(GOOD, keys[0], algorithm=algorithm, headers=headers))


def _hmac_with(pem: str) -> str:
    import base64
    import hashlib
    import hmac

    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    head = part(b'{"alg":"HS256","typ":"JWT"}') + "." + part(json.dumps(GOOD).encode())
    return head + "." + part(hmac.new(pem.encode(), head.encode(), hashlib.sha256).digest())


def test_a_key_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_text("no key")
    for path in (bad, tmp_path / "missing.pem"):
        with pytest.raises(CannotStart, match="key"):
            Tokens(TokenSection(algorithm="RS256", key_file=path), lambda: NOW)
    short = tmp_path / "short"
    short.write_text("short\n")
    with pytest.raises(CannotStart, match="32 characters"):
        Tokens(TokenSection(secret_file=short), lambda: NOW)


def test_mint_makes_what_is_read() -> None:
    token = mint(
        section(issuer="dm"), "bob", now=NOW, ttl_s=60, region="DE", groups=["beta"], age="18+"
    )
    who = read(token, issuer="dm")
    assert (who.handle, who.region, who.age, who.expires) == ("bob", "DE", "18+", NOW + 60)
    for wrong in ({"handle": "a b"}, {"handle": "a", "region": "xx"}, {"handle": "a", "ttl_s": 0}):
        with pytest.raises(ValueError, match=r"claims|lives"):
            mint(section(), now=NOW, **wrong)
    with pytest.raises(CannotStart, match="HS256 alone"):
        mint(TokenSection(algorithm="RS256", key_file=Path("x")), "a", now=NOW)
