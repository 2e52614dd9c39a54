"""TNAuthList, addresses and the cache, each by itself."""

from __future__ import annotations

from collections import Counter

import pytest
import pytest_twisted
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from gateway.policy.addresses import is_public
from gateway.settings import StirSection
from gateway.stir import tnauthlist
from gateway.stir.cache import FETCHES_BURST, FETCHES_PER_S, MAX_FETCHES, CredentialCache
from gateway.stir.credential import Credential
from gateway.stir.fetcher import Fetched
from gateway.stir.rejected import Rejected
from gateway.stir.tnauthlist import TnAuthList
from tests.stir.authority import NOW, SPC_709J, of_number

# --- TNAuthList -------------------------------------------------------------------------------

ONE = bytes.fromhex("a20d160b") + b"12155551212"
RANGE = bytes.fromhex("a1123010160b") + b"12155550100" + bytes.fromhex("020164")


def sequence(*entries: bytes) -> bytes:
    inner = b"".join(entries)
    assert len(inner) < 0x80
    return bytes([0x30, len(inner)]) + inner


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (SPC_709J, TnAuthList(("709J",))),
        (sequence(ONE), TnAuthList(ranges=(("12155551212", 1),))),
        (of_number("12155551212"), TnAuthList(ranges=(("12155551212", 1),))),
        (sequence(RANGE, ONE), TnAuthList(ranges=(("12155550100", 100), ("12155551212", 1)))),
        (sequence(SPC_709J[2:], ONE), TnAuthList(("709J",), (("12155551212", 1),))),
        (b"\x30\x81\x08" + SPC_709J[2:], TnAuthList(("709J",))),
    ],
)
def test_tnauthlists(data: bytes, wanted: TnAuthList) -> None:
    assert tnauthlist.parse(data) == wanted


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30\x00",
        b"\x31" + SPC_709J[1:],
        SPC_709J + SPC_709J,
        SPC_709J[:-1],
        sequence(b"\xa3" + ONE[1:]),
        sequence(b"\xa2\x03\x0c\x011"),
        sequence(b"\xa2\x03\x16\x01x"),
        sequence(b"\xa2\x12\x16\x10" + b"1" * 16),
        sequence(b"\xa0\x03\x16\x01\xff"),
        sequence(b"\xa0\x02\x16\x00"),
        sequence(b"\xa1\x05\x30\x03\x16\x011"),
        sequence(b"\xa1\x08\x30\x06\x02\x01\x01\x16\x011"),
        b"\x30\x80" + SPC_709J[2:],
        b"\x30\x84\x00\x00\x00\x08" + SPC_709J[2:],
        b"\x30\x82\x08",
        b"\x30",
        b"\x30\x83\xff\xff\xff",
        bytes(20_000),
    ],
)
def test_what_is_no_tnauthlist(data: bytes) -> None:
    with pytest.raises(ValueError, match="TNAuthList"):
        tnauthlist.parse(data)


@given(st.binary(max_size=100))
@example(SPC_709J[:5])
def test_any_octets_as_a_tnauthlist(data: bytes) -> None:
    try:
        found = tnauthlist.parse(data)
    except ValueError:
        return
    assert found.providers or found.ranges
    found.covers("12155551212")


@pytest.mark.parametrize(
    ("found", "number", "covered"),
    [
        (TnAuthList(("709J",)), "12155551212", True),
        (TnAuthList(ranges=(("12155551212", 1),)), "12155551212", True),
        (TnAuthList(ranges=(("12155551212", 1),)), "12155551213", False),
        (TnAuthList(ranges=(("12155550100", 100),)), "12155550199", True),
        (TnAuthList(ranges=(("12155550100", 100),)), "12155550200", False),
        (TnAuthList(ranges=(("12155550100", 100),)), "12155550099", False),
        (TnAuthList(ranges=(("0", 10**12),)), "12155550099", False),
        (TnAuthList(ranges=(("1", -5),)), "1", False),
        (TnAuthList(ranges=(("*69", 1),)), "*69", False),
        (TnAuthList(ranges=(("911", 1),)), "*911", False),
    ],
)
def test_which_numbers_are_covered(found: TnAuthList, number: str, covered: bool) -> None:
    assert found.covers(number) is covered


