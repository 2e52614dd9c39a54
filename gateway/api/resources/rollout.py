"""Who has calls at this moment: switches that are set while running."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

from pydantic import Field, ValidationError

from gateway.api.operation import Body, Handle, Line, Operation, Reply, Request, Shown
from gateway.api.problems import Refused, invalid
from gateway.calls.rollout import Rollout

READ: Final = "rollout:read"
WRITE: Final = "rollout:write"

Region = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
Group = Annotated[Line, Field(min_length=1, max_length=64)]


class Switches(Shown):
    enabled: bool
    regions: list[str]
    groups: list[str]
    percent: float
    salt: str
    allow: list[str]


class RolloutShown(Shown):
    """``settings`` of the file, the ``changes`` made while running, and what holds ``now``."""

    settings: Switches
    changes: dict[str, Any]
    now: Switches


class RolloutPut(Body):
    """These in place of the settings'; those that are left out are as the settings say."""

    enabled: bool | None = None
    regions: Annotated[list[Region], Field(max_length=300)] | None = None
    groups: Annotated[list[Group], Field(max_length=100)] | None = None
    percent: Annotated[float, Field(ge=0, le=100)] | None = None
    salt: Annotated[Line, Field(max_length=64)] | None = None
    allow: Annotated[list[Handle], Field(max_length=100)] | None = None


class RolloutResource:
    def __init__(self, rollout: Rollout) -> None:
        self._rollout = rollout

    def operations(self) -> Sequence[Operation]:
        # fmt: off
        return (
            Operation("getRollout", "Who has calls", "GET", "/v1/rollout", READ, self._get,
                      RolloutShown),
            Operation("putRollout", "Switch who has calls", "PUT", "/v1/rollout", WRITE, self._put,
                      RolloutShown, body=RolloutPut, refuses=(422,)),
        )
        # fmt: on

    async def _get(self, _r: Request) -> Reply:
        return Reply(RolloutShown.model_validate(self._rollout.get()))

    async def _put(self, r: Request) -> Reply:
        try:
            await self._rollout.put(r.body.model_dump(exclude_none=True))
        except ValidationError as e:
            wrong = invalid(e)
            raise Refused(422, str(wrong), wrong.errors) from e
        return await self._get(r)
