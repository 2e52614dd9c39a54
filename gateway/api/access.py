"""Who a request is from, and whether it may be asked."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.api.problems import Refused, too_soon
from gateway.errors import CannotStart
from gateway.policy.buckets import Buckets
from gateway.settings import ServiceToken
from gateway.settings.api import Scope

SHORTEST: Final = 32
_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="dm-gateway"'}


@dataclass(frozen=True, slots=True)
class Caller:
    """``secret`` is known to the token's bearer alone, and to us while it asks."""

    name: str
    scopes: frozenset[Scope]
    secret: bytes

    def needs(self, scope: Scope) -> None:
        if scope not in self.scopes:
            raise Refused(403, f"the token has no scope {scope}")


class _Known:
    def __init__(self, token: ServiceToken) -> None:
        self.name = token.name
        self.scopes = frozenset(token.scopes)
        self.digest = _digest_of(token)
        self.networks = [ipaddress.ip_network(n) for n in token.networks]
        self.bucket = Buckets(token.requests_per_s, token.requests_burst, max_keys=1)

    def may_come_from(self, host: str) -> bool:
        if not self.networks:
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self.networks)


class Access:
    """Raises ``Refused`` with 401, 403 or 429."""

    def __init__(self, tokens: Sequence[ServiceToken], now: Callable[[], float]) -> None:
        self._known = [_Known(token) for token in tokens]
        self._now = now

    def check(self, authorization: str | None, host: str) -> Caller:
        """``authorization`` is the header's value, ``host`` the numeric address it came from."""
        scheme, _, secret = (authorization or "").partition(" ")
        secret = secret.strip()
        if scheme.lower() != "bearer" or not secret:
            raise Refused(401, "a token is needed: Authorization: Bearer", headers=_CHALLENGE)
        digest = hashlib.sha256(secret.encode(errors="replace")).digest()
        found: _Known | None = None
        for known in self._known:  # every one, so that time tells nothing
            if hmac.compare_digest(known.digest, digest):
                found = known
        if found is None:
            raise Refused(401, "token refused", headers=_CHALLENGE)
        if not found.may_come_from(host):
            raise Refused(403, "the token may not be used from this address")
        wait = found.bucket.take("", self._now())
        if wait:
            raise too_soon("requests", wait)
        return Caller(found.name, found.scopes, secret.encode(errors="replace"))


def _digest_of(token: ServiceToken) -> bytes:
    if token.hash is not None:
        return bytes.fromhex(token.hash)
    assert token.token_file is not None  # the settings see to it
    try:
        secret = token.token_file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as e:
        raise CannotStart(f"api.tokens: {token.token_file} cannot be read: {e}") from e
    if len(secret) < SHORTEST:
        problem = f"holds fewer than {SHORTEST} characters"
        raise CannotStart(f"api.tokens: {token.token_file} {problem}")
    return hashlib.sha256(secret.encode()).digest()
