"""How certificates are fetched: from whom, how much, how long, and from whom never."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import pytest_twisted
from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory, Protocol

from gateway.errors import CannotStart
from gateway.settings import StirSection
from gateway.stir.addresses import system_resolver
from gateway.stir.verifier import Verifier
from tests.peers.waiting import reactor
from tests.stir.authority import issue
from tests.stir.repository import begins, endless, redirects, says, tls_options
from tests.stir.scene import BAD_INFO, PASSED, failed

if TYPE_CHECKING:
    from tests.stir.scene import Meters, Scene


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "no certificate"),
        (b"hello", "no certificate"),
        (b"\x30\x03abc", "no certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no certificate"),
        (b"x" * 65_537, "more than 65536 octets"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_no_certificate(scene: Scene, body: bytes, why: str) -> None:
    scene.repository.answers["/good.pem"] = says(body)
    found = await scene.told(scene.identity())
    assert failed(found) == BAD_INFO
    assert why in found.why


@pytest.mark.parametrize("code", [201, 206, 401, 404, 500])
@pytest_twisted.ensureDeferred
async def test_other_answers(scene: Scene, code: int) -> None:
    scene.repository.answers["/good.pem"] = says(scene.chain(scene.signer), code=code)
    found = await scene.told(scene.identity())
    assert failed(found) == BAD_INFO
    assert f"status {code}" in found.why


@pytest_twisted.ensureDeferred
async def test_redirects_are_not_followed(scene: Scene) -> None:
    for number, to in enumerate(("/other.pem", "https://127.0.0.2/x", "http://127.0.0.1/x")):
        path = f"/moved{number}"
        scene.repository.answers[path] = redirects(to)
        found = await scene.told(scene.identity(x5u=scene.repository.url(path)))
        assert failed(found) == BAD_INFO
        assert "status 302" in found.why
    assert set(scene.repository.asked) == {"/moved0", "/moved1", "/moved2"}


@pytest.mark.parametrize(
    "answer", [begins(b"-----BEGIN"), endless(b"x" * 10_000)], ids=["slow", "endless"]
)
@pytest_twisted.ensureDeferred
async def test_time_and_size_are_bounded_and_the_connection_ends(scene: Scene, answer: Any) -> None:
    scene.repository.answers["/good.pem"] = answer
    found = await scene.told(scene.identity(), scene.verifier(fetch_s=0.5))
    assert failed(found) == BAD_INFO
    assert "in time" in found.why or "more than" in found.why
    await scene.repository.all_closed()
    assert scene.repository.opened == 1


@pytest_twisted.ensureDeferred
async def test_endless_headers(scene: Scene) -> None:
    def answer(request: Any) -> bytes:
        for number in range(20_000):
            request.responseHeaders.addRawHeader("X-Filler", f"{number:0100}")
        return b"x"

    scene.repository.answers["/good.pem"] = answer
    assert failed(await scene.told(scene.identity())) == BAD_INFO
    await scene.repository.all_closed()


class Rude(Protocol):
    """Says one thing to whoever connects, and hangs up (or does not)."""

    def __init__(self, says: bytes, stays: bool) -> None:
        self._says = says
        self._stays = stays

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.write(self._says)
        if not self._stays:
            transport.loseConnection()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(
    ("what", "stays"),
    [
        (b"", False),
        (b"", True),
        (b"SIP/2.0 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\n", False),
        (b"\xff" * 1000, True),
        (b"x" * 200_000, True),
    ],
)
@pytest_twisted.ensureDeferred
async def test_servers_that_speak_no_http(
    scene: Scene, tls: bool, what: bytes, stays: bool
) -> None:
    factory = Factory.forProtocol(lambda: Rude(what, stays))
    if tls:
        options = tls_options(scene.repository.server)
        port: Any = reactor.listenSSL(0, factory, options, interface="127.0.0.1")
    else:
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    text = scene.identity(x5u=f"https://127.0.0.1:{port.getHost().port}/x")
    found = await scene.told(text, scene.verifier(fetch_s=0.5))
    await port.stopListening()
    assert failed(found) == BAD_INFO
    assert found.why.startswith("127.0.0.1: ")


@pytest_twisted.ensureDeferred
async def test_a_server_that_is_not_to_be_believed(scene: Scene) -> None:
    other = issue("Other Web CA", ca=True, begins=0, ends=4e9)
    file = scene.directory / "other.pem"
    file.write_bytes(other.pem)
    found = await scene.told(scene.identity(), scene.verifier(ca_file=file))
    assert failed(found) == BAD_INFO
    assert not scene.repository.asked


@pytest_twisted.ensureDeferred
async def test_a_server_of_another_name(scene: Scene) -> None:
    async def resolve(host: str) -> list[str]:
        return ["127.0.0.1"]

    verifier = scene.verifier(resolve, allow_hosts=["wrong.example", "certs.example"])
    for host, wanted in (("wrong.example", BAD_INFO), ("certs.example", None)):
        text = scene.identity(x5u=scene.repository.url("/good.pem", host))
        found = await scene.told(text, verifier)
        assert (failed(found) if wanted else found) == (wanted or PASSED)
    assert scene.repository.asked["/good.pem"] == 1


@pytest_twisted.ensureDeferred
async def test_nobody_listens(scene: Scene) -> None:
    found = await scene.told(scene.identity(x5u="https://127.0.0.1:1/x"))
    assert failed(found) == BAD_INFO
    assert found.why.startswith("127.0.0.1: ")


@pytest.mark.parametrize(
    ("addresses", "why"),
    [
        (["127.0.0.1"], "not public"),
        (["10.1.2.3", "192.168.0.1"], "not public"),
        (["169.254.169.254"], "not public"),
        (["::1"], "not public"),
        (["fd00::1"], "not public"),
        (["::ffff:127.0.0.1"], "not public"),
        ([], "no address"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_private_addresses_are_not_asked(
    scene: Scene, addresses: list[str], why: str
) -> None:
    async def resolve(host: str) -> list[str]:
        return addresses

    text = scene.identity(x5u="https://inner.example/x.pem")
    found = await scene.told(text, scene.verifier(resolve))
    assert failed(found) == BAD_INFO
    assert why in found.why


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/x",
        "https://127.1/x",
        "https://2130706433/x",
        "https://[::1]/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://localhost/x",
    ],
)
@pytest_twisted.ensureDeferred
async def test_private_addresses_by_number_and_by_the_systems_names(scene: Scene, url: str) -> None:
    found = await scene.told(scene.identity(x5u=url), scene.verifier(allow_hosts=[]))
    assert failed(found) == BAD_INFO
    assert "not public" in found.why


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://certs.example/x", "not a plain https URL"),
        ("ftp://certs.example/x", "not a plain https URL"),
        ("https://user@certs.example/x", "not a plain https URL"),
        ("https:///x", "not a plain https URL"),
        ("certs.example", "not a plain https URL"),
        ("https://certs.example:99999/x", "port 99999"),
        ("https://127.0.0.1:99999/x", "port 99999"),  # which is allowed as a host
        ("https://certs.example:22/x", "port 22"),
        ("https://[::1/x", "cannot be read"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_urls_that_are_not_asked(scene: Scene, url: str, why: str) -> None:
    found = await scene.told(scene.identity(x5u=url))
    assert failed(found) == BAD_INFO
    assert why in found.why


@pytest_twisted.ensureDeferred
async def test_a_name_that_does_not_resolve(scene: Scene) -> None:
    found = await scene.told(scene.identity(x5u="https://no.such.host.invalid/x"))
    assert failed(found) == BAD_INFO
    assert "no address" in found.why


@pytest_twisted.ensureDeferred
async def test_a_name_service_that_does_not_answer(scene: Scene) -> None:
    class Mute:
        """A reactor whose look-ups never end."""

        def __init__(self) -> None:
            self.nameResolver = self
            self.receivers: list[Any] = []

        def resolveHostName(self, receiver: Any, *_: object) -> None:
            self.receivers.append(receiver)

    mute = Mute()
    verifier = scene.verifier(system_resolver(mute), fetch_s=0.1)
    found = await scene.told(scene.identity(x5u="https://slow.example/x"), verifier)
    assert failed(found) == BAD_INFO
    assert "in time" in found.why
    mute.receivers[0].addressResolved(IPv4Address("TCP", "127.0.0.1", 443))
    mute.receivers[0].resolutionComplete()  # too late, and of no use


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read"),
        (b"", "is no PEM"),
        (b"-----BEGIN CERTIFICATE-----", "is no PEM"),
    ],
)
def test_a_ca_file_that_cannot_be_used(
    tmp_path: Any, meters: Meters, content: bytes | None, problem: str
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CannotStart, match=f"stir.ca_file: .*{problem}"):
        Verifier(StirSection(ca_file=file), reactor, meters)
