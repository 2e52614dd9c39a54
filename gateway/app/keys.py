"""Keys that tokens are verified with.  Each has one algorithm, which no token can change."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jwt

from gateway.errors import CannotStart
from gateway.settings import TokenSection, secret
from gateway.settings.tokens import Algorithm

MAX_KEYS: Final = 64
_BITS: Final = range(2048, 8193)
"""Of an RSA modulus: RFC 7518 §3.3, and what a verification may cost."""
_PRIVATE: Final = frozenset({"d", "p", "q", "k"})


class NoKeys(Exception):
    """What was read has no key that is of use; says why."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    id: str | None
    algorithm: Algorithm
    key: Any


class KeySet:
    def __init__(self, keys: Iterable[VerificationKey] = ()) -> None:
        self._keys = tuple(keys)

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, header: Mapping[str, Any]) -> VerificationKey | None:
        """The one key that a token with this header may be verified with.

        A key without an id fits where none has the token's.
        """
        kid, found = header.get("kid"), self._keys
        if kid is not None:
            named = tuple(key for key in found if key.id == kid)
            found = named or tuple(key for key in found if key.id is None)
        fits = [key for key in found if key.algorithm == header.get("alg")]
        return fits[0] if len(fits) == 1 else None


def read_set(text: str | bytes) -> KeySet:
    """A JWK Set (RFC 7517 §5): its public keys for signatures with RS256 or ES256.

    Others are passed over, as §5 has it.  ``NoKeys`` where nothing is left.
    """
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        raise NoKeys("is no JSON") from None
    listed = given.get("keys") if isinstance(given, dict) else None
    if not isinstance(listed, list):
        raise NoKeys("is no JWK Set")
    if len(listed) > MAX_KEYS:
        raise NoKeys(f"has more than {MAX_KEYS} keys")
    usable = [jwk for jwk in listed if isinstance(jwk, dict) and _algorithm(jwk) is not None]
    try:
        keys = [key for jwk in jwt.PyJWKSet.from_dict({"keys": usable}).keys if (key := _key(jwk))]
    except (jwt.PyJWTError, ValueError, TypeError):
        keys = []
    if not keys:
        raise NoKeys("has no public key for RS256 or ES256")
    return KeySet(keys)


def _algorithm(jwk: Mapping[str, Any]) -> Algorithm | None:
    """The key's own word where it has one, else what its type is for."""
    if _PRIVATE & jwk.keys() or jwk.get("use", "sig") != "sig":
        return None
    if "verify" not in (jwk.get("key_ops") or ["verify"]):
        return None
    fits: Algorithm | None = None
    if jwk.get("kty") == "RSA":
        fits = "RS256"
    elif jwk.get("kty") == "EC" and jwk.get("crv") == "P-256":
        fits = "ES256"
    return fits if jwk.get("alg", fits) == fits else None


def _key(jwk: jwt.PyJWK) -> VerificationKey | None:
    algorithm: Algorithm = "RS256" if jwk.key_type == "RSA" else "ES256"
    if algorithm == "RS256" and jwk.key.key_size not in _BITS:
        return None
    return VerificationKey(jwk.key_id, algorithm, jwk.key)


def fixed(section: TokenSection) -> KeySet:
    """Of a secret or a file that is read once; ``CannotStart`` says why it is of no use."""
    try:
        if section.algorithm == "HS256":
            key = secret(section.secret, section.secret_file)
            if len(key) < 32:
                raise CannotStart("app.token: the secret needs 32 characters (RFC 7518 §3.2)")
            return KeySet([VerificationKey(None, "HS256", key)])
        path = section.key_file or Path()
        return _public(path.read_text(encoding="utf-8"), section.algorithm, path)
    except (OSError, UnicodeDecodeError) as e:
        raise CannotStart(f"app.token: the key's file cannot be read: {e}") from e


def _public(text: str, algorithm: Algorithm, path: Path) -> KeySet:
    """A PEM public key, or a JWK Set of which the keys for ``algorithm`` are taken."""
    try:
        if text.lstrip().startswith("{"):
            keys = [key for key in read_set(text)._keys if key.algorithm == algorithm]
            if not keys:
                raise NoKeys(f"has no key for {algorithm}")
            return KeySet(keys)
        key = jwt.get_algorithm_by_name(algorithm).prepare_key(text)
        return KeySet([VerificationKey(None, algorithm, key)])
    except NoKeys as e:
        raise CannotStart(f"app.token.key_file: {path} {e}") from e
    except (jwt.PyJWTError, ValueError, TypeError) as e:
        raise CannotStart(
            f"app.token.key_file: {path} is neither a PEM public key for {algorithm} nor a JWK Set"
        ) from e
