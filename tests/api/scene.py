"""A server of the app's, over real HTTP."""

from __future__ import annotations

import hashlib
from typing import Any

import treq

from tests.peers.gateway import Gateway

TOKEN = "a token of the tests, which nobody else has"
READER = "another token of the tests, which may read calls"


def _sha(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


API = (
    "api={tokens: ["
    f"{{name: backend, hash: {_sha(TOKEN)}, scopes: ["
    "'calls:read', 'calls:write', 'people:read', 'people:write', 'reports:read', "
    "'reports:write', 'tokens:read', 'tokens:write', 'rollout:read', 'rollout:write'], "
    "requests_per_s: 1000, requests_burst: 100000},"
    f"{{name: reader, hash: {_sha(READER)}, scopes: ['calls:read'], networks: ['192.0.2.0/24']}}"
    "]}"
)


class Backend:
    def __init__(self, gateway: Gateway, token: str | None = TOKEN) -> None:
        self._base = f"http://{gateway.http}"
        self._token = token

    async def ask(
        self, method: str, path: str, json: Any = None, **headers: str
    ) -> tuple[int, Any, Any]:
        """Status, what the body says (``None``: nothing), headers."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if self._token is not None:
            given.setdefault("Authorization", f"Bearer {self._token}")
        more = {} if json is None else {"json": json}
        url = f"{self._base}{path}"
        r = await treq.request(method, url, headers=given, persistent=False, timeout=8, **more)
        body = await r.content()
        kind = (r.headers.getRawHeaders("content-type") or [""])[0]
        if r.code >= 400:
            assert kind == "application/problem+json", (r.code, kind, body)
        return r.code, (await treq.json_content(r) if body else None), r.headers
