"""OPTIONS to a trunk's targets, so that calls do not have to find out who is dead."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from gateway.calls.ports import Clock
from gateway.calls.tasks import together
from gateway.calls.trunk_ports import Locator, SipClient, TrunkMeters
from gateway.errors import GatewayError, NoResponse
from gateway.settings import Trunk
from gateway.trunks.ongoing import Ongoing, wait
from gateway.trunks.requests import Names, options
from gateway.trunks.targets import Targets
from gateway.values import Hop

log = structlog.get_logger()

PATIENCE_S: Final = 4.0
DEAD: Final = frozenset({408, 503})
"""Whoever answers anything else is alive, whatever it thinks of OPTIONS."""


class Health:
    """Asks every target each ``options_s``, a little earlier or later by ``chance`` (0 to 1)."""

    def __init__(
        self,
        trunk: Trunk,
        locator: Locator,
        client: SipClient,
        targets: Targets,
        clock: Clock,
        meters: TrunkMeters,
        chance: Callable[[], float],
    ) -> None:
        self._trunk = trunk
        self._locator = locator
        self._client = client
        self._targets = targets
        self._clock = clock
        self._meters = meters
        self._chance = chance
        self._names = Names.of(trunk)
        self._ongoing = Ongoing(f"health of {trunk.name}")

    def start(self) -> None:
        self._ongoing.start(self._watch())

    def stop(self) -> None:
        self._ongoing.stop()

    async def _watch(self) -> None:
        while True:
            await self.look()
            await wait(self._clock, self._trunk.options_s * (0.9 + 0.2 * self._chance()))

    async def look(self) -> None:
        """Ask every target once."""
        try:
            hops = await self._locator.locate(self._trunk.address, self._trunk.transport)
        except GatewayError as e:
            log.warning("trunk_not_located", trunk=self._trunk.name, why=str(e))
            return
        self._targets.keep(hops)
        await together(*(self._ask(hop) for hop in hops))
        self._count(hops)

    def _count(self, hops: Sequence[Hop]) -> None:
        now = self._clock.seconds()
        down = sum(self._targets.is_doubtful(hop, now) for hop in hops)
        self._meters.trunk_targets(self._trunk.name, len(hops) - down, down)

    async def _ask(self, hop: Hop) -> None:
        request = options(self._names, secrets.token_hex(12), secrets.token_hex(6))
        try:
            response = await self._client.ask(request, hop, PATIENCE_S)
            alive, why = response.code not in DEAD, f"{response.code} {response.reason[:80]}"
        except NoResponse as e:
            alive, why = False, str(e)
        if self._targets.answered(hop, alive):
            event = "trunk_target_up" if alive else "trunk_target_down"
            log.warning(event, trunk=self._trunk.name, target=str(hop.address), why=why)
