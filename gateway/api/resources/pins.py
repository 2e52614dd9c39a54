"""PINs by which telephones reach people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final

from pydantic import Field

from gateway.api.operation import Asked, Body, Handle, Line, Operation, Reply, Request, Shown, whole
from gateway.api.problems import Refused
from gateway.calls.pin_ports import Pin, PinKind, Pins

READ: Final = "people:read"
WRITE: Final = "people:write"


class PinShown(Shown):
    """``pin``, its digits, is there once: in the answer to its making."""

    id: str
    kind: PinKind
    label: str
    created_at: float
    expires_at: float | None = None
    uses: int
    pin: str | None = None


class PinList(Shown):
    pins: list[PinShown]


class PinCreate(Body):
    kind: PinKind
    label: Annotated[Line, Field(max_length=100)] = ""
    ttl_s: Annotated[int, Field(ge=60, le=31_536_000), whole] | None = None


class OfPerson(Asked):
    handle: Handle


class OfPin(OfPerson):
    id: Annotated[str, Field(pattern=r"^[a-z0-9]{1,32}$")]


class PinResource:
    def __init__(self, pins: Pins, now: Callable[[], float]) -> None:
        self._pins = pins
        self._now = now

    def operations(self) -> Sequence[Operation]:
        all_, one = "/v1/people/{handle}/pins", "/v1/people/{handle}/pins/{id}"
        # fmt: off
        return (
            Operation("createPin", "Make a PIN", "POST", all_, WRITE, self._create, PinShown, 201,
                      path=OfPerson, body=PinCreate),
            Operation("listPins", "A person's PINs, newest first", "GET", all_, READ, self._list,
                      PinList, path=OfPerson),
            Operation("revokePin", "Revoke a PIN", "DELETE", one, WRITE, self._revoke, status=204,
                      path=OfPin, refuses=(404,)),
        )
        # fmt: on

    async def _create(self, r: Request) -> Reply:
        now, b = self._now(), r.body
        expires = None if b.ttl_s is None else now + b.ttl_s
        made, digits = await self._pins.create(r.path.handle, b.kind, b.label, expires, now)
        return Reply(_shown(made, pin=digits))

    async def _list(self, r: Request) -> Reply:
        found = await self._pins.list(r.path.handle, self._now())
        return Reply(PinList(pins=[_shown(p) for p in found]))

    async def _revoke(self, r: Request) -> Reply:
        if not await self._pins.revoke(r.path.handle, r.path.id):
            raise Refused(404, "no such PIN")
        return Reply()


def _shown(p: Pin, **more: Any) -> PinShown:
    return PinShown(
        id=p.id,
        kind=p.kind,
        label=p.label,
        created_at=p.created_at,
        expires_at=p.expires_at,
        uses=p.uses,
        **more,
    )
