"""Several sets of routes as one."""

from __future__ import annotations

from collections.abc import Sequence

from klein import Klein

from gateway.app.http import Mountable


class Mounted:
    def __init__(self, parts: Sequence[Mountable]) -> None:
        self._parts = parts

    def mount(self, app: Klein) -> None:
        for part in self._parts:
            part.mount(app)
