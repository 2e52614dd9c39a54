"""Whom an address means."""

from __future__ import annotations

import pytest

from gateway.routing.targets import NoRoute, resolve
from gateway.values import ServiceAddress, SipAddress, UserAddress, parse_address


@pytest.mark.parametrize(
    ("to", "target"),
    [
        ("user:bob", UserAddress("bob")),
        ("service:echo", ServiceAddress("echo")),
        ("sip:1001@dm.localhost", SipAddress("1001", "dm.localhost")),
        ("sip:1001@DM.LocalHost", SipAddress("1001", "dm.localhost")),
        ("sip:bob@dm.localhost", UserAddress("bob")),
        ("sip:echo@dm.localhost", ServiceAddress("echo")),
        ("sip:bob@example.org", NoRoute("a foreign domain")),
        ("sip:1001@dm.localhost.example.org", NoRoute("a foreign domain")),
        ("sip:b%20b@dm.localhost", NoRoute("no such name")),
        ("tel:+14155550123", NoRoute("no route for telephone numbers")),
    ],
)
def test_resolve(to: str, target: object) -> None:
    def is_account(aor: SipAddress) -> bool:
        return aor == SipAddress("1001", "dm.localhost")

    assert resolve(parse_address(to), "dm.localhost", is_account) == target
