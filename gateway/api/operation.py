"""What an operation of the API is: everything that serves it, and everything that documents it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from gateway.errors import BadAddress
from gateway.settings.api import Scope
from gateway.values import parse_address

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class Asked(BaseModel):
    """Of a request: path, query or body.  What is not known is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Body(Asked):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Shown(BaseModel):
    """Of an answer; members that are ``None`` are left out."""

    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=False)


class Nothing(Asked):
    """No members."""


@dataclass(frozen=True, slots=True)
class Request:
    """``path``, ``query`` and ``body`` are what the operation's models made of it."""

    path: Any
    query: Any
    body: Any
    token: str
    """The name of the token it came with."""


@dataclass(frozen=True, slots=True)
class Reply:
    """``shown`` ``None``: nothing is to be said (204)."""

    shown: Shown | None = None
    location: str | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """``template`` has the fields of ``path`` in braces."""

    name: str
    summary: str
    method: Method
    template: str
    scope: Scope
    run: Callable[[Request], Awaitable[Reply]]
    shown: type[Shown] | None = None
    status: int = 200
    path: type[Asked] = Nothing
    query: type[Asked] = Nothing
    body: type[Body] | None = None
    refuses: tuple[int, ...] = ()
    """Statuses besides those that any operation may answer with."""


_HANDLE = r"[A-Za-z0-9_.\-]{1,64}"
_PERSON = (
    rf"user:{_HANDLE}"
    r"|tel:\+[1-9][0-9]{1,14}"
    r"|sip:[A-Za-z0-9\-_.!~*'()&=+$,;?/%]{1,128}@[A-Za-z0-9.\-]{1,253}"
)
_ADDRESS = rf"^({_PERSON}|service:(echo|dial-in))$"


def _is_address(text: str) -> str:
    try:
        parse_address(text)
    except BadAddress as e:
        raise ValueError(str(e)) from e
    return text


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("holds control characters")
    return text


def _whole(value: object) -> object:
    """JSON has no other numbers than 5.0 for 5."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


whole = BeforeValidator(_whole)
AddressText = Annotated[str, Field(pattern=_ADDRESS, max_length=400), AfterValidator(_is_address)]
PersonText = Annotated[
    str, Field(pattern=rf"^({_PERSON})$", max_length=400), AfterValidator(_is_address)
]
Handle = Annotated[str, Field(pattern=rf"^{_HANDLE}$")]
CallName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:\-]{1,64}$")]
Line = Annotated[str, Field(max_length=200, pattern=r"^[ -~¡-¬®-ʯ]*$"), AfterValidator(_printable)]
"""A line of text that can be shown."""
Cursor = Annotated[str, Field(min_length=1, max_length=400, pattern=r"^[!-~]+$")]
Limit = Annotated[int, Field(ge=1, le=100)]
