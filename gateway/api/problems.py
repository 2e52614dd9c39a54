"""Errors as problem details (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel, Field, ValidationError

from gateway.errors import BadAddress, GatewayError, RateLimited

_STATUS: Final = {
    4401: 401,
    4403: 403,
    4404: 404,
    4409: 409,
    4429: 429,
    4488: 422,
    4503: 503,
    -32602: 400,
}
MOST_ERRORS: Final = 32


class FieldError(BaseModel):
    field: str
    problem: str


class Problem(BaseModel):
    """What every error is answered with, as ``application/problem+json``."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[FieldError] | None = Field(None, description="each field that is not right")


class Refused(Exception):
    """The answer to a request that is not obeyed."""

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.errors = errors
        self.headers = dict(headers or {})

    def problem(self) -> dict[str, Any]:
        listed = [FieldError(field=f, problem=p) for f, p in self.errors] or None
        found = Problem(
            title=HTTPStatus(self.status).phrase,
            status=self.status,
            detail=str(self),
            errors=listed,
        )
        return found.model_dump(exclude_none=True)


def too_soon(what: str, wait_s: float) -> Refused:
    return Refused(429, f"too many {what}", headers={"Retry-After": str(max(1, round(wait_s)))})


def refusal(e: GatewayError) -> Refused:
    """One of our errors, as the app's server is told of it."""
    if isinstance(e, RateLimited):
        return too_soon(str(e).removeprefix("too many "), e.retry_after_s)
    if isinstance(e, BadAddress):
        return Refused(400, str(e))
    status = _STATUS.get(e.rpc_code, 500)
    headers = {"Retry-After": "5"} if status == 503 else None
    return Refused(status, str(e), headers=headers)


def invalid(e: ValidationError) -> Refused:
    """Every field that is wrong, once."""
    problems: dict[str, str] = {}
    for error in e.errors(include_url=False, include_input=False, include_context=False):
        if error["type"] == "json_invalid":
            return Refused(400, "the body is not JSON")
        field = ".".join(map(str, error["loc"]))[:64].encode(errors="replace").decode() or "body"
        problem = error["msg"].removeprefix("Value error, ")
        match error["type"]:
            case "extra_forbidden":
                problem = "no such member"
            case "missing":
                problem = "is missing"
        problems.setdefault(field, problem.encode(errors="replace").decode())
        if len(problems) == MOST_ERRORS:
            break
    return Refused(400, f"not right: {', '.join(problems)}", list(problems.items()))
