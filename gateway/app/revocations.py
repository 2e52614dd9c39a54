"""Tokens that are good no more.  Implements ``revocation_ports.Revocations``."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Final, Protocol

import structlog
from twisted.internet.defer import Deferred

from gateway.app.sessions import Sessions
from gateway.calls.ports import Clock, DelayedCall
from gateway.calls.revocation_ports import Revocation, RevocationBook, RevocationPage
from gateway.errors import NoCapacity, StoreUnavailable
from gateway.values import Principal

log = structlog.get_logger()

MAX_KEPT: Final = 100_000
TIDY_S: Final = 3600.0


class RevocationMeters(Protocol):
    def revocations(self, count: int) -> None: ...


class RevokedTokens:
    """All are in memory, as every ``session.open`` asks for them; the book has them for later.

    A revocation counts from the moment it is asked for, before it is kept.
    """

    def __init__(
        self, book: RevocationBook, sessions: Sessions, clock: Clock, meters: RevocationMeters
    ) -> None:
        self._book = book
        self._sessions = sessions
        self._clock = clock
        self._meters = meters
        self._kept: dict[str, Revocation] = {}
        self._tidying: DelayedCall | None = None

    async def start(self) -> None:
        now = self._clock.seconds()
        await self._book.forget_expired(now)
        for found in await self._book.load(now):
            self._kept[found.id] = found
        self._count()
        self._tidying = self._clock.callLater(TIDY_S, self._tidy)

    async def stop(self) -> None:
        timer, self._tidying = self._tidying, None
        if timer is not None and timer.active():
            timer.cancel()

    # -- asked of tokens

    def covers(self, who: Principal) -> bool:
        now = self._clock.seconds()
        one = None if who.token is None else self._kept.get(_id("jti", who.token))
        if one is not None and now < one.expires_at:
            return True
        every = self._kept.get(_id("sub", who.handle))
        if every is None or every.issued_until is None or now >= every.expires_at:
            return False
        return who.issued is None or who.issued <= every.issued_until

    # -- Revocations

    async def revoke_token(self, jti: str, expires_at: float) -> Revocation:
        made = Revocation(_id("jti", jti), self._clock.seconds(), expires_at, jti=jti)
        return await self._revoke(made)

    async def revoke_person(self, sub: str, until: float, expires_at: float) -> Revocation:
        now = self._clock.seconds()
        made = Revocation(_id("sub", sub), now, expires_at, sub=sub, issued_until=until)
        return await self._revoke(made)

    async def page(self, after: str | None, limit: int) -> RevocationPage:
        return await self._book.page(self._clock.seconds(), after, limit)

    async def lift(self, id_: str) -> bool:
        if id_ not in self._kept:
            return False
        await self._book.forget(id_)
        there = self._kept.pop(id_, None) is not None
        self._count()
        log.warning("revocation_lifted", revocation=id_)
        return there

    async def _revoke(self, made: Revocation) -> Revocation:
        before = self._kept.get(made.id)
        if before is None and len(self._kept) >= MAX_KEPT:
            self._drop_expired()
            if len(self._kept) >= MAX_KEPT:
                raise NoCapacity("too many tokens are revoked")
        if before is not None:  # a second one takes nothing back
            made = replace(made, expires_at=max(made.expires_at, before.expires_at))
            if before.issued_until is not None and made.issued_until is not None:
                until = max(made.issued_until, before.issued_until)
                made = replace(made, issued_until=until)
        self._kept[made.id] = made
        self._count()
        ended = self._sessions.end_where(self.covers)
        log.warning("token_revoked", revocation=made.id, user=made.sub, sessions=ended)
        await self._book.keep(made)
        return made

    # -- upkeep

    def _tidy(self) -> None:
        self._tidying = self._clock.callLater(TIDY_S, self._tidy)
        self._drop_expired()
        Deferred.fromCoroutine(self._forget())

    async def _forget(self) -> None:
        try:
            await self._book.forget_expired(self._clock.seconds())
        except StoreUnavailable:
            return  # readiness tells of it; the next turn goes on

    def _drop_expired(self) -> None:
        now = self._clock.seconds()
        self._kept = {i: r for i, r in self._kept.items() if now < r.expires_at}
        self._count()

    def _count(self) -> None:
        self._meters.revocations(len(self._kept))


def _id(kind: str, value: str) -> str:
    return hashlib.sha256(f"{kind}\0{value}".encode()).hexdigest()[:32]
