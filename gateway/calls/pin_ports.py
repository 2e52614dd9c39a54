"""The interface to PINs, by which telephones reach people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

PinKind = Literal["once", "standing"]


@dataclass(frozen=True, slots=True)
class Pin:
    """What its owner sees of a PIN: never its digits again."""

    id: str
    kind: PinKind
    label: str
    created_at: float
    expires_at: float | None
    uses: int


@dataclass(frozen=True, slots=True)
class Redeemed:
    pin: str
    owner: str
    """A handle."""


class Pins(Protocol):
    """PINs by which telephones reach people; see ``store/pins``."""

    async def create(
        self, owner: str, kind: PinKind, label: str, expires_at: float | None, now: float
    ) -> tuple[Pin, str]: ...
    async def list(self, owner: str, now: float) -> tuple[Pin, ...]: ...
    async def revoke(self, owner: str, pin: str) -> bool: ...
    async def redeem(self, digits: str, caller: str, now: float) -> Redeemed | None: ...
    async def used(self, pin: str) -> None: ...
    async def give_back(self, pin: str) -> None: ...
