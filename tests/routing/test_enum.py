"""What DNS may choose among our trunks."""

from __future__ import annotations

import pytest

from gateway.routing.enum import EnumWay, domain_of, domains_of, enum_ways
from gateway.settings import Trunk

DOMAINS = {"carrier.example": "main", "192.0.2.7": "spare"}
NUMBER = "+4930901820"


@pytest.mark.parametrize(
    ("uri", "way", "why"),
    [
        (f"sip:{NUMBER}@carrier.example", EnumWay("main", NUMBER), "is trunk main"),
        (f"sip:{NUMBER}@CARRIER.example;user=phone", EnumWay("main", NUMBER), "is trunk main"),
        (f"sip:{NUMBER};npdi@192.0.2.7:5070", EnumWay("spare", NUMBER), "is trunk spare"),
        ("sip:+33142685300@carrier.example", EnumWay("main", "+33142685300"), "is trunk main"),
        (f"sip:{NUMBER}@stranger.example", None, "is at the domain of no trunk"),
        (f"sip:{NUMBER}@127.0.0.1", None, "is at the domain of no trunk"),
        (f"sip:{NUMBER}@carrier.example.stranger.example", None, "is at the domain of no trunk"),
        ("sip:alice@carrier.example", None, "names no number"),
        ("sip:carrier.example", None, "names no number"),
        (f"tel:{NUMBER}", None, "is no SIP URI"),
        ("sip:@@", None, "cannot be read"),
    ],
)
def test_what_a_uri_says(uri: str, way: EnumWay | None, why: str) -> None:
    ways, (step,) = enum_ways([uri], DOMAINS)
    assert ways == (() if way is None else (way,))
    assert (step.stage, step.matched, step.text) == ("enum", way is not None, f"{uri} {why}")


def test_in_the_order_of_dns_each_once() -> None:
    uris = [f"sip:{NUMBER}@192.0.2.7", f"sip:{NUMBER}@nobody.example"]
    uris += [f"sip:{NUMBER}@carrier.example", f"sip:{NUMBER}@192.0.2.7"]
    ways, steps = enum_ways(uris, DOMAINS)
    assert [w.trunk for w in ways] == ["spare", "main"]
    assert len(steps) == 4


def test_domains_of_trunks() -> None:
    trunks = [
        Trunk.model_validate({"name": name, "address": address, **more})
        for name, address, more in (
            ("a", "sip.Carrier.example:5070", {}),
            ("b", "192.0.2.7", {"domain": "ours.example"}),
            ("c", "[2001:db8::1]:5060", {}),
            ("d", "ours.example", {}),
        )
    ]
    found = domains_of(trunks)
    assert found == {"sip.carrier.example": "a", "ours.example": "b", "[2001:db8::1]": "c"}
    assert domain_of(trunks[2]) == "[2001:db8::1]"
