"""From an HTTP request to an operation and back; every way out is an answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol
from urllib.parse import unquote

import structlog
from pydantic import ValidationError
from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from gateway.api.access import Access, Caller
from gateway.api.openapi import document
from gateway.api.operation import Asked, Operation, Request
from gateway.api.problems import Refused, invalid, refusal
from gateway.api.repeats import Answer, Repeats
from gateway.errors import GatewayError

log = structlog.get_logger()

PROBLEM: Final = "application/problem+json"
DOCUMENT: Final = "/v1/openapi.json"


class ApiMeters(Protocol):
    def api_answered(self, status: int) -> None: ...


class Router(Resource):
    """Everything under ``/v1`` but the WebSocket."""

    isLeaf = True

    def __init__(
        self,
        operations: Sequence[Operation],
        access: Access,
        repeats: Repeats,
        meters: ApiMeters,
        now: Callable[[], float],
    ) -> None:
        super().__init__()
        self._routes = [(o.template.split("/"), o) for o in operations]
        self._access = access
        self._repeats = repeats
        self._meters = meters
        self._now = now
        self._document = json.dumps(document(operations), ensure_ascii=False).encode()

    def render(self, request: Any) -> int:
        gone: list[object] = []
        request.notifyFinish().addErrback(gone.append)

        async def work() -> None:
            answer = await self._answer(request)
            self._meters.api_answered(answer.status)
            if gone:
                return
            request.setResponseCode(answer.status)
            request.setHeader(b"Cache-Control", b"no-store")
            for name, value in answer.headers.items():
                request.setHeader(name.encode(), value.encode())
            if answer.body or answer.status != 204:
                request.setHeader(b"Content-Length", str(len(answer.body)).encode())
            if request.method != b"HEAD":
                request.write(answer.body)
            request.finish()

        Deferred.fromCoroutine(work()).addErrback(_broken, request)
        return NOT_DONE_YET

    async def _answer(self, request: Any) -> Answer:
        began, operation, caller = self._now(), None, None
        try:
            if request.path == DOCUMENT.encode():
                answer = self._openapi(request)
            else:
                caller = self._access.check(
                    _header(request, b"authorization"), request.getClientAddress().host
                )
                operation, path = self._find(request)
                caller.needs(operation.scope)
                answer = await self._obey(operation, path, caller, request)
        except Refused as e:
            answer = _problem(e)
        except GatewayError as e:
            answer = _problem(refusal(e))
            if answer.status == 500:
                log.error("api_failed", error=str(e), kind=type(e).__name__)
        except Exception:  # a fault of ours must not pass unseen, nor unanswered
            log.exception("api_broke", operation=operation and operation.name)
            answer = _problem(Refused(500, "the gateway failed; the fault is logged"))
        log.info(
            "api_request",
            token=caller and caller.name,
            operation=operation and operation.name,
            status=answer.status,
            ms=round((self._now() - began) * 1000, 1),
        )
        return answer

    def _openapi(self, request: Any) -> Answer:
        if request.method not in (b"GET", b"HEAD"):
            raise _not_allowed({"GET"})
        return Answer(200, {"Content-Type": "application/json"}, self._document)

    def _find(self, request: Any) -> tuple[Operation, Mapping[str, str]]:
        """The operation, and the parts of the path that its template names."""
        segments = [_text(s) for s in bytes(request.path).split(b"/")]
        method = request.method.decode(errors="replace")
        allowed: set[str] = set()
        for template, operation in self._routes:
            found = _fit(template, segments)
            if found is None:
                continue
            if operation.method == method or (method == "HEAD" and operation.method == "GET"):
                return operation, found
            allowed.add(operation.method)
        if allowed:
            raise _not_allowed(allowed)
        raise Refused(404, "there is no such resource")

    async def _obey(
        self, operation: Operation, path: Mapping[str, str], caller: Caller, request: Any
    ) -> Answer:
        content = bytes(request.content.read())
        asked = _read(operation, path, content, request, caller.name)
        key = _header(request, b"idempotency-key")
        if operation.method != "POST" or key is None:
            return await _run(operation, asked)
        said = hashlib.sha256(b"\0".join([request.path, content])).digest()
        run = lambda: _run(operation, asked)  # noqa: E731
        return await self._repeats.once(caller, key, said, run)


async def _run(operation: Operation, asked: Request) -> Answer:
    reply = await operation.run(asked)
    headers = {} if reply.location is None else {"Location": reply.location}
    if reply.shown is None:
        return Answer(operation.status, headers, b"")
    headers["Content-Type"] = "application/json"
    text = reply.shown.model_dump_json(exclude_none=True, by_alias=True)
    return Answer(operation.status, headers, text.encode())


def _read(
    operation: Operation, path: Mapping[str, str], content: bytes, request: Any, token: str
) -> Request:
    try:
        return Request(
            path=_strings(operation.path, path),
            query=_strings(operation.query, _query(request)),
            body=_body(operation, content, request),
            token=token,
        )
    except ValidationError as e:
        raise invalid(e) from e


def _strings(model: type[Asked], given: Mapping[str, str]) -> Asked:
    return model.model_validate_strings(given)


def _query(request: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, values in request.args.items():
        key = _text(name, quoted=False)
        if len(values) > 1:
            raise Refused(400, f"{key[:64]} is there twice", [(key[:64], "is there twice")])
        found[key] = _text(values[0], quoted=False)
    return found


def _body(operation: Operation, content: bytes, request: Any) -> Any:
    if operation.body is None:
        if content:
            raise Refused(400, "this operation takes no body")
        return None
    kind = (_header(request, b"content-type") or "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(
            415, "the body has to be application/json", headers={"Accept-Post": "application/json"}
        )
    return operation.body.model_validate_json(content)


def _header(request: Any, name: bytes) -> str | None:
    """Octets that are no text are kept as they are (RFC 9110 §5.5)."""
    values = request.requestHeaders.getRawHeaders(name)
    return bytes(values[-1]).decode("latin-1") if values else None


def _fit(template: Sequence[str], segments: Sequence[str]) -> dict[str, str] | None:
    if len(template) != len(segments):
        return None
    found: dict[str, str] = {}
    for wanted, there in zip(template, segments, strict=True):
        if wanted.startswith("{"):
            found[wanted[1:-1]] = there
        elif wanted != there:
            return None
    return found


def _text(raw: bytes, *, quoted: bool = True) -> str:
    try:
        text = raw.decode()
        return unquote(text, errors="strict") if quoted else text
    except UnicodeDecodeError:
        raise Refused(400, "the URL is not UTF-8") from None


def _not_allowed(methods: set[str]) -> Refused:
    names = sorted(methods | ({"HEAD"} if "GET" in methods else set()))
    return Refused(405, "there is no such method here", headers={"Allow": ", ".join(names)})


def _problem(e: Refused) -> Answer:
    body = json.dumps(e.problem(), ensure_ascii=False).encode()
    return Answer(e.status, {**e.headers, "Content-Type": PROBLEM}, body)


def _broken(failure: Any, request: Any) -> None:
    log.error("api_broke", traceback=failure.getTraceback())
    if request.channel is not None:
        request.loseConnection()
