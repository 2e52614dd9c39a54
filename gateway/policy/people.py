"""What is known of a person: what their token said, what they have set, how two know each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.settings.routing import Day
from gateway.values import Address, AgeBand, Principal

AllowFrom = Literal["everyone", "contacts", "nobody"]
Breakthrough = Literal["favourites", "nobody"]


@dataclass(frozen=True, slots=True)
class QuietHours:
    """By the clock on the wall, ``HH:MM``; ``to`` before ``from_`` is on the next day."""

    days: tuple[Day, ...]
    from_: str
    to: str


@dataclass(frozen=True, slots=True)
class Preferences:
    """A person's own settings.

    ``timezone`` ``None``: as their token says; ``ring_seconds`` ``None``: as the gateway is set.
    """

    allow_from: AllowFrom = "everyone"
    allow_phone: bool = True
    quiet_hours: tuple[QuietHours, ...] = ()
    timezone: str | None = None
    quiet_breakthrough: Breakthrough = "favourites"
    ring_seconds: int | None = None
    do_not_disturb: bool = False


@dataclass(frozen=True, slots=True)
class Claims:
    """What a person's token said when it was last seen."""

    region: str | None = None
    groups: frozenset[str] = frozenset()
    age: AgeBand | None = None
    timezone: str | None = None

    @classmethod
    def of(cls, principal: Principal) -> Claims:
        return cls(principal.region, principal.groups, principal.age, principal.timezone)


@dataclass(frozen=True, slots=True)
class Person:
    """One side of a call, whatever it calls with; ``knows``, ``favours`` and ``blocks`` the other.

    ``address`` is ``user:HANDLE`` for whoever has a handle, else the address itself.
    """

    address: Address
    claims: Claims = Claims()
    preferences: Preferences = Preferences()
    knows: bool = False
    favours: bool = False
    blocks: bool = False
    talked_s: float = 0.0
    """In calls of today; asked only of people whose age bounds it."""
