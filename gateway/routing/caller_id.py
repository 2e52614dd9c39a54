"""The number that a callee outside is shown, and how far we answer for it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.routing.numbers import Number, country_of
from gateway.settings import CallerIdSection
from gateway.settings.routing import Attestation


@dataclass(frozen=True, slots=True)
class Shown:
    """``number`` ``None``: the caller stays anonymous; ``why`` is for the explanation."""

    number: str | None
    attestation: Attestation
    why: str


class CallerIds:
    """The pool by country, and the numbers that callers have shown to be theirs."""

    def __init__(self, section: CallerIdSection, own: Sequence[str]) -> None:
        self._pool = section.pool
        self._verified: Mapping[str, str] = section.verified
        self._ours = frozenset((*section.pool, *own))
        by_country: dict[str, list[str]] = {}
        for number in section.pool:
            by_country.setdefault(country_of(number) or "", []).append(number)
        self._by_country = by_country

    def choose(
        self, caller: str, to: Number, override: str | None = None, use_verified: bool = False
    ) -> Shown:
        """The route's own number, else the verified one where it may be used, else one of the pool.

        The pool's number is the same for a caller and a country each time, whatever else is added.
        """
        verified = self._verified.get(caller)
        if override is not None:
            ours = override in self._ours or override == verified
            return Shown(override, "A" if ours else "B", "the route's caller_id")
        if use_verified and verified is not None:
            return Shown(verified, "A", f"verified for {caller}")
        here = self._by_country.get(to.country or "", ()) if to.country else ()
        if here:
            return Shown(_steady(caller, here), "A", f"of the pool, in {to.country} as the callee")
        if self._pool:
            return Shown(_steady(caller, self._pool), "A", "of the pool")
        return Shown(None, "B", "anonymous: routing.caller_id.pool is empty")


def _steady(caller: str, numbers: Sequence[str]) -> str:
    """Rendezvous hashing: a number that comes or goes moves only its own callers."""

    def weight(number: str) -> bytes:
        return hashlib.sha256(f"{caller}\n{number}".encode()).digest()

    key: Callable[[str], bytes] = weight
    return max(numbers, key=key)
