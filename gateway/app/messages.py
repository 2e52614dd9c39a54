"""The params of each request, as strict models: a wrong type, a missing and an unknown
member are each a bad field."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from gateway.app.rpc import RpcFailure, bad_fields
from gateway.calls.review_ports import Category, Tag
from gateway.errors import BadAddress
from gateway.values import (
    Address,
    CallId,
    ServiceAddress,
    SipAddress,
    TelAddress,
    UserAddress,
    parse_address,
)


def _address(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("must be a string")
    try:
        return parse_address(value)
    except BadAddress as e:
        raise ValueError(str(e)) from e


def printable(text: str) -> str:
    """``ValueError`` for control characters."""
    if not text.isprintable():
        raise ValueError("holds control characters")
    return text


def _storable(text: str) -> str:
    """Free text of several lines: what no database or screen would take is refused."""
    if any(ord(c) < 32 and c not in "\n\t" for c in text):
        raise ValueError("holds control characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("holds a lone surrogate") from None
    return text


# values' addresses are dataclasses; the validator before them makes the right one
AddressText = Annotated[
    UserAddress | TelAddress | SipAddress | ServiceAddress,
    BeforeValidator(_address),
    WithJsonSchema(
        {"type": "string", "maxLength": 400, "examples": ["user:alice", "tel:+15550100"]}
    ),
]
CallName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
Sdp = Annotated[str, Field(min_length=1, max_length=32_768)]
Thread = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(printable)]


Comment = Annotated[str, Field(max_length=1000), AfterValidator(_storable)]


class Params(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class SessionOpen(Params):
    token: Annotated[str, Field(min_length=1, max_length=8192)]
    resume: Annotated[str, Field(min_length=1, max_length=128)] | None = None


class CallInvite(Params):
    to: AddressText
    thread: Thread | None = None
    sdp: Sdp | None = None

    @property
    def address(self) -> Address:
        return self.to


class OfCall(Params):
    call: CallName

    @property
    def id(self) -> CallId:
        return CallId(self.call)


class CallAccept(OfCall):
    sdp: Sdp | None = None


class CallDecline(OfCall):
    reason: Literal["declined", "busy"] = "declined"


class CallHangup(OfCall):
    pass


class CallMute(OfCall):
    muted: bool


class CallHold(OfCall):
    held: bool


class CallDtmf(OfCall):
    digits: Annotated[str, Field(pattern=r"^[0-9A-D*#,]{1,32}$")]
    duration_ms: Annotated[int, Field(ge=40, le=2000)] = 160


class CallMedia(OfCall):
    sdp: Sdp


class CallTransfer(OfCall):
    to: AddressText


class CallAdd(OfCall):
    to: AddressText


class CallWhisper(OfCall):
    to: AddressText | None


class CallListen(OfCall):
    listening: bool


class CallMuteAll(OfCall):
    muted: bool


class CallFeedback(OfCall):
    score: Annotated[int, Field(ge=1, le=5)]
    tags: Annotated[list[Tag], Field(max_length=6)] = []
    comment: Comment = ""


class CallReport(OfCall):
    category: Category
    comment: Comment = ""
    block: bool = False


class HistoryDelete(Params):
    """Either some calls, or all."""

    calls: Annotated[list[CallName], Field(min_length=1, max_length=100)] | None = None
    all: Literal[True] | None = None

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.calls is None) == (self.all is None):
            raise ValueError("needs either calls or all")
        return self


class PinCreate(Params):
    kind: Literal["once", "standing"]
    label: Annotated[str, Field(max_length=100), AfterValidator(printable)] = ""
    ttl_s: Annotated[int, Field(ge=60, le=31_536_000)] | None = None


class PinList(Params):
    pass


class PinRevoke(Params):
    id: Annotated[str, Field(pattern=r"^[a-z0-9]{1,32}$")]


class HistoryList(Params):
    before: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    with_: Annotated[AddressText | None, Field(alias="with")] = None
    missed: bool | None = None

    @field_validator("before")
    @classmethod
    def _plain(cls, value: str | None) -> str | None:
        return value if value is None else printable(value)


P = TypeVar("P", bound=Params)


def read(model: type[P], params: Any) -> P:
    """Validate; raise -32602 naming every bad field."""
    if not isinstance(params, dict):
        raise bad_fields([("params", "must be an object: members by name, not by position")])
    try:
        return model.model_validate(params)
    except ValidationError as e:
        raise _refusal(e) from e


def _field(place: tuple[int | str, ...]) -> str:
    """The member's name; within a list its dotted place, as ``quiet_hours.0.from``."""
    if not place:
        return "params"
    listed = len(place) > 1 and isinstance(place[1], int)
    return ".".join(map(str, place if listed else place[:1]))[:64]


def _refusal(e: ValidationError) -> RpcFailure:
    problems: dict[str, str] = {}
    for error in e.errors(include_url=False, include_input=False, include_context=False):
        # a client's own member name may be anything: keep what is told of it short
        field = _field(error["loc"])
        problem = error["msg"].removeprefix("Value error, ")
        match error["type"]:
            case "extra_forbidden":
                problem = "no such member"
            case "missing":
                problem = "is missing"
        problems.setdefault(field, problem)
        if len(problems) == 32:
            break
    return bad_fields(list(problems.items()))
