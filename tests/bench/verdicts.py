"""How long a call is judged, with many people in the database: facts read, chain asked."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from sqlalchemy import Connection, insert
from twisted.internet import reactor

from gateway.calls.judging import Asked, Judging, Load
from gateway.calls.rollout import Rollout
from gateway.policy.identity import Identities
from gateway.policy.rules import chain_of
from gateway.settings import StoreSection
from gateway.store import schema
from gateway.store.database import Database
from gateway.store.limits import LimitStore
from gateway.store.people import PeopleStore
from gateway.store.rows import row_of
from gateway.store.switches import SwitchStore
from gateway.values import Principal, UserAddress
from tests.bench.machine import Ticks
from tests.calls.outside import World, people_settings
from tests.store.scene import record

USERS = 100_000
CONTACTS = 10
BLOCKS = 2
CALLS = 2
BATCH = 5000
NIGHT = '{"quiet_hours": [{"days": ["mon"], "from_": "22:00", "to": "07:00"}]}'


@dataclass(frozen=True)
class Verdicts:
    """Milliseconds from a call that is wanted to its judgement."""

    users: int
    judged: int
    p50: float
    p99: float
    stolen: float


async def verdicts(directory: Path, runs: int, judged: int = 1000) -> list[Verdicts]:
    """Pairs at random: for half of the callers the talk of the day is summed up."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    database = Database(StoreSection(url=f"sqlite:///{directory / 'people.db'}"), reactor)
    await database.start()
    try:
        await _fill(database)
        settings = people_settings(limits={"telephone": {}}, rollout={"percent": 100})
        store = PeopleStore(database, settings.people, settings.age)
        rollout = Rollout(settings.rollout, SwitchStore(database), time.time)
        await rollout.refresh()
        world = World()
        world.settle(
            people=store,
            identities=Identities(settings),
            chain=chain_of(settings),
            fact_sources=(rollout,),
            ledger=LimitStore(database, settings.limits, world),
            clock=reactor,
        )
        judging = Judging(world.outside, _idle)
        return [await _measured(judging, judged) for _ in range(runs)]
    finally:
        await database.stop()


async def _measured(judging: Judging, judged: int) -> Verdicts:
    chance = random.Random(1)  # the same pairs each time
    took, rules = [], set()
    began = Ticks.now()
    for number in range(judged + 100):
        one, other = (chance.randrange(USERS) for _ in range(2))
        asked = Asked(
            UserAddress(f"u{one}"),
            UserAddress(f"u{other}"),
            UserAddress(f"u{other}"),
            "app_invite",
            principal=Principal(f"u{one}", "", age="13-15" if one % 2 else "18+"),
        )
        at = time.perf_counter()
        found = await judging.judge(asked)
        if number >= 100:  # statements are compiled and pages read by then
            took.append((time.perf_counter() - at) * 1000)
        rules.add(found.verdict.rule)
    assert "allowed" in rules and len(rules) > 1, rules
    p50, p99 = np.percentile(took, (50, 99))
    return Verdicts(USERS, judged, float(p50), float(p99), began.stolen_percent())


def _idle(_caller: Any, _callee: Any) -> Load:
    return Load(0, 0, 0, draining=False)


async def _fill(database: Database) -> None:
    now = time.time()

    def person(n: int) -> list[tuple[Any, dict[str, Any]]]:
        me, rows = f"u{n}", []
        age = ("13-15", "16-17", "18+", None)[n % 4]
        claims = {"region": "DE", "groups": '["beta"]', "age": age, "timezone": "Europe/Berlin"}
        rows.append((schema.people, {"handle": me, "seen_at": now, **claims}))
        kept = {"handle": me, "preferences": NIGHT, "changed_at": now}
        rows.append((schema.people_settings, kept))
        for k in range(1, CONTACTS + 1):
            other = f"user:u{(n + k * k) % USERS}"
            shown = {"name": "", "favourite": k == 1, "changed_at": now}
            rows.append((schema.contacts, {"owner": me, "address": other, **shown}))
        for k in range(1, BLOCKS + 1):
            row = {"owner": me, "who": f"user:u{(n + 7 * k) % USERS}", "created_at": now}
            rows.append((schema.blocks, row))
        pair = {"caller": f"user:{me}", "callee": f"user:u{(n + 3) % USERS}"}
        rows.append((schema.strangers, {**pair, "rings": 2, "last_at": now}))
        for k in range(CALLS):
            with_ = UserAddress(f"u{(n + k + 1) % USERS}")
            talk = {"connected_at": now - 300, "ended_at": now - 240}
            made = record(f"{me}.{k}", now - 310, UserAddress(me), with_, **talk)
            rows.append((schema.calls, row_of(made)))
        return rows

    def batch(first: int) -> Callable[[Connection], None]:
        def put(connection: Connection) -> None:
            listed: dict[Any, list[dict[str, Any]]] = {}
            for n in range(first, first + BATCH):
                for table, row in person(n):
                    listed.setdefault(table, []).append(row)
            for table, rows in listed.items():
                connection.execute(insert(table), rows)

        return put

    for first in range(0, USERS, BATCH):
        await database.write(batch(first))
