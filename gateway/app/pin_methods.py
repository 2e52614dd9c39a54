"""The extension of the DM call protocol by which people make PINs for telephones."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from gateway.app import messages
from gateway.calls.pin_ports import Pin, Pins
from gateway.errors import NoSuchPin
from gateway.values import Client

Result = dict[str, Any]
Work = Callable[[], Awaitable[Result]]


class PinMethods:
    def __init__(self, pins: Pins, now: Callable[[], float]) -> None:
        self._pins = pins
        self._now = now

    def create(self, client: Client, params: Any) -> Work:
        m = messages.read(messages.PinCreate, params)

        async def work() -> Result:
            now = self._now()
            expires = None if m.ttl_s is None else now + m.ttl_s
            owner = client.principal.handle
            made, digits = await self._pins.create(owner, m.kind, m.label, expires, now)
            return {**_shown(made), "pin": digits}

        return work

    def list(self, client: Client, params: Any) -> Work:
        messages.read(messages.PinList, params)

        async def work() -> Result:
            found = await self._pins.list(client.principal.handle, self._now())
            return {"pins": [_shown(pin) for pin in found]}

        return work

    def revoke(self, client: Client, params: Any) -> Work:
        m = messages.read(messages.PinRevoke, params)

        async def work() -> Result:
            if not await self._pins.revoke(client.principal.handle, m.id):
                raise NoSuchPin
            return {}

        return work


def _shown(pin: Pin) -> Result:
    out: Result = {
        "id": pin.id,
        "kind": pin.kind,
        "label": pin.label,
        "created": pin.created_at,
        "uses": pin.uses,
    }
    if pin.expires_at is not None:
        out["expires"] = pin.expires_at
    return out
