"""The extension of the DM call protocol by which creators let followers call them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from gateway.app import messages
from gateway.app.messages import Params
from gateway.app.people_messages import PersonAddress
from gateway.calls.events import PassGranted
from gateway.calls.pass_ports import Grant, PassBook, shown
from gateway.calls.ports import AppClients
from gateway.errors import NoSuchPass, NotAllowed
from gateway.policy.passes import PassKind
from gateway.settings import PassesSection
from gateway.values import Client, UserAddress

Result = dict[str, Any]
Work = Callable[[], Awaitable[Result]]
Reader = Callable[[Client, Any], Work]


class PassGrant(Params):
    to: PersonAddress
    kind: PassKind
    calls: Annotated[int, Field(ge=1, le=1000)] | None = None
    minutes: Annotated[int, Field(ge=1, le=10_000)] | None = None
    from_: Annotated[float | None, Field(alias="from", ge=0, le=1e11)] = None
    until: Annotated[float, Field(ge=0, le=1e11)] | None = None

    @model_validator(mode="after")
    def _as_its_kind_needs(self) -> Self:
        if not isinstance(self.to, UserAddress):
            raise ValueError("to: passes are for people of the app; right is user:HANDLE")
        if (self.calls is None) == (self.kind == "calls"):
            raise ValueError("calls goes with the kind calls, and only with that")
        if (self.minutes is None) == (self.kind == "minutes"):
            raise ValueError("minutes goes with the kind minutes, and only with that")
        if self.kind == "window" and self.until is None:
            raise ValueError("a window needs until")
        if self.until is not None and self.until <= (self.from_ or 0):
            raise ValueError("until is not after from")
        return self

    @property
    def grant(self) -> Grant:
        return Grant(
            kind=self.kind,
            calls=1 if self.kind == "queue" else self.calls,
            seconds=None if self.minutes is None else self.minutes * 60.0,
            from_=self.from_,
            until=self.until,
        )


class PassList(Params):
    as_: Annotated[Literal["creator", "follower"], Field(alias="as")]
    before: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50


class PassRevoke(Params):
    id: Annotated[str, Field(pattern=r"^[a-z0-9]{1,32}$")]


class PassMethods:
    def __init__(
        self,
        book: PassBook,
        clients: AppClients,
        settings: PassesSection,
        now: Callable[[], float],
    ) -> None:
        self._book = book
        self._clients = clients
        self._creators = frozenset(settings.creators)
        self._now = now

    def readers(self) -> Mapping[str, Reader]:
        return {"pass.grant": self._grant, "pass.list": self._list, "pass.revoke": self._revoke}

    def _grant(self, client: Client, params: Any) -> Work:
        m = messages.read(PassGrant, params)
        who = client.principal

        async def work() -> Result:
            if self._creators and not self._creators & who.groups:
                raise NotAllowed("passes are granted by creators alone")
            if not isinstance(m.to, UserAddress) or m.to == who.address:
                raise NotAllowed("a pass is for somebody else")
            made = await self._book.grant(who.handle, m.to.handle, m.grant, self._now())
            event = PassGranted(shown=shown(made))
            for follower in self._clients.clients_of(made.follower):
                self._clients.notify(follower.id, event)
            return shown(made)

        return work

    def _list(self, client: Client, params: Any) -> Work:
        m = messages.read(PassList, params)
        me = client.principal.handle
        creator, follower = (me, None) if m.as_ == "creator" else (None, me)

        async def work() -> Result:
            page = await self._book.passes(creator, follower, m.before, m.limit, self._now())
            result: Result = {"passes": [shown(p) for p in page.passes]}
            if page.next is not None:
                result["next"] = page.next
            return result

        return work

    def _revoke(self, client: Client, params: Any) -> Work:
        m = messages.read(PassRevoke, params)

        async def work() -> Result:
            if not await self._book.revoke(client.principal.handle, m.id):
                raise NoSuchPass
            return {}

        return work
