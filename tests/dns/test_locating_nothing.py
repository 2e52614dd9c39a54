"""RFC 3263 §4 without DNS, where it goes wrong: what is said, and that everything has an end."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Unlocatable
from gateway.sip.locating import MOST_HOPS, MOST_LOOKUPS, HopTransport, locating
from gateway.sip.records import Absent, AddressRecord, Answer, Failed, Found, SrvRecord
from tests.dns.rules import BOTH, SILENT, Driven, Zone, located

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
