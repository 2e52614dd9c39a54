"""The rules of RFC 3263, RFC 2782 and RFC 6116 by themselves."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sip.errors import SipSyntaxError
from gateway.sip.locating import (
    Naptr,
    Srv,
    chosen,
    enum_domain,
    enum_uri,
    in_order,
    read_place,
)


def test_weights_are_kept_to() -> None:
    records = [Srv(1, 3, 5060, "a"), Srv(1, 1, 5060, "b"), Srv(1, 0, 5060, "c")]
    chance = random.Random(7)  # of a test
    first = Counter(in_order(records, chance.random)[0].target for _ in range(8000))
    assert 0.72 < first["a"] / 8000 < 0.78
    assert 0.22 < first["b"] / 8000 < 0.28
    assert first["c"] < 200


def test_priority_comes_before_weight_and_a_dot_is_nobody() -> None:
    records = [Srv(2, 100, 1, "late"), Srv(1, 0, 2, "early"), Srv(0, 5, 3, ".")]
    assert [r.target for r in in_order(records, lambda: 1.0)] == ["early", "late"]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), max_size=12),
    st.floats(0, 1),
)
def test_everyone_is_there_once(kinds: list[tuple[int, int]], drawn: float) -> None:
    records = [Srv(p, w, n, f"h{n}") for n, (p, w) in enumerate(kinds)]
    out = in_order(records, lambda: drawn)
    assert sorted(out, key=lambda r: r.port) == records
    assert [r.priority for r in out] == sorted(r.priority for r in records)


def test_of_naptr_what_can_be_spoken_in_its_order() -> None:
    records = [
        Naptr(20, 1, "s", "SIP+D2T", "", "_sip._tcp.x."),
        Naptr(10, 2, "S", "SIP+D2U", "", "_sip._udp.x."),
        Naptr(10, 1, "s", "sips+d2t", "", "_sips._tcp.x."),
        Naptr(1, 1, "u", "E2U+sip", "!^.*$!sip:x!", "."),
        Naptr(1, 1, "s", "SIP+D2S", "", "_sip._sctp.x."),
    ]
    assert [t for t, _ in chosen(records)] == ["tls", "udp", "tcp"]


@pytest.mark.parametrize("text", ["", "a:b", "a:99999", "1.2.3", "[::1", "300.1.1.1", "a b"])
def test_no_place(text: str) -> None:
    with pytest.raises(SipSyntaxError):
        read_place(text)


def test_enum_names() -> None:
    assert enum_domain("+4930123", "e164.arpa") == "3.2.1.0.3.9.4.e164.arpa"


@pytest.mark.parametrize(
    ("regexp", "uri"),
    [
        ("!^.*$!sip:info@example.org!", "sip:info@example.org"),
        (r"!^\+49(.*)$!sip:\1@example.org!", "sip:30123@example.org"),
        (r"!^\+4930123$!sip:x@example.org!i", "sip:x@example.org"),
        (r"!^\+4930$!sip:x@example.org!", None),
        (r"!^\+1(.*)$!sip:\1@example.org!", None),
        ("!^(a+)+$!sip:x@example.org!", None),
        ("!^.*$!mailto:x@example.org!", None),
        ("!^.*!sip:x@example.org!", None),
        ("!x!", None),
        ("", None),
    ],
)
def test_enum_patterns(regexp: str, uri: str | None) -> None:
    assert enum_uri(Naptr(1, 1, "u", "E2U+sip", regexp, "."), "+4930123") == uri


@given(st.text(max_size=320))
def test_no_pattern_breaks_it(regexp: str) -> None:
    enum_uri(Naptr(1, 1, "u", "E2U+sip", regexp, "."), "+4930123")


@given(st.text(max_size=80))
def test_no_place_breaks_it(text: str) -> None:
    with suppress(SipSyntaxError):
        read_place(text)
