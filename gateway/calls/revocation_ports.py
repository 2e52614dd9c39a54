"""Tokens that are good no more before they expire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Revocation:
    """Of one token (``jti``), or of all of a person's (``sub``) issued at ``issued_until`` or
    before; one without ``iat`` counts as issued before.  ``expires_at``: when it may be forgotten.
    """

    id: str
    created_at: float
    expires_at: float
    jti: str | None = None
    sub: str | None = None
    issued_until: float | None = None


@dataclass(frozen=True, slots=True)
class RevocationPage:
    revocations: tuple[Revocation, ...]
    next: str | None = None


class RevocationBook(Protocol):
    """Keeps them; every method may raise ``StoreUnavailable``."""

    async def load(self, now: float) -> tuple[Revocation, ...]: ...
    async def keep(self, revocation: Revocation) -> None: ...
    async def forget(self, id_: str) -> None: ...
    async def forget_expired(self, now: float) -> None: ...
    async def page(self, now: float, after: str | None, limit: int) -> RevocationPage: ...


class Revocations(Protocol):
    """What the app's servers ask."""

    async def revoke_token(self, jti: str, expires_at: float) -> Revocation:
        """Effective when it returns, also where it raises ``StoreUnavailable``; then ask again.

        ``NoCapacity`` where there are too many.
        """

    async def revoke_person(self, sub: str, until: float, expires_at: float) -> Revocation: ...
    async def page(self, after: str | None, limit: int) -> RevocationPage: ...
    async def lift(self, id_: str) -> bool: ...
