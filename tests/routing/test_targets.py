"""Whom an address means."""

from __future__ import annotations

import pytest

from gateway.routing.targets import NoRoute, dialled, resolve
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

    assert resolve(parse_address(to), "dm.localhost", is_account, lambda _handle: False) == target


# --- a number that is dialled -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "digits"),
    [
        ("tel:+14155550123", "+14155550123"),
        ("sip:0301234567@dm.localhost", "0301234567"),
        ("sip:0301234567@DM.Localhost", "0301234567"),
        ("sip:+49301234567@dm.localhost", "+49301234567"),
        ("sip:%2B49-30-1234567@dm.localhost", "+49301234567"),
        ("sip:0301234567;phone-context=+49@dm.localhost", "+490301234567"),
        ("sip:112@dm.localhost", "112"),
        ("sip:1003@dm.localhost", "1003"),
        # an account, a person or a service of that name wins
        ("sip:1001@dm.localhost", None),
        ("sip:2024@dm.localhost", None),
        ("sip:echo@dm.localhost", None),
        # what is no number, and what is not ours
        ("sip:bob@dm.localhost", None),
        ("sip:4you@dm.localhost", None),
        ("sip:0301234567@example.org", None),
        ("user:0301234567", None),
        ("service:echo", None),
    ],
)
def test_what_is_dialled(to: str, digits: str | None) -> None:
    def is_account(aor: SipAddress) -> bool:
        return aor == SipAddress("1001", "dm.localhost")

    def is_user(handle: str) -> bool:
        return handle == "2024"

    found = dialled(parse_address(to), "dm.localhost", is_account, is_user)
    assert (found and found.full) == digits
