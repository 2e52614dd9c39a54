"""``dm-gateway doctor``: what the gateway needs on this machine, and how to mend it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.doctor import host, media, names, state, stir
from gateway.doctor.finding import Finding
from gateway.settings import Settings

__all__ = ["CHECKS", "Finding", "examine", "findings"]

Check = Callable[[Settings], Iterator[Finding]]

CHECKS: Final[Sequence[Check]] = (
    media.pjsip,
    media.rtpengine,
    media.digits,
    host.ports,
    names.trunks,
    state.database,
    host.clock,
    host.limits,
    state.tokens,
    state.passwords,
    state.development,
    stir.signing,
    stir.verifying,
)
_COLOURS: Final = {"ok": "green", "warn": "yellow", "fail": "red"}


def findings(settings: Settings, checks: Sequence[Check] = CHECKS) -> Iterator[Finding]:
    for check in checks:
        yield from check(settings)


def examine(settings: Settings, checks: Sequence[Check] = CHECKS, out: TextIO | None = None) -> int:
    """Print every finding; 1 when something would keep the gateway from working."""
    table = Table(show_header=True, box=None, pad_edge=False)
    for title in ("", "what", "found", "how to mend it"):
        table.add_column(title, overflow="fold")
    failed = False
    for finding in findings(settings, checks):
        colour = _COLOURS[finding.grade]
        texts = map(escape, (finding.what, finding.found, finding.mend))
        table.add_row(f"[{colour}]{finding.grade}[/{colour}]", *texts)
        failed |= finding.grade == "fail"
    to = out or sys.stdout
    Console(file=to, width=None if to.isatty() else 160).print(table)
    return int(failed)
