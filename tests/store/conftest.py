"""A database of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from gateway.store.calls import CallStore
from gateway.store.database import Database
from tests.peers.postgres import Cluster


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "var" / "gateway.db"


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("postgres"))
    made.start()
    yield made
    made.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, file: Path) -> Iterator[Database]:
    from tests.store.scene import opened, opened_at  # they know the reactor: not any earlier

    if request.param == "sqlite":
        made = opened(file)
    else:
        made = opened_at(request.getfixturevalue("cluster").database())
    pytest_twisted.blockon(Deferred.fromCoroutine(made.start()))
    yield made
    pytest_twisted.blockon(Deferred.fromCoroutine(made.stop()))


@pytest.fixture
def store(database: Database) -> CallStore:
    return CallStore(database)
