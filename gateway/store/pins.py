"""PINs of dial-in.  Implements ``ports.Pins``; a PIN itself is shown once and kept nowhere."""

from __future__ import annotations

import hmac
import secrets
from typing import Final

from sqlalchemy import Connection, delete, func, insert, select, update

from gateway.calls.pin_ports import Pin, PinKind, Redeemed
from gateway.errors import NotAllowed
from gateway.settings import DialInSection
from gateway.store.database import Database
from gateway.store.schema import keys, pin_failures, pins

EVERYBODY: Final = "*"
HELD_S: Final = 300.0
"""A one-time PIN is held for its call until that connects, or for so long."""
_TRIES: Final = 20
MAX_KEPT: Final = 50_000
"""Callers whose failures are remembered."""


class PinStore:
    def __init__(self, database: Database, settings: DialInSection) -> None:
        self._database = database
        self._settings = settings

    async def create(
        self, owner: str, kind: PinKind, label: str, expires_at: float | None, now: float
    ) -> tuple[Pin, str]:
        """The PIN's account, and its digits; ``NotAllowed`` beyond ``dialin.pins_per_user``."""

        def make(connection: Connection) -> tuple[Pin, str]:
            _forget_expired(connection, now)
            count = select(func.count()).select_from(pins).where(pins.c.owner == owner)
            if int(connection.execute(count).scalar_one()) >= self._settings.pins_per_user:
                most = self._settings.pins_per_user
                raise NotAllowed(f"there are {most} PINs already; revoke one first")
            key = _key(connection)
            for _ in range(_TRIES):
                digits = "".join(secrets.choice("0123456789") for _ in range(self._digits))
                digest = _digest(key, digits)
                taken = select(pins.c.pin).where(pins.c.digest == digest)
                if connection.execute(taken).first() is None:
                    break
            else:
                raise NotAllowed("no PIN is left; dialin.pin_digits is too small")
            pin = Pin(f"p{secrets.token_hex(6)}", kind, label, now, expires_at, 0)
            connection.execute(
                insert(pins).values(
                    pin=pin.id,
                    owner=owner,
                    kind=kind,
                    digest=digest,
                    label=label,
                    created_at=now,
                    expires_at=expires_at,
                    held_until=0.0,
                    uses=0,
                )
            )
            return pin, digits

        return await self._database.write(make)

    @property
    def _digits(self) -> int:
        return self._settings.pin_digits

    async def list(self, owner: str, now: float) -> tuple[Pin, ...]:
        """Newest first, without those that have expired."""
        query = select(pins).where(pins.c.owner == owner).order_by(pins.c.created_at.desc())

        def read(connection: Connection) -> tuple[Pin, ...]:
            return tuple(
                Pin(r.pin, r.kind, r.label, r.created_at, r.expires_at, r.uses)
                for r in connection.execute(query)
                if r.expires_at is None or r.expires_at > now
            )

        return await self._database.read(read)

    async def revoke(self, owner: str, pin: str) -> bool:
        """``False``: there is none of this id of this owner."""
        gone = delete(pins).where(pins.c.owner == owner, pins.c.pin == pin)
        return await self._database.write(lambda c: bool(c.execute(gone).rowcount))

    async def redeem(self, digits: str, caller: str, now: float) -> Redeemed | None:
        """Whom a PIN reaches; ``None`` for a wrong one and for a caller who is locked out.

        A one-time PIN is held until ``used`` or ``give_back``.
        """

        def look(connection: Connection) -> Redeemed | None:
            digest = _digest(_key(connection), digits)
            found = connection.execute(select(pins).where(pins.c.digest == digest)).first()
            locked = self._locked(connection, caller, now)
            expired = found is not None and found.expires_at is not None
            if found is not None and expired and found.expires_at <= now:
                found = None
            if found is None or locked:
                self._failed(connection, caller, now)
                return None
            if found.kind == "once":
                hold = (
                    update(pins)
                    .where(pins.c.pin == found.pin, pins.c.held_until <= now)
                    .values(held_until=now + HELD_S)
                )
                if not connection.execute(hold).rowcount:
                    return None  # another call has it just now
            connection.execute(delete(pin_failures).where(pin_failures.c.who == caller))
            return Redeemed(found.pin, found.owner)

        return await self._database.write(look)

    async def used(self, pin: str) -> None:
        """The call connected: a one-time PIN is gone."""

        def note(connection: Connection) -> None:
            gone = delete(pins).where(pins.c.pin == pin, pins.c.kind == "once")
            if not connection.execute(gone).rowcount:
                more = update(pins).where(pins.c.pin == pin).values(uses=pins.c.uses + 1)
                connection.execute(more)

        await self._database.write(note)

    async def give_back(self, pin: str) -> None:
        """The call did not connect: a one-time PIN may be used again."""
        free = update(pins).where(pins.c.pin == pin).values(held_until=0.0)
        await self._database.write(lambda c: c.execute(free).rowcount)

    # -- guessing

    def _level(self, connection: Connection, who: str, now: float, most: int) -> float:
        found = connection.execute(select(pin_failures).where(pin_failures.c.who == who)).first()
        if found is None:
            return 0.0
        drained = max(0.0, now - float(found.at)) * most / self._settings.lock_s
        return float(max(0.0, float(found.level) - drained))

    def _limits(self, caller: str) -> tuple[tuple[str, int], ...]:
        s = self._settings
        return ((caller[:400], s.caller_failures), (EVERYBODY, s.all_failures))

    def _locked(self, connection: Connection, caller: str, now: float) -> bool:
        return any(
            self._level(connection, who, now, most) > most - 1 for who, most in self._limits(caller)
        )

    def _failed(self, connection: Connection, caller: str, now: float) -> None:
        for who, most in self._limits(caller):
            level = min(float(most), self._level(connection, who, now, most) + 1)
            connection.execute(delete(pin_failures).where(pin_failures.c.who == who))
            connection.execute(insert(pin_failures).values(who=who, level=level, at=now))
        stale = now - self._settings.lock_s
        connection.execute(delete(pin_failures).where(pin_failures.c.at < stale))
        kept = connection.execute(select(func.count()).select_from(pin_failures)).scalar_one()
        if int(kept) > MAX_KEPT:
            oldest = select(pin_failures.c.who).where(pin_failures.c.who != EVERYBODY)
            oldest = oldest.order_by(pin_failures.c.at).limit(int(kept) - MAX_KEPT)
            connection.execute(delete(pin_failures).where(pin_failures.c.who.in_(oldest)))


def _forget_expired(connection: Connection, now: float) -> None:
    connection.execute(delete(pins).where(pins.c.expires_at <= now))


def _key(connection: Connection) -> bytes:
    """Made with the first PIN; without it a stolen table of digests is soon guessed."""
    found = connection.execute(select(keys.c.value).where(keys.c.name == "pins")).scalar()
    if found is None:
        found = secrets.token_hex(32)
        connection.execute(insert(keys).values(name="pins", value=found))
    return bytes.fromhex(str(found))


def _digest(key: bytes, digits: str) -> str:
    return hmac.digest(key, digits.encode(), "sha256").hex()
