"""Locating SIP domains and numbers by the answers of a real DNS server."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults

from gateway.errors import Unlocatable
from gateway.settings import DnsSection
from tests.dns.zone import RECORDS, ZONE
from tests.peers.nsd import Nsd


class Asked:
    def __init__(self) -> None:
        self.questions: list[tuple[str, str]] = []

    def dns_asked(self, kind: str, result: str, took_s: float) -> None:
        self.questions.append((kind, result))


class Look:
    """A locator that asks the server of the tests."""

    def __init__(self, servers: tuple[str, ...], **settings: Any) -> None:
        from twisted.internet import reactor

        from gateway.dns.locator import DnsLocator
        from gateway.dns.resolver import Resolver

        self.asked = Asked()
        section = DnsSection(servers=servers, enum_suffix="e164.test.example", **settings)
        clock: Any = reactor
        self.resolver = Resolver(section, clock, self.asked)
        self.locator = DnsLocator(section, self.resolver, clock, lambda: 0.5)

    async def __call__(self, place: str, transport: Any = None) -> list[str]:
        hops = await self.locator.locate(place, transport)
        return [f"{h.transport} {h.address}" for h in hops]


@pytest_twisted.async_yield_fixture(scope="module")
async def nsd(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Nsd]:
    directory: Path = tmp_path_factory.mktemp("nsd")
    server = Nsd(directory, ZONE, RECORDS)
    try:
        await server.up()
        yield server
    finally:
        await server.end()


@pytest.mark.parametrize(
    ("place", "transport", "found"),
    [
        ("127.0.0.1", None, ["udp 127.0.0.1:5060"]),
        ("127.0.0.1", "tls", ["tls 127.0.0.1:5061"]),
        ("127.0.0.1:5070", "tcp", ["tcp 127.0.0.1:5070"]),
        ("[::1]:5070", None, ["udp [::1]:5070"]),
        (
            "carrier.test.example",
            None,
            [
                "tls 127.0.0.11:5061",
                "udp 127.0.0.11:5070",
                "udp 127.0.0.12:5080",
                "udp 127.0.0.13:5080",
            ],
        ),
        (
            "Carrier.Test.Example",
            "udp",
            ["udp 127.0.0.11:5070", "udp 127.0.0.12:5080", "udp 127.0.0.13:5080"],
        ),
        ("b.carrier.test.example:5075", "tcp", ["tcp 127.0.0.12:5075", "tcp 127.0.0.13:5075"]),
        (
            "srv.test.example",
            None,
            [
                "udp 127.0.0.12:5090",
                "udp 127.0.0.13:5090",
                "tcp 127.0.0.12:5091",
                "tcp 127.0.0.13:5091",
            ],
        ),
        ("srv.test.example", "tls", ["tls 127.0.0.99:5061"]),
        ("bare.test.example", None, ["udp 127.0.0.14:5060"]),
        ("bare.test.example", "tls", ["tls 127.0.0.14:5061"]),
    ],
)
@pytest_twisted.ensureDeferred
async def test_where_a_domain_is_served(
    nsd: Nsd, place: str, transport: str | None, found: list[str]
) -> None:
    look = Look((nsd.at,))
    assert await look(place, transport) == ([*found[1:]] if found[0] == "" else found)


@pytest_twisted.ensureDeferred
async def test_both_families_where_both_can_be_used(nsd: Nsd) -> None:
    look = Look((nsd.at,), families=("ipv6", "ipv4"))
    found = await look("a.carrier.test.example:5060")
    assert found == ["udp [::11]:5060", "udp 127.0.0.11:5060"]
    hops = await look.locator.locate("carrier.test.example", "tls")
    assert {hop.name for hop in hops} == {"carrier.test.example"}


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("none.test.example", "none.test.example has no NAPTR, SRV, A or AAAA record that leads"),
        ("empty.test.example", "has no NAPTR, SRV, A or AAAA record"),
        ("absent.test.example", "has no NAPTR, SRV, A or AAAA record"),
        ("absent.test.example:5060", "has no A or AAAA record"),
        ("loop.test.example", "loop"),
        ("looping.test.example", "looping"),
        ("1.2.3", "is no address"),
        ("a b", "bad port"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_leads_nowhere_is_told(nsd: Nsd, place: str, why: str) -> None:
    with pytest.raises(Unlocatable, match=why):
        await Look((nsd.at,))(place)


@pytest_twisted.ensureDeferred
async def test_answers_are_kept_also_those_that_say_no(nsd: Nsd) -> None:
    look = Look((nsd.at,))
    assert await look("bare.test.example") == await look("bare.test.example")
    first = len(look.asked.questions)
    with pytest.raises(Unlocatable):
        await look("absent.test.example")
    second = len(look.asked.questions)
    with pytest.raises(Unlocatable):
        await look("absent.test.example")
    assert len(look.asked.questions) == second > first
    assert ("A", "found") in look.asked.questions
    assert ("NAPTR", "nxdomain") in look.asked.questions


@pytest_twisted.ensureDeferred
async def test_a_question_is_asked_once_at_a_time(nsd: Nsd) -> None:
    look = Look((nsd.at,))
    asking = [Deferred.fromCoroutine(look("bare.test.example")) for _ in range(20)]
    found = await gatherResults(asking)
    assert found == [["udp 127.0.0.14:5060"]] * 20
    assert [k for k, _ in look.asked.questions].count("A") == 1


@pytest_twisted.ensureDeferred
async def test_a_server_that_is_silent(nsd: Nsd) -> None:
    """The second one is asked; with no other, the end comes in time, and old answers help."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        deaf = f"127.0.0.1:{silent.getsockname()[1]}"
        both = Look((deaf, nsd.at), timeout_s=3)
        assert await both("bare.test.example:5060") == ["udp 127.0.0.14:5060"]
        alone = Look((deaf,), timeout_s=0.5)
        with pytest.raises(Unlocatable, match="A of bare"):
            await alone("bare.test.example:5060")
        kept = Look((nsd.at,), timeout_s=0.5)
        await kept("bare.test.example:5060")
        for entry in kept.resolver._cache.values():
            entry.until = 0 if entry.until == 0 else entry.until - 61
        kept.resolver._resolver = alone.resolver._resolver
        assert await kept("bare.test.example:5060") == ["udp 127.0.0.14:5060"]


@pytest_twisted.ensureDeferred
async def test_numbers_by_enum(nsd: Nsd) -> None:
    look = Look((nsd.at,))
    found = await look.locator.enum("+14155550123")
    assert found == ("sip:4155550123@bare.test.example", "sip:second@bare.test.example")
    assert await look.locator.enum("+14155550124") == ()  # a pattern that could take for ever
    assert await look.locator.enum("+14155559999") == ()
