"""What is kept of a person, and what is left of them once they are erased."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest_twisted
from sqlalchemy import select

from gateway.calls.pass_ports import Grant
from gateway.calls.record import Acceptance
from gateway.calls.review_ports import Rating
from gateway.policy.identity import Identity
from gateway.settings import AgeSection, DialInSection, PassesSection, PeopleSection
from gateway.store import schema
from gateway.store.calls import CallStore
from gateway.store.database import Database
from gateway.store.passes import PassStore
from gateway.store.people import PeopleStore
from gateway.store.pins import PinStore
from gateway.store.privacy import erase, export, forget_old_calls, forget_old_reports
from gateway.store.reviews import ReviewStore
from gateway.values import CallId, Principal, Reason, SipAddress
from tests.store.scene import ALICE, BOB, CAROL, SQLITE, record

NOW = 1_800_000_000.0
PHONE = SipAddress("1001", "dm.localhost")
ME = Identity(ALICE, (ALICE, PHONE))
TOP = Path(__file__).parents[2]


async def lived(database: Database) -> None:
    """Alice has used everything."""
    calls, people = CallStore(database), PeopleStore(database, PeopleSection(), AgeSection())
    over: dict[str, Any] = {"connected_at": NOW, "ended_at": NOW + 9, "reason": Reason.COMPLETED}
    accepted = Acceptance(NOW, "app_accept", ALICE)
    await calls.save(record("c1", NOW, ALICE, BOB, thread="t1", verdict="allowed", **over))
    await calls.save(record("c2", NOW + 1, BOB, ALICE, callee_accepted=accepted, **over))
    await calls.save(record("c3", NOW + 2, PHONE, CAROL, **over))
    await calls.save(record("c4", NOW + 3, BOB, CAROL, **over))
    await people.seen(Principal("alice", "Alice", "DE", age="18+"), NOW)
    await people.prefer("alice", {"allow_from": "contacts"}, NOW)
    await people.put_contact("alice", BOB, "Bobby", True, NOW)
    await people.put_contact("bob", ALICE, "Al", False, NOW)
    await people.block("alice", CAROL, NOW)
    await people.block("carol", ALICE, NOW)
    reviews = ReviewStore(database)
    await reviews.rate(Rating(CallId("c1"), ALICE, 2, ("echo",), "she said", NOW))
    await reviews.report(CallId("c2"), ALICE, "spam", "", NOW)
    await reviews.report(CallId("c1"), BOB, "threat", "", NOW)
    await PinStore(database, DialInSection()).create("alice", "once", "gran", None, NOW)
    passes = PassStore(database, PassesSection())
    await passes.grant("alice", "bob", Grant("calls", calls=1), NOW)
    await passes.grant("bob", "alice", Grant("calls", calls=1), NOW)


@pytest_twisted.ensureDeferred
async def test_all_of_ones_own_and_nothing_of_others(database: Database) -> None:
    await lived(database)
    found = await database.read(lambda c: export(c, ME, "alice"))
    assert [row["call"] for row in found["calls"]] == ["c1", "c2", "c3"]
    assert found["calls"][0]["verdict"] == "allowed"
    assert "verdict" not in found["calls"][1]
    assert found["settings"][0]["allow_from"] == "contacts"
    assert [c["address"] for c in found["contacts"]] == ["user:bob"]
    assert [b["who"] for b in found["blocks"]] == ["user:carol"]
    assert [r["comment"] for r in found["ratings"]] == ["she said"]
    assert [r["call"] for r in found["reports"]] == ["c2"]  # not what is said of her
    assert [p["label"] for p in found["pins"]] == ["gran"]
    assert [len(found[k]) for k in ("passes_granted", "passes_held", "token")] == [1, 1, 1]
    assert "digest" not in json.dumps(found)
    nobody = Identity(CAROL, (CAROL,))
    theirs = await database.read(lambda c: export(c, nobody, "dora"))
    assert theirs["contacts"] == []


@pytest_twisted.ensureDeferred
async def test_nothing_names_who_was_erased(database: Database) -> None:
    await lived(database)
    done = await database.write(lambda c: erase(c, ME, "alice"))
    assert done["calls"] == 3
    assert done["reports"] == 2

    def everything(connection: Any) -> str:
        tables = [t for t in schema.metadata.sorted_tables if t.name != "blocks"]
        return repr([list(connection.execute(select(t))) for t in tables])

    left = await database.read(everything)
    for mine in ("alice", "Alice", "1001@", "she said", "'Al'", "t1"):
        assert mine not in left, mine
    # whom others have blocked stays blocked
    rows = await database.read(lambda c: [tuple(r)[:2] for r in c.execute(select(schema.blocks))])
    assert rows == [("carol", "user:alice")]
    page = await CallStore(database).list(BOB, None, 10, None, None)
    names = {item.call: str(item.with_) for item in page.calls}
    assert names["c1"] == names["c2"]
    assert names["c1"].startswith("user:erased-")
    assert names["c4"] == "user:carol"
    queue = await ReviewStore(database).reports(None, None, 10)
    assert {str(r.by) for r in queue.reports} == {names["c1"], "user:bob"}
    assert queue.reports[0].frozen["call"]
    again = await database.write(lambda c: erase(c, ME, "alice"))
    assert sum(again.values()) == 0


@pytest_twisted.ensureDeferred
async def test_what_is_old_goes(database: Database) -> None:
    store, reviews = CallStore(database), ReviewStore(database)
    for i in range(5):
        await store.save(record(f"c{i}", NOW + i, ended_at=NOW + i + 1, reason=Reason.NO_ANSWER))
    await store.save(record("lasts", NOW))
    await reviews.rate(Rating(CallId("c0"), ALICE, 3, (), "", NOW))
    open_, settled = [await reviews.report(CallId(c), ALICE, "spam", "", NOW) for c in ("c0", "c1")]
    assert open_ is not None
    assert settled is not None
    await reviews.settle(settled.id, "dismissed", "", NOW + 10)
    counts = [await database.write(lambda c: forget_old_calls(c, NOW + 3, 2)) for _ in range(3)]
    assert counts == [2, 1, 0]
    left = await store.list(ALICE, None, 10, None, None)
    assert [item.call for item in left.calls] == ["c4", "c3", "lasts"]
    assert await database.write(lambda c: forget_old_reports(c, NOW + 10)) == 0
    assert await database.write(lambda c: forget_old_reports(c, NOW + 11)) == 1
    kept = await reviews.report_of(open_.id)
    assert kept is not None
    assert kept.frozen["call"] == "c0"


@SQLITE
@pytest_twisted.ensureDeferred
async def test_the_commands(database: Database, file: Path) -> None:
    await lived(database)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).parent / "dm-gateway"), *arguments]
        command += ["--config", "conf/dev.yaml", "--set", f"store.url=sqlite:///{file}"]
        return subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)

    exported = run("export", "--user", "bob")
    assert [c["call"] for c in json.loads(exported.stdout)["calls"]] == ["c1", "c2", "c4"]
    assert "nothing was changed" in run("erase", "--user", "bob").stdout
    assert json.loads(run("export", "--user", "bob").stdout)["calls"]
    assert run("erase", "--user", "bob", "--yes").stdout.endswith("erased\n")
    assert json.loads(run("export", "--user", "bob").stdout)["calls"] == []
    wrong = run("export", "--user", "b b")
    assert wrong.returncode == 2
    assert "is no handle" in wrong.stderr
