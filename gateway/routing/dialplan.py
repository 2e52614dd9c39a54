"""The dial plan: where a number goes, as whom, and why; pure, with clock and chance passed in."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from gateway.routing.numbers import EmergencyNumber, NotANumber, Number, read_number
from gateway.settings.routing import DAYS, Hours, OwnNumber, Route, RoutingSection, TrunkUse
from gateway.values import Address, Reason, parse_address

Attestation = Literal["A", "B", "C"]


@dataclass(frozen=True, slots=True)
class Dialled:
    """What was dialled, and by whom; ``region`` and ``groups`` as the caller's token says."""

    text: str
    caller: Address
    region: str | None = None
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class TrunkChoice:
    """``caller_id`` empty: withheld.  ``early_media`` is ``None``: as the trunk says."""

    trunk: str
    number: str
    caller_id: str
    attestation: Attestation
    confirm: bool = False
    early_media: bool | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    reason: Reason
    text: str


@dataclass(frozen=True, slots=True)
class Plan:
    """One of ``choices`` in order, ``inside`` (together, or in turn), or ``refusal``.

    ``steps`` say how it came about, a line each.
    """

    number: str = ""
    choices: tuple[TrunkChoice, ...] = ()
    inside: tuple[Address, ...] = ()
    in_turn: bool = False
    refusal: Refusal | None = None
    steps: tuple[str, ...] = ()


@dataclass(slots=True)
class _Steps:
    lines: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.lines.append(text)

    def refuse(self, number: str, reason: Reason, text: str) -> Plan:
        self.say(f"refused ({reason}): {text}")
        return Plan(number, refusal=Refusal(reason, text), steps=tuple(self.lines))


class DialPlan:
    """The settings made ready: a number costs one look-up for each of its digits."""

    def __init__(self, settings: RoutingSection) -> None:
        self._settings = settings
        self._own: dict[str, OwnNumber] = {n.number: n for n in settings.numbers}
        self._routes: dict[str, list[Route]] = {}
        for route in settings.routes:
            for prefix in dict.fromkeys(route.prefixes):
                self._routes.setdefault(prefix, []).append(route)

    @property
    def known(self) -> bool:
        """Whether numbers mean anything here."""
        return bool(self._routes or self._own)

    def plan(self, dialled: Dialled, now: float, chance: Callable[[], float]) -> Plan:
        """Where it goes at this time (seconds since the epoch); ``chance`` is from 0 to 1."""
        steps = _Steps()
        region = dialled.region or self._settings.home_country
        origin = "the caller's" if dialled.region else "routing.home_country's"
        steps.say(f"{dialled.text!r} is read in {origin} country, {region}")
        match read_number(dialled.text, region):
            case NotANumber(why=why):
                return steps.refuse("", Reason.UNREACHABLE, f"not a telephone number: {why}")
            case EmergencyNumber(digits=digits):
                return self._emergency(digits, dialled, steps)
            case Number() as number:
                where = number.region or "no country"
                steps.say(f"that is {number.e164}, of {where}, {number.kind}")
        own = self._own.get(number.e164)
        if own is not None:
            inside = tuple(parse_address(to) for to in own.to)
            turn = own.order == "in_turn" and len(inside) > 1
            steps.say(f"it is a number of ours: {', '.join(own.to)}{' in turn' if turn else ''}")
            return Plan(number.e164, inside=inside, in_turn=turn, steps=tuple(steps.lines))
        route = self._route(number, dialled, now, steps)
        if route is None:
            return steps.refuse(number.e164, Reason.NOT_ALLOWED, "no route takes this number")
        if route.action == "refuse":
            text = route.text or "calls to this number are not allowed"
            return steps.refuse(number.e164, Reason.NOT_ALLOWED, text)
        return self._dial(number, route, dialled, chance, steps)

    def _route(self, number: Number, dialled: Dialled, now: float, steps: _Steps) -> Route | None:
        for length in range(len(number.e164), 0, -1):
            prefix = number.e164[:length]
            for route in self._routes.get(prefix, ()):
                why_not = _objection(route, number, dialled, now)
                if why_not is None:
                    steps.say(f"route {route.name} takes it by prefix {prefix}")
                    return route
                steps.say(f"route {route.name} (prefix {prefix}) does not: {why_not}")
        return None

    def _dial(
        self,
        number: Number,
        route: Route,
        dialled: Dialled,
        chance: Callable[[], float],
        steps: _Steps,
    ) -> Plan:
        caller_id, own = self._caller_id(number, route, dialled, steps)
        attestation: Attestation = route.attestation or ("A" if own else "B" if caller_id else "C")
        ordered = in_order(route.trunks, chance)
        steps.say(f"trunks in this order: {', '.join(t.trunk for t in ordered)}")
        if route.confirm == "press-1":
            steps.say("whoever answers has to press 1")
        choices = tuple(
            TrunkChoice(
                trunk=use.trunk,
                number=number.e164,
                caller_id=caller_id,
                attestation=attestation,
                confirm=route.confirm == "press-1",
                early_media=None if route.early_media is None else route.early_media == "pass",
            )
            for use in ordered
        )
        return Plan(number.e164, choices=choices, steps=tuple(steps.lines))

    def _caller_id(
        self, number: Number, route: Route, dialled: Dialled, steps: _Steps
    ) -> tuple[str, bool]:
        """The number to be shown, and whether it is the caller's own."""
        ids = self._settings.caller_id
        own = ids.verified.get(str(dialled.caller))
        if route.verified and own is not None:
            steps.say(f"the caller's own verified number is shown: {own}")
            return own, True
        if route.caller_id is not None:
            steps.say(f"the route's number is shown: {route.caller_id}")
            return route.caller_id, False
        if not ids.pool:
            steps.say("no number is shown: routing.caller_id.pool is empty")
            return "", False
        near = [n for n in ids.pool if _same_country(n, number)] or list(ids.pool)
        # the same for the same caller, so that being called twice looks like it
        chosen = near[zlib.crc32(str(dialled.caller).encode()) % len(near)]
        steps.say(f"a number of the pool is shown: {chosen}")
        return chosen, False

    def _emergency(self, digits: str, dialled: Dialled, steps: _Steps) -> Plan:
        steps.say(f"{digits} is an emergency number")
        rule = self._settings.emergency
        if rule.trunk is None:
            text = "emergency calls are not possible here; use another telephone"
            return steps.refuse(digits, Reason.NOT_ALLOWED, text)
        shown = self._settings.caller_id.verified.get(str(dialled.caller)) or rule.caller_id or ""
        steps.say(f"routing.emergency sends it by trunk {rule.trunk}, as {shown or 'nobody'}")
        choice = TrunkChoice(rule.trunk, digits, shown, "A" if shown else "C")
        return Plan(digits, choices=(choice,), steps=tuple(steps.lines))


