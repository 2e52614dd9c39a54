"""Events over real HTTP: signatures, redirects, long answers, addresses; and kill -9."""

from __future__ import annotations

import importlib.util
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from gateway.calls.event_ports import QueuedEvent
from gateway.errors import CannotStart
from gateway.settings import Webhook
from gateway.webhooks.posting import Poster, Undelivered
from gateway.webhooks.signing import signature, signing_key
from tests.peers.fixtures import SHARED, Cast
from tests.peers.ports import free_ports
from tests.peers.programs import Program
from tests.peers.waiting import Happenings, reactor, until

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "verify_webhook.py"
KEY = b"a key of the tests that is long enough"
OLD = b"another key of the tests, an older one"


def example() -> Any:
    spec = importlib.util.spec_from_file_location("verify_webhook", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Receiver(Resource):
    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.code = 204
        self.headers: dict[str, str] = {}
        self.answer = b""
        self.hangs = False
        self.seen: Happenings[tuple[str, bytes]] = Happenings("receiver")

    def render(self, request: Any) -> Any:
        body = request.content.read()
        self.seen.add((request.getHeader("dmgw-signature") or "", body))
        request.setResponseCode(self.code)
        for name, value in self.headers.items():
            request.setHeader(name, value)
        return NOT_DONE_YET if self.hangs else self.answer


@pytest.fixture
def receiver() -> Any:
    made = Receiver()
    port = reactor.listenTCP(0, Site(made), interface="127.0.0.1")
    made.url = f"http://127.0.0.1:{port.getHost().port}/events"
    yield made
    pytest_twisted.blockon(port.stopListening())


def event(body: str = '{"id":"e1"}') -> QueuedEvent:
    return QueuedEvent(1, "one", "c1", "e1", "call.created", body, 0.0, 0)


async def post(url: str, **more: Any) -> None:
    hook = Webhook(name="one", url=url, secret_files=["/etc/key"], timeout_s=1, **more)
    poster = Poster(hook, KEY, reactor)
    try:
        await poster.post(event())
    finally:
        await poster.stop()


@pytest_twisted.ensureDeferred
async def test_the_documented_example_verifies_what_is_sent(receiver: Any) -> None:
    await post(receiver.url)
    ((header, body),) = receiver.seen.seen
    verify, now = example().verify, time.time()
    assert verify(header, body, [OLD, KEY], now)
    assert not verify(header, body, [OLD], now)
    assert not verify(header, body + b" ", [KEY], now)
    assert not verify(header, body, [KEY], now + 301)
    assert not verify("", body, [KEY], now)
    assert not verify(header.replace("t=", "t=1"), body, [KEY], now)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"code": 500}, "it answered 500"),
        ({"code": 302, "headers": {"Location": "/other"}}, "it answered 302"),
        ({"hangs": True}, "no answer in 1 s"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_no_delivery(receiver: Any, answer: dict[str, Any], why: str) -> None:
    for name, value in answer.items():
        setattr(receiver, name, value)
    with pytest.raises(Undelivered, match=why):
        await post(receiver.url)
    assert len(receiver.seen.seen) == 1


@pytest_twisted.ensureDeferred
async def test_a_long_answer_is_not_read_to_its_end(receiver: Any) -> None:
    receiver.code, receiver.answer = 200, b"x" * 50_000_000
    await post(receiver.url)


@pytest_twisted.ensureDeferred
async def test_nobody_there() -> None:
    with pytest.raises(Undelivered):
        await post(f"http://127.0.0.1:{free_ports()}/")


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "localhost"])
@pytest_twisted.ensureDeferred
async def test_a_private_address_is_not_reached_unless_set(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.webhooks import posting

    monkeypatch.setattr(posting, "_is_loopback", lambda _url: False)
    with pytest.raises(Undelivered, match="has a private address"):
        await post(f"https://{host}:9/")


def test_the_newest_key_signs_and_every_file_is_looked_at(tmp_path: Path) -> None:
    new, old, short = tmp_path / "new", tmp_path / "old", tmp_path / "short"
    new.write_bytes(KEY + b"\n")
    old.write_bytes(OLD)
    short.write_bytes(b"short")
    assert signing_key([new, old], "one") == KEY
    assert signature(KEY, 5, b"x") != signature(OLD, 5, b"x") != signature(OLD, 6, b"x")
    with pytest.raises(CannotStart, match="short holds fewer than 32"):
        signing_key([new, short], "one")
    with pytest.raises(CannotStart, match="none cannot be read"):
        signing_key([new, tmp_path / "none"], "one")


@pytest_twisted.ensureDeferred
async def test_events_outlive_a_kill_and_reach_the_example(cast: Cast, tmp_path: Path) -> None:
    key = tmp_path / "webhook.key"
    key.write_bytes(KEY)
    port = free_ports()
    hooks = f"[{{name: backend, url: 'http://127.0.0.1:{port}/', secret_files: ['{key}']}}]"
    gateway = await cast.gateway(*SHARED, f"webhooks={hooks}")
    alice = await cast.client(gateway, "alice")
    call = await alice.invite("service:echo")
    await alice.connected(call)  # nobody has taken a single event so far
    await until_failed(gateway)
    gateway.signal(signal.SIGKILL)
    await gateway.exited()
    await gateway.up()

    command = [sys.executable, str(EXAMPLE), str(port), str(key)]
    receiver = Program(command, cwd=tmp_path, name="receiver")
    said = receiver.stdout
    cast.ends_with(receiver.stop)
    await said.expect(lambda line: "call.ended" in line, "call.ended", 10)
    kinds = [line.split()[0] for line in said.seen]
    steps = ["created", "ringing", "accepted", "connected", "ended"]
    assert kinds == [f"call.{step}" for step in steps]
    assert all(line.split()[1] == call for line in said.seen)
    assert said.seen[-1].endswith("gateway_error")

    async def delivered() -> bool:
        return await gateway.metric("dmgw_webhook_events_waiting") == 0

    await until(delivered, "nothing waits", 5, 0.1)
    assert await gateway.metric("dmgw_webhook_deliveries_total", result="delivered") == 5
    assert KEY.decode() not in json.dumps(gateway.log.seen)


async def until_failed(gateway: Any) -> None:
    async def failed() -> bool:
        return bool(await gateway.metric("dmgw_webhook_deliveries_total", result="failed") > 0)

    await until(failed, "a delivery has failed", 5, 0.1)
