"""The interfaces to passes: what creators grant, and calls use up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from gateway.policy.identity import Identity
from gateway.policy.passes import HeldPass, PassKind


@dataclass(frozen=True, slots=True)
class Grant:
    """What a creator gives: of ``calls`` and ``seconds`` the one that its kind needs."""

    kind: PassKind
    calls: int | None = None
    seconds: float | None = None
    from_: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """``position`` is 1 at the head of the creator's queue, where it is of that kind."""

    id: str
    creator: str
    follower: str
    grant: Grant
    created_at: float
    calls_left: int | None
    seconds_left: float | None
    position: int | None = None


@dataclass(frozen=True, slots=True)
class PassPage:
    """Newest first.  ``next``, where there is more, is the ``before`` of the next page."""

    passes: tuple[Pass, ...]
    next: str | None = None


class Passes(Protocol):
    """As calls use them."""

    async def held(self, caller: Identity, callee: Identity, now: float) -> HeldPass | None:
        """What this caller may use to call this callee now."""

    async def spend(self, pass_: str, call: str, now: float) -> bool:
        """Use it for this call, which connects; ``False`` where it was used up meanwhile."""

    async def settle(self, pass_: str, call: str, talk_s: float, *, refund: bool) -> None:
        """The call is over: take its minutes, or give back what ``spend`` took.  Once."""


class PassBook(Protocol):
    """As people use them, by handle."""

    async def grant(self, creator: str, follower: str, grant: Grant, now: float) -> Pass:
        """``NotAllowed`` beyond ``passes.per_creator``."""

    async def passes(
        self,
        creator: str | None,
        follower: str | None,
        before: str | None,
        limit: int,
        now: float,
    ) -> PassPage:
        """Those that may yet be used, granted by ``creator`` or held by ``follower``."""

    async def revoke(self, creator: str, pass_: str) -> bool: ...


def shown(p: Pass) -> dict[str, Any]:
    """As the protocol and the API have it."""
    out: dict[str, Any] = {
        "id": p.id,
        "kind": p.grant.kind,
        "creator": f"user:{p.creator}",
        "follower": f"user:{p.follower}",
        "created": p.created_at,
    }
    optional = {
        "calls_left": p.calls_left if p.grant.kind == "calls" else None,
        "minutes_left": None if p.seconds_left is None else round(p.seconds_left / 60, 2),
        "from": p.grant.from_,
        "until": p.grant.until,
        "position": p.position,
    }
    return {**out, **{k: v for k, v in optional.items() if v is not None}}