def _same_country(shown: str, number: Number) -> bool:
    found = read_number(shown, "US")
    return isinstance(found, Number) and found.region is not None and found.region == number.region


def _objection(route: Route, number: Number, dialled: Dialled, now: float) -> str | None:
    """The first condition of the route that does not hold."""
    if route.classes and number.kind not in route.classes:
        return f"{number.kind} is none of {', '.join(route.classes)}"
    if route.regions and dialled.region not in route.regions:
        return f"the caller's region {dialled.region or 'is not known and'} is not in its list"
    if route.groups and not dialled.groups & set(route.groups):
        return "the caller is in none of its groups"
    if route.hours and not any(_within(h, route.timezone, now) for h in route.hours):
        local = datetime.fromtimestamp(now, ZoneInfo(route.timezone))
        return f"it is {local:%a %H:%M} in {route.timezone}"
    return None


def _within(hours: Hours, timezone: str, now: float) -> bool:
    """By the clock on the wall: an hour that is there twice counts twice, a missing one not."""
    local = datetime.fromtimestamp(now, ZoneInfo(timezone))
    clock = f"{local:%H:%M}"
    today = DAYS[local.weekday()] in hours.days
    if hours.from_ < hours.to:
        return today and hours.from_ <= clock < hours.to
    yesterday = DAYS[(local - timedelta(days=1)).weekday()] in hours.days
    return (today and clock >= hours.from_) or (yesterday and clock < hours.to)


def in_order(uses: Sequence[TrunkUse], chance: Callable[[], float]) -> tuple[TrunkUse, ...]:
    """By priority; within one drawn by weight, as SRV records are (RFC 2782)."""
    out: list[TrunkUse] = []
    for priority in sorted({u.priority for u in uses}):
        left = sorted((u for u in uses if u.priority == priority), key=lambda u: u.weight)
        while left:
            mark = chance() * sum(u.weight for u in left)
            running = 0
            for use in left:
                running += use.weight
                if running >= mark:
                    break
            left.remove(use)
            out.append(use)
    return tuple(out)
