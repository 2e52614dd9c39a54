"""Many people in a database: what ``history.list`` and a judgement take, SQLite and PostgreSQL.

Beside each stands the bare driver with the same question, in the same process: the ratio is what
the gateway's own threads, statements and values cost.
"""

from __future__ import annotations

import logging
import random
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psycopg
import structlog
from sqlalchemy import Connection, Table, make_url
from twisted.internet import reactor

from gateway.calls.judging import Asked, Judging, Load
from gateway.calls.rollout import Rollout
from gateway.policy.identity import Identities
from gateway.policy.rules import chain_of
from gateway.settings import StoreSection
from gateway.store import schema
from gateway.store.calls import CallStore
from gateway.store.database import Database
from gateway.store.limits import LimitStore
from gateway.store.people import PeopleStore
from gateway.store.rows import row_of
from gateway.store.switches import SwitchStore
from gateway.values import CallId, Principal, Reason, UserAddress
from tests.bench.machine import DISTURBED_PERCENT, Ticks
from tests.calls.outside import World, people_settings
from tests.peers.postgres import Cluster
from tests.store.scene import record

USERS = 100_000
CONTACTS = 10
BLOCKS = 2
CALLS = 5
"""Made by each; as many come in: each is in the view of two."""
BATCH = 5000
PAGE = 50
RUNS = 3
NIGHT = '{"quiet_hours": [{"days": ["mon"], "from_": "22:00", "to": "07:00"}]}'


@dataclass(frozen=True)
class Figures:
    """Milliseconds of one question; ``bare`` is the driver's median where it was asked too."""

    store: str
    what: str
    asked: int
    p50: float
    p99: float
    bare: float | None
    stolen: float


