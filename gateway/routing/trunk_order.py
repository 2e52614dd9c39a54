"""In which order the trunks of a route are tried: by priority, then by weight (as RFC 2782)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.settings import RouteTrunk


def in_order(trunks: Sequence[RouteTrunk], random: Callable[[], float]) -> tuple[str, ...]:
    """The names; the lowest priority first, and of equals each as often first as its weight says.

    ``random`` gives numbers from 0 up to but without 1.
    """
    out: list[str] = []
    for priority in sorted({t.priority for t in trunks}):
        left = [t for t in trunks if t.priority == priority]
        while left:
            chosen = _drawn(left, random) if len(left) > 1 else left[0]
            left.remove(chosen)
            out.append(chosen.name)
    return tuple(out)


def _drawn(trunks: Sequence[RouteTrunk], random: Callable[[], float]) -> RouteTrunk:
    mark = random() * sum(t.weight for t in trunks)
    for trunk in trunks:
        mark -= trunk.weight
        if mark < 0:
            return trunk
    return trunks[-1]
