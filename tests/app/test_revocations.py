"""Revoked tokens: whom they keep out, whose sessions end, how long they are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gateway.app import revocations
from gateway.app.revocations import TIDY_S, RevokedTokens
from gateway.app.sessions import Sessions
from gateway.app.tokens import Tokens
from gateway.calls.revocation_ports import Revocation, RevocationPage
from gateway.errors import NoCapacity, StoreUnavailable
from gateway.values import Principal

if TYPE_CHECKING:
    from tests.app.scripted import Started

NOW = 1_700_000_000.0


class Book:
    """``RevocationBook`` in memory; ``broken`` takes nothing."""

    def __init__(self) -> None:
        self.kept: dict[str, Revocation] = {}
        self.broken = False

    async def load(self, now: float) -> tuple[Revocation, ...]:
        return tuple(r for r in self.kept.values() if r.expires_at > now)

    async def keep(self, revocation: Revocation) -> None:
        if self.broken:
            raise StoreUnavailable("the database does not take it")
        self.kept[revocation.id] = revocation

    async def forget(self, id_: str) -> None:
        self.kept.pop(id_, None)

    async def forget_expired(self, now: float) -> None:
        self.kept = {i: r for i, r in self.kept.items() if r.expires_at > now}

    async def page(self, now: float, after: str | None, limit: int) -> RevocationPage:
        return RevocationPage(tuple(self.kept.values()))


class Meters:
    count = 0

    def revocations(self, count: int) -> None:
        self.count = count


class Scene:
    def __init__(self) -> None:
        from tests.app.scripted import settings

        self.clock = Clock()
        self.clock.advance(NOW)
        self.book = Book()
        self.meters = Meters()
        self.sessions = Sessions(settings().app, self.clock)
        self.revoked = self.started()

    def started(self) -> RevokedTokens:
        made = RevokedTokens(self.book, self.sessions, self.clock, self.meters)
        self.do(made.start())
        return made

    def do(self, work: Any) -> Any:
        got: list[Any] = []
        Deferred.fromCoroutine(work).addBoth(got.append)
        (found,) = got
        if hasattr(found, "raiseException"):
            found.raiseException()
        return found


def who(handle: str = "alice", token: str | None = "t1", issued: float | None = NOW) -> Principal:
    return Principal(handle, handle, token=token, issued=issued)


@pytest.mark.parametrize(
    ("asked", "covered"),
    [
        (who(), True),
        (who(token="t2"), False),
        (who("bob"), True),  # an id is one issuer's: it is the token's, whoever shows it
        (who(token=None), False),
    ],
)
def test_one_token(asked: Principal, covered: bool) -> None:
    scene = Scene()
    scene.do(scene.revoked.revoke_token("t1", NOW + 60))
    assert scene.revoked.covers(asked) is covered
    assert scene.started().covers(asked) is covered  # as after a restart
    scene.clock.advance(60)
    assert not scene.revoked.covers(asked)


@pytest.mark.parametrize(
    ("asked", "covered"),
    [
        (who(issued=NOW - 100), True),
        (who(issued=NOW - 10), True),
        (who(issued=NOW - 9), False),
        (who(issued=None), True),
        (who("bob", issued=NOW - 100), False),
    ],
)
def test_all_of_a_person_up_to_a_time(asked: Principal, covered: bool) -> None:
    scene = Scene()
    scene.do(scene.revoked.revoke_person("alice", NOW - 10, NOW + 60))
    assert scene.revoked.covers(asked) is covered
    assert scene.started().covers(asked) is covered


def test_a_second_one_takes_nothing_back() -> None:
    scene = Scene()
    first = scene.do(scene.revoked.revoke_person("alice", NOW, NOW + 600))
    again = scene.do(scene.revoked.revoke_person("alice", NOW - 100, NOW + 60))
    assert (again.id, again.issued_until, again.expires_at) == (first.id, NOW, NOW + 600)
    assert scene.do(scene.revoked.lift(first.id))
    assert not scene.revoked.covers(who())
    assert not scene.book.kept
    assert not scene.do(scene.revoked.lift(first.id))


def test_it_counts_though_the_database_does_not_take_it() -> None:
    scene = Scene()
    scene.book.broken = True
    with pytest.raises(StoreUnavailable):
        scene.do(scene.revoked.revoke_token("t1", NOW + 60))
    assert scene.revoked.covers(who())


def test_there_are_so_many_at_most_and_expired_ones_make_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(revocations, "MAX_KEPT", 2)
    scene = Scene()
    for token, life_s in (("t1", 60), ("t2", 600)):
        scene.do(scene.revoked.revoke_token(token, NOW + life_s))
    with pytest.raises(NoCapacity):
        scene.do(scene.revoked.revoke_token("t3", NOW + 60))
    scene.clock.advance(60)
    scene.do(scene.revoked.revoke_token("t3", NOW + 700))
    assert scene.meters.count == 2
    scene.clock.advance(TIDY_S)
    assert (scene.meters.count, scene.book.kept) == (0, {})
    scene.do(scene.revoked.stop())
    assert not scene.clock.getDelayedCalls()[1:]  # of the other, which was not stopped


@pytest_twisted.ensureDeferred
async def test_a_session_ends_at_once_and_cannot_come_back(started: Started) -> None:
    from tests.app.scripted import reactor, settings

    made: list[RevokedTokens] = []

    def covers(who: Principal) -> bool:
        return made[0].covers(who)

    tokens = Tokens(settings().app.token, reactor.seconds, None, covers)
    server = await started(tokens=tokens)
    made.append(RevokedTokens(Book(), server.sessions, reactor, Meters()))
    token = server.token("alice")
    alice, detached = await server.socket(), await server.socket()
    for client in (alice, detached):
        await client.open(token)
    bob = await server.client("bob")
    detached.drop()
    await made[0].revoke_person("alice", reactor.seconds(), reactor.seconds() + 60)
    assert await alice.closed() == 4401
    assert server.sessions.clients_of("alice") == []
    assert len(server.sessions.clients_of("bob")) == 1
    back = await server.socket()
    assert (await back.open(token, resume=alice.session))["error"]["code"] == 4401
    assert bob.closes.seen == []
