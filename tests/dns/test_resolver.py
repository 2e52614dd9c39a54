"""The resolver against a real name server: what it finds, and what it does when there is none."""

from __future__ import annotations

import random
import socket
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.query
import pytest
import pytest_twisted
import structlog
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gateway.dns.resolver import Resolver
from gateway.dns.server import MOST_BYTES
from gateway.dns.wire import PAYLOAD_BYTES
from gateway.errors import CannotStart, Unlocatable
from gateway.settings import DnsSection
from gateway.sip.locating import MOST_HOPS
from tests.dns.nsd import NsdServer
from tests.dns.test_questions import Meters
from tests.peers.ports import free_ports
from tests.peers.waiting import reactor, together

MANY = "\n".join(
    f"_sip._udp.many SRV {n} 1 5060 a-long-name-of-a-target-number-{n}" for n in range(60)
) + "".join(f"\na-long-name-of-a-target-number-{n} A 192.0.2.{n + 1}" for n in range(60))

HUGE = "\n".join(f"_sip._udp.huge SRV {n} 1 5060 target-number-{n}" for n in range(500))

ZONES = {
    "example.org": f"""\
@           NAPTR 50 50 "s" "SIPS+D2T" "" _sips._tcp
@           NAPTR 90 50 "s" "SIP+D2U"  "" _sip._udp
_sips._tcp  SRV 10 10 5061 a
_sips._tcp  SRV 20 10 5062 b
_sip._udp   SRV 10 10 5060 a
a           A 192.0.2.1
a           AAAA 2001:db8::1
b           A 192.0.2.2
plain       A 192.0.2.3
alias       CNAME plain
faraway     CNAME plain.example.net.
_sip._udp.aliased CNAME _sip._udp
loop        CNAME pool
pool        CNAME loop
nowhere     CNAME gone
outside     CNAME name.elsewhere.example.
_sip._udp.closed  SRV 0 0 0 .
short       5 A 192.0.2.4
{HUGE}
chain       NAPTR 1 1 "" "" "" chain2
chain2      NAPTR 1 1 "" "" "" chain
{MANY}
""",
    "example.net": "plain A 192.0.2.9",
    "e164.arpa": r"""
$ORIGIN 6.9.2.3.6.1.4.4.e164.arpa.
3.8.0.0 NAPTR 100 20 "u" "E2U+sip" "!^\\+44(.*)$!sip:0\\1@example.org!" .
3.8.0.0 NAPTR 100 10 "u" "E2U+sip" "!^.*$!sips:desk@example.org!" .
3.8.0.0 NAPTR 100 5  "u" "E2U+email:mailto" "!^.*$!mailto:a@example.org!" .
3.8.0.0 NAPTR 200 1  "u" "sip+E2U" "!^.*$!sip:old@example.org!" .
4.8.0.0 NAPTR 100 10 "" "" "" chained.example.org.
5.8.0.0 NAPTR 100 10 "u" "E2U+email:mailto" "!^.*$!mailto:a@example.org!" .
6.8.0.0 NAPTR 100 10 "" "" "" 6.8.0.0
7.8.0.0 NAPTR 100 10 "u" "E2U+sip" "!^((([+0-9]*)*)*)*x$!sip:evil@example.org!" .
""",
}
ZONES["example.org"] += 'chained NAPTR 1 1 "u" "E2U+sip" "!^.*$!sip:chained@example.org!" .\n'


@pytest_twisted.async_yield_fixture()
async def nsd(tmp_path: Path) -> AsyncIterator[NsdServer]:
    server = NsdServer(tmp_path, ZONES)
    await server.start()
    yield server
    await server.stop()


class Scene:
    """A resolver that asks the given servers; ``clock`` is its own where one is given."""

    def __init__(self, *servers: str, clock: Clock | None = None, **section: Any) -> None:
        self.meters = Meters()
        settings = DnsSection(servers=servers, **{"enum_suffix": "e164.arpa", **section})
        chance = random.Random(1)
        self.resolver = Resolver(settings, clock or reactor, self.meters, chance)

    async def __aenter__(self) -> Scene:
        await self.resolver.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.resolver.stop()

    async def hops(self, place: str, transport: Any = None) -> list[str]:
        found = await self.resolver.locate(place, transport)
        return [f"{hop.transport} {hop.address} {hop.name}" for hop in found]

    async def failure(self, place: str, transport: Any = None) -> str:
        with pytest.raises(Unlocatable) as told:
            await self.resolver.locate(place, transport)
        return str(told.value)

    @property
    def queries(self) -> int:
        return len(self.meters.seen)


