"""The database as a file, as a queue, and as something that can fail."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect, text
from structlog.testing import capture_logs
from twisted.internet.defer import CancelledError, ensureDeferred, gatherResults
from twisted.internet.threads import deferToThread

from gateway.errors import CannotStart, StoreUnavailable
from gateway.settings import StoreSection
from gateway.store import database as module
from gateway.store import migrating
from gateway.store.calls import CallStore
from gateway.store.database import Database
from gateway.store.migrating import MIGRATIONS, bring_up_to_date, migrate, revisions
from gateway.store.schema import calls
from tests.peers.waiting import reactor, until
from tests.store.scene import ALICE, SQLITE, opened, record

TOP = Path(__file__).resolve().parents[2]


def row(file: Path, call: str) -> dict[str, Any]:
    """What another program reads from the file."""
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as db:
        db.row_factory = sqlite3.Row
        found = db.execute("SELECT * FROM calls WHERE call = ?", (call,)).fetchone()
    return dict(found)


@SQLITE
@pytest.mark.usefixtures("database")
def test_the_file_and_its_directory_are_the_owners_alone(file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    beside = {p.name: stat.S_IMODE(p.stat().st_mode) for p in file.parent.iterdir()}
    assert set(beside.values()) == {0o600}, beside


@pytest.fixture
def readable(file: Path) -> Path:
    file.parent.mkdir()
    file.touch()
    file.chmod(0o644)
    return file


@pytest_twisted.ensureDeferred
async def test_a_file_that_everybody_can_read_is_told_of(readable: Path) -> None:
    database = opened(readable)
    with capture_logs() as told:
        await database.start()
    await database.stop()
    assert [e["event"] for e in told] == ["store_readable_by_all"]
    assert told[0]["mode"] == "0644"


@SQLITE
@pytest_twisted.ensureDeferred
async def test_sqlite_is_set_up_to_survive_kill_and_to_wait_for_others(database: Database) -> None:
    def pragmas(c: Connection) -> list[Any]:
        names = ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
        return [c.execute(text(f"PRAGMA {n}")).scalar() for n in names]

    assert await database.write(pragmas) == ["wal", 1, 10_000, 1]
    assert await database.read(pragmas) == ["wal", 1, 10_000, 1]


@pytest_twisted.ensureDeferred
async def test_what_was_saved_outlives_kill_9(file: Path) -> None:
    command = [sys.executable, "-m", "tests.store.saves_and_dies", str(file)]

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=TOP, capture_output=True, text=True, timeout=30, check=False
        )

    done = await deferToThread(run)
    assert (done.returncode, done.stdout) == (-9, "saved\n"), done.stderr
    database = opened(file)
    await database.start()
    assert await CallStore(database).close_left_open(200.0) == 1
    await database.stop()
    kept = row(file, "c1")
    assert (kept["ringing_at"], kept["ended_at"]) == (101.0, 200.0)
    assert (kept["reason"], kept["ended_by"]) == ("gateway_error", "gateway")


def shape(c: Connection) -> tuple[Any, Any, Any]:
    found = inspect(c)
    columns = {(x["name"], str(x["type"]), x["nullable"]) for x in found.get_columns("calls")}
    indexes = {(i["name"], tuple(i["column_names"])) for i in found.get_indexes("calls")}
    return columns, indexes, found.get_pk_constraint("calls")["constrained_columns"]


@SQLITE
@pytest_twisted.ensureDeferred
async def test_a_new_database_is_what_all_migrations_together_make(database: Database) -> None:
    made = await database.read(shape)
    with create_engine("sqlite://").begin() as c:
        migrate(c)
        migrated, version = shape(c), c.scalar(text("SELECT version_num FROM alembic_version"))
    assert made == migrated
    assert version == revisions()[-1]
    assert made[0] == {(x.name, str(x.type), bool(x.nullable)) for x in calls.columns}
    assert made[1] == {(str(i.name), tuple(x.name for x in i.columns)) for i in calls.indexes}


def test_what_is_known_of_migrations_is_what_alembic_knows() -> None:
    scripts = ScriptDirectory(str(MIGRATIONS))
    assert [s.revision for s in reversed([*scripts.walk_revisions()])] == revisions()


@pytest_twisted.ensureDeferred
async def test_an_older_database_is_migrated(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its revision is known, and not the newest."""
    seen: list[str] = []
    known = migrating.revisions()
    monkeypatch.setattr(migrating, "revisions", lambda: [*known, "9999"])
    monkeypatch.setattr(
        migrating,
        "migrate",
        lambda c: seen.append(c.scalar(text("SELECT version_num FROM alembic_version"))),
    )
    await database.write(bring_up_to_date)
    assert seen == [known[-1]]


