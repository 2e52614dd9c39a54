"""``dm-gateway route``: where a number leads, and each step that led there."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TextIO
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.dns.once import once
from gateway.errors import BadAddress, Unlocatable
from gateway.routing.dialplan import compile_plan, plan
from gateway.routing.enum import domains_of, enum_ways
from gateway.routing.numbers import Spelling, spell
from gateway.routing.plans import Dialled, Inside, Outward, Plan, Refusal, Step, TrunkCaller
from gateway.routing.targets import dialled
from gateway.settings import Settings
from gateway.values import NumberClass, SipAddress, UserAddress, parse_address

_MARKS: Final = {True: "[green]yes[/green]", False: "[dim]no[/dim]"}


@dataclass(frozen=True, slots=True)
class Question:
    """What is dialled, by whom, and when (seconds since the epoch)."""

    dialled: Dialled
    at: float

    @classmethod
    def of(
        cls,
        settings: Settings,
        to: str,
        caller: str | None,
        trunk: str | None,
        region: str | None,
        groups: Sequence[str],
        at: str | None,
    ) -> Question:
        """``ValueError`` or ``BadAddress`` for what cannot be asked."""
        who = _caller(settings, caller, trunk)
        spelling = _spelling(settings, to)
        asked = Dialled(spelling, who, region, frozenset(groups))
        return cls(asked, time.time() if at is None else _seconds(at, settings.routing.timezone))


def _caller(
    settings: Settings, caller: str | None, trunk: str | None
) -> UserAddress | SipAddress | TrunkCaller:
    if (caller is None) == (trunk is None):
        raise ValueError("who dials?  One of --as user:HANDLE and --trunk NAME is needed")
    if trunk is not None:
        if trunk not in (t.name for t in settings.trunks):
            raise ValueError(f"--trunk: there is no trunk {trunk!r}")
        return TrunkCaller(trunk)
    address = parse_address(caller or "")
    if not isinstance(address, UserAddress | SipAddress):
        raise ValueError(f"--as: {address} calls nobody; right are user:HANDLE, sip:USER@DOMAIN")
    return address


def _spelling(settings: Settings, to: str) -> Spelling:
    accounts = {a.user for a in settings.sip.accounts}
    try:
        address = parse_address(to)
    except BadAddress:
        found = spell(to.removeprefix("tel:"))
    else:
        domain = settings.sip.domain
        found = dialled(address, domain, lambda a: a.user in accounts, lambda _: False)
    if found is None:
        raise ValueError(f"{to[:80]!r} is no telephone number here, so no route is asked for it")
    return found


def _seconds(at: str, zone: str) -> float:
    try:
        found = datetime.fromisoformat(at)
    except ValueError:
        raise ValueError(f"--at: {at[:80]!r} is no time; right is 2026-11-23T22:00") from None
    return (found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone))).timestamp()


def explain(settings: Settings, question: Question, out: TextIO | None = None) -> int:
    """Print the steps and what comes of them; 1 when the number leads nowhere."""
    draw = secrets.SystemRandom().random
    found = plan(question.dialled, compile_plan(settings.routing), question.at, draw)
    table = Table(show_header=False, box=None, pad_edge=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for step in (*found.steps, *_enum(settings, found)):
        table.add_row(step.stage, _MARKS[step.matched], escape(step.text))
    to = out or sys.stdout
    console = Console(file=to, width=None if to.isatty() else 160, highlight=False)
    local = datetime.fromtimestamp(question.at, ZoneInfo(settings.routing.timezone))
    console.print(
        escape(
            f"{question.dialled.spelling.full} dialled by {question.dialled.caller}, "
            f"{local:%a %Y-%m-%d %H:%M} in {settings.routing.timezone}"
        )
    )
    console.print(table)
    console.print(escape(_conclusion(found)), style="bold")
    return int(isinstance(found.outcome, Refusal))


def _enum(settings: Settings, found: Plan) -> tuple[Step, ...]:
    """What DNS says of the number just now."""
    outside = isinstance(found.outcome, Outward) and NumberClass.EMERGENCY not in found.classes
    if not settings.routing.enum or not outside:
        return ()
    try:
        uris = once(settings.dns, lambda resolver: resolver.enum(found.number))
    except Unlocatable as e:
        return (Step("enum", False, str(e)),)
    ways, steps = enum_ways(uris, domains_of(settings.trunks))
    if ways:
        order = ", then ".join(f"{w.number} by {w.trunk}" for w in ways)
        return (*steps, Step("enum", True, f"first {order}, then the trunks above"))
    return steps or (Step("enum", False, f"{found.number} is not in DNS"),)


def _conclusion(found: Plan) -> str:
    match found.outcome:
        case Refusal(reason=reason, text=text):
            return f"refused, {reason}: {text}"
        case Inside(to=whom, order=order):
            listed = (", then " if order == "in_turn" else " and ").join(map(str, whom))
            return f"{found.number} rings {listed}"
        case Outward(choices=choices):
            first = choices[0]
            parts = [
                f"{found.number} by {', then '.join(c.trunk for c in choices)}",
                "anonymous" if first.caller_id is None else f"as {first.caller_id}",
                f"attestation {first.attestation}",
                *([f"confirm {first.confirm}"] if first.confirm else []),
                *([f"early media {first.early_media}"] if first.early_media else []),
            ]
            return ", ".join(parts)
