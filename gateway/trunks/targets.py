"""How a trunk's targets fare: which to try first (RFC 3263 §4.3), judged by calls and OPTIONS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.calls.trunk_ports import Standing
from gateway.values import Hop

WORST: Final = 8.0
DOUBT: Final = 0.5
TURNS: Final = 2
"""OPTIONS in a row, answered or not, that it takes to change what is thought of a target."""


@dataclass(slots=True)
class _Target:
    """``score`` was true at ``at``: one a failure, halved every ``blacklist_s``."""

    score: float = 0.0
    at: float = 0.0
    down: bool = False
    against: int = 0
    """OPTIONS in a row that speak against ``down`` as it is."""


class Targets:
    """Of one trunk.  A target is as good as new until something speaks against it."""

    def __init__(self, blacklist_s: float) -> None:
        self._blacklist_s = blacklist_s
        self._known: dict[Hop, _Target] = {}

    def keep(self, hops: Sequence[Hop]) -> None:
        """Forget all others: DNS names them no more."""
        self._known = {hop: t for hop, t in self._known.items() if hop in hops}

    def _of(self, hop: Hop) -> _Target:
        return self._known.setdefault(hop, _Target())

    def _score(self, target: _Target, now: float) -> float:
        return float(target.score * 0.5 ** ((now - target.at) / self._blacklist_s))

    def failed(self, hop: Hop, now: float) -> None:
        """A call could not be placed there: one failure counts for a while, many for longer."""
        target = self._of(hop)
        target.score, target.at = min(WORST, self._score(target, now) + 1), now

    def worked(self, hop: Hop) -> None:
        """A call was placed there: nothing speaks against it any more."""
        self._known.pop(hop, None)

    def answered(self, hop: Hop, alive: bool) -> bool:
        """Note an OPTIONS; whether the target is now thought of differently (hysteresis)."""
        target = self._of(hop)
        if alive != target.down:
            target.against = 0
            return False
        target.against += 1
        if target.against < TURNS:
            return False
        target.down, target.against = not alive, 0
        if alive:
            target.score = 0.0
        return True

    def is_doubtful(self, hop: Hop, now: float) -> bool:
        target = self._known.get(hop)
        return target is not None and (target.down or self._score(target, now) > DOUBT)

    def known(self, now: float) -> Sequence[tuple[Hop, bool]]:
        """Targets that were asked or have failed of late, and whether each is in doubt."""
        return [(hop, self.is_doubtful(hop, now)) for hop in self._known]

    def standing(self, hops: Sequence[Hop], now: float) -> Standing:
        """The hops in DNS's order; of those in doubt the one that failed least comes first."""
        good = tuple(hop for hop in hops if not self.is_doubtful(hop, now))
        doubtful = [hop for hop in hops if hop not in good]
        doubtful.sort(key=lambda hop: (self._of(hop).down, self._score(self._of(hop), now)))
        return Standing(good, tuple(doubtful))
