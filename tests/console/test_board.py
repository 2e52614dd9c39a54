"""Whoever asks with what they have has all that there is afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from gateway.console import board
from gateway.console.board import FRESH_S, Board

Rows = dict[str, dict[str, Any]]


class Page:
    def __init__(self, of: Board) -> None:
        self._board = of
        self.serial = 0
        self.rows: dict[tuple[str, str], Any] = {}
        self.told = 0

    def look(self) -> None:
        told = json.loads(self._board.since(self.serial))
        if told["full"]:
            self.rows.clear()
        for kind, name, row in told["rows"]:
            self.rows[kind, name] = row
        for kind, name in told["gone"]:
            self.rows.pop((kind, name), None)
        self.serial = told["serial"]
        self.told = len(told["rows"]) + len(told["gone"])


class World:
    def __init__(self) -> None:
        self.clock = Clock()
        self.calls: Rows = {}
        self.made = 0
        self.board = Board({"call": self._rows}, self.clock.seconds)

    def _rows(self) -> Iterator[tuple[str, dict[str, Any]]]:
        self.made += 1
        yield from ((name, dict(row)) for name, row in self.calls.items())

    def later(self) -> None:
        self.clock.advance(FRESH_S + 0.01)


def test_changes_alone_are_told() -> None:
    world = World()
    world.calls = {"a": {"state": "ringing"}, "b": {"state": "connected"}}
    page = Page(world.board)
    page.look()
    assert page.told == 2
    world.later()
    page.look()
    assert page.told == 0
    world.calls["a"] = {"state": "connected"}
    del world.calls["b"]
    world.later()
    page.look()
    assert page.told == 2
    assert page.rows == {("call", "a"): {"state": "connected"}}


def test_rows_are_made_once_for_all_who_look() -> None:
    world = World()
    pages = [Page(world.board) for _ in range(10)]
    for page in pages:
        page.look()
    assert world.made == 1
    world.later()
    for page in pages:
        page.look()
    assert world.made == 2


@pytest.mark.parametrize("serial", [99, 1])
def test_whose_number_is_not_known_is_told_all(
    serial: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "GONE_KEPT", 3)
    world = World()
    page = Page(world.board)
    for n in range(8):
        world.calls = {f"c{n}": {"n": n}}
        page.look()
        world.later()
    page.serial = serial
    page.rows = {("call", "c0"): {"n": 0}}
    page.look()
    assert page.rows == {("call", "c7"): {"n": 7}}


_SCRIPT = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(0, 3), st.lists(st.booleans(), max_size=2)),
    max_size=30,
)


@given(_SCRIPT)
def test_every_page_ends_up_right(script: list[tuple[str, int, list[bool]]]) -> None:
    """Calls come, change (0: go); two pages look whenever they like."""
    world = World()
    pages = [Page(world.board), Page(world.board)]
    for name, state, looks in script:
        if state:
            world.calls[name] = {"state": state}
        else:
            world.calls.pop(name, None)
        world.later()
        for page, looking in zip(pages, looks, strict=False):
            if looking:
                page.look()
    world.later()
    for page in pages:
        page.look()
        assert page.rows == {("call", name): row for name, row in world.calls.items()}
