"""The dial plan: where a dialled number leads, with every step that led there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.routing.caller_id import CallerIds, Shown
from gateway.routing.conditions import Conditions, Seen
from gateway.routing.emergency import emergency_number
from gateway.routing.numbers import NoNumber, Number, Spelling, normalise
from gateway.routing.plans import (
    Dialled,
    Inside,
    Outcome,
    Outward,
    Plan,
    Refusal,
    Stage,
    Step,
    TrunkCaller,
    TrunkChoice,
)
from gateway.routing.trunk_order import in_order
from gateway.settings import Route, RoutingSection
from gateway.settings.routing import inside
from gateway.values import NumberClass, Reason

NO_EMERGENCY: Final = (
    "emergency calls are not possible here; use another telephone to call {number}"
)


@dataclass(frozen=True, slots=True)
class DialPlan:
    """``routing`` made ready: each lookup is by key, however many routes there are."""

    home: str | None
    emergency_trunk: str | None
    numbers: Mapping[str, Inside]
    routes: Mapping[str, Sequence[Conditions]]
    """By prefix; those with the same one in the file's order."""
    lengths: tuple[int, ...]
    """Of the prefixes that there are, the longest first: 16 at most."""
    caller_ids: CallerIds


def compile_plan(section: RoutingSection) -> DialPlan:
    routes: dict[str, list[Conditions]] = {}
    for route in section.routes:
        routes.setdefault(route.prefix, []).append(Conditions.of(route, section.timezone))
    numbers = {
        n.number: Inside(tuple(inside(text) for text in n.to), n.order) for n in section.numbers
    }
    return DialPlan(
        home=section.home_country,
        emergency_trunk=section.emergency.trunk,
        numbers=numbers,
        routes=routes,
        lengths=tuple(sorted({len(p) for p in routes}, reverse=True)),
        caller_ids=CallerIds(section.caller_id, tuple(numbers)),
    )


def plan(dialled: Dialled, book: DialPlan, now: float, random: Callable[[], float]) -> Plan:
    """Where ``dialled`` leads at ``now`` (seconds since the epoch).

    ``random`` gives numbers from 0 up to but without 1, for trunks of equal priority.
    """
    return _Planning(dialled, book, now, random).plan()


def _with_plus(dialled: Dialled, book: DialPlan) -> Spelling:
    """As dialled; but carriers write a number of ours in E.164 without its plus, too."""
    international = f"+{dialled.spelling.full}"
    if isinstance(dialled.caller, TrunkCaller) and international in book.numbers:
        return Spelling(international, international)
    return dialled.spelling


