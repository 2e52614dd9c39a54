"""DNS questions, records and answers as values, and the order that records are tried in.

Names are in lower case without a final dot; the root is the empty name.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, MutableSequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, Literal, Protocol, TypeVar

RecordType = Literal["NAPTR", "SRV", "A", "AAAA"]


@dataclass(frozen=True, slots=True)
class Question:
    name: str
    type: RecordType

    def __str__(self) -> str:
        return f"{self.type} {self.name}"


@dataclass(frozen=True, slots=True)
class AddressRecord:
    """A or AAAA."""

    address: str

    def __str__(self) -> str:
        return self.address


@dataclass(frozen=True, slots=True)
class SrvRecord:
    """RFC 2782; an empty ``target`` says that the service is not offered."""

    priority: int
    weight: int
    port: int
    target: str

    def __str__(self) -> str:
        return f"{self.priority} {self.weight} {self.port} {self.target or '.'}"


@dataclass(frozen=True, slots=True)
class NaptrRecord:
    """RFC 3403 §4.1; ``flags`` and ``service`` as they came, ``replacement`` empty for none."""

    order: int
    preference: int
    flags: str
    service: str
    regexp: str
    replacement: str

    def __str__(self) -> str:
        texts = " ".join(f'"{t}"' for t in (self.flags, self.service, self.regexp))
        return f"{self.order} {self.preference} {texts} {self.replacement or '.'}"


Record = AddressRecord | SrvRecord | NaptrRecord


@dataclass(frozen=True, slots=True)
class Found:
    """At least one record, all of the type that was asked for."""

    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Absent:
    """DNS says there is none: no such name, or none of this type."""

    why: str


@dataclass(frozen=True, slots=True)
class Failed:
    """Nothing is known: no answer, a server's failure, a loop."""

    why: str


Answer = Found | Absent | Failed

T = TypeVar("T")

Lookups = Generator[tuple[Question, ...], tuple[Answer, ...], T]
"""Rules that need DNS: they yield questions to be asked at once, and are sent their answers in the
same order."""


LONGEST_ACCOUNT: Final = 1000


def account(ends: Iterable[str]) -> str:
    """What came of each lookup, once each, for an error; at most ``LONGEST_ACCOUNT`` characters."""
    told = "; ".join(dict.fromkeys(ends))
    return told if len(told) <= LONGEST_ACCOUNT else told[: LONGEST_ACCOUNT - 4] + " ..."


class Chance(Protocol):
    """``random.Random``, in part."""

    def randint(self, a: int, b: int) -> int: ...
    def shuffle(self, x: MutableSequence[Any]) -> None: ...


def by_priority(records: Iterable[SrvRecord], chance: Chance) -> list[SrvRecord]:
    """In the order to try them (RFC 2782): by priority, within one at random by weight."""
    ordered: list[SrvRecord] = []
    ranked = sorted(records, key=lambda r: r.priority)
    for _, same in groupby(ranked, key=lambda r: r.priority):
        left = list(same)
        chance.shuffle(left)
        # those of weight 0 first: they are drawn only by a 0
        left.sort(key=lambda r: r.weight > 0)
        while left:
            ordered.append(left.pop(_drawn(left, chance)))
    return ordered


def _drawn(left: list[SrvRecord], chance: Chance) -> int:
    number = chance.randint(0, sum(r.weight for r in left))
    running = 0
    for at, record in enumerate(left):
        running += record.weight
        if running >= number:
            return at
    raise AssertionError("a number above the sum was drawn")


def by_order(records: Iterable[NaptrRecord]) -> list[list[NaptrRecord]]:
    """Grouped by order, the lowest first, each group by preference (RFC 3403 §4.1)."""
    ranked = sorted(records, key=lambda r: (r.order, r.preference))
    return [list(same) for _, same in groupby(ranked, key=lambda r: r.order)]
