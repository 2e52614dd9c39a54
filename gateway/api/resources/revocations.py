"""Tokens of app clients that are good no more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from gateway.api.operation import (
    Asked,
    Body,
    Handle,
    Limit,
    Operation,
    Reply,
    Request,
    Shown,
    whole,
)
from gateway.api.problems import Refused
from gateway.calls.revocation_ports import Revocations

READ: Final = "tokens:read"
WRITE: Final = "tokens:write"
USUAL_S: Final = 366 * 86_400
LONGEST_S: Final = 10 * USUAL_S

Name = Annotated[str, Field(pattern=r"^[a-f0-9]{1,32}$")]
Time = Annotated[float, Field(ge=0, le=1e11)]


_TEXT: Final[JsonDict] = {"type": "string"}
_NONE: Final[JsonDict] = {"type": "null"}
_ONE: Final[JsonDict] = {
    "required": ["jti"],
    "properties": {"jti": _TEXT, "sub": _NONE, "issued_until": _NONE},
}
_EVERY: Final[JsonDict] = {"required": ["sub"], "properties": {"sub": _TEXT, "jti": _NONE}}


class RevocationShown(Shown):
    id: str
    created_at: float
    expires_at: float
    jti: str | None = None
    sub: str | None = None
    issued_until: float | None = None


class RevocationList(Shown):
    revocations: list[RevocationShown]
    next: str | None = None


class RevocationCreate(Body):
    """Of one token (`jti`), or of all of a person's (`sub`) with an `iat` of `issued_until` (now,
    unless said) or before.  `ttl_s`: until the last of them has expired; 366 days unless said.
    """

    model_config = ConfigDict(json_schema_extra={"oneOf": [_ONE, _EVERY]})

    jti: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[ -~]+$")] | None = None
    sub: Handle | None = None
    issued_until: Time | None = None
    ttl_s: Annotated[int, Field(ge=60, le=LONGEST_S), whole] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.jti is None) == (self.sub is None):
            raise ValueError("needs jti or sub, one of them")
        if self.jti is not None and self.issued_until is not None:
            raise ValueError("issued_until goes with sub")
        return self


class ListQuery(Asked):
    after: Name | None = None
    limit: Limit = 50


class OfRevocation(Asked):
    id: Name


class RevocationResource:
    def __init__(self, revocations: Revocations, now: Callable[[], float]) -> None:
        self._revocations = revocations
        self._now = now

    def operations(self) -> Sequence[Operation]:
        all_, one = "/v1/revocations", "/v1/revocations/{id}"
        # fmt: off
        return (
            Operation("revoke", "Revoke a token, or all of a person's", "POST", all_, WRITE,
                      self._revoke, RevocationShown, 201, body=RevocationCreate),
            Operation("listRevocations", "Revoked tokens that have not expired, by id", "GET",
                      all_, READ, self._list, RevocationList, query=ListQuery),
            Operation("liftRevocation", "Let a revoked token in again", "DELETE", one, WRITE,
                      self._lift, status=204, path=OfRevocation, refuses=(404,)),
        )
        # fmt: on

    async def _revoke(self, r: Request) -> Reply:
        b, now = r.body, self._now()
        expires = now + (b.ttl_s or USUAL_S)
        if b.jti is not None:
            made = await self._revocations.revoke_token(b.jti, expires)
        else:
            until = now if b.issued_until is None else b.issued_until
            made = await self._revocations.revoke_person(b.sub, until, expires)
        return Reply(RevocationShown(**asdict(made)), location=f"/v1/revocations/{made.id}")

    async def _list(self, r: Request) -> Reply:
        page = await self._revocations.page(r.query.after, r.query.limit)
        found = [RevocationShown(**asdict(one)) for one in page.revocations]
        return Reply(RevocationList(revocations=found, next=page.next))

    async def _lift(self, r: Request) -> Reply:
        if not await self._revocations.lift(r.path.id):
            raise Refused(404, "no such revocation")
        return Reply()
