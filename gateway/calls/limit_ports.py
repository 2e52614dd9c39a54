"""The interfaces to what people have used, and to whoever is told that it was too much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.calls.people_ports import PeopleFacts
from gateway.policy.identity import Identity
from gateway.policy.limits import Usage
from gateway.values import Address


@dataclass(frozen=True, slots=True)
class Hold:
    """Telephone calls of one person are stopped."""

    person: Address
    rule: str
    since: float
    until: float


class Ledger(Protocol):
    async def ask(
        self,
        caller: Identity,
        callee: Identity,
        source: str | None,
        now: float,
        members: Sequence[Identity] = (),
    ) -> tuple[Usage, tuple[PeopleFacts, ...]]:
        """Count an attempt, which may be too much, and read what the caller has used; and what
        is known of the caller with the callee, then with each member of a group.

        All of it in one transaction.  ``source`` is the network address that it comes from.
        Durable when it returns.
        """


class Holds(Protocol):
    async def hold(self, person: Address, rule: str, now: float) -> None:
        """Stop this person's telephone calls for ``limits.telephone.hold_s``, and say so."""

    async def holds(self, now: float) -> tuple[Hold, ...]:
        """Those that stand, newest first; at most 1000."""

    async def release(self, person: Address) -> bool:
        """``False`` where there is none."""


class LimitMeters(Protocol):
    def breached(self, rule: str) -> None: ...
