"""Our registration to a trunk, against a registrar that says what the test wants."""

from __future__ import annotations

import secrets
from itertools import pairwise

import pytest
import pytest_twisted

from gateway.sip.credentials import Login
from gateway.sip.digest import Algorithm, NonceIssuer, challenges, verify
from gateway.sip.headers import parse_auth
from gateway.sip.message import Request, Response, response_to
from gateway.trunks.registering import Registration
from gateway.trunks.targets import Targets
from gateway.values import Hop
from tests.trunks.scene import A, Answer, B, World, half, says, trunk

LOGIN = Login("gw", "a secret")


class Registrar:
    """Challenges, checks, and grants what was asked; ``stale`` nonces are refused once."""

    def __init__(
        self, *algorithms: Algorithm, code: int = 401, stale: bool = False, granted: int = 0
    ) -> None:
        self.algorithms = algorithms
        self.code = code
        self.stale = stale
        self.granted = granted
        self.nonces = NonceIssuer(secrets.token_bytes(16), 300)
        self.bound: list[str | None] = []

    def __call__(self, request: Request, hop: Hop) -> Response:
        field = "Authorization" if self.code == 401 else "Proxy-Authorization"
        given = request.headers.get(field)
        if given is None or self.stale:
            stale = given is not None
            self.stale = self.stale and not stale
            name = "WWW-Authenticate" if self.code == 401 else "Proxy-Authenticate"
            offered = challenges("carrier", self.nonces.issue(0), self.algorithms, stale=stale)
            values = tuple((name, v) for v in offered)
            return response_to(request, self.code, to_tag="r", headers=values)
        _, fields = parse_auth(given)
        if not verify(fields, "REGISTER", "a secret", self.algorithms):
            return response_to(request, self.code, to_tag="r")
        self.bound.append(request.headers.get("Expires"))
        contact = f"{request.headers.get('Contact')};expires={self.granted or 600}"
        return response_to(request, 200, to_tag="r", headers=(("Contact", contact),))


def registration(world: World, login: Login = LOGIN) -> Registration:
    settings = trunk(username="gw", password="a secret", register={"expires_s": 600})
    made = Registration(settings, login, world, world, Targets(60), world.clock, world, half)
    made.start()
    return made


@pytest.mark.parametrize("code", [401, 407])
@pytest.mark.parametrize("algorithms", [("MD5",), ("SHA-256",), ("SHA-256", "MD5")])
def test_it_registers_and_refreshes(code: int, algorithms: tuple[Algorithm, ...]) -> None:
    registrar = Registrar(*algorithms, code=code)
    world = World(registrar)
    registration(world)
    assert world.registered == {"carrier": True}
    assert registrar.bound == ["600"]
    field = "Authorization" if code == 401 else "Proxy-Authorization"
    assert f"algorithm={algorithms[0]}" in (world.asked[1][0].headers.get(field) or "")
    world.clock.advance(600 * 0.825 - 1)
    assert len(registrar.bound) == 1
    world.clock.advance(1)
    assert len(registrar.bound) == 2
    numbers = [request.cseq.number for request, _ in world.asked]
    assert numbers == sorted(set(numbers))
    assert len({request.call_id for request, _ in world.asked}) == 1


def test_a_stale_nonce_is_no_refusal() -> None:
    world = World(Registrar("MD5", stale=True))
    assert registration(world).registered


def test_what_the_registrar_grants_counts() -> None:
    registrar = Registrar("MD5", granted=60)
    world = World(registrar)
    registration(world)
    world.clock.advance(60 * 0.825)
    assert len(registrar.bound) == 2


def test_a_wrong_password_is_not_tried_in_a_loop() -> None:
    world = World(Registrar("MD5"), hops=(A,))
    made = registration(world, Login("gw", "wrong"))
    assert not made.registered
    assert len(world.asked) == 2
    world.clock.advance(2 * 0.75 - 0.1)
    assert len(world.asked) == 2
    world.clock.advance(0.1)
    assert len(world.asked) == 4


def test_the_pauses_grow_to_five_minutes() -> None:
    world = World(says(403), hops=(A,))
    registration(world)
    at = []
    for _ in range(4000):
        before = len(world.asked)
        world.clock.advance(0.5)
        if len(world.asked) > before:
            at.append(world.clock.seconds())
    pauses = [b - a for a, b in pairwise(at)]
    assert pauses == sorted(pauses)
    assert max(pauses) == pytest.approx(300 * 0.75, abs=1)


@pytest.mark.parametrize("first", [None, says(503), says(500)])
def test_the_next_target_is_tried(first: Answer | None) -> None:
    registrar = Registrar("MD5")

    def answer(request: Request, hop: Hop) -> Response | None:
        if hop == B:
            return registrar(request, hop)
        return None if first is None else first(request, hop)

    world = World(answer)
    made = registration(world)
    world.clock.pump([1] * 6)
    assert made.registered
    assert world.asked[-1][1] == B


def test_an_interval_that_was_too_brief() -> None:
    def answer(request: Request, hop: Hop) -> Response:
        if request.expires != 1800:
            return response_to(request, 423, headers=(("Min-Expires", "1800"),))
        return response_to(request, 200)

    world = World(answer)
    assert registration(world).registered
    world.clock.advance(1800 * 0.825 - 1)
    assert len(world.asked) == 2


@pytest.mark.parametrize("least", [None, "5", "x", "99999999"])
def test_a_registrar_that_talks_nonsense_of_intervals(least: str | None) -> None:
    headers = () if least is None else (("Min-Expires", least),)
    world = World(says(423, *headers), hops=(A,))
    assert not registration(world).registered
    assert len(world.asked) == 1


@pytest.mark.parametrize(
    "challenge",
    ["Basic realm=x", 'Digest realm="x"', 'Digest realm="x", nonce="n", algorithm=AKAv1-MD5', "?"],
)
def test_a_challenge_that_cannot_be_met(challenge: str) -> None:
    world = World(says(401, ("WWW-Authenticate", challenge)), hops=(A,))
    assert not registration(world).registered
    assert len(world.asked) == 1


@pytest_twisted.ensureDeferred
async def test_it_is_taken_back_at_the_end() -> None:
    registrar = Registrar("MD5")
    world = World(registrar)
    made = registration(world)
    await made.stop()
    assert registrar.bound == ["600", "0"]
    assert world.registered == {"carrier": False}
    assert not world.clock.getDelayedCalls()


@pytest_twisted.ensureDeferred
async def test_stopping_while_the_registrar_is_silent_leaves_nothing() -> None:
    world = World(lambda _request, _hop: None)
    made = registration(world)
    await made.stop()
    assert not world.clock.getDelayedCalls()
