"""The database, off the reactor: one thread writes in order, a few read."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from twisted.internet.defer import Deferred

from gateway.errors import CannotStart, StoreUnavailable
from gateway.settings import StoreSection
from gateway.store.liveness import watched
from gateway.store.migrating import NewerSchema, bring_up_to_date

log = structlog.get_logger()

T = TypeVar("T")

MAX_WAITING: Final = 5000
READERS: Final = 2
CHECKPOINT_EVERY: Final = 100
"""Writes.  SQLite's own turn, within a commit, comes at many times as many pages."""
BUSY_S: Final = 10
"""How long SQLite waits for another process that writes to the same file."""


class Database:
    """``write`` and ``read`` run their function with a connection, in a thread of ours."""

    def __init__(self, settings: StoreSection, reactor: Any) -> None:
        try:
            self._url = make_url(settings.url)
        except (SQLAlchemyError, ValueError) as e:
            raise CannotStart(f"store.url is not the URL of a database: {e}") from e
        self._reactor = reactor
        self._for_writing: Engine | None = None
        self._for_reading: Engine | None = None
        self._writer = ThreadPoolExecutor(1, "store-writer")
        self._readers = ThreadPoolExecutor(READERS, "store-reader")
        self._waiting = 0
        self._written = 0
        self._stopped = False

    @property
    def is_sqlite(self) -> bool:
        return self._url.get_backend_name() == "sqlite"

    async def start(self) -> None:
        """Open, migrate; ``CannotStart`` says what keeps it from that."""
        where = self._url.render_as_string(hide_password=True)
        try:
            await self._in(self._writer, self._open)
        except NewerSchema as e:
            problem = (
                f"the database {where} was made by a newer dm-gateway (schema {e.revision}); "
                "run that one"
            )
            raise CannotStart(problem) from e
        except ImportError as e:
            problem = f"the database {where} needs a driver that is not installed: {e.name}"
            raise CannotStart(problem) from e
        except (SQLAlchemyError, OSError) as e:
            why = str(getattr(e, "orig", None) or e)
            raise CannotStart(f"the database {where} cannot be opened: {why}") from e

    def _open(self) -> None:
        if self.is_sqlite:
            self._make_file()
        self._for_writing = self._engine("BEGIN IMMEDIATE")
        with self._for_writing.begin() as connection:
            bring_up_to_date(connection)
        self._for_reading = self._engine("BEGIN")

    def _make_file(self) -> None:
        """Call records are nobody else's business."""
        file = Path(str(self._url.database))
        if not file.parent.exists():
            file.parent.mkdir(mode=0o700, parents=True)
        descriptor = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        finally:
            os.close(descriptor)
        if mode & 0o007:
            log.warning("store_readable_by_all", file=str(file), mode=f"{mode:04o}")

    def _engine(self, begin: str) -> Engine:
        if not self.is_sqlite:
            return watched(create_engine(self._url, pool_size=READERS))
        # connections move between threads, each used by one at a time
        connect = {"check_same_thread": False, "timeout": BUSY_S}
        engine = create_engine(self._url, connect_args=connect)
        event.listen(engine, "connect", _sqlite_connected)
        event.listen(engine, "begin", lambda c: c.exec_driver_sql(begin))
        return engine

    async def stop(self) -> None:
        """Finish what is queued, then close.  Idempotent."""
        if self._stopped:
            return
        self._stopped = True
        await self._in(self._writer, self._close)
        self._writer.shutdown(wait=False)
        self._readers.shutdown(wait=False)

    def _close(self) -> None:
        for engine in (self._for_reading, self._for_writing):
            if engine is not None:
                engine.dispose()
        self._for_reading = self._for_writing = None

    def write(self, work: Callable[[Connection], T]) -> Deferred[T]:
        """In a transaction, after all writes asked for before; durable when it fires.

        ``StoreUnavailable`` where the database does not take it, or too much is waiting.
        """
        writing = self._run(self._writer, lambda: self._for_writing, work)
        self._written += 1
        if self.is_sqlite and self._written % CHECKPOINT_EVERY == 0:
            self._in(self._readers, self._checkpoint)
        return writing

    def _checkpoint(self) -> None:
        """Beside the writer, whose commits would else wait for it: passive, it holds up nobody."""
        engine = self._for_reading
        if engine is None:
            return
        try:
            with closing(engine.raw_connection()) as connection:
                connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)")
        except (sqlite3.Error, SQLAlchemyError) as e:
            log.warning("store_not_checkpointed", error=str(e))  # the writer does it, later

    def read(self, work: Callable[[Connection], T]) -> Deferred[T]:
        """Of one state of the database, not held up by writers."""
        return self._run(self._readers, lambda: self._for_reading, work)

    async def writable(self) -> bool:
        """Whether a transaction that writes goes through."""
        try:
            await self.write(lambda c: c.execute(text("UPDATE calls SET call = call WHERE 1 = 0")))
        except StoreUnavailable:
            return False
        return True

    def _run(
        self,
        threads: ThreadPoolExecutor,
        engine: Callable[[], Engine | None],
        work: Callable[[Connection], T],
    ) -> Deferred[T]:
        if self._stopped:
            raise StoreUnavailable("the database is closed")
        if self._waiting >= MAX_WAITING:
            raise StoreUnavailable("the database does not keep up")

        def transact() -> T:
            opened = engine()
            if opened is None:
                raise StoreUnavailable("the database is not open")
            try:
                with opened.begin() as connection:
                    return work(connection)
            except SQLAlchemyError as e:
                log.error("store_failed", error=str(getattr(e, "orig", None) or e)[:300])
                raise StoreUnavailable("the database does not take it") from e

        self._waiting += 1
        return self._in(threads, transact, self._one_less)

    def _one_less(self) -> None:
        self._waiting -= 1

    def _in(
        self,
        threads: ThreadPoolExecutor,
        work: Callable[[], T],
        over: Callable[[], None] = lambda: None,
    ) -> Deferred[T]:
        """``over`` is called when the work is done, also where nobody waits for it any more."""
        done: Deferred[T] = Deferred()

        def tell(future: Future[T]) -> None:
            over()
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


@contextmanager
def transaction(settings: StoreSection) -> Iterator[Connection]:
    """One, for commands: blocks; ``CannotStart`` where the database cannot be opened."""
    database = Database(settings, None)
    try:
        database._open()
        engine = database._for_writing
        assert engine is not None
        with engine.begin() as connection:
            yield connection
    except (SQLAlchemyError, OSError, NewerSchema, ImportError) as e:
        why = str(getattr(e, "orig", None) or e)
        raise CannotStart(f"the database cannot be used: {why}") from e
    finally:
        database._close()


def _sqlite_connected(connection: Any, _record: object) -> None:
    # Python's own idea of transactions leaves CREATE TABLE outside of them
    connection.isolation_level = None
    cursor = connection.cursor()
    # with WAL, NORMAL survives the death of the process; FULL would survive that of the machine
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA wal_autocheckpoint=10000")
    cursor.close()
