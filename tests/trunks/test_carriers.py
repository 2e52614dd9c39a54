"""Capacity and health of trunks."""

from __future__ import annotations

import pytest
import pytest_twisted

from gateway.sip.message import Request, Response, response_to
from gateway.trunks.carriers import Trunks
from gateway.values import Hop
from tests.trunks.scene import A, B, World, half, says, trunk


def trunks(world: World, **settings: object) -> Trunks:
    made = trunk(**settings)
    return Trunks([made], {"carrier": "a secret"}, world, world, world.clock, world, half)


def test_no_more_calls_than_it_takes() -> None:
    world = World(says(200))
    made = trunks(world, max_calls=2, calls_per_s=100)
    assert [made.begin("carrier") for _ in range(3)] == [True, True, False]
    made.end("carrier")
    assert made.begin("carrier")
    assert world.calls == {"carrier": 2}


def test_no_more_calls_a_second_than_it_takes() -> None:
    world = World(says(200))
    made = trunks(world, calls_per_s=2)
    assert [made.begin("carrier") for _ in range(3)] == [True, True, False]
    world.clock.advance(0.5)
    assert [made.begin("carrier") for _ in range(2)] == [True, False]


@pytest_twisted.ensureDeferred
async def test_calls_and_options_decide_which_target_is_first() -> None:
    dead = {A}

    def answer(request: Request, hop: Hop) -> Response:
        return response_to(request, 503 if hop in dead else 404)

    world = World(answer)
    made = trunks(world, options_s=10)
    await made.start()
    assert (await made.targets("carrier")).good == (A, B)
    assert world.targets == (2, 0)
    world.clock.advance(10)
    assert (await made.targets("carrier")).good == (B,)
    assert world.targets == (1, 1)
    dead.clear()
    world.clock.pump([10, 10])
    assert (await made.targets("carrier")).good == (A, B)
    made.tried("carrier", B, worked=False)
    assert (await made.targets("carrier")).doubtful == (B,)
    made.tried("carrier", B, worked=True)
    assert (await made.targets("carrier")).doubtful == ()
    assert world.tried == [False, True]
    await made.stop()
    assert not world.clock.getDelayedCalls()


def test_options_are_not_sent_where_they_are_not_wanted() -> None:
    world = World(says(200))
    trunks(world, options_s=0)
    world.clock.advance(100)
    assert world.asked == []


@pytest.mark.parametrize(
    ("address", "domain", "user"),
    [
        ("carrier.example", "carrier.example", "gateway"),
        ("carrier.example:5070", "carrier.example", "gateway"),
        ("[2001:db8::1]:5061", "[2001:db8::1]", "gateway"),
    ],
)
def test_who_we_are_to_it(address: str, domain: str, user: str) -> None:
    from gateway.trunks.requests import Names, options

    names = Names.of(trunk(address=address))
    assert (names.domain, names.user) == (domain, user)
    assert options(names, "c", "t").uri == f"sip:{domain}"


def test_a_password_is_not_shown() -> None:
    world = World(says(200))
    profile = trunks(world, username="gw", password="a secret").profile("carrier")
    assert profile.password == "a secret"
    assert "a secret" not in repr(profile)
