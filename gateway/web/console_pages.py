"""The operator's page at ``/console``."""

from __future__ import annotations

from klein import Klein
from twisted.web.server import Request
from werkzeug.exceptions import NotFound

from gateway.console.http import PLACE, ConsoleApi
from gateway.web.assets import load_assets, serve


class ConsolePages:
    """Nothing of it is there for whoever may not see it."""

    def __init__(self, api: ConsoleApi) -> None:
        self._api = api
        self._assets = load_assets("static/console")

    def mount(self, app: Klein) -> None:
        self._api.mount(app)

        @app.route(PLACE, methods=["GET"])
        @app.route(f"{PLACE}/", methods=["GET"])
        def console(request: Request) -> bytes:
            return self._serve(request, "index.html")

        @app.route(f"{PLACE}/<string:name>", methods=["GET"])
        def console_asset(request: Request, name: str) -> bytes:
            if name == "index.html":
                raise NotFound
            return self._serve(request, name)

    def _serve(self, request: Request, name: str) -> bytes:
        found = self._assets.get(name)
        if found is None or not self._api.may_see(request):
            raise NotFound
        return serve(request, found, microphone="()")
