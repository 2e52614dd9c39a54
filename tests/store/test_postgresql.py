"""What is PostgreSQL's own: its schema by migrations, and a server that goes and comes back."""

from __future__ import annotations

import pytest
import pytest_twisted
from sqlalchemy import Connection, create_engine, inspect

from gateway.errors import CannotStart
from gateway.store.migrating import migrate
from gateway.store.schema import metadata
from tests.peers.postgres import Cluster
from tests.store.scene import opened_at, record


def shape(connection: Connection) -> dict[str, object]:
    found = inspect(connection)
    return {
        table: (
            {(c["name"], str(c["type"]), c["nullable"]) for c in found.get_columns(table)},
            {(i["name"], tuple(i["column_names"])) for i in found.get_indexes(table)},
            found.get_pk_constraint(table)["constrained_columns"],
        )
        for table in found.get_table_names()
        if table != "alembic_version"
    }


def test_all_migrations_together_make_the_schema(cluster: Cluster) -> None:
    made, migrated = create_engine(cluster.database()), create_engine(cluster.database())
    with made.begin() as new, migrated.begin() as old:
        metadata.create_all(new)
        migrate(old)
        assert shape(old) == shape(new)
    for engine in (made, migrated):
        engine.dispose()


@pytest_twisted.ensureDeferred
async def test_it_is_opened_twice(cluster: Cluster) -> None:
    url = cluster.database()
    for _ in range(2):
        database = opened_at(url)
        await database.start()
        assert await database.writable()
        await database.stop()


@pytest_twisted.ensureDeferred
async def test_nobody_there(cluster: Cluster) -> None:
    with pytest.raises(CannotStart) as told:
        await opened_at("postgresql+psycopg://gateway:secret1@127.0.0.1:1/nothing").start()
    assert "cannot be opened" in str(told.value)
    assert "secret1" not in str(told.value)


@pytest_twisted.ensureDeferred
async def test_connections_that_the_server_has_ended(cluster: Cluster) -> None:
    from gateway.store.calls import CallStore

    database = opened_at(cluster.database())
    await database.start()
    store = CallStore(database)
    await store.save(record("c1", 1.0))
    cluster.restart()
    await store.save(record("c2", 2.0))  # one that is found dead is replaced at once
    page = await store.list(record("c1", 1.0).caller, None, 10, None, None)  # type: ignore[arg-type]
    assert [item.call for item in page.calls] == ["c2", "c1"]
    await database.stop()
