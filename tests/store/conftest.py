"""A database of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from gateway.store.calls import CallStore
from gateway.store.database import Database


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "var" / "gateway.db"


@pytest.fixture
def database(file: Path) -> Iterator[Database]:
    from tests.store.scene import opened  # knows the reactor, which is not there any earlier

    made = opened(file)
    pytest_twisted.blockon(Deferred.fromCoroutine(made.start()))
    yield made
    pytest_twisted.blockon(Deferred.fromCoroutine(made.stop()))


@pytest.fixture
def store(database: Database) -> CallStore:
    return CallStore(database)