def _as_of_the_first(file: Path) -> None:
    """A database that the first migration made, with a call in it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    config = Config()
    config.set_main_option("script_location", str(migrating.MIGRATIONS))
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    with sqlite3.connect(file) as plain:
        plain.execute(
            "INSERT INTO calls (call, direction, caller, caller_name, callee, callee_name, "
            "created_at, ended_at) VALUES ('c1', 'app_to_app', 'user:a', 'A', 'user:b', 'B', 1, 2)"
        )
    file.chmod(0o600)


@pytest_twisted.ensureDeferred
async def test_the_first_schema_becomes_the_newest(file: Path) -> None:
    _as_of_the_first(file)
    database = opened(file)
    await database.start()
    assert await database.read(lambda c: inspect(c).has_table("pins"))
    await database.stop()
    assert row(file, "c1")["ended_at"] == 2.0


@pytest_twisted.ensureDeferred
async def test_a_migration_that_is_cut_off_leaves_nothing_behind(database: Database) -> None:
    def half(c: Connection) -> None:
        c.execute(text("CREATE TABLE half (x INTEGER)"))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.write(half)
    assert not await database.read(lambda c: inspect(c).has_table("half"))


@pytest_twisted.ensureDeferred
async def test_starting_again_changes_nothing(file: Path) -> None:
    for _ in range(2):
        database = opened(file)
        await database.start()
        await CallStore(database).save(record("c1", 1.0, ended_at=2.0))
        await database.stop()
    assert row(file, "c1")["ended_at"] == 2.0


# --- what keeps it from starting ------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_database_of_a_newer_gateway_is_left_alone(file: Path) -> None:
    database = opened(file)
    await database.start()
    await database.write(lambda c: c.execute(text("UPDATE alembic_version SET version_num = 'zz'")))
    await database.stop()
    again = opened(file)
    with pytest.raises(CannotStart, match=r"made by a newer dm-gateway .*; run that one"):
        await again.start()
    await again.stop()


@pytest.fixture
def prose(file: Path) -> Path:
    file.parent.mkdir()
    file.write_text("these are no records\n" * 100, encoding="utf-8")
    return file


@pytest_twisted.ensureDeferred
async def test_what_is_no_database_is_said_to_be_none(prose: Path) -> None:
    database = opened(prose)
    with pytest.raises(CannotStart, match=rf"{prose} cannot be opened: file is not a database"):
        await database.start()
    await database.stop()


@pytest_twisted.ensureDeferred
async def test_a_place_that_cannot_be_written_is_named() -> None:
    database = opened(Path("/proc/nothing/gateway.db"))
    with pytest.raises(CannotStart, match=r"/proc/nothing/gateway\.db cannot be opened: "):
        await database.start()
    await database.stop()


@pytest_twisted.ensureDeferred
async def test_a_driver_that_is_not_there_is_named_without_the_password() -> None:
    url = "postgresql+psycopg2://gateway:hush@127.0.0.1/gateway"
    database = Database(StoreSection(url=url), reactor)
    with pytest.raises(CannotStart, match="a driver that is not installed: psycopg2") as caught:
        await database.start()
    await database.stop()
    assert "hush" not in str(caught.value)


# --- the queue ------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_writes_happen_in_order_in_one_thread_that_is_not_the_reactors(
    database: Database,
) -> None:
    order: list[int] = []
    threads: set[int] = set()

    def write(number: int) -> None:
        order.append(number)
        threads.add(threading.get_ident())

    await gatherResults([database.write(lambda _, n=n: write(n)) for n in range(50)])
    assert order == list(range(50))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


@SQLITE
@pytest_twisted.ensureDeferred
async def test_the_last_save_of_a_call_is_the_one_that_stays(store: CallStore, file: Path) -> None:
    saves = [ensureDeferred(store.save(record("c1", 1.0, ringing_at=n))) for n in range(30)]
    await gatherResults(saves)
    assert row(file, "c1")["ringing_at"] == 29


@pytest_twisted.ensureDeferred
async def test_a_database_that_does_not_keep_up_refuses(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    go = threading.Event()
    slow = [database.write(lambda _: go.wait(10)) for _ in range(3)]
    with pytest.raises(StoreUnavailable, match="does not keep up"):
        await database.write(lambda _: None)
    with pytest.raises(StoreUnavailable, match="does not keep up"):
        await database.read(lambda _: None)
    go.set()
    assert await gatherResults(slow) == [True] * 3
    assert await database.write(lambda _: 1) == 1


@pytest_twisted.ensureDeferred
async def test_who_gave_up_waiting_still_counts_until_the_work_is_done(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 1)
    go = threading.Event()
    gone = database.write(lambda _: go.wait(10))
    gone.cancel()
    with pytest.raises(CancelledError):
        await gone
    with pytest.raises(StoreUnavailable, match="does not keep up"):
        await database.write(lambda _: None)
    go.set()

    async def takes_work() -> bool:
        try:
            await database.write(lambda _: None)
        except StoreUnavailable:
            return False
        return True

    await until(takes_work, "the queue takes work again", 5, 0.01)


@pytest_twisted.ensureDeferred
async def test_reads_are_not_held_up_by_a_write_that_takes_long(
    database: Database, store: CallStore
) -> None:
    await store.save(record("c1", 1.0))
    go = threading.Event()

    def slow(c: Connection) -> None:
        c.execute(text("UPDATE calls SET thread = 'x'"))
        go.wait(10)

    writing = database.write(slow)
    page = await store.list(ALICE, None, 10, None, None)
    assert page.calls[0].thread is None
    go.set()
    await writing
    assert (await store.list(ALICE, None, 10, None, None)).calls[0].thread == "x"


@pytest_twisted.ensureDeferred
async def test_stopping_finishes_what_is_queued_and_then_refuses(file: Path) -> None:
    database = opened(file)
    await database.start()
    store = CallStore(database)
    saves = [ensureDeferred(store.save(record(f"c{n}", n))) for n in range(20)]
    await database.stop()
    await gatherResults(saves)
    assert row(file, "c19")["created_at"] == 19
    with pytest.raises(StoreUnavailable, match="the database is closed"):
        await store.save(record("c20", 20.0))
    assert not await database.writable()
    await database.stop()


# --- failures -------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_writable_says_whether_it_is(database: Database) -> None:
    assert await database.writable()
    await database.write(lambda c: c.execute(text("DROP TABLE calls")))
    with capture_logs() as told:
        assert not await database.writable()
    assert [e["event"] for e in told] == ["store_failed"]


@SQLITE
@pytest_twisted.ensureDeferred
async def test_a_failure_is_told_without_the_rows(database: Database, store: CallStore) -> None:
    await database.write(lambda c: c.execute(text("DROP TABLE calls")))
    with capture_logs() as told, pytest.raises(StoreUnavailable) as caught:
        await store.save(record("c1", 1.0, caller_codec="PCMU"))
    assert str(caught.value) == "the database does not take it"
    assert told[0]["error"] == "no such table: calls"
