"""What is just now, as rows; who looks again is told what has changed since.

Rows are made once a second at most, and only while somebody looks, however many do.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

FRESH_S: Final = 0.8
GONE_KEPT: Final = 5000

Row = Mapping[str, Any]
Source = Callable[[], Iterable[tuple[str, Row]]]
"""Rows by their ids."""


@dataclass(slots=True)
class _Known:
    serial: int
    row: Row
    text: bytes


class Board:
    """``sources`` are named by the kind of their rows."""

    def __init__(self, sources: Mapping[str, Source], now: Callable[[], float]) -> None:
        self._sources = sources
        self._now = now
        self._rows: dict[tuple[str, str], _Known] = {}
        self._gone: deque[tuple[int, tuple[str, str]]] = deque()
        self._forgotten = 0  # the newest serial whose row's end is not known any more
        self._serial = 0
        self._made_at = float("-inf")

    def since(self, serial: int) -> bytes:
        """JSON: ``serial``, ``at``, ``full``, ``rows`` and ``gone``.

        ``rows`` are ``[kind, id, row]``, ``gone`` are ``[kind, id]``.  ``full``: these are all
        there are, since what has gone since is not known.
        """
        now = self._now()
        if now - self._made_at >= FRESH_S:
            self._made_at = now
            self._make()
        full = not self._forgotten <= serial <= self._serial or serial == 0
        rows = b",".join(k.text for k in self._rows.values() if full or k.serial > serial)
        names = () if full else (k for at, k in self._gone if at > serial)
        # one that is back again is among the rows
        gone = b",".join(json.dumps(k).encode() for k in names if k not in self._rows)
        head = f'{{"serial":{self._serial},"at":{now:.3f},"full":{json.dumps(full)},"rows":['
        return head.encode() + rows + b'],"gone":[' + gone + b"]}\n"

    def _make(self) -> None:
        serial = self._serial + 1
        found: set[tuple[str, str]] = set()
        changed = False
        for kind, source in self._sources.items():
            for name, row in source():
                key = (kind, name)
                found.add(key)
                known = self._rows.get(key)
                if known is None or known.row != row:
                    text = json.dumps([kind, name, row], separators=(",", ":")).encode()
                    self._rows[key] = _Known(serial, row, text)
                    changed = True
        for key in [key for key in self._rows if key not in found]:
            del self._rows[key]
            self._gone.append((serial, key))
            changed = True
        while len(self._gone) > GONE_KEPT:
            self._forgotten = self._gone.popleft()[0]
        if changed:
            self._serial = serial
