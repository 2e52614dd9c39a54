"""RFC 3263 §4 without DNS: which questions, which hops, and what is said when there are none."""

from __future__ import annotations

import pytest

from gateway.errors import Unlocatable
from gateway.sip.locating import Family, HopTransport
from gateway.sip.records import Failed
from tests.dns.rules import SILENT, Zone, located, shown

NAPTR = """\
50 50 "s" "SIPS+D2T" "" _sips._tcp.example.org.
90 50 "s" "SIP+D2T" "" _sip._tcp.example.org.
100 50 "s" "SIP+D2U" "" _sip._udp.example.org."""


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
    zone: dict[str, str] = {
        "SRV _sip._udp.example.org": "1 1 5060 a.example.org\n2 1 5060 b.example.org",
        "A a.example.org": "192.0.2.1",
        "A b.example.org": "192.0.2.1",
    }
    (found,), _ = located(zone, "example.org", "udp")
    assert found.led[-1] == "A a.example.org: 192.0.2.1"
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