class _Planning:
    """One number on its way through the book."""

    def __init__(
        self, dialled: Dialled, book: DialPlan, now: float, random: Callable[[], float]
    ) -> None:
        self._dialled = dialled
        self._spelling = _with_plus(dialled, book)
        self._book = book
        self._now = now
        self._random = random
        self._region = dialled.region or book.home
        self._steps: list[Step] = []

    def plan(self) -> Plan:
        written = self._spelling.full
        urgent = emergency_number(self._spelling, self._region)
        if urgent is not None:
            number = Number(urgent, (NumberClass.EMERGENCY,), self._region)
            return self._done(number, self._emergency(number, written))
        self._step("emergency", False, f"{written} is no emergency number{self._where()}")
        number_ = normalise(self._spelling, self._region)
        if isinstance(number_, NoNumber):
            self._step("number", False, number_.why)
            refusal = Refusal(Reason.UNREACHABLE, f"no such number: {number_.why}")
            return self._done(Number(written, (NumberClass.UNKNOWN,)), refusal)
        kind = "/".join(number_.classes)
        country = f", {number_.country}" if number_.country else ""
        heard = "" if written.startswith("+") else f"{written}{self._where()} is "
        self._step("number", True, f"{heard}{number_.digits}: {kind}{country}")
        return self._done(number_, self._ours(number_) or self._outward(number_))

    def _done(self, number: Number, outcome: Outcome) -> Plan:
        return Plan(number.digits, number.classes, outcome, tuple(self._steps))

    def _step(self, stage: Stage, matched: bool, text: str) -> None:
        self._steps.append(Step(stage, matched, text))

    def _where(self) -> str:
        if self._region is None:
            return ", dialled in no known country"
        return f", dialled in {self._region}{'' if self._dialled.region else ' (home_country)'}"

    def _emergency(self, number: Number, written: str) -> Outcome:
        digits = number.digits
        self._step("emergency", True, f"{written}{self._where()} is the emergency number {digits}")
        trunk = self._book.emergency_trunk
        if trunk is None or isinstance(self._dialled.caller, TrunkCaller):
            why = "routing.emergency refuses" if trunk is None else "a trunk may not dial out"
            self._step("emergency", True, f"refused: {why}")
            return Refusal(Reason.NOT_ALLOWED, NO_EMERGENCY.format(number=digits))
        self._step("emergency", True, f"routing.emergency sends it to trunk {trunk}")
        shown = self._book.caller_ids.choose(str(self._dialled.caller), number)
        self._tell_caller_id(shown)
        return Outward(None, (TrunkChoice(trunk, shown.number, shown.attestation),))

    def _ours(self, number: Number) -> Outcome | None:
        found = self._book.numbers.get(number.digits)
        if found is not None:
            whom = ", ".join(map(str, found.to))
            order = f" ({found.order})" if len(found.to) > 1 else ""
            self._step("ours", True, f"{number.digits} is ours and rings {whom}{order}")
            return found
        self._step("ours", False, f"{number.digits} is none of routing.numbers")
        if isinstance(self._dialled.caller, TrunkCaller):
            why = f"{self._dialled.caller} may call numbers of ours alone"
            self._step("route", False, why)
            return Refusal(Reason.UNREACHABLE, "no such number here")
        return None

    def _outward(self, number: Number) -> Outcome:
        seen = Seen(number.classes, self._region, self._dialled.groups, self._now)
        for length in self._book.lengths:
            if length > len(number.digits):
                continue
            for conditions in self._book.routes.get(number.digits[:length], ()):
                objection = conditions.objection(seen)
                route = conditions.route
                if objection is not None:
                    self._step("route", False, f"{route.name} ({route.prefix}) {objection}")
                    continue
                self._step("route", True, f"{route.name} ({route.prefix}) fits")
                return self._taken(route, number)
        self._step("route", False, "no route is left")
        return Refusal(Reason.UNREACHABLE, f"no route to {number.digits}")

    def _taken(self, route: Route, number: Number) -> Outcome:
        if route.action == "refuse":
            text = route.text or f"calls to {number.digits} are not possible"
            self._step("route", True, f"{route.name} refuses with {route.reason}: {text}")
            return Refusal(Reason(route.reason), text)
        caller = str(self._dialled.caller)
        ids = self._book.caller_ids
        shown = ids.choose(caller, number, route.caller_id, route.use_verified)
        self._tell_caller_id(shown)
        attestation = route.attestation or shown.attestation
        why = "the route's" if route.attestation else "by the rule"
        self._step("caller id", True, f"attestation {attestation}, {why}")
        names = in_order(route.trunks, self._random)
        by_name = {t.name: t for t in route.trunks}
        for place, name in enumerate(names, 1):
            trunk = by_name[name]
            text = f"{place}. {name} (priority {trunk.priority}, weight {trunk.weight})"
            self._step("trunks", True, text)
        choices = tuple(
            TrunkChoice(name, shown.number, attestation, route.confirm, route.early_media)
            for name in names
        )
        return Outward(route.name, choices)

    def _tell_caller_id(self, shown: Shown) -> None:
        text = shown.why if shown.number is None else f"{shown.number}, {shown.why}"
        self._step("caller id", True, text)