# --- what is in the zone --------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_places_of_every_kind(nsd: NsdServer) -> None:
    async with Scene(nsd.address) as scene:
        assert await scene.hops("Example.ORG.") == [
            "tls 192.0.2.1:5061 example.org",
            "tls [2001:db8::1]:5061 example.org",
            "tls 192.0.2.2:5062 example.org",
        ]
        assert [(kind, result) for kind, result, _ in scene.meters.seen] == [
            ("NAPTR", "found"),
            ("SRV", "found"),
            *[("A", "found"), ("AAAA", "found"), ("A", "found"), ("AAAA", "no_record")],
        ]
        assert all(0 < seconds < 5 for *_, seconds in scene.meters.seen)
        assert await scene.hops("example.org", "udp") == [
            "udp 192.0.2.1:5060 example.org",
            "udp [2001:db8::1]:5060 example.org",
        ]
        for place, transport, hop in (
            ("plain.example.org", None, "udp 192.0.2.3:5060 plain.example.org"),
            ("plain.example.org:5070", "tcp", "tcp 192.0.2.3:5070 plain.example.org"),
            ("alias.example.org", "tls", "tls 192.0.2.3:5061 alias.example.org"),
            ("faraway.example.org", None, "udp 192.0.2.9:5060 faraway.example.org"),
        ):
            assert await scene.hops(place, transport) == [hop]
        aliased = await scene.hops("aliased.example.org", "udp")
        assert aliased[0] == "udp 192.0.2.1:5060 aliased.example.org"
        before = scene.queries
        assert await scene.hops("192.0.2.1") == ["udp 192.0.2.1:5060 "]
        assert await scene.hops("dm.localhost:5071") == [
            "udp 127.0.0.1:5071 dm.localhost",
            "udp [::1]:5071 dm.localhost",
        ]
        assert scene.queries == before


@pytest_twisted.ensureDeferred
async def test_what_led_to_a_hop(nsd: NsdServer) -> None:
    async with Scene(nsd.address, families=("ipv4",)) as scene:
        first, second = await scene.resolver.trace("example.org")
        assert first.led == (
            'NAPTR example.org: 50 50 "s" "SIPS+D2T" "" _sips._tcp.example.org',
            "SRV _sips._tcp.example.org: 10 10 5061 a.example.org",
            "A a.example.org: 192.0.2.1",
        )
        assert second.led[1:] == (
            "SRV _sips._tcp.example.org: 20 10 5062 b.example.org",
            "A b.example.org: 192.0.2.2",
        )


LOOP = "a CNAME loop, loop.example.org to pool.example.org to loop.example.org"


@pytest_twisted.ensureDeferred
async def test_what_is_not_there_is_told_by_name_and_type(nsd: NsdServer) -> None:
    async with Scene(nsd.address) as scene:
        assert await scene.failure("gone.example.org", "udp") == (
            "gone.example.org cannot be located: SRV _sip._udp.gone.example.org: no such name; "
            "A gone.example.org: no such name; AAAA gone.example.org: no such name"
        )
        assert await scene.failure("chain.example.org:1") == (
            "chain.example.org:1 cannot be located: A chain.example.org: no such record; "
            "AAAA chain.example.org: no such record"
        )
        assert await scene.failure("nowhere.example.org:1") == (
            "nowhere.example.org:1 cannot be located: A nowhere.example.org: no such name; "
            "AAAA nowhere.example.org: no such name"
        )
        assert await scene.failure("loop.example.org:1") == (
            f"loop.example.org:1 cannot be located: A loop.example.org: {LOOP}; "
            f"AAAA loop.example.org: {LOOP}"
        )
        assert await scene.failure("chain.example.org") == (
            "chain.example.org cannot be located: NAPTR chain.example.org: a loop, "
            "chain.example.org to chain2.example.org to chain.example.org"
        )
        assert await scene.failure("closed.example.org", "udp") == (
            "closed.example.org cannot be located: SRV _sip._udp.closed.example.org: "
            "the service is not offered"
        )
        refused = f"no server knows ({nsd.address}: REFUSED)"
        assert await scene.failure("name.elsewhere.example:1") == (
            "name.elsewhere.example:1 cannot be located: "
            f"A name.elsewhere.example: {refused}; AAAA name.elsewhere.example: {refused}"
        )
        # a server that knows the alias alone
        assert refused in await scene.failure("outside.example.org:1")


@pytest_twisted.ensureDeferred
async def test_one_answer_says_that_an_alias_leads_nowhere(nsd: NsdServer) -> None:
    async with Scene(nsd.address, families=("ipv6",)) as scene:
        told = await scene.failure("alias.example.org:1")
        assert told.endswith("AAAA alias.example.org: no such record")
        assert scene.queries == 1


@pytest_twisted.ensureDeferred
async def test_names_that_dns_cannot_have(nsd: NsdServer) -> None:
    async with Scene(nsd.address) as scene:
        long = ".".join(["a" * 60] * 4 + ["abc"])
        assert "SRV _sip._udp.aaa" in (told := await scene.failure(long, "udp"))
        assert "cannot be asked for (NameTooLong)" in told


