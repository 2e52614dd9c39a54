"""RFC 3263 §4 without DNS: which questions, which hops, and what is said when there are none."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Unlocatable
from gateway.sip.locating import (
    ALL_TRANSPORTS,
    MOST_HOPS,
    MOST_LOOKUPS,
    Family,
    HopTransport,
    Located,
    locating,
)
from gateway.sip.records import Absent, AddressRecord, Answer, Failed, Found, SrvRecord
from tests.dns.rules import SILENT, Driven, Zone

BOTH: tuple[Family, ...] = ("ipv4", "ipv6")
NAPTR = """\
50 50 "s" "SIPS+D2T" "" _sips._tcp.example.org.
90 50 "s" "SIP+D2T" "" _sip._tcp.example.org.
100 50 "s" "SIP+D2U" "" _sip._udp.example.org."""


def located(
    zone: Zone,
    place: str,
    transport: HopTransport | None = None,
    families: tuple[Family, ...] = BOTH,
    seed: int = 3263,
    transports: tuple[HopTransport, ...] = ALL_TRANSPORTS,
) -> tuple[tuple[Located, ...], Driven]:
    driven = Driven(zone)
    found = driven.run(
        locating(
            place,
            transport,
            families=families,
            chance=random.Random(seed),
            transports=transports,
        )
    )
    return found, driven


def shown(found: tuple[Located, ...]) -> list[str]:
    return [f"{f.hop.transport} {f.hop.address}" for f in found]


CASES: dict[str, tuple[Zone, tuple[str, HopTransport | None], list[str], list[list[str]]]] = {
    # --- numeric hosts and ports: no more than that needs
    "numeric": ({}, ("192.0.2.1", None), ["udp 192.0.2.1:5060"], []),
    "numeric, port": ({}, ("192.0.2.1:5070", None), ["udp 192.0.2.1:5070"], []),
    "numeric, tcp": ({}, ("192.0.2.1", "tcp"), ["tcp 192.0.2.1:5060"], []),
    "numeric, tls": ({}, ("192.0.2.1", "tls"), ["tls 192.0.2.1:5061"], []),
    "numeric v6": ({}, ("[2001:db8::1]", None), ["udp [2001:db8::1]:5060"], []),
    "numeric v6, port": ({}, ("[2001:db8::1]:7", "tls"), ["tls [2001:db8::1]:7"], []),
    "port": (
        {"A example.org": "192.0.2.1", "AAAA example.org": "2001:db8::1"},
        ("example.org:5070", None),
        ["udp 192.0.2.1:5070", "udp [2001:db8::1]:5070"],
        [["A example.org", "AAAA example.org"]],
    ),
    "port, tls": (
        {"A example.org": "192.0.2.1"},
        ("example.org:5070", "tls"),
        ["tls 192.0.2.1:5070"],
        [["A example.org", "AAAA example.org"]],
    ),
    # --- transport given: SRV of that one
    "tcp, SRV": (
        {"SRV _sip._tcp.example.org": "1 1 5070 a.example.org", "A a.example.org": "192.0.2.1"},
        ("example.org", "tcp"),
        ["tcp 192.0.2.1:5070"],
        [["SRV _sip._tcp.example.org"], ["A a.example.org", "AAAA a.example.org"]],
    ),
    "udp, no SRV": (
        {"A example.org": "192.0.2.1"},
        ("example.org", "udp"),
        ["udp 192.0.2.1:5060"],
        [["SRV _sip._udp.example.org"], ["A example.org", "AAAA example.org"]],
    ),
    "tls, no SRV": (
        {"AAAA example.org": "2001:db8::1"},
        ("Example.ORG.", "tls"),
        ["tls [2001:db8::1]:5061"],
        [["SRV _sips._tcp.example.org"], ["A example.org", "AAAA example.org"]],
    ),
    # --- NAPTR
    "NAPTR, lowest order only": (
        {
            "NAPTR example.org": NAPTR,
            "SRV _sips._tcp.example.org": "1 1 5061 a.example.org",
            "SRV _sip._udp.example.org": "1 1 5060 a.example.org",
            "A a.example.org": "192.0.2.1",
        },
        ("example.org", None),
        ["tls 192.0.2.1:5061"],
        [
            ["NAPTR example.org"],
            ["SRV _sips._tcp.example.org"],
            ["A a.example.org", "AAAA a.example.org"],
        ],
    ),
    "NAPTR, the lowest order leads nowhere": (
        {
            "NAPTR example.org": NAPTR,
            "SRV _sips._tcp.example.org": SILENT,
            "SRV _sip._udp.example.org": "1 1 5060 a.example.org",
            "A a.example.org": "192.0.2.1",
        },
        ("example.org", None),
        ["udp 192.0.2.1:5060"],
        [
            ["NAPTR example.org"],
            ["SRV _sips._tcp.example.org"],
            ["SRV _sip._tcp.example.org"],
            ["SRV _sip._udp.example.org"],
            ["A a.example.org", "AAAA a.example.org"],
        ],
    ),
    "NAPTR, one order by preference, any case, another domain": (
        {
            "NAPTR example.org": """\
                10 20 "S" "sip+d2u" "" u.example.net.
                10 10 "s" "Sip+D2T" "" t.example.net.""",
            "SRV u.example.net": "1 1 5060 a.example.net",
            "SRV t.example.net": "1 1 5062 a.example.net",
            "A a.example.net": "192.0.2.1",
        },
        ("example.org", None),
        ["tcp 192.0.2.1:5062", "udp 192.0.2.1:5060"],
        [
            ["NAPTR example.org"],
            ["SRV t.example.net"],
            ["A a.example.net", "AAAA a.example.net"],
            ["SRV u.example.net"],
            ["A a.example.net", "AAAA a.example.net"],
        ],
    ),
    "NAPTR to addresses": (
        {
            "NAPTR example.org": '10 10 "a" "SIPS+D2T" "" a.example.org.',
            "A a.example.org": "192.0.2.1",
        },
        ("example.org", None),
        ["tls 192.0.2.1:5061"],
        [["NAPTR example.org"], ["A a.example.org", "AAAA a.example.org"]],
    ),
    "NAPTR to NAPTR": (
        {
            "NAPTR example.org": '10 10 "" "" "" sip.example.net.',
            "NAPTR sip.example.net": '10 10 "s" "SIP+D2U" "" _sip._udp.example.net.',
            "SRV _sip._udp.example.net": "1 1 5060 a.example.net",
            "A a.example.net": "192.0.2.1",
        },
        ("example.org", None),
        ["udp 192.0.2.1:5060"],
        [
            ["NAPTR example.org"],
            ["NAPTR sip.example.net"],
            ["SRV _sip._udp.example.net"],
            ["A a.example.net", "AAAA a.example.net"],
        ],
    ),
    # --- no NAPTR for SIP: SRV of every transport
    "others' NAPTR are nothing to us": (
        {
            "NAPTR example.org": """\
                10 10 "s" "AAA+D2T" "" _diameter._tcp.example.org.
                10 10 "u" "E2U+sip" "!^.*$!sip:a@b!" .""",
            "SRV _sip._udp.example.org": "1 1 5060 a.example.org",
            "A a.example.org": "192.0.2.1",
        },
        ("example.org", None),
        ["udp 192.0.2.1:5060"],
        [
            ["NAPTR example.org"],
            [f"SRV {s}.example.org" for s in ("_sips._tcp", "_sip._tcp", "_sip._udp")],
            ["A a.example.org", "AAAA a.example.org"],
        ],
    ),
    "SRV of all transports, the safest first": (
        {
            "SRV _sip._udp.example.org": "1 1 5060 a.example.org",
            "SRV _sip._tcp.example.org": "1 1 5060 a.example.org",
            "SRV _sips._tcp.example.org": "1 1 5061 a.example.org",
            "A a.example.org": "192.0.2.1",
        },
        ("example.org", None),
        ["tls 192.0.2.1:5061", "tcp 192.0.2.1:5060", "udp 192.0.2.1:5060"],
        [
            ["NAPTR example.org"],
            [f"SRV {s}.example.org" for s in ("_sips._tcp", "_sip._tcp", "_sip._udp")],
            *([["A a.example.org", "AAAA a.example.org"]] * 3),
        ],
    ),
    "NAPTR fails, SRV serves": (
        {
            "NAPTR example.org": Failed("no server knows"),
            "SRV _sip._tcp.example.org": "1 1 5060 a.example.org",
            "A a.example.org": "192.0.2.1",
        },
        ("example.org", None),
        ["tcp 192.0.2.1:5060"],
        [
            ["NAPTR example.org"],
            [f"SRV {s}.example.org" for s in ("_sips._tcp", "_sip._tcp", "_sip._udp")],
            ["A a.example.org", "AAAA a.example.org"],
        ],
    ),
    "nothing but an address": (
        {"A example.org": "192.0.2.1"},
        ("example.org", None),
        ["udp 192.0.2.1:5060"],
        [
            ["NAPTR example.org"],
            [f"SRV {s}.example.org" for s in ("_sips._tcp", "_sip._tcp", "_sip._udp")],
            ["A example.org", "AAAA example.org"],
        ],
    ),
    # --- SRV
    "targets by priority, asked for at once": (
        {
            "SRV _sip._udp.example.org": """\
                20 1 5060 b.example.org
                10 1 5070 a.example.org
                30 1 5080 a.example.org""",
            "A a.example.org": "192.0.2.1",
            "AAAA a.example.org": "2001:db8::1",
            "AAAA b.example.org": "2001:db8::2",
        },
        ("example.org", "udp"),
        [
            "udp 192.0.2.1:5070",
            "udp [2001:db8::1]:5070",
            "udp [2001:db8::2]:5060",
            "udp 192.0.2.1:5080",
            "udp [2001:db8::1]:5080",
        ],
        [
            ["SRV _sip._udp.example.org"],
            [f"{t} {n}.example.org" for n in "ab" for t in ("A", "AAAA")],
        ],
    ),
    "a target without address is passed over": (
        {
            "SRV _sip._udp.example.org": "1 1 5060 a.example.org\n2 1 5060 b.example.org",
            "A a.example.org": SILENT,
            "A b.example.org": "192.0.2.2",
        },
        ("example.org", "udp"),
        ["udp 192.0.2.2:5060"],
        [
            ["SRV _sip._udp.example.org"],
            [f"{t} {n}.example.org" for n in "ab" for t in ("A", "AAAA")],
        ],
    ),
    "one transport is not offered": (
        {
            "SRV _sips._tcp.example.org": "0 0 0 .",
            "SRV _sip._udp.example.org": "1 1 5060 a.example.org",
            "A a.example.org": "192.0.2.1",
        },
        ("example.org", None),
        ["udp 192.0.2.1:5060"],
        [
            ["NAPTR example.org"],
            [f"SRV {s}.example.org" for s in ("_sips._tcp", "_sip._tcp", "_sip._udp")],
            ["A a.example.org", "AAAA a.example.org"],
        ],
    ),
    "the same hop by two ways is one": (
        {
            "SRV _sip._udp.example.org": "1 1 5060 a.example.org\n2 1 5060 b.example.org",
            "A a.example.org": "192.0.2.1",
            "A b.example.org": "192.0.2.1",
        },
        ("example.org", "udp"),
        ["udp 192.0.2.1:5060"],
        [
            ["SRV _sip._udp.example.org"],
            [f"{t} {n}.example.org" for n in "ab" for t in ("A", "AAAA")],
        ],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_hops(case: str) -> None:
    zone, (place, transport), hops, batches = CASES[case]
    found, driven = located(zone, place, transport)
    assert shown(found) == hops
    assert driven.batches == batches


NOWHERE: dict[str, tuple[Zone, tuple[str, HopTransport | None], str]] = {
    "nothing at all": (
        {},
        ("example.org", None),
        "example.org cannot be located: NAPTR example.org: no such name; "
        "SRV _sips._tcp.example.org: no such name; SRV _sip._tcp.example.org: no such name; "
        "SRV _sip._udp.example.org: no such name; A example.org: no such name; "
        "AAAA example.org: no such name",
    ),
    "a port": (
        {"A example.org": SILENT, "AAAA example.org": Absent("no such record")},
        ("example.org:5070", "tcp"),
        "example.org:5070 cannot be located: A example.org: no answer in time; "
        "AAAA example.org: no such record",
    ),
    "SRV cannot be asked for, and an address is no answer to that": (
        {"SRV _sip._udp.example.org": SILENT, "A example.org": "192.0.2.1"},
        ("example.org", "udp"),
        "example.org cannot be located: SRV _sip._udp.example.org: no answer in time",
    ),
    "one of three SRV cannot be asked for": (
        {"SRV _sip._tcp.example.org": SILENT, "A example.org": "192.0.2.1"},
        ("example.org", None),
        "example.org cannot be located: NAPTR example.org: no such name; "
        "SRV _sips._tcp.example.org: no such name; SRV _sip._tcp.example.org: no answer in time; "
        "SRV _sip._udp.example.org: no such name",
    ),
    "SRV says no": (
        {"SRV _sip._udp.example.org": "0 0 0 .", "A example.org": "192.0.2.1"},
        ("example.org", "udp"),
        "example.org cannot be located: SRV _sip._udp.example.org: the service is not offered",
    ),
    "SRV says no to any transport": (
        {
            "SRV _sips._tcp.example.org": "0 0 0 .",
            "SRV _sip._tcp.example.org": "0 0 0 .",
            "SRV _sip._udp.example.org": "0 0 5060 .",
            "A example.org": "192.0.2.1",
        },
        ("example.org", None),
        "example.org cannot be located: NAPTR example.org: no such name; "
        "SRV _sips._tcp.example.org: the service is not offered; "
        "SRV _sip._tcp.example.org: the service is not offered; "
        "SRV _sip._udp.example.org: the service is not offered",
    ),
    "NAPTR names what we do not speak": (
        {
            "NAPTR example.org": '1 1 "s" "SIP+D2S" "" _sip._sctp.example.org.',
            "A example.org": "192.0.2.1",
        },
        ("example.org", None),
        'example.org cannot be located: NAPTR example.org: 1 1 "s" "SIP+D2S" "" '
        "_sip._sctp.example.org: nothing we speak",
    ),
    "NAPTR with a regexp": (
        {"NAPTR example.org": '1 1 "s" "SIP+D2U" "!.*!x!" .'},
        ("example.org", None),
        'example.org cannot be located: NAPTR example.org: 1 1 "s" "SIP+D2U" "!.*!x!" .: '
        "a rule for SIP has a replacement and no regexp",
    ),
    "NAPTR with flags of elsewhere": (
        {"NAPTR example.org": '1 1 "u" "SIP+D2U" "" a.example.org.'},
        ("example.org", None),
        'example.org cannot be located: NAPTR example.org: 1 1 "u" "SIP+D2U" "" a.example.org: '
        "flags 'u' do not lead to a server",
    ),
    "NAPTR to itself": (
        {"NAPTR example.org": '1 1 "" "" "" example.org.'},
        ("example.org", None),
        "example.org cannot be located: NAPTR example.org: a loop, example.org to example.org",
    ),
    "NAPTR in a loop": (
        {
            "NAPTR example.org": '1 1 "" "SIP+D2U" "" b.example.org.',
            "NAPTR b.example.org": '1 1 "" "" "" c.example.org.',
            "NAPTR c.example.org": '1 1 "" "" "" b.example.org.',
        },
        ("example.org", None),
        "example.org cannot be located: NAPTR b.example.org: a loop, "
        "example.org to b.example.org to c.example.org to b.example.org",
    ),
    "NAPTR to a name without": (
        {"NAPTR example.org": '1 1 "" "" "" b.example.org.', "A example.org": "192.0.2.1"},
        ("example.org", None),
        "example.org cannot be located: NAPTR b.example.org: no such name",
    ),
    "a CNAME loop": (
        {"A example.org": Failed("a CNAME loop, example.org to b to example.org")},
        ("example.org:5060", None),
        "example.org:5060 cannot be located: A example.org: a CNAME loop, "
        "example.org to b to example.org; AAAA example.org: no such name",
    ),
    "no place": (
        {},
        ("exa mple", None),
        "not a place: 'exa mple'; right are sip.example.org, sip.example.org:5070, "
        "203.0.113.5, [2001:db8::1]:5061",
    ),
}


@pytest.mark.parametrize("case", NOWHERE)
def test_nowhere(case: str) -> None:
    zone, (place, transport), said = NOWHERE[case]
    with pytest.raises(Unlocatable) as told:
        located(zone, place, transport)
    assert str(told.value) == said


def test_the_name_is_the_one_that_was_asked_about() -> None:
    """A certificate has to bear the domain, not what an unsigned SRV record says (RFC 5922)."""
    zone = {
        "SRV _sips._tcp.example.org": "1 1 5061 a.example.net",
        "A a.example.net": "192.0.2.1",
    }
    (found,), _ = located(zone, "Example.org", "tls")
    assert found.hop.name == "example.org"
    assert found.hop.flow == "to:tls:192.0.2.1:5061:example.org"
    (numeric,), _ = located({}, "192.0.2.1", "tls")
    assert numeric.hop.name == ""


def test_what_led_to_a_hop() -> None:
    zone = {
        "NAPTR example.org": NAPTR,
        "SRV _sips._tcp.example.org": "1 2 5061 a.example.org",
        "A a.example.org": "192.0.2.1",
    }
    (found,), _ = located(zone, "example.org")
    assert found.led == (
        'NAPTR example.org: 50 50 "s" "SIPS+D2T" "" _sips._tcp.example.org',
        "SRV _sips._tcp.example.org: 1 2 5061 a.example.org",
        "A a.example.org: 192.0.2.1",
    )
    (found,), _ = located({"A example.org": "192.0.2.1"}, "example.org")
    assert found.led == ("NAPTR example.org: no such name", "no SRV", "A example.org: 192.0.2.1")


@pytest.mark.parametrize(
    ("families", "hops", "asked"),
    [
        (("ipv4",), ["udp 192.0.2.1:5070"], ["A example.org"]),
        (("ipv6",), ["udp [2001:db8::1]:5070"], ["AAAA example.org"]),
        (
            ("ipv6", "ipv4"),
            ["udp [2001:db8::1]:5070", "udp 192.0.2.1:5070"],
            ["AAAA example.org", "A example.org"],
        ),
    ],
)
def test_families(families: tuple[Family, ...], hops: list[str], asked: list[str]) -> None:
    zone = {"A example.org": "192.0.2.1", "AAAA example.org": "2001:db8::1"}
    found, driven = located(zone, "example.org:5070", families=families)
    assert (shown(found), driven.asked) == (hops, asked)


def test_a_numeric_place_of_a_family_that_we_lack() -> None:
    with pytest.raises(Unlocatable, match=r"^\[::1\] cannot be used: dns\.families lacks ipv6$"):
        located({}, "[::1]", families=("ipv4",))
    with pytest.raises(Unlocatable, match=r"^192\.0\.2\.1 cannot .* lacks ipv4$"):
        located({}, "192.0.2.1", families=("ipv6",))


def test_transports_that_we_lack_are_neither_asked_for_nor_used() -> None:
    zone = {"NAPTR example.org": NAPTR, "SRV _sip._udp.example.org": "1 1 5060 a.example.org"}
    zone["A a.example.org"] = "192.0.2.1"
    found, _ = located(zone, "example.org", transports=("udp",))
    assert shown(found) == ["udp 192.0.2.1:5060"]
    del zone["NAPTR example.org"]
    found, driven = located(zone, "example.org", transports=("tcp", "udp"))
    assert shown(found) == ["udp 192.0.2.1:5060"]
    assert driven.batches[1] == ["SRV _sip._tcp.example.org", "SRV _sip._udp.example.org"]


def test_addresses_of_one_name_take_turns() -> None:
    addresses = [f"192.0.2.{n}" for n in range(1, 5)]
    zone = {"A example.org": "\n".join(addresses)}
    first = {shown(located(zone, "example.org:5060", seed=seed)[0])[0] for seed in range(60)}
    assert first == {f"udp {a}:5060" for a in addresses}


def test_hops_and_lookups_are_bounded() -> None:
    many: dict[str, str | Answer] = {}
    names = [f"t{n}.example.org" for n in range(100)]
    many["SRV _sip._udp.example.org"] = Found(
        tuple(SrvRecord(at, 1, 5060, name) for at, name in enumerate(names))
    )
    for at, name in enumerate(names):
        many[f"A {name}"] = Found(tuple(AddressRecord(f"10.0.{at}.{n}") for n in range(1, 4)))
    found, driven = located(many, "example.org", "udp")
    assert len(found) == MOST_HOPS
    assert {f.hop.address.host.split(".")[2] for f in found} == {"0", "1", "2", "3", "4", "5"}
    assert len(driven.asked) <= MOST_LOOKUPS

    rules = "\n".join(f'1 {n} "s" "SIP+D2U" "" s{n}.example.org.' for n in range(100))
    with pytest.raises(
        Unlocatable, match=f"located: given up after {MOST_LOOKUPS} lookups; "
    ) as told:
        located({"NAPTR example.org": rules}, "example.org")
    assert len(str(told.value)) < 1100

    chain = {f"NAPTR n{n}.example.org": f'1 1 "" "" "" n{n + 1}.example.org.' for n in range(1000)}
    with pytest.raises(Unlocatable):
        located(chain, "n0.example.org")

    # each rule leads to all the others: the number of ways must not count
    web = "\n".join(f'1 1 "" "" "" n{n}.example.org.' for n in range(30))
    driven = Driven({f"NAPTR n{n}.example.org": web for n in range(30)})
    with pytest.raises(Unlocatable):
        driven.run(locating("n0.example.org", families=BOTH, chance=random.Random(1)))
    assert len(driven.asked) <= MOST_LOOKUPS


_names = st.sampled_from(["example.org", "a.example.org", "_sip._udp.example.org", ""])
_naptr = st.builds(
    '{} {} "{}" "{}" "{}" {}.'.format,
    *(st.integers(0, 3), st.integers(0, 3), st.sampled_from(["", "s", "a", "u", "x"])),
    st.sampled_from(["", "SIP+D2U", "SIPS+D2T", "SIP+D2S", "E2U+sip"]),
    *(st.sampled_from(["", "!.*!x!"]), _names),
)
_srv = st.builds(
    "{} {} {} {}.".format, st.integers(0, 2), st.integers(0, 3), st.integers(0, 9), _names
)


def _answers(records: st.SearchStrategy[str]) -> st.SearchStrategy[str | Answer]:
    return st.one_of(
        st.lists(records, min_size=1, max_size=4).map("\n".join),
        st.sampled_from([Absent("none"), SILENT]),
    )


@given(
    st.fixed_dictionaries(
        {},
        optional={
            **{f"NAPTR {n}": _answers(_naptr) for n in ("example.org", "a.example.org")},
            **{
                f"SRV {n}": _answers(_srv)
                for n in ("_sip._udp.example.org", "_sips._tcp.example.org", "a.example.org")
            },
            **{f"A {n}": _answers(st.just("192.0.2.1")) for n in ("example.org", "a.example.org")},
        },
    ),
    st.sampled_from(["example.org", "a.example.org", "example.org:5070"]),
    st.sampled_from([None, "udp", "tcp", "tls"]),
    st.integers(),
)
def test_any_zone_ends_in_hops_or_an_account(
    zone: Zone, place: str, transport: HopTransport | None, seed: int
) -> None:
    try:
        found, driven = located(zone, place, transport, seed=seed)
    except Unlocatable as e:
        assert "cannot be located: " in str(e)
        assert not str(e).endswith(": ")
        return
    assert 0 < len(found) <= MOST_HOPS
    assert len({f.hop for f in found}) == len(found)
    assert len(driven.asked) <= MOST_LOOKUPS
    assert all(f.hop.address.port and f.hop.name in place for f in found)
    if transport is not None:
        assert {f.hop.transport for f in found} == {transport}
