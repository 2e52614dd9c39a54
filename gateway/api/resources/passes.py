"""Passes that creators have granted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from gateway.api.operation import (
    Asked,
    Body,
    Cursor,
    Handle,
    Limit,
    Operation,
    Reply,
    Request,
    Shown,
    whole,
)
from gateway.api.problems import Refused
from gateway.calls.events import PassGranted
from gateway.calls.pass_ports import Grant, PassBook, shown
from gateway.calls.ports import AppClients
from gateway.policy.passes import PassKind

READ: Final = "people:read"
WRITE: Final = "people:write"

Time = Annotated[float, Field(ge=0, le=1e11)]


class PassShown(Shown):
    """``position`` is that in the creator's queue, for a pass of that kind."""

    id: str
    kind: PassKind
    creator: str
    follower: str
    created: float
    calls_left: int | None = None
    minutes_left: float | None = None
    from_: float | None = Field(None, alias="from")
    until: float | None = None
    position: int | None = None


class PassList(Shown):
    passes: list[PassShown]
    next: str | None = None


class PassGrant(Body):
    """``calls`` goes with the kind ``calls``, ``minutes`` with ``minutes``; a window needs
    ``until``.
    """

    follower: Handle
    kind: Literal["calls", "minutes", "window", "queue"]
    calls: Annotated[int, Field(ge=1, le=1000), whole] | None = None
    minutes: Annotated[int, Field(ge=1, le=10_000), whole] | None = None
    from_: Time | None = Field(None, alias="from")
    until: Time | None = None

    def grant(self) -> Grant:
        """``Refused`` with 422 where it is none."""
        for name, given in (("calls", self.calls), ("minutes", self.minutes)):
            if (given is None) == (self.kind == name):
                raise _wrong(name, f"goes with the kind {name}, and only with that")
        if self.kind == "window" and self.until is None:
            raise _wrong("until", "is missing; a window needs it")
        if self.until is not None and self.until <= (self.from_ or 0):
            raise _wrong("until", "is not after from")
        seconds = None if self.minutes is None else self.minutes * 60.0
        calls = 1 if self.kind == "queue" else self.calls
        return Grant(self.kind, calls, seconds, self.from_, self.until)


def _wrong(field: str, problem: str) -> Refused:
    return Refused(422, f"not right: {field} {problem}", [(field, problem)])


class OfPerson(Asked):
    handle: Handle


class OfPass(OfPerson):
    id: Annotated[str, Field(pattern=r"^[a-z0-9]{1,32}$")]


class ListQuery(Asked):
    """Those that the person granted, or (``follower``) holds."""

    side: Literal["creator", "follower"] = "creator"
    before: Cursor | None = None
    limit: Limit = 50


class PassResource:
    def __init__(self, book: PassBook, clients: AppClients, now: Callable[[], float]) -> None:
        self._book = book
        self._clients = clients
        self._now = now

    def operations(self) -> Sequence[Operation]:
        all_, one = "/v1/people/{handle}/passes", "/v1/people/{handle}/passes/{id}"
        # fmt: off
        return (
            Operation("grantPass", "Grant a pass of this person's", "POST", all_, WRITE,
                      self._grant, PassShown, 201, path=OfPerson, body=PassGrant),
            Operation("listPasses", "A person's passes that may be used, newest first", "GET", all_,
                      READ, self._list, PassList, path=OfPerson, query=ListQuery),
            Operation("revokePass", "Revoke a pass of this person's", "DELETE", one, WRITE,
                      self._revoke, status=204, path=OfPass, refuses=(404,)),
        )
        # fmt: on

    async def _grant(self, r: Request) -> Reply:
        creator, b = r.path.handle, r.body
        grant = b.grant()
        if b.follower == creator:
            raise _wrong("follower", "is the creator; a pass is for somebody else")
        made = shown(await self._book.grant(creator, b.follower, grant, self._now()))
        for client in self._clients.clients_of(b.follower):
            self._clients.notify(client.id, PassGranted(shown=made))
        return Reply(_pass(made))

    async def _list(self, r: Request) -> Reply:
        q, me = r.query, r.path.handle
        sides = (me, None) if q.side == "creator" else (None, me)
        page = await self._book.passes(sides[0], sides[1], q.before, q.limit, self._now())
        return Reply(PassList(passes=[_pass(shown(p)) for p in page.passes], next=page.next))

    async def _revoke(self, r: Request) -> Reply:
        if not await self._book.revoke(r.path.handle, r.path.id):
            raise Refused(404, "no such pass")
        return Reply()


def _pass(made: dict[str, Any]) -> PassShown:
    return PassShown.model_validate(made)
