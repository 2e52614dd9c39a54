"""The page at ``/app``, and the development sign-in behind it."""

from __future__ import annotations

import json
from collections.abc import Callable
from ipaddress import ip_address
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import structlog
from klein import Klein
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from twisted.web.server import Request
from werkzeug.exceptions import NotFound

from gateway.app.http import body_of, send_json
from gateway.app.origins import Origins
from gateway.app.tokens import mint
from gateway.settings import Settings
from gateway.web.assets import load_assets, serve

log = structlog.get_logger()

DEV_USERS: Final = {
    "alice": "Alice Amari",
    "bob": "Bob Berger",
    "carol": "Carol Castro",
    "dave": "Dave Dubois",
}
DEV_TOKEN_S: Final = 12 * 3600


class _SignIn(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    user: Annotated[str, Field(max_length=64)]


class Pages:
    """``now`` gives seconds since the epoch."""

    def __init__(self, settings: Settings, now: Callable[[], float]) -> None:
        self._settings = settings
        self._now = now
        self._origins = Origins(settings.http.allowed_origins)
        self._assets = load_assets()

    def mount(self, app: Klein) -> None:
        @app.route("/app", methods=["GET"])
        @app.route("/app/", methods=["GET"])
        def index(request: Request) -> bytes:
            return serve(request, self._assets["index.html"])

        @app.route("/app/<string:name>", methods=["GET"])
        def asset(request: Request, name: str) -> bytes:
            found = self._assets.get(name)
            if found is None or name == "index.html":
                raise NotFound
            return serve(request, found)

        if self._settings.app.dev_login:
            log.warning("development_sign_in_is_on", users=sorted(DEV_USERS))

            @app.route("/app/dev-users", methods=["GET"])
            def users(request: Request) -> bytes:
                return send_json(request, 200, self._people())

            @app.route("/app/dev-login", methods=["POST"])
            def login(request: Request) -> bytes:
                return self._sign_in(request)

    def _people(self) -> dict[str, Any]:
        sip = self._settings.sip
        return {
            "users": [
                {"handle": handle, "name": name, "address": f"user:{handle}"}
                for handle, name in DEV_USERS.items()
            ],
            "softphones": [
                {"name": a.name or f"Softphone {a.user}", "address": f"sip:{a.user}@{sip.domain}"}
                for a in sip.accounts
            ],
            "services": [{"name": "Echo", "address": "service:echo"}],
            "domain": sip.domain,
        }

    def _sign_in(self, request: Request) -> bytes:
        origin, host = request.getHeader("origin"), request.getHeader("host")
        # a foreign page must not get a token, even where its name is made to resolve to us
        if not self._origins.allowed(origin, host) or not self._is_our_name(host):
            return send_json(request, 403, {"error": "not from this origin"})
        kind = (request.getHeader("content-type") or "").partition(";")[0].strip().lower()
        if kind != "application/json":
            return send_json(request, 415, {"error": "the body must be application/json"})
        try:
            body = _SignIn.model_validate(json.loads(body_of(request)))
        except (ValueError, RecursionError, ValidationError):
            return send_json(request, 400, {"error": 'the body must be {"user": HANDLE}'})
        name = DEV_USERS.get(body.user)
        if name is None:
            return send_json(request, 404, {"error": "no such development user"})
        now = self._now()
        token = mint(
            self._settings.app.token, body.user, now=now, ttl_s=DEV_TOKEN_S, name=name, age="18+"
        )
        return send_json(
            request,
            200,
            {"user": body.user, "name": name, "token": token, "expires": now + DEV_TOKEN_S},
        )

    def _is_our_name(self, host: str | None) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in (self._settings.http.host, "localhost") or name.endswith(".localhost"):
            return True
        if any(urlsplit(o).hostname == name for o in self._settings.http.allowed_origins):
            return True
        try:
            ip_address(name)
        except ValueError:
            return False
        return True