# --- addresses --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::808:808", "2002:808:808::1"]
)
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
        *("100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1", "2001:db8::1"),
        *("::ffff:10.0.0.1", "::7f00:1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "2002:7f00:1::"),
        *("2001:0:7f00:1::80ff:fffe", "example.org", ""),
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


# --- the cache --------------------------------------------------------------------------------

KEY = ec.generate_private_key(ec.SECP256R1()).public_key()


class Outside:
    """``next`` is what a fetch gives; while ``held`` is a list each waits there first."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.next = Fetched(b"x", None)
        self.fails: Rejected | None = None
        self.held: list[Deferred[None]] | None = None
        self.ends = NOW + 1e6

    async def fetch(self, url: str) -> Fetched:
        self.asked[url] += 1
        if self.held is not None:
            waiter: Deferred[None] = Deferred()
            self.held.append(waiter)
            await waiter
        if self.fails is not None:
            raise self.fails
        return self.next

    def judge(self, body: bytes, now: float) -> Credential:
        if body == b"bad":
            raise Rejected("unsupported_credential", "not believed")
        return Credential(KEY, 0, self.ends)


SECTION = StirSection(cache_min_s=100, cache_max_s=1000, cache_failures_s=10, cache_entries=3)


class Kept:
    def __init__(self) -> None:
        self.outside = Outside()
        self.clock = Clock()
        self.cache = CredentialCache(SECTION, self.outside.fetch, self.outside.judge, self.clock)

    async def get(self, url: str = "u") -> Credential:
        return await self.cache.get(url, NOW + self.clock.seconds())

    async def fails(self, url: str = "u") -> str:
        with pytest.raises(Rejected) as caught:
            await self.get(url)
        return caught.value.result


@pytest.mark.parametrize(
    ("max_age", "ends_s", "kept_s"),
    [
        (None, 1e6, 100),
        (0, 1e6, 100),
        (50, 1e6, 100),
        (500, 1e6, 500),
        (5000, 1e6, 1000),
        (500, 200, 200),
    ],
)
@pytest_twisted.ensureDeferred
async def test_how_long_a_certificate_is_kept(
    max_age: float | None, ends_s: float, kept_s: float
) -> None:
    kept = Kept()
    kept.outside.next, kept.outside.ends = Fetched(b"x", max_age), NOW + ends_s
    await kept.get()
    kept.clock.advance(kept_s - 1)
    await kept.get()
    assert kept.outside.asked["u"] == 1
    kept.clock.advance(1)
    await kept.get()
    assert kept.outside.asked["u"] == 2


@pytest.mark.parametrize("what", ["fetch", "judge"])
@pytest_twisted.ensureDeferred
async def test_a_failure_is_kept_for_a_while(what: str) -> None:
    kept = Kept()
    if what == "fetch":
        kept.outside.fails = Rejected("bad_identity_info", "status 404")
    else:
        kept.outside.next = Fetched(b"bad", 500)
    wanted = "bad_identity_info" if what == "fetch" else "unsupported_credential"
    assert await kept.fails() == wanted
    kept.clock.advance(9)
    assert await kept.fails() == wanted
    assert kept.outside.asked["u"] == 1
    kept.clock.advance(1)
    kept.outside.fails, kept.outside.next = None, Fetched(b"x", None)
    await kept.get()


@pytest_twisted.ensureDeferred
async def test_the_least_lately_used_goes_and_bad_ones_drive_out_no_good_ones() -> None:
    kept = Kept()
    for url in ("a", "b", "c", "a", "d"):
        await kept.get(url)
    kept.outside.fails = Rejected("bad_identity_info", "no")
    for number in range(10):
        await kept.fails(f"bad{number}")
    kept.outside.fails = None
    for url in ("a", "c", "d"):
        await kept.get(url)
    assert {url: kept.outside.asked[url] for url in "abcd"} == {"a": 1, "b": 1, "c": 1, "d": 1}
    await kept.get("b")
    assert kept.outside.asked["b"] == 2
    await kept.get("bad0")  # forgotten, and asked again
    assert kept.outside.asked["bad0"] == 2


@pytest_twisted.ensureDeferred
async def test_fetches_at_a_time_are_bounded() -> None:
    kept = Kept()
    kept.outside.held = held = []
    waiting = [Deferred.fromCoroutine(kept.get(f"u{n}")) for n in range(MAX_FETCHES)]
    again = Deferred.fromCoroutine(kept.get("u0"))
    assert await kept.fails("one more") == "bad_identity_info"
    assert len(kept.outside.asked) == MAX_FETCHES
    kept.outside.held = None
    for one in held:
        one.callback(None)
    for waiter in (*waiting, again):
        assert (await waiter).key is KEY
    await kept.get("one more")


@pytest_twisted.ensureDeferred
async def test_fetches_a_second_are_bounded() -> None:
    kept = Kept()
    for number in range(FETCHES_BURST):
        await kept.get(f"u{number}")
    assert await kept.fails("one more") == "bad_identity_info"
    assert kept.outside.asked["one more"] == 0
    kept.clock.advance(1 / FETCHES_PER_S)
    await kept.get("one more")  # to be refused was not kept against it
    await kept.get("one more")
    assert await kept.fails("and one") == "bad_identity_info"


@pytest_twisted.ensureDeferred
async def test_who_gives_up_waiting_leaves_the_fetch_to_the_others() -> None:
    kept = Kept()
    kept.outside.held = held = []
    one, two = (Deferred.fromCoroutine(kept.get()) for _ in range(2))
    one.cancel()
    with pytest.raises(CancelledError):
        await one
    (fetch,) = held
    fetch.callback(None)
    assert (await two).key is KEY


@pytest_twisted.ensureDeferred
async def test_stopping_ends_every_wait() -> None:
    kept = Kept()
    kept.outside.held = []
    waiting = [Deferred.fromCoroutine(kept.get(url)) for url in ("a", "a", "b")]
    kept.cache.stop()
    for waiter in waiting:
        with pytest.raises(Rejected, match="given up"):
            await waiter
    kept.outside.held = None
    await kept.get("a")
