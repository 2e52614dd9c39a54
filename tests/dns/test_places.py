"""Places: what is read from them, and what is none."""

from __future__ import annotations

import ipaddress
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.settings.kinds import _known_place
from gateway.sip.errors import SipSyntaxError
from gateway.sip.places import LONGEST_NAME, Place, parse_place

LONG = ".".join(["a" * 63] * 3 + ["b" * 61])


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("sip.example.org", Place("sip.example.org")),
        ("SIP.Example.ORG", Place("sip.example.org")),
        ("sip.example.org.", Place("sip.example.org")),
        ("sip.example.org:5070", Place("sip.example.org", 5070)),
        ("sip.example.org.:5070", Place("sip.example.org", 5070)),
        ("localhost", Place("localhost")),
        ("a_b.example.org", Place("a_b.example.org")),
        ("xn--bcher-kva.example", Place("xn--bcher-kva.example")),
        ("3com.example", Place("3com.example")),
        ("1.2.3.4.example", Place("1.2.3.4.example")),
        ("203.0.113.5", Place("203.0.113.5", None, True)),
        ("203.0.113.5:5061", Place("203.0.113.5", 5061, True)),
        ("[2001:db8::1]", Place("2001:db8::1", None, True)),
        ("[2001:DB8:0:0::1]:5061", Place("2001:db8::1", 5061, True)),
        ("[::ffff:192.0.2.1]", Place("::ffff:c000:201", None, True)),
        ("example.org:1", Place("example.org", 1)),
        ("example.org:65535", Place("example.org", 65535)),
        ("example.org:05060", Place("example.org", 5060)),
        (LONG, Place(LONG)),
    ],
)
def test_places(text: str, place: Place) -> None:
    read = parse_place(text)
    assert (read.host, read.port, read.numeric) == (place.host, place.port, place.numeric)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", ":", ":5060", "example.org:", "example.org:0", "example.org:65536"),
        *("example.org:99999999", "example.org:+5", "example.org:5060:5061", "example.org: 5060"),
        *("exa mple.org", "-a.example.org", "a-.example.org", "a..example.org", ".example.org"),
        *("ex\u00e4mple.org", "example.org\n", "example.org\x00", "sip:example.org", "a@b.org"),
        *("256.0.0.1", "1.2.3", "1.2.3.4.5", "010.0.0.1", "1234", "0x7f000001.1"),
        *("2001:db8::1", "[2001:db8::1", "2001:db8::1]", "[]", "[::1]x", "[fe80::1%eth0]"),
        *("[203.0.113.5]", "[example.org]", "[[::1]]", "..", "example.org:\u0665"),
        "a" * 64 + ".example.org",
        LONG + "bb",
        "a." * 200,
    ],
)
def test_no_places(text: str) -> None:
    with pytest.raises(SipSyntaxError, match=r"^not a place: .*; right are sip\.example\.org"):
        parse_place(text)


@given(st.text(max_size=400))
@example("[::]:1")
def test_whatever_is_read_is_a_place(text: str) -> None:
    try:
        place = parse_place(text)
    except SipSyntaxError as e:
        assert len(str(e)) < 600
        return
    assert 0 < len(place.host) <= LONGEST_NAME
    assert place.host == place.host.lower()
    if place.numeric:
        assert str(ipaddress.ip_address(place.host)) == place.host
    assert parse_place(str(place)) == place


_labels = st.text(string.ascii_letters + string.digits, min_size=1, max_size=10)
_names = st.builds(lambda parts: ".".join((*parts, "org")), st.lists(_labels, max_size=4))
_hosts = st.one_of(
    _names, st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(lambda a: f"[{a}]")
)


@given(_hosts, st.none() | st.integers(1, 65_535))
def test_what_the_settings_take_is_a_place(host: str, port: int | None) -> None:
    text = host if port is None else f"{host}:{port}"
    place = parse_place(_known_place(text))
    assert place.port == port
    assert place.numeric == (host.startswith("[") or host.replace(".", "").isdigit())
