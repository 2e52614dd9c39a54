"""The DM platform's tokens: JWTs (RFC 7519) that say who an app client is."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
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

from gateway.errors import CannotStart, TokenRefused
from gateway.settings import TokenSection, secret
from gateway.settings.people import is_zone
from gateway.values import HANDLE, AgeBand, Principal

log = structlog.get_logger()

AUDIENCE: Final = "dm-call"
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


class Tokens:
    """Reads tokens signed as the settings say; the algorithm is ours to choose, never theirs.

    ``now`` gives seconds since the epoch.  ``CannotStart`` when the key cannot be used.
    """

    def __init__(self, section: TokenSection, now: Callable[[], float]) -> None:
        self._section = section
        self._now = now
        self._keys = _keys(section)

    def read(self, token: str) -> Principal:
        """Who it is; every failure is the same ``TokenRefused``, and the log knows the reason."""
        try:
            claims = _Claims.model_validate(self._verified(token))
        except (jwt.PyJWTError, ValidationError, ValueError, OverflowError, RecursionError) as e:
            # the type alone: messages quote the token's content
            log.info("token_refused", why=type(e).__name__)
            raise TokenRefused from None
        now, leeway = self._now(), self._section.leeway_s
        if not math.isfinite(claims.exp) or now >= claims.exp + leeway:
            log.info("token_refused", why="expired")
            raise TokenRefused
        if claims.nbf is not None and not claims.nbf <= now + leeway:
            log.info("token_refused", why="not yet valid")
            raise TokenRefused
        return Principal(
            handle=claims.sub,
            name=claims.name or claims.sub,
            region=claims.region,
            groups=frozenset(claims.groups),
            age=claims.age,
            expires=claims.exp,
            timezone=claims.zoneinfo,
        )

    def _verified(self, token: str) -> dict[str, Any]:
        header = jwt.get_unverified_header(token)
        candidates = [key for kid, key in self._keys if kid is None or kid == header.get("kid")]
        if not candidates:
            raise jwt.InvalidKeyError("no key of that id")
        return jwt.decode(
            token,
            candidates[0],
            algorithms=[self._section.algorithm],
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
    if section.algorithm != "HS256":
        raise CannotStart(
            f"app.token.algorithm is {section.algorithm}: only the platform holds the private "
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


_Keys = list[tuple[str | None, Any]]


def _keys(section: TokenSection) -> _Keys:
    """The keys by id; a single key has none and fits every token."""
    try:
        if section.algorithm == "HS256":
            key = secret(section.secret, section.secret_file)
            if len(key) < 32:
                raise CannotStart("app.token: the secret needs 32 characters (RFC 7518 §3.2)")
            return [(None, key)]
        path = section.key_file or Path()
        return _public_keys(path.read_text(encoding="utf-8"), section.algorithm, path)
    except (OSError, UnicodeDecodeError) as e:
        raise CannotStart(f"app.token: the key's file cannot be read: {e}") from e


def _public_keys(text: str, algorithm: str, path: Path) -> _Keys:
    """A PEM public key, or a JWK Set (RFC 7517 §5)."""
    kty = {"RS256": "RSA", "ES256": "EC"}[algorithm]
    try:
        if text.lstrip().startswith("{"):
            keys = [
                (jwk.key_id, jwk.key)
                for jwk in jwt.PyJWKSet.from_dict(json.loads(text)).keys
                if jwk.key_type == kty and jwk.public_key_use in (None, "sig")
            ]
            if not keys:
                raise CannotStart(f"app.token.key_file: {path} holds no {kty} key")
            return [*keys]
        return [(None, jwt.get_algorithm_by_name(algorithm).prepare_key(text))]
    except (jwt.PyJWTError, ValueError, TypeError) as e:
        raise CannotStart(
            f"app.token.key_file: {path} is neither a PEM public key for {algorithm} nor a JWK Set"
        ) from e
