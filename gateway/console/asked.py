"""What the console's page may ask, as it has to be written."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gateway.errors import BadAddress
from gateway.values import Direction, Reason, parse_address

_ID = r"^[a-zA-Z0-9]{1,64}$"


def _address(text: str) -> str:
    try:
        parse_address(text)
    except BadAddress as e:
        raise ValueError(str(e)) from e
    return text


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


AddressText = Annotated[str, Field(max_length=400), AfterValidator(_address)]
Line = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]


class SignIn(_Asked):
    name: Annotated[str, Field(max_length=64)]
    password: Annotated[str, Field(max_length=256)]


class NowQuery(_Asked):
    since: Annotated[int, Field(ge=0)] = 0


class CallsQuery(_Asked):
    before: Annotated[str, Field(max_length=200)] | None = None
    party: AddressText | None = None
    direction: Direction | None = None
    reason: Reason | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50


class ProductQuery(_Asked):
    days: Annotated[int, Field(ge=1, le=92)] = 7


class ReportsQuery(_Asked):
    state: Literal["open", "upheld", "dismissed"] | None = "open"
    before: Annotated[str, Field(max_length=200)] | None = None


class AuditQuery(_Asked):
    before: Annotated[int, Field(ge=1)] | None = None


class Nothing(_Asked):
    pass


class End(_Asked):
    reason: Literal["completed", "moderated", "limit_reached"] | None = None


class Settle(_Asked):
    state: Literal["upheld", "dismissed"]
    ban: bool = False
    note: Line = ""


class Lift(_Asked):
    address: AddressText