@pytest_twisted.ensureDeferred
async def test_an_answer_too_long_for_udp(nsd: NsdServer) -> None:
    request = dns.message.make_query("_sip._udp.many.example.org", "SRV", payload=PAYLOAD_BYTES)
    cut = dns.query.udp(request, "127.0.0.1", port=nsd.port, timeout=5)
    assert cut.flags & dns.flags.TC, "the zone's answer is too short for this test"
    async with Scene(nsd.address, families=("ipv4",)) as scene:
        hops = await scene.hops("many.example.org", "udp")
        assert hops == [f"udp 192.0.2.{n + 1}:5060 many.example.org" for n in range(MOST_HOPS)]
        assert scene.meters.seen[0][:2] == ("SRV", "found")


@pytest_twisted.ensureDeferred
async def test_an_answer_too_long_for_anybody(nsd: NsdServer) -> None:
    request = dns.message.make_query("_sip._udp.huge.example.org", "SRV", payload=PAYLOAD_BYTES)
    whole = dns.query.tcp(request, "127.0.0.1", port=nsd.port, timeout=5)
    size = len(whole.wire or b"")
    assert MOST_BYTES < size < 65_536
    async with Scene(nsd.address) as scene:
        assert await scene.failure("huge.example.org", "udp") == (
            "huge.example.org cannot be located: SRV _sip._udp.huge.example.org: "
            f"no server knows ({nsd.address}: Truncated, {nsd.address}: an answer of {size} bytes)"
        )


@pytest_twisted.ensureDeferred
async def test_enum(nsd: NsdServer) -> None:
    async with Scene(nsd.address) as scene:
        enum = scene.resolver.enum
        assert await enum("+441632960083") == (
            "sips:desk@example.org",
            "sip:01632960083@example.org",
            "sip:old@example.org",
        )
        assert await enum("+441632960084") == ("sip:chained@example.org",)
        assert await enum("+441632960085") == ()
        assert await enum("+441632960087") == ()
        assert await enum("+441632960099") == ()
        with pytest.raises(Unlocatable, match=r"a loop, 6\.8\.0\.0\..* to 6\.8\.0\.0\.") as told:
            await enum("+441632960086")
        assert str(told.value).startswith("+441632960086 cannot be looked up: NAPTR 6.8.0.0.6.9.2")
        with pytest.raises(Unlocatable, match=r"^not an E\.164 number: '1000'"):
            await enum("1000")


@pytest_twisted.ensureDeferred
async def test_enum_is_off_without_a_suffix(nsd: NsdServer) -> None:
    async with Scene(nsd.address, enum_suffix=None) as scene:
        assert await scene.resolver.enum("+441632960083") == ()
        assert scene.queries == 0


# --- time -----------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_answers_are_remembered_for_their_ttl(nsd: NsdServer) -> None:
    clock = Clock()
    async with Scene(nsd.address, clock=clock, families=("ipv4",), ttl_min_s=0) as scene:
        for after_s, asked in ((0, 1), (4.9, 0), (0.2, 1), (4.9, 0)):
            clock.advance(after_s)
            before = scene.queries
            assert await scene.hops("short.example.org:1") == ["udp 192.0.2.4:1 short.example.org"]
            assert scene.queries - before == asked


@pytest_twisted.ensureDeferred
async def test_absences_are_remembered_for_the_minimum_of_the_soa(nsd: NsdServer) -> None:
    clock = Clock()
    async with Scene(nsd.address, clock=clock, families=("ipv4",)) as scene:
        for name in ("gone", "chain"):  # NXDOMAIN, no data
            for after_s, asked in ((0, 1), (19.9, 0), (0.2, 1)):
                clock.advance(after_s)
                before = scene.queries
                assert "no such" in await scene.failure(f"{name}.example.org:1")
                assert scene.queries - before == asked


@pytest_twisted.ensureDeferred
async def test_a_change_is_seen_and_a_dead_server_outlived(tmp_path: Path) -> None:
    clock = Clock()
    (tmp_path / "new").mkdir()
    server = NsdServer(tmp_path, {"example.org": "a 60 A 192.0.2.1"})
    await server.start()
    try:
        section: dict[str, Any] = {"clock": clock, "families": ("ipv4",), "timeout_s": 1}
        async with Scene(server.address, **section) as scene:
            assert await scene.hops("a.example.org:1") == ["udp 192.0.2.1:1 a.example.org"]
            await server.stop()
            clock.advance(61)
            with structlog.testing.capture_logs() as logs:
                for _ in range(3):
                    assert await scene.hops("a.example.org:1") == ["udp 192.0.2.1:1 a.example.org"]
            assert [e["event"] for e in logs] == ["dns_stale"]
            assert scene.meters.seen[-1][:2] == ("A", "timeout")
            clock.advance(31)
            server = NsdServer(tmp_path / "new", {"example.org": "a A 192.0.2.2"}, server.port)
            await server.start()
            assert await scene.hops("a.example.org:1") == ["udp 192.0.2.2:1 a.example.org"]
    finally:
        await server.stop()


