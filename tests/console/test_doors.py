"""Who is let in, for how long, and how often one may try."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gateway.console.answers import Refused
from gateway.console.doors import HASHING, MOST_SESSIONS, Doors, hashed, matches
from gateway.errors import CannotStart
from gateway.settings import ConsoleSection
from gateway.settings.console import costs

HASH = hashed("correct horse", b"0" * 16)


class House:
    def __init__(self, **more: object) -> None:
        accounts = [
            {"name": "ana", "role": "operator", "password_hash": HASH},
            {"name": "vic", "password_hash": HASH},
        ]
        self.section = ConsoleSection.model_validate({"accounts": accounts, **more})
        self.clock = Clock()
        self.clock.advance(1000)
        self.counted: Counter[str] = Counter()
        self.hashes = 0
        self.doors = Doors(self.section, self.clock.seconds, self._now, self._count)

    async def _now(self, work: Callable[[], bool]) -> bool:
        self.hashes += 1
        return work()

    def _count(self, result: str) -> None:
        self.counted[result] += 1

    async def refused(self, name: str, password: str, source: str = "10.0.0.1") -> int:
        with pytest.raises(Refused) as caught:
            await self.doors.sign_in(name, password, source)
        return caught.value.status


def test_a_hash_matches_its_password_alone() -> None:
    assert costs(HASH) == (2**15, 8, 1)
    assert matches("correct horse", HASH)
    assert not matches("correct horsf", HASH)
    assert hashed("correct horse") != hashed("correct horse")


@pytest.mark.parametrize(
    "text",
    [
        "secret",
        HASH.replace("scrypt:15", "scrypt:13"),  # too cheap
        HASH.replace("scrypt:15", "scrypt:25"),  # more memory than there may be
        HASH.replace(":8:1:", ":99:1:"),
        HASH[:-1],
    ],
)
def test_what_is_no_hash(text: str) -> None:
    assert costs(text) is None
    assert not matches("correct horse", text)


@pytest_twisted.ensureDeferred
async def test_in_and_out_again() -> None:
    house = House()
    kept, visit = await house.doors.sign_in("ana", "correct horse", "10.0.0.1")
    assert (visit.name, visit.role) == ("ana", "operator")
    assert house.doors.visit(kept.encode()) is visit
    for wrong in (None, b"", b"x", kept[:-1].encode(), b"\xff\xfe"):
        with pytest.raises(Refused):
            house.doors.visit(wrong)
    house.doors.sign_out(visit)
    with pytest.raises(Refused):
        house.doors.visit(kept.encode())
    assert house.counted == {"let_in": 1}


@pytest_twisted.ensureDeferred
async def test_a_name_that_is_not_there_takes_as_long() -> None:
    house = House()
    assert await house.refused("nobody", "correct horse") == 401
    assert await house.refused("ana", "wrong") == 401
    assert house.hashes == 2


@pytest_twisted.ensureDeferred
async def test_it_ends_by_itself() -> None:
    house = House(session_s=1000, idle_s=300)
    kept, _ = await house.doors.sign_in("ana", "correct horse", "10.0.0.1")
    for _ in range(3):
        house.clock.advance(299)
        house.doors.visit(kept.encode())
    house.clock.advance(104)  # used all the while, and over all the same
    with pytest.raises(Refused):
        house.doors.visit(kept.encode())
    kept, _ = await house.doors.sign_in("ana", "correct horse", "10.0.0.1")
    house.clock.advance(300)
    with pytest.raises(Refused):
        house.doors.visit(kept.encode())


@pytest_twisted.ensureDeferred
async def test_guessing_is_slow_for_an_account_and_for_an_address() -> None:
    house = House(logins_per_minute=10)
    for n in range(5):
        assert await house.refused("ana", "wrong", f"10.0.0.{n}") == 401
    assert await house.refused("ana", "correct horse", "10.0.0.9") == 429
    for n in range(5):
        assert await house.refused(f"other{n}", "wrong", "10.1.0.1") == 401
    assert await house.refused("vic", "correct horse", "10.1.0.1") == 429
    assert house.hashes == 10  # the others cost nothing
    house.clock.advance(6)
    await house.doors.sign_in("ana", "correct horse", "10.0.0.9")


@pytest_twisted.ensureDeferred
async def test_few_passwords_are_judged_at_once() -> None:
    house = House(logins_per_minute=1000)
    under_way = [Deferred[bool]() for _ in range(HASHING)]
    waiting = iter(under_way)
    house.doors._in_thread = lambda _work: next(waiting)
    first = [
        Deferred.fromCoroutine(house.doors.sign_in("ana", "correct horse", f"10.0.0.{n}"))
        for n in range(HASHING)
    ]
    assert await house.refused("vic", "correct horse", "10.0.1.1") == 429
    for one in under_way:
        one.callback(True)
    for done in first:
        assert (await done)[1].name == "ana"


@pytest_twisted.ensureDeferred
async def test_sessions_are_bounded() -> None:
    house = House(logins_per_minute=1000)
    house.doors._in_thread = _true
    first, _ = await house.doors.sign_in("ana", "correct horse", "10.0.0.1")
    for n in range(MOST_SESSIONS):
        house.clock.advance(1)
        await house.doors.sign_in("ana", "correct horse", f"10.0.{n % 250}.2")
    with pytest.raises(Refused):
        house.doors.visit(first.encode())
    assert len(house.doors._visits) == MOST_SESSIONS


async def _true(_work: Callable[[], bool]) -> bool:
    return True


@pytest.mark.parametrize(
    ("host", "there"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("11.0.0.1", False),
        ("::1", False),
        ("", False),
    ],
)
def test_from_where_it_is_there(host: str, there: bool) -> None:
    doors = House(networks=["10.0.0.0/8"]).doors
    if there:
        doors.check_source(host)
        return
    with pytest.raises(Refused) as caught:
        doors.check_source(host)
    assert caught.value.status == 404


def test_files_with_hashes(tmp_path: Path) -> None:
    file = tmp_path / "ana.hash"
    account = {"name": "ana", "password_hash_file": str(file)}
    section = ConsoleSection.model_validate({"accounts": [account]})

    async def now(work: Callable[[], bool]) -> bool:
        return work()

    def made() -> Doors:
        return Doors(section, lambda: 0.0, now, lambda _result: None)

    with pytest.raises(CannotStart, match=r"ana\.hash cannot be read"):
        made()
    file.write_text("secret\n")
    with pytest.raises(CannotStart, match="hash-password makes one"):
        made()
    file.write_text(HASH + "\n")
    made()
