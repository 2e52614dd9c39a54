"""JSON-RPC 2.0 as the DM call protocol frames it: text in, values out, no socket.

One object a frame; batches are refused.  See https://www.jsonrpc.org/specification.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

MAX_FRAME_BYTES: Final = 65_536
PAGE_BYTES: Final = MAX_FRAME_BYTES - 2048
"""Of a result in pages, so that the frame around it has room."""
PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603

RequestId = str | int | float | None
_MAX_ID_CHARS = 128
_MAX_METHOD_CHARS = 64


class RpcFailure(Exception):
    """What a request is answered with instead of a result."""

    def __init__(
        self, code: int, message: str, data: Mapping[str, Any] | None = None, id_: RequestId = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.data = data
        self.id = id_


def bad_fields(errors: Sequence[tuple[str, str]]) -> RpcFailure:
    """``-32602`` with one entry per bad field: its dotted name, and what would be right."""
    entries = [{"field": field, "problem": problem} for field, problem in errors]
    named = ", ".join(dict.fromkeys(field for field, _ in errors))
    return RpcFailure(INVALID_PARAMS, f"bad params: {named}", {"errors": entries})


@dataclass(frozen=True, slots=True)
class Request:
    """``answered`` is false of a notification (no ``id``): it is obeyed and not answered."""

    method: str
    params: Any
    id: RequestId
    answered: bool


def parse(text: str) -> Request:
    """Read one frame; raise ``RpcFailure`` (-32700, -32600) with the id to answer."""
    try:
        message = json.loads(text, parse_constant=_no_constant)
        if "\\u" in text:  # an escaped lone surrogate is no text
            json.dumps(message, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as e:
        raise RpcFailure(PARSE_ERROR, "not JSON") from e
    if isinstance(message, list):
        raise RpcFailure(INVALID_REQUEST, "batches are not taken: send one request a frame")
    if not isinstance(message, dict):
        raise RpcFailure(INVALID_REQUEST, "a request is an object")
    id_ = message.get("id")
    if not _is_id(id_):
        raise RpcFailure(INVALID_REQUEST, "id must be a string, a number or null")
    if message.get("jsonrpc") != "2.0":
        raise RpcFailure(INVALID_REQUEST, 'jsonrpc must be "2.0"', id_=id_)
    method = message.get("method")
    if not isinstance(method, str) or not 0 < len(method) <= _MAX_METHOD_CHARS:
        raise RpcFailure(INVALID_REQUEST, "method must be a short string", id_=id_)
    unknown = message.keys() - {"jsonrpc", "id", "method", "params"}
    if unknown:
        raise RpcFailure(INVALID_REQUEST, "a request has no other members", id_=id_)
    params = message.get("params", {})
    if not isinstance(params, dict | list):
        raise RpcFailure(INVALID_REQUEST, "params must be an object", id_=id_)
    return Request(method, params, id_, "id" in message)


def result(id_: RequestId, value: Any) -> str:
    return _dump({"jsonrpc": "2.0", "id": id_, "result": value})


def failure(id_: RequestId, refused: RpcFailure) -> str:
    error: dict[str, Any] = {"code": refused.code, "message": str(refused)}
    if refused.data is not None:
        error["data"] = refused.data
    return _dump({"jsonrpc": "2.0", "id": id_, "error": error})


def notification(method: str, params: Mapping[str, Any]) -> str:
    return _dump({"jsonrpc": "2.0", "method": method, "params": params})


def _dump(message: Mapping[str, Any]) -> str:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _is_id(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _MAX_ID_CHARS
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return abs(value) < 1 << 63
    return value is None or (isinstance(value, float) and math.isfinite(value))


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
