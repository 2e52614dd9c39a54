"""Digest authentication (RFC 7616, RFC 8760) on the server's side: challenges and checks."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final, Literal

Algorithm = Literal["MD5", "SHA-256"]
Freshness = Literal["fresh", "stale", "forged", "replayed"]

MAX_TRACKED: Final = 10_000
"""Nonces whose counts are remembered; the oldest are forgotten and then count as stale."""


def _hash(algorithm: Algorithm, text: str) -> str:
    data = text.encode("utf-8", "surrogateescape")
    if algorithm == "SHA-256":
        return hashlib.sha256(data).hexdigest()
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


class NonceIssuer:
    """Nonces that carry their time, sealed with a key; nothing is kept until one is used."""

    def __init__(self, key: bytes, lifetime_s: float) -> None:
        self._key = key
        self._lifetime_s = lifetime_s
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._serial = 0

    def issue(self, now: float) -> str:
        self._serial = (self._serial + 1) % 2**32
        stamp = int(now * 1000).to_bytes(8, "big") + self._serial.to_bytes(4, "big")
        return base64.urlsafe_b64encode(stamp + self._seal(stamp)).decode()

    def _seal(self, stamp: bytes) -> bytes:
        return hmac.digest(self._key, stamp, "sha256")[:12]

    def judge(self, nonce: str, now: float) -> Freshness:
        """Whether a nonce is ours and young; its count is judged by ``count``."""
        try:
            raw = base64.urlsafe_b64decode(nonce.encode("ascii", "strict"))
        except (ValueError, UnicodeError):
            return "forged"
        stamp, seal = raw[:12], raw[12:]
        if len(raw) != 24 or not hmac.compare_digest(seal, self._seal(stamp)):
            return "forged"
        age = now - int.from_bytes(stamp[:8], "big") / 1000
        return "fresh" if -1 <= age <= self._lifetime_s else "stale"

    def count(self, nonce: str, nc: int) -> bool:
        """Note a nonce count that came with valid credentials; ``False`` for one seen before."""
        last = self._counts.pop(nonce, 0)
        self._counts[nonce] = max(last, nc)
        while len(self._counts) > MAX_TRACKED:
            self._counts.popitem(last=False)
        return nc > last


def challenges(
    realm: str, nonce: str, algorithms: Sequence[Algorithm], *, stale: bool = False
) -> list[str]:
    """Header values, one an algorithm, most preferred first (RFC 8760 §2.4)."""
    tail = ", stale=true" if stale else ""
    return [
        f'Digest realm="{realm}", nonce="{nonce}", algorithm={algorithm}, qop="auth"{tail}'
        for algorithm in algorithms
    ]


def algorithm_of(credentials: Mapping[str, str]) -> Algorithm | None:
    """The algorithm that credentials name; MD5 when they name none (RFC 7616 §3.4)."""
    match credentials.get("algorithm", "MD5").upper():
        case "MD5":
            return "MD5"
        case "SHA-256":
            return "SHA-256"
        case _:
            return None


def response_value(
    credentials: Mapping[str, str], method: str, password: str, algorithm: Algorithm
) -> str:
    """What ``response`` has to be (RFC 7616 §3.4.1); qop ``auth`` or, as of old, none."""
    ha1 = _hash(
        algorithm,
        f"{credentials.get('username', '')}:{credentials.get('realm', '')}:{password}",
    )
    ha2 = _hash(algorithm, f"{method}:{credentials.get('uri', '')}")
    nonce = credentials.get("nonce", "")
    if "qop" not in credentials:
        return _hash(algorithm, f"{ha1}:{nonce}:{ha2}")
    nc, cnonce = credentials.get("nc", ""), credentials.get("cnonce", "")
    return _hash(algorithm, f"{ha1}:{nonce}:{nc}:{cnonce}:{credentials['qop']}:{ha2}")


def verify(
    credentials: Mapping[str, str], method: str, password: str, allowed: Sequence[Algorithm]
) -> bool:
    """Whether the credentials prove the password, in constant time."""
    algorithm = algorithm_of(credentials)
    if algorithm is None or algorithm not in allowed:
        return False
    if credentials.get("qop", "auth") != "auth":
        return False
    wanted = response_value(credentials, method, password, algorithm)
    given = credentials.get("response", "").lower()
    return hmac.compare_digest(wanted.encode(), given.encode("utf-8", "surrogateescape"))


def nonce_count(credentials: Mapping[str, str]) -> int | None:
    """``nc`` as a number; ``None`` where there is none (no qop) or it is no hex number."""
    text = credentials.get("nc", "")
    try:
        return int(text, 16) if len(text) <= 8 else None
    except ValueError:
        return None
