"""Keys by JWK Set: which are taken, when they are read, and what a failing source leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jwt
import pytest
import pytest_twisted
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pydantic import ValidationError
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from gateway.app.jwks import AGAIN_S, Document, KeyRing
from gateway.app.jwks_source import MAX_BYTES, source_of
from gateway.app.keys import MAX_KEYS, NoKeys, read_set
from gateway.app.tokens import Tokens
from gateway.errors import TokenRefused
from gateway.settings import TokenSection

NOW = 1_700_000_000.0
GOOD = {"sub": "alice", "aud": "dm-call", "exp": NOW + 60}
RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
FILE = TokenSection(jwks_file=Path("/dev/null"), leeway_s=0)


def jwk(key: Any, kid: str | None = None, **more: Any) -> dict[str, Any]:
    algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    public = json.loads(jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key()))
    return {**public, **({} if kid is None else {"kid": kid}), **more}


def jwks(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def signed(key: Any, algorithm: str = "ES256", **headers: Any) -> str:
    return jwt.encode(GOOD, key, algorithm=algorithm, headers=headers)


WEAK = rsa.generate_private_key(65537, 1024)
PRIVATE = jwt.get_algorithm_by_name("ES256").to_jwk(EC)
P384 = jwt.get_algorithm_by_name("ES384").to_jwk(
    ec.generate_private_key(ec.SECP384R1()).public_key()
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (jwks(jwk(RSA), jwk(EC)), 2),
        (jwks(jwk(RSA, alg="RS256", use="sig"), jwk(EC, key_ops=["verify"])), 2),
        (jwks(jwk(EC), {"kty": "OKP", "crv": "X25519", "x": "AA"}, {"kty": "new"}, {}), 1),
        (jwks(jwk(EC), jwk(RSA, alg="RS512"), jwk(OTHER, use="enc")), 1),
        (jwks(jwk(EC), jwk(WEAK), json.loads(PRIVATE), json.loads(P384)), 1),
        (jwks(jwk(EC), {"kty": "oct", "k": "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3I"}), 1),
        (jwks(jwk(WEAK)), "no public key"),
        (jwks({"kty": "oct", "k": "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3I"}), "no public key"),
        (jwks(jwk(RSA, n="!")), "no public key"),
        (jwks(*[jwk(EC)] * (MAX_KEYS + 1)), "more than"),
        (jwks(), "no public key"),
        (b"{}", "no JWK Set"),
        (b"[]", "no JWK Set"),
        (b'{"keys": {}}', "no JWK Set"),
        (b"<html>", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[" * 100_000, "no JSON"),
    ],
)
def test_which_keys_are_taken(text: bytes, found: int | str) -> None:
    if isinstance(found, int):
        assert len(read_set(text)) == found
    else:
        with pytest.raises(NoKeys, match=found):
            read_set(text)


class Source:
    """Answers in turn; ``wait`` keeps an answer back."""

    def __init__(self, *answers: bytes | Exception, max_age_s: float | None = None) -> None:
        self.answers = list(answers)
        self.max_age_s = max_age_s
        self.asked = 0
        self.wait: Deferred[None] | None = None

    async def __call__(self) -> Document:
        self.asked += 1
        if self.wait is not None:
            await self.wait
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return Document(answer, self.max_age_s)


class Meters:
    def __init__(self) -> None:
        self.read: list[bool] = []
        self.keys = 0

    def jwks_read(self, worked: bool) -> None:
        self.read.append(worked)

    def jwks_keys(self, count: int) -> None:
        self.keys = count


class Scene:
    def __init__(self, *answers: bytes | Exception, max_age_s: float | None = None) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.source = Source(*answers, max_age_s=max_age_s)
        self.meters = Meters()
        self.ring = KeyRing(FILE, self.source, self.clock, self.meters)
        self.tokens = Tokens(FILE, lambda: NOW, self.ring)
        Deferred.fromCoroutine(self.tokens.start())

    def read(self, token: str) -> list[Any]:
        """Who it is, or how it was refused; empty while it waits."""
        got: list[Any] = []
        Deferred.fromCoroutine(self.tokens.read(token)).addBoth(got.append)
        return [type(g.value) if isinstance(g, Failure) else g.handle for g in got]

    def leaves_nothing(self) -> None:
        Deferred.fromCoroutine(self.tokens.stop())
        assert not self.clock.getDelayedCalls()


@pytest.mark.parametrize(
    ("token", "let_in"),
    [
        (signed(RSA, "RS256", kid="r"), True),
        (signed(EC, kid="e"), True),
        (signed(EC), True),  # the one key of that algorithm
        (signed(EC, kid="r"), False),
        (signed(OTHER, kid="e"), False),
        (signed(RSA, "RS512", kid="r"), False),
        (signed(None, "none", kid="r"), False),
        (signed("a" * 32, "HS256", kid="r"), False),
        (signed(EC, kid="e", crit=["x"], x=1), False),
        (signed(EC, kid="e", jwk=jwk(OTHER)), True),  # what a token brings along is not looked at
        (signed(OTHER, kid="o", jwk=jwk(OTHER), jku="https://example.org/"), False),
    ],
)
def test_the_key_says_the_algorithm(token: str, let_in: bool) -> None:
    scene = Scene(jwks(jwk(RSA, "r"), jwk(EC, "e")))
    assert scene.read(token) == ["alice" if let_in else TokenRefused]
    scene.leaves_nothing()


def test_of_two_keys_without_ids_none_is_guessed() -> None:
    scene = Scene(jwks(jwk(EC), jwk(OTHER)))
    assert scene.read(signed(EC)) == [TokenRefused]
    assert Scene(jwks(jwk(EC))).read(signed(EC, kid="any")) == ["alice"]


def test_an_unknown_key_is_looked_for_once_however_many_ask() -> None:
    scene = Scene(jwks(jwk(EC, "1")), jwks(jwk(OTHER, "2")))
    scene.clock.advance(AGAIN_S)
    scene.source.wait = waiting = Deferred()
    reads: list[list[Any]] = [[], []]
    for got in reads:
        asked = Deferred.fromCoroutine(scene.tokens.read(signed(OTHER, kid="2")))
        asked.addBoth(lambda who, got=got: got.append(who.handle))
    assert (reads, scene.source.asked) == ([[], []], 2)
    waiting.callback(None)
    assert reads == [["alice"], ["alice"]]
    assert scene.read(signed(EC, kid="1")) == [TokenRefused]  # rotated out
    for _ in range(3):
        assert scene.read(signed(EC, kid="3")) == [TokenRefused]
    assert scene.source.asked == 2
    scene.clock.advance(AGAIN_S)
    assert scene.read(signed(EC, kid="3")) == [TokenRefused]
    assert scene.source.asked == 3
    scene.leaves_nothing()


@pytest.mark.parametrize(("max_age_s", "after_s"), [(None, 60), (0, 60), (300, 300), (1e9, 3600)])
def test_it_is_read_again_by_its_max_age_within_bounds(
    max_age_s: float | None, after_s: float
) -> None:
    scene = Scene(jwks(jwk(EC, "1")), max_age_s=max_age_s)
    scene.clock.advance(after_s - 1)
    assert scene.source.asked == 1
    scene.clock.advance(1)
    assert scene.source.asked == 2
    scene.leaves_nothing()


def test_the_last_good_set_is_kept_while_the_source_fails_but_not_for_ever() -> None:
    scene = Scene(jwks(jwk(EC, "1")), NoKeys("it answered 503"))
    scene.clock.pump([1] * 600)
    assert scene.read(signed(EC, kid="1")) == ["alice"]
    # 5 s, 10 s, 20 s, 40 s, then every minute
    assert (scene.meters.read[:2], scene.source.asked) == ([True, False], 13)
    assert scene.tokens.amiss() == ()
    scene.clock.advance(FILE.jwks_keep_s)
    assert scene.read(signed(EC, kid="1")) == [TokenRefused]
    assert scene.tokens.amiss()
    scene.clock.advance(60)
    assert scene.meters.keys == 0
    scene.source.answers = [jwks(jwk(EC, "1"))]
    scene.clock.advance(60)
    assert scene.read(signed(EC, kid="1")) == ["alice"]
    assert scene.tokens.amiss() == ()
    scene.leaves_nothing()


def test_a_source_that_never_answers_is_given_up() -> None:
    scene = Scene(jwks(jwk(EC, "1")), jwks(jwk(EC, "2")))
    scene.source.wait = Deferred()
    scene.clock.advance(60)
    scene.clock.advance(FILE.jwks_fetch_s)
    assert scene.meters.read == [True, False]
    scene.source.wait = Deferred()
    scene.clock.advance(60)
    scene.leaves_nothing()  # in the middle of a read


class Served(Resource):
    isLeaf = True

    def __init__(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        super().__init__()
        self.status, self.body, self.headers = status, body, headers

    def render_GET(self, request: Any) -> int:
        request.setResponseCode(self.status)
        for name, value in self.headers.items():
            request.setHeader(name, value)
        request.write(self.body)
        request.finish()
        return NOT_DONE_YET


@pytest.mark.parametrize(
    ("status", "body", "headers", "got"),
    [
        (200, b"{}", {"Cache-Control": "public, max-age=120"}, Document(b"{}", 120)),
        (200, b"{}", {"Cache-Control": "no-store, max-age=120"}, Document(b"{}", 0)),
        (200, b"{}", {}, Document(b"{}", None)),
        (404, b"{}", {}, "answered 404"),
        (302, b"", {"Location": "http://127.0.0.1:1/"}, "answered 302"),
        (200, b"x" * (MAX_BYTES + 1), {}, "more than"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_reading_a_url(
    status: int, body: bytes, headers: dict[str, str], got: Document | str
) -> None:
    from twisted.internet import reactor

    site = Site(Served(status, body, headers))
    port: Any = reactor.listenTCP(0, site, interface="127.0.0.1")  # type: ignore[attr-defined]
    url = f"http://127.0.0.1:{port.getHost().port}/jwks"
    try:
        source = source_of(TokenSection(jwks_url=url), reactor)
        if isinstance(got, Document):
            assert await source() == got
        else:
            with pytest.raises(NoKeys, match=got):
                await source()
    finally:
        await port.stopListening()
    with pytest.raises(NoKeys, match="refused"):
        await source()


@pytest_twisted.ensureDeferred
async def test_reading_a_file(tmp_path: Path) -> None:
    from twisted.internet import reactor

    file = tmp_path / "jwks.json"
    source = source_of(TokenSection(jwks_file=file), reactor)
    with pytest.raises(NoKeys, match="No such file"):
        await source()
    file.write_bytes(jwks(jwk(EC)))
    assert (await source()).text == jwks(jwk(EC))
    file.write_bytes(b"x" * (MAX_BYTES + 1))
    with pytest.raises(NoKeys, match="more than"):
        await source()


@pytest.mark.parametrize(
    ("token", "wrong"),
    [
        ({"jwks_url": "http://idp.example.org/jwks"}, "unencrypted"),
        ({"jwks_url": "ftp://idp.example.org/jwks"}, "is no URL"),
        ({"jwks_url": "https://x/", "jwks_file": "x"}, "keep one"),
        ({"jwks_url": "https://x/", "secret": "x" * 32}, "keep one"),
        ({"jwks_url": "https://x/", "algorithm": "RS256"}, "each key says"),
        ({"jwks_file": "x", "jwks_ca_file": "x"}, "without jwks_url"),
        ({"jwks_file": "x", "jwks_refresh_min_s": 120, "jwks_refresh_max_s": 60}, "is above"),
    ],
)
def test_settings_that_contradict_themselves(token: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong):
        TokenSection.model_validate(token)
