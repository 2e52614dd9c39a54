"""The database, off the reactor: one thread writes in order, a few read."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog
from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from twisted.internet.defer import Deferred

from gateway.errors import CannotStart, StoreUnavailable
from gateway.settings import StoreSection
from gateway.store.schema import HEAD

log = structlog.get_logger()

T = TypeVar("T")

MAX_WAITING: Final = 5000
READERS: Final = 2
_MIGRATIONS: Final = Path(__file__).parent / "migrations"


class Database:
    """``write`` and ``read`` run their function with a connection, in a thread of ours."""

    def __init__(self, settings: StoreSection, reactor: Any) -> None:
        self._url = make_url(settings.url)
        self._reactor = reactor
        self._engine: Engine | None = None
        self._writer = ThreadPoolExecutor(1, "store-writer")
        self._readers = ThreadPoolExecutor(READERS, "store-reader")
        self._waiting = 0

    @property
    def is_sqlite(self) -> bool:
        return self._url.get_backend_name() == "sqlite"

    async def start(self) -> None:
        """Open, migrate; ``CannotStart`` says what keeps it from that."""
        try:
            await self._in(self._writer, self._open)
        except (SQLAlchemyError, OSError) as e:
            where = self._url.render_as_string(hide_password=True)
            why = str(getattr(e, "orig", None) or e)
            raise CannotStart(f"the database {where} cannot be opened: {why}") from e

    def _open(self) -> None:
        path = self._url.database
        if self.is_sqlite and path and path != ":memory:":
            file = Path(path)
            file.parent.mkdir(parents=True, exist_ok=True)
            # call records are nobody else's business
            os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
        # pysqlite connections move between threads: each is used by one at a time
        connect = {"check_same_thread": False, "timeout": 10} if self.is_sqlite else {}
        engine = create_engine(self._url, connect_args=connect, pool_pre_ping=not self.is_sqlite)
        if self.is_sqlite:
            event.listen(engine, "connect", _sqlite_pragmas)
        with engine.begin() as connection:
            if _revision(connection) != HEAD:
                _migrate(connection)
        self._engine = engine

    async def stop(self) -> None:
        """Finish what is queued, then close."""
        await self._in(self._writer, self._close)
        self._writer.shutdown(wait=False)
        self._readers.shutdown(wait=False)

    def _close(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.dispose()

    def write(self, work: Callable[[Connection], T]) -> Deferred[T]:
        """In a transaction, after all writes asked for before; durable when it fires."""
        return self._run(self._writer, work)

    def read(self, work: Callable[[Connection], T]) -> Deferred[T]:
        return self._run(self._readers, work)

    async def writable(self) -> bool:
        """Whether a transaction that writes goes through."""
        try:
            await self.write(lambda c: c.execute(text("UPDATE calls SET call = call WHERE 1 = 0")))
        except StoreUnavailable:
            return False
        return True

    def _run(self, threads: ThreadPoolExecutor, work: Callable[[Connection], T]) -> Deferred[T]:
        if self._waiting >= MAX_WAITING:
            raise StoreUnavailable("the database does not keep up")

        def transact() -> T:
            if self._engine is None:
                raise StoreUnavailable("the database is closed")
            try:
                with self._engine.begin() as connection:
                    return work(connection)
            except SQLAlchemyError as e:
                log.error("store_failed", error=str(getattr(e, "orig", None) or e)[:300])
                raise StoreUnavailable("the database does not take it") from e

        self._waiting += 1
        return self._in(threads, transact).addBoth(self._counted)

    def _counted(self, result: Any) -> Any:
        self._waiting -= 1
        return result

    def _in(self, threads: ThreadPoolExecutor, work: Callable[[], T]) -> Deferred[T]:
        done: Deferred[T] = Deferred()

        def tell(future: Future[T]) -> None:
            error = future.exception()
            if done.called:
                return  # cancelled meanwhile; the work was done all the same
            if error is not None:
                done.errback(error)
            else:
                done.callback(future.result())

        future = threads.submit(work)
        future.add_done_callback(lambda f: self._reactor.callFromThread(tell, f))
        return done


def _revision(connection: Connection) -> str | None:
    """Which migration the database is at."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def _migrate(connection: Connection) -> None:
    # loaded only when there is something to do: it is 10 MB
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    log.info("store_migrated", to=HEAD)


def _sqlite_pragmas(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    # with WAL, NORMAL survives the death of the process; FULL would survive that of the machine
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()
