"""Every receiver's courier, from the settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gateway.calls.event_ports import EventQueue, WebhookMeters
from gateway.settings import Webhook
from gateway.webhooks.courier import Courier
from gateway.webhooks.posting import Poster
from gateway.webhooks.signing import signing_key


class Couriers:
    """``CannotStart`` where a key cannot be read."""

    def __init__(
        self,
        webhooks: Sequence[Webhook],
        queue: EventQueue,
        reactor: Any,
        meters: WebhookMeters,
        chance: Callable[[], float],
    ) -> None:
        self._posters = [Poster(w, signing_key(w.secret_files, w.name), reactor) for w in webhooks]
        self._couriers = [
            Courier(w.name, w.concurrency, queue, poster, reactor, meters, chance)
            for w, poster in zip(webhooks, self._posters, strict=True)
        ]

    def wake(self) -> None:
        for courier in self._couriers:
            courier.wake()

    async def start(self) -> None:
        self.wake()

    async def stop(self) -> None:
        for courier in self._couriers:
            courier.stop()
        for poster in self._posters:
            await poster.stop()
