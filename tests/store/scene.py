"""People, their calls, and a database to keep these in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor

from gateway.calls.record import CallRecord
from gateway.settings import StoreSection
from gateway.store.database import Database
from gateway.values import Address, CallId, Direction, UserAddress

SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
"""For what only SQLite has."""

ALICE, BOB, CAROL = UserAddress("alice"), UserAddress("bob"), UserAddress("carol")


def opened_at(url: str) -> Database:
    return Database(StoreSection(url=url), reactor)


def opened(file: Path) -> Database:
    return Database(StoreSection(url=f"sqlite:///{file}"), reactor)


def record(
    call: str, at: float, caller: Address = ALICE, callee: Address = BOB, **more: Any
) -> CallRecord:
    """Names are made of the addresses unless given."""
    names = {"caller_name": str(caller).title(), "callee_name": str(callee).title()}
    return CallRecord(
        call=CallId(call),
        direction=Direction.APP_TO_APP,
        caller=caller,
        callee=callee,
        created_at=at,
        **{**names, **more},
    )