# --- servers that do not answer -------------------------------------------------------------


@pytest.fixture
def silent() -> Any:
    """A port at which nobody answers, and nobody says so."""
    port = free_ports()
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as udp:
        udp.bind(("127.0.0.1", port))
        yield f"127.0.0.1:{port}"


@pytest_twisted.ensureDeferred
async def test_a_silent_server_is_left_for_the_next(nsd: NsdServer, silent: str) -> None:
    async with Scene(silent, nsd.address, families=("ipv4",), timeout_s=3) as scene:
        with structlog.testing.capture_logs() as logs:
            assert await scene.hops("plain.example.org:1") == ["udp 192.0.2.3:1 plain.example.org"]
        assert [(e["event"], e["now"]) for e in logs] == [("dns_server_left", nsd.address)]
        ((_, _, seconds),) = scene.meters.seen
        assert 0.4 < seconds < 1.5
        # its time is not spent again, for what is not there either
        await scene.failure("gone.example.org:1")
        assert scene.meters.seen[-1][2] < 0.4


@pytest_twisted.ensureDeferred
async def test_no_server_answers(silent: str) -> None:
    async with Scene(silent, families=("ipv4",), timeout_s=0.5) as scene:
        began = reactor.seconds()
        told = await scene.failure("example.org")
        assert 0.4 < reactor.seconds() - began < 2
        silence = f"no answer in time ({silent}: silent)"
        assert told.startswith(f"example.org cannot be located: NAPTR example.org: {silence}; ")
        assert f"SRV _sip._udp.example.org: {'no answer in time'}" in told


@pytest_twisted.ensureDeferred
async def test_what_came_in_time_counts(nsd: NsdServer) -> None:
    """One family is enough when the other's question is lost."""
    async with Scene(nsd.address, timeout_s=0.5) as scene:
        servers: Any = scene.resolver._servers
        ask = servers.ask

        def half_deaf(question: Any) -> Deferred[Any]:
            return Deferred() if question.type == "AAAA" else ask(question)

        servers.ask = half_deaf
        assert await scene.hops("a.example.org:1") == ["udp 192.0.2.1:1 a.example.org"]


@pytest_twisted.ensureDeferred
async def test_the_same_at_once_is_asked_once(nsd: NsdServer) -> None:
    async with Scene(nsd.address) as scene:
        locates = [scene.resolver.locate("example.org") for _ in range(20)]
        found = await together(*locates)
        assert {f[0].address.port for f in found} == {5061}
        assert scene.queries == 6


@pytest_twisted.ensureDeferred
async def test_stopping_ends_what_is_under_way(silent: str) -> None:
    async with Scene(silent, timeout_s=30) as scene:
        locating = Deferred.fromCoroutine(scene.resolver.locate("example.org:1"))
        await scene.resolver.stop()
        with pytest.raises(Unlocatable, match=r"A example\.org: the resolver was stopped; AAAA"):
            await locating
        assert "the resolver is not running" in await scene.failure("example.com:1")
        await scene.resolver.stop()


@pytest_twisted.ensureDeferred
async def test_who_gives_up_a_locate_leaves_the_others(nsd: NsdServer) -> None:
    async with Scene(nsd.address) as scene:
        one = Deferred.fromCoroutine(scene.resolver.locate("example.org"))
        two = Deferred.fromCoroutine(scene.resolver.locate("example.org"))
        one.addErrback(lambda failure: None)
        one.cancel()
        assert len(await two) == 3
        assert await one is None


# --- which servers --------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_the_servers_of_the_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import dns.resolver

    file = tmp_path / "resolv.conf"
    file.write_text("search example.net\nnameserver 127.0.0.9\nnameserver ::1\n", encoding="utf-8")
    read = dns.resolver.BaseResolver.read_resolv_conf

    def instead(self: Any, _f: Any) -> None:
        read(self, str(file))

    monkeypatch.setattr(dns.resolver.BaseResolver, "read_resolv_conf", instead)
    async with Scene() as scene:
        assert scene.resolver._servers.names == ("127.0.0.9:53", "[::1]:53")
    for text in ("", "nameserver\n"):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(CannotStart, match=r"^dns\.servers is empty, and /etc/resolv\.conf"):
            await Scene().resolver.start()
    file.unlink()
    with pytest.raises(CannotStart, match=r"^dns\.servers is empty, and /etc/resolv\.conf"):
        await Scene().resolver.start()
