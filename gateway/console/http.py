"""``/console/api``: requests of the page, let in and answered."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from klein import Klein
from pydantic import BaseModel, ValidationError
from twisted.internet.defer import Deferred
from twisted.web.server import Request

from gateway.console import asked
from gateway.console.answers import Answer, Refused, as_json
from gateway.console.desk import Desk
from gateway.console.doors import COOKIE, Doors
from gateway.errors import GatewayError, NoSuchCall

log = structlog.get_logger()

PLACE: Final = "/console"
_KEPT: Final = f"Path={PLACE}; HttpOnly; Secure; SameSite=Strict"

Act = Callable[[], Awaitable[Answer]]


class ConsoleApi:
    def __init__(self, doors: Doors, desk: Desk) -> None:
        self._doors = doors
        self._desk = desk

    def mount(self, app: Klein) -> None:
        def post(path: str, act: Callable[..., Awaitable[Answer]], of: type[BaseModel]) -> None:
            @app.route(f"{PLACE}/api/{path}", methods=["POST"], endpoint=f"console {path}")
            def posted(request: Request, **parts: str) -> Deferred[bytes]:
                return self._answer(
                    request, lambda: self._acted(request, act, of, tuple(parts.values()))
                )

        def get(path: str, look: Callable[..., Awaitable[Answer]], of: Any = None) -> None:
            @app.route(f"{PLACE}/api/{path}", methods=["GET"], endpoint=f"console {path}")
            def got(request: Request, **parts: str) -> Deferred[bytes]:
                return self._answer(
                    request, lambda: self._looked(request, look, of, tuple(parts.values()))
                )

        @app.route(f"{PLACE}/api/login", methods=["POST"], endpoint="console login")
        def login(request: Request) -> Deferred[bytes]:
            return self._answer(request, lambda: self._sign_in(request))

        @app.route(f"{PLACE}/api/logout", methods=["POST"], endpoint="console logout")
        def logout(request: Request) -> Deferred[bytes]:
            return self._answer(request, lambda: self._sign_out(request))

        desk = self._desk

        @app.route(f"{PLACE}/api/session", methods=["GET"], endpoint="console session")
        def session(request: Request) -> Deferred[bytes]:
            return self._answer(request, lambda: self._session(request))

        get("now", desk.now, asked.NowQuery)
        get("calls", desk.calls, asked.CallsQuery)
        get("calls/<string:call>", desk.call)
        get("calls/<string:call>/sip.txt", desk.text)
        get("calls/<string:call>/sip.pcap", desk.pcap)
        get("product", desk.product, asked.ProductQuery)
        get("safety", desk.safety, asked.ReportsQuery)
        get("audit", desk.audit, asked.AuditQuery)
        post("calls/<string:call>/end", desk.end, asked.End)
        post("drain", desk.drain, asked.Nothing)
        post("undrain", desk.undrain, asked.Nothing)
        post("reports/<string:report>/settle", desk.settle, asked.Settle)
        post("bans/lift", desk.lift, asked.Lift)
        post("holds/release", desk.release, asked.Lift)

    def may_see(self, request: Request) -> bool:
        """Whether there is a console for whoever asks."""
        try:
            self._doors.check_source(_source(request))
        except Refused:
            return False
        return True

    # -- who asks

    async def _session(self, request: Request) -> Answer:
        """Nobody is no fault here: it is what a page asks first."""
        try:
            visit = self._doors.visit(request.getCookie(COOKIE))
        except Refused:
            return as_json({"name": None, "role": None})
        return as_json({"name": visit.name, "role": visit.role})

    async def _sign_in(self, request: Request) -> Answer:
        _from_our_page(request)
        body = _read(asked.SignIn, _body(request))
        source = _source(request)
        try:
            kept, visit = await self._doors.sign_in(body.name, body.password, source)
        except Refused as e:
            if e.status == 401:
                await self._desk.note(body.name, "", source, "login", "", "refused")
            raise
        await self._desk.note(visit.name, visit.role, source, "login", "", "done")
        answer = as_json({"name": visit.name, "role": visit.role})
        answer.headers["Set-Cookie"] = f"{COOKIE.decode()}={kept}; {_KEPT}"
        return answer

    async def _sign_out(self, request: Request) -> Answer:
        _from_our_page(request)
        visit = self._doors.visit(request.getCookie(COOKIE))
        self._doors.sign_out(visit)
        await self._desk.note(visit.name, visit.role, visit.source, "logout", "", "done")
        answer = as_json({})
        answer.headers["Set-Cookie"] = f"{COOKIE.decode()}=; {_KEPT}; Max-Age=0"
        return answer

    async def _looked(
        self, request: Request, look: Callable[..., Awaitable[Answer]], of: Any, parts: Any
    ) -> Answer:
        visit = self._doors.visit(request.getCookie(COOKIE))
        if of is None:
            return await look(visit, *parts)
        return await look(visit, *parts, _read(of, _query(request)))

    async def _acted(
        self,
        request: Request,
        act: Callable[..., Awaitable[Answer]],
        of: type[BaseModel],
        parts: Any,
    ) -> Answer:
        _from_our_page(request)
        visit = self._doors.visit(request.getCookie(COOKIE))
        return await act(visit, *parts, _read(of, _body(request)))

    # -- answers

    def _answer(self, request: Request, act: Act) -> Deferred[bytes]:
        return Deferred.fromCoroutine(self._answered(request, act))

    async def _answered(self, request: Request, act: Act) -> bytes:
        try:
            self._doors.check_source(_source(request))
            answer = await act()
        except Refused as e:
            answer = as_json({"error": str(e)}, e.status)
            if e.retry_after_s is not None:
                answer.headers["Retry-After"] = str(e.retry_after_s)
        except NoSuchCall:
            answer = as_json({"error": "the call is over"}, 404)
        except GatewayError as e:
            code = 409 if e.fault == "client" else 503
            answer = as_json({"error": str(e)}, code)
        except Exception:  # a fault of ours must not pass unseen, nor unanswered
            log.exception("console_broke", path=request.path.decode(errors="replace"))
            answer = as_json({"error": "the gateway failed; the fault is logged"}, 500)
        request.setResponseCode(answer.status)
        request.setHeader(b"Content-Type", answer.content_type.encode())
        request.setHeader(b"Cache-Control", b"no-store")
        for name, value in answer.headers.items():
            request.setHeader(name.encode(), value.encode())
        return answer.body


def _source(request: Request) -> str:
    return str(getattr(request.getClientAddress(), "host", ""))


def _from_our_page(request: Request) -> None:
    """``Refused`` for what another site's page could send (a browser says whose it is)."""
    site = request.getHeader("sec-fetch-site")
    origin, host = request.getHeader("origin"), request.getHeader("host")
    foreign = site not in (None, "same-origin", "none")
    if foreign or (origin is not None and urlsplit(origin).netloc != host):
        raise Refused(403, "not from this page")
    kind = (request.getHeader("content-type") or "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(415, "the body must be application/json")


def _body(request: Request) -> Any:
    content: Any = request.content
    try:
        return json.loads(bytes(content.read()))
    except (ValueError, RecursionError) as e:
        raise Refused(400, "the body is no JSON") from e


def _query(request: Request) -> dict[str, str]:
    args: Any = request.args
    try:
        return {k.decode(): v[-1].decode() for k, v in args.items()}
    except UnicodeDecodeError as e:
        raise Refused(400, "the query is not UTF-8") from e


def _read(of: type[Any], value: Any) -> Any:
    try:
        return of.model_validate(value)
    except ValidationError as e:
        first = e.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise Refused(400, f"{where}: {first['msg']}") from e
