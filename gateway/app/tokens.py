"""The DM platform's tokens: JWTs (RFC 7519) that say who an app client is."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Final

import jwt
import structlog
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from gateway.app.jwks import KeyRing
from gateway.app.keys import KeySet, fixed
from gateway.errors import CannotStart, TokenRefused
from gateway.settings import TokenSection, secret
from gateway.settings.people import is_zone
from gateway.values import HANDLE, AgeBand, Principal

log = structlog.get_logger()

AUDIENCE: Final = "dm-call"
MAX_JTI: Final = 200
_MAX_TTL_S = 366 * 86_400


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("holds control characters")
    return text


def _known_zone(value: object) -> object:
    """One that we cannot reckon with is as good as none: it is no reason to turn somebody away."""
    return value if isinstance(value, str) and is_zone(value) else None


_Name = Annotated[str, Field(max_length=100), AfterValidator(_printable)]
_Group = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_printable)]


class _Claims(BaseModel):
    """``aud``, ``iss`` and the signature are checked before this; other claims are not ours."""

    model_config = ConfigDict(strict=True, extra="ignore")

    sub: Annotated[str, Field(pattern=rf"^{HANDLE.pattern}$")]
    name: _Name | None = None
    region: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = None
    groups: Annotated[list[_Group], Field(max_length=64)] = []
    age: AgeBand | None = None
    zoneinfo: Annotated[str | None, BeforeValidator(_known_zone)] = None
    exp: float
    nbf: float | None = None
    iat: float | None = None
    jti: Annotated[str, Field(max_length=MAX_JTI)] | None = None


class Tokens:
    """Reads tokens; which key and which algorithm fit is ours to say, never theirs.

    ``keys`` has the keys of a set that is refreshed, where the settings name one; ``revoked`` says
    which tokens are good no more.  ``CannotStart`` when a fixed key cannot be used.
    """

    def __init__(
        self,
        section: TokenSection,
        now: Callable[[], float],
        keys: KeyRing | None = None,
        revoked: Callable[[Principal], bool] = lambda _: False,
    ) -> None:
        self._section = section
        self._now = now
        self._ring = keys
        self._fixed = KeySet() if section.refreshed else fixed(section)
        self._revoked = revoked

    async def start(self) -> None:
        """Waits for the keys, but not long; without any, ``amiss`` says so."""
        if self._ring is not None:
            await self._ring.refresh()

    async def stop(self) -> None:
        if self._ring is not None:
            self._ring.stop()

    def amiss(self) -> Sequence[str]:
        """What keeps everybody from signing in."""
        return () if len(self._keys) else ("no key for tokens has been read",)

    @property
    def _keys(self) -> KeySet:
        return self._fixed if self._ring is None else self._ring.keys

    async def read(self, token: str) -> Principal:
        """Who it is; every failure is the same ``TokenRefused``, and the log knows the reason.

        Waits only where the token's key is not known and the set is read once more.
        """
        try:
            claims = _Claims.model_validate(await self._verified(token))
        except (jwt.PyJWTError, ValidationError, ValueError, OverflowError, RecursionError) as e:
            # the type alone: messages quote the token's content
            log.info("token_refused", why=type(e).__name__)
            raise TokenRefused from None
        now, leeway = self._now(), self._section.leeway_s
        if not math.isfinite(claims.exp) or now >= claims.exp + leeway:
            log.info("token_refused", why="expired")
            raise TokenRefused
        for begin in (claims.nbf, claims.iat):
            if begin is not None and not begin <= now + leeway:
                log.info("token_refused", why="not yet valid")
                raise TokenRefused
        who = Principal(
            handle=claims.sub,
            name=claims.name or claims.sub,
            region=claims.region,
            groups=frozenset(claims.groups),
            age=claims.age,
            expires=claims.exp,
            timezone=claims.zoneinfo,
            token=claims.jti,
            issued=claims.iat,
        )
        if self._revoked(who):
            log.info("token_refused", why="revoked", user=who.handle)
            raise TokenRefused
        return who

    async def _verified(self, token: str) -> dict[str, Any]:
        header = jwt.get_unverified_header(token)
        if "crit" in header:  # RFC 7515 §4.1.11: we understand none of what it may name
            raise jwt.InvalidTokenError("crit")
        key = self._keys.find(header)
        if key is None and self._ring is not None:
            await self._ring.look_again()
            key = self._keys.find(header)
        if key is None:
            raise jwt.InvalidKeyError("no key of that id and algorithm")
        return jwt.decode(
            token,
            key.key,
            algorithms=[key.algorithm],
            audience=AUDIENCE,
            issuer=self._section.issuer,
            options={
                "require": ["sub", "exp", "aud"]
                + ([] if self._section.issuer is None else ["iss"]),
                # times are checked against the injected clock
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "verify_sub": False,
                "verify_jti": False,
            },
        )


def mint(
    section: TokenSection,
    handle: str,
    *,
    now: float,
    ttl_s: float = 3600,
    name: str | None = None,
    region: str | None = None,
    groups: Iterable[str] = (),
    age: AgeBand | None = None,
) -> str:
    """Sign a token with the shared secret: for development and for an operator's tests.

    ``CannotStart`` where the platform alone can sign (RS256, ES256), ``ValueError`` for a claim
    that would not be taken back.
    """
    if section.refreshed or section.algorithm != "HS256":
        signer = "jwks" if section.refreshed else section.algorithm
        raise CannotStart(
            f"app.token has {signer}: only the platform holds the private "
            "key; tokens can be made here with HS256 alone"
        )
    if not 0 < ttl_s <= _MAX_TTL_S:
        raise ValueError(f"a token lives between 1 s and {_MAX_TTL_S} s, not {ttl_s:g} s")
    claims: dict[str, Any] = {
        "sub": handle,
        "name": name or handle,
        "region": region,
        "groups": list(groups),
        "age": age,
        "aud": AUDIENCE,
        "iss": section.issuer,
        "jti": secrets.token_hex(8),
        "iat": int(now),
        "exp": int(now + ttl_s),
    }
    claims = {k: v for k, v in claims.items() if v is not None}
    try:
        _Claims.model_validate(claims)
    except ValidationError as e:
        wrong = "; ".join(f"{err['loc'][0]}: {err['msg']}" for err in e.errors())
        raise ValueError(f"not a token's claims: {wrong}") from e
    key = secret(section.secret, section.secret_file)
    return jwt.encode(claims, key, algorithm="HS256")
