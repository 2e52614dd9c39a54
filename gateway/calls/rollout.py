"""Who has calls at this moment: as the settings say, or as was switched while running."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog
from pydantic import TypeAdapter, ValidationError

from gateway.calls.people_ports import Switches
from gateway.policy.identity import Identity
from gateway.policy.people import Claims
from gateway.policy.rollout import includes
from gateway.settings import RolloutSection
from gateway.values import Principal

log = structlog.get_logger()

NAME: Final = "rollout"
_CHANGES: Final = TypeAdapter(dict[str, Any])


class Rollout:
    """A source of facts for the chain; ``now`` gives seconds since the epoch."""

    def __init__(
        self, settings: RolloutSection, switches: Switches, now: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._switches = switches
        self._now = now
        self._changes: dict[str, Any] = {}
        self._read: str | None = None
        self.current = settings

    async def refresh(self) -> None:
        """Take what was switched, by this process or another one with the same database.

        What is kept and cannot be taken any more is logged; what held before goes on to hold.
        """
        text = await self._switches.read(NAME)
        if text == self._read:
            return
        self._read = text
        try:
            self._take({} if text is None else _CHANGES.validate_json(text))
        except ValidationError as e:
            log.error("switch_not_taken", switch=NAME, problem=str(e.errors()[0]["msg"]))

    def get(self) -> dict[str, Any]:
        """``settings`` of the file, ``changes`` made to them while running, and what holds now."""
        return {
            "settings": self._settings.model_dump(mode="json"),
            "changes": dict(self._changes),
            "now": self.current.model_dump(mode="json"),
        }

    async def put(self, changes: Mapping[str, Any]) -> RolloutSection:
        """These members instead of those in the settings, from now on; none: the settings alone.

        Durable when it returns.  ``pydantic.ValidationError`` names each member that is wrong.
        """
        made = self._merged(changes)
        kept = made.model_dump(mode="json", include=set(changes))
        text = json.dumps(kept)
        await self._switches.write(NAME, text, self._now())
        self._read = text
        self._take(kept)
        return self.current

    def includes(self, principal: Principal) -> bool:
        return includes(self.current, principal.handle, Claims.of(principal))

    async def part(self, _caller: Identity, _callee: Identity, _now: float) -> RolloutSection:
        return self.current

    def _merged(self, changes: Mapping[str, Any]) -> RolloutSection:
        return RolloutSection.model_validate({**self._settings.model_dump(), **changes})

    def _take(self, changes: dict[str, Any]) -> None:
        self.current = self._merged(changes)
        self._changes = changes
        log.info("rollout", enabled=self.current.enabled, percent=self.current.percent)
