"""Rules driven without DNS: what they ask is answered from a table."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TypeVar

from gateway.sip.locating import ALL_TRANSPORTS, Family, HopTransport, Located, locating
from gateway.sip.records import (
    Absent,
    AddressRecord,
    Answer,
    Failed,
    Found,
    Lookups,
    NaptrRecord,
    Question,
    Record,
    RecordType,
    SrvRecord,
)

T = TypeVar("T")

SILENT = Failed("no answer in time")
Zone = Mapping[str, str | Answer]
"""``"SRV _sip._udp.example.org"`` → records a line each, as a zone file has them, or an answer."""


def _record(kind: RecordType, text: str) -> Record:
    fields = text.split()
    match kind:
        case "SRV":
            priority, weight, port = map(int, fields[:3])
            return SrvRecord(priority, weight, port, fields[3].rstrip("."))
        case "NAPTR":
            flags, service, regexp = (f.strip('"') for f in fields[2:5])
            target = fields[5].rstrip(".")
            return NaptrRecord(int(fields[0]), int(fields[1]), flags, service, regexp, target)
        case _:
            return AddressRecord(text)


class Driven:
    """``batches``: what was asked at once, in order."""

    def __init__(self, zone: Zone) -> None:
        self.batches: list[list[str]] = []
        self._zone = zone

    @property
    def asked(self) -> list[str]:
        return [question for batch in self.batches for question in batch]

    def run(self, lookups: Lookups[T]) -> T:
        try:
            questions = next(lookups)
            while True:
                self.batches.append([str(q) for q in questions])
                questions = lookups.send(tuple(map(self._answer, questions)))
        except StopIteration as done:
            result: T = done.value
            return result

    def _answer(self, question: Question) -> Answer:
        held = self._zone.get(str(question))
        if held is None:
            return Absent("no such name")
        if not isinstance(held, str):
            return held
        lines = [line.strip() for line in held.strip().splitlines()]
        return Found(tuple(_record(question.type, line) for line in lines))


BOTH: tuple[Family, ...] = ("ipv4", "ipv6")


def located(
    zone: Zone,
    place: str,
    transport: HopTransport | None = None,
    families: tuple[Family, ...] = BOTH,
    seed: int = 3263,
    transports: tuple[HopTransport, ...] = ALL_TRANSPORTS,
) -> tuple[tuple[Located, ...], Driven]:
    driven = Driven(zone)
    found = driven.run(
        locating(
            place,
            transport,
            families=families,
            chance=random.Random(seed),
            transports=transports,
        )
    )
    return found, driven


def shown(found: tuple[Located, ...]) -> list[str]:
    return [f"{f.hop.transport} {f.hop.address}" for f in found]