async def crowd(url: str, runs: int, asked: int = 1000) -> list[Figures]:
    """Fills the database, then asks for people at random."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    database = Database(StoreSection(url=url), reactor)
    await database.start()
    try:
        await database.write(_fill)
        return [f for _ in range(runs) for f in await _measured(database, url, asked)]
    finally:
        await database.stop()


async def _measured(database: Database, url: str, asked: int) -> list[Figures]:
    store, judging = CallStore(database), await _judging(database)
    name = make_url(url).get_backend_name()
    found = []

    async def first(n: int, other: int) -> None:
        await store.list(UserAddress(f"u{n}"), None, PAGE, None, None)

    async def next_(n: int, other: int) -> None:
        page = await store.list(UserAddress(f"u{n}"), None, 3, None, None)
        await store.list(UserAddress(f"u{n}"), page.next, PAGE, None, None)

    async def with_(n: int, other: int) -> None:
        await store.list(UserAddress(f"u{n}"), None, PAGE, UserAddress(f"u{n + 1}"), None)

    async def missed(n: int, other: int) -> None:
        await store.list(UserAddress(f"u{n}"), None, PAGE, None, True)

    async def judged(n: int, other: int) -> None:
        to = UserAddress(f"u{other}")
        age = "13-15" if n % 2 else "18+"  # for half of them the talk of the day is summed up
        who = Principal(f"u{n}", "", age=age)
        await judging.judge(Asked(who.address, to, to, "app_invite", principal=who))

    questions: tuple[tuple[str, Callable[[int, int], Awaitable[None]], str | None], ...] = (
        ("history.list", first, _HISTORY),
        ("history.list, two pages", next_, None),
        ("history.list with one person", with_, None),
        ("history.list missed", missed, None),
        ("a verdict", judged, _PERSON),
    )
    for what, ask, sql in questions:
        began = Ticks.now()
        took = await _timed(ask, asked)
        bare = None if sql is None else _bare(url, sql, asked)
        p50, p99 = np.percentile(took, (50, 99))
        found.append(
            Figures(name, what, asked, float(p50), float(p99), bare, began.stolen_percent())
        )
    return found


async def _timed(ask: Callable[[int, int], Awaitable[None]], asked: int) -> list[float]:
    chance = random.Random(1)  # the same people each time
    took = []
    for number in range(asked + 100):
        one, other = chance.randrange(USERS), chance.randrange(USERS)
        at = time.perf_counter()
        await ask(one, other)
        if number >= 100:  # statements are compiled and pages read by then
            took.append((time.perf_counter() - at) * 1000)
    return took


async def _judging(database: Database) -> Judging:
    settings = people_settings(limits={"telephone": {}}, rollout={"percent": 100})
    rollout = Rollout(settings.rollout, SwitchStore(database), time.time)
    await rollout.refresh()
    people = PeopleStore(database, settings.people, settings.age)
    world = World()
    world.settle(
        people=people,
        identities=Identities(settings),
        chain=chain_of(settings),
        fact_sources=(rollout,),
        ledger=LimitStore(database, settings.limits, world, people),
        clock=reactor,
    )
    return Judging(world.outside, lambda *_: Load(0, 0, 0, draining=False))


_HISTORY = """
SELECT * FROM (SELECT * FROM calls WHERE caller = {0} ORDER BY created_at DESC LIMIT 50) a
UNION ALL
SELECT * FROM (SELECT * FROM calls WHERE callee = {0} ORDER BY created_at DESC LIMIT 50) b
ORDER BY created_at DESC LIMIT 50
"""
_PERSON = "SELECT * FROM people p LEFT JOIN people_settings s USING (handle) WHERE handle = {0}"


def _bare(url: str, sql: str, asked: int) -> float:
    """The median of the driver alone, with a statement that is prepared once."""
    parts = make_url(url)
    sqlite = parts.get_backend_name() == "sqlite"
    text = sql.format("?1" if sqlite else "%(who)s")
    prefix = "" if sql is _PERSON else "user:"
    chance = random.Random(1)
    opened: Any = (
        sqlite3.connect(str(parts.database))
        if sqlite
        else psycopg.connect(parts.set(drivername="postgresql").render_as_string(False))
    )
    took = []
    try:
        for _ in range(asked):
            who = f"{prefix}u{chance.randrange(USERS)}"
            at = time.perf_counter()
            opened.execute(text, (who,) if sqlite else {"who": who}).fetchall()
            took.append((time.perf_counter() - at) * 1000)
    finally:
        opened.close()
    return float(np.median(took))


def _fill(connection: Connection) -> None:
    now = time.time()
    for first in range(0, USERS, BATCH):
        listed: dict[Table, list[dict[str, Any]]] = {}
        for n in range(first, first + BATCH):
            for table, row in _person(n, now):
                listed.setdefault(table, []).append(row)
        for table, rows in listed.items():
            _insert(connection, table, rows)
    connection.exec_driver_sql("ANALYZE")


def _insert(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    names = list(rows[0])
    values = [tuple(row[name] for name in names) for row in rows]
    columns = ", ".join(f'"{name}"' for name in names)
    cursor: Any = connection.connection.cursor()
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(names))
        cursor.executemany(f"INSERT INTO {table.name} ({columns}) VALUES ({marks})", values)
        return
    with cursor.copy(f"COPY {table.name} ({columns}) FROM STDIN") as copy:
        for value in values:
            copy.write_row(value)


def _person(n: int, now: float) -> Iterator[tuple[Table, dict[str, Any]]]:
    me = f"u{n}"
    age = ("13-15", "16-17", "18+", None)[n % 4]
    claims = {"region": "DE", "groups": '["beta"]', "age": age, "timezone": "Europe/Berlin"}
    yield schema.people, {"handle": me, "seen_at": now, **claims}
    yield schema.people_settings, {"handle": me, "preferences": NIGHT, "changed_at": now}
    for k in range(1, CONTACTS + 1):
        other = f"user:u{(n + k * k) % USERS}"
        shown = {"name": "", "favourite": k == 1, "changed_at": now}
        yield schema.contacts, {"owner": me, "address": other, **shown}
    for k in range(1, BLOCKS + 1):
        row = {"owner": me, "who": f"user:u{(n + 7 * k) % USERS}", "created_at": now}
        yield schema.blocks, row
    pair = {"caller": f"user:{me}", "callee": f"user:u{(n + 3) % USERS}"}
    yield schema.strangers, {**pair, "rings": 2, "last_at": now}
    for k in range(CALLS):
        at = now - 310 - k * 7200  # the newest is of today
        other_ = UserAddress(f"u{(n + k // 2 + 1) % USERS}")
        if k % 2:
            end: dict[str, Any] = {"ended_at": at + 30, "reason": Reason.NO_ANSWER}
        else:
            end = {"connected_at": at + 10, "ended_at": at + 70, "reason": Reason.COMPLETED}
        call = record(CallId(f"{me}.{k}"), at, UserAddress(me), other_, **end)
        yield schema.calls, row_of(call) | {"caller_hid": False, "callee_hid": False}


async def people_report(directory: Path) -> str:
    """A table of both databases; each driver alone beside."""
    cluster = Cluster(directory)
    cluster.start()
    try:
        found = [*await crowd(f"sqlite:///{directory / 'people.db'}", RUNS)]
        found += await crowd(cluster.database(), RUNS)
    finally:
        cluster.stop()
    views = USERS * CALLS * 2
    lines = [
        f"## {USERS:,} people, {views:,} rows in their histories",
        "",
        "Medians of the undisturbed runs; the driver alone (sqlite3, psycopg) in the same process.",
        "",
        "| store | what | p50 | p99 | driver, p50 | ratio | aim, p99 |",
        "|---|---|---|---|---|---|---|",
    ]
    for store, what in dict.fromkeys((f.store, f.what) for f in found):
        runs = [f for f in found if (f.store, f.what) == (store, what)]
        calm = [f for f in runs if f.stolen <= DISTURBED_PERCENT] or runs
        p50, p99 = (median(getattr(f, name) for f in calm) for name in ("p50", "p99"))
        bare = None if calm[0].bare is None else median(f.bare or 0.0 for f in calm)
        driver = "|" if bare is None else f"{bare:.2f} ms | {p50 / bare:.0f}"
        aim = "2 ms" if what == "a verdict" else "20 ms"
        lines.append(f"| {store} | {what} | {p50:.2f} ms | {p99:.2f} ms | {driver} | {aim} |")
    return "\n".join(lines) + "\n"
