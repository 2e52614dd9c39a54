"""Whose an address is, over every channel of a person."""

from __future__ import annotations

import pytest

from gateway.policy.identity import Identities
from gateway.values import parse_address
from tests.calls.outside import people_settings

SETTINGS = people_settings(
    sip={
        "domain": "dm.localhost",
        "accounts": [
            {"user": "1001", "password": "secret1001", "owner": "alice"},
            {"user": "1002", "password": "secret1002", "owner": "alice"},
            {"user": "1003", "password": "secret1003"},
            {"user": "1004", "password": "secret1004", "owner": "bob"},
        ],
    },
    routing={
        "caller_id": {
            "verified": {
                "user:alice": "+4930901821",
                "sip:1001@dm.localhost": "+4930901822",
                "user:bob": "+4930901829",
                "user:carol": "+4930901829",
                "sip:1003@dm.localhost": "+4930901823",
            }
        },
        "numbers": [
            {"number": "+4930901824", "to": "user:bob"},
            {"number": "+4930901825", "to": ["user:alice", "user:bob"]},
            {"number": "+4930901826", "to": "service:dial-in"},
            {"number": "+4930901827", "to": "sip:1002@dm.localhost"},
        ],
    },
)
WHOSE = Identities(SETTINGS)


@pytest.mark.parametrize(
    ("address", "person"),
    [
        ("user:alice", "user:alice"),
        ("user:nobody", "user:nobody"),
        ("sip:1001@dm.localhost", "user:alice"),
        ("sip:1001@DM.localhost", "user:alice"),
        ("sip:1001@elsewhere.example", "sip:1001@elsewhere.example"),
        ("sip:1003@dm.localhost", "sip:1003@dm.localhost"),
        ("sip:1004@dm.localhost", "user:bob"),
        ("sip:alice@dm.localhost", "user:alice"),
        ("sip:+4930901821@dm.localhost", "user:alice"),
        ("tel:+4930901821", "user:alice"),
        ("tel:+4930901822", "user:alice"),  # shown by an account of theirs
        ("tel:+4930901823", "sip:1003@dm.localhost"),
        ("tel:+4930901824", "user:bob"),
        ("tel:+4930901825", "tel:+4930901825"),  # a group's
        ("tel:+4930901826", "tel:+4930901826"),  # a service's
        ("tel:+4930901827", "user:alice"),
        ("tel:+4930901829", "tel:+4930901829"),  # two say that it is theirs
        ("tel:+4930000000", "tel:+4930000000"),
        ("service:echo", "service:echo"),
    ],
)
def test_whose_an_address_is(address: str, person: str) -> None:
    assert str(WHOSE.person(parse_address(address))) == person


def test_all_that_a_person_has() -> None:
    alice = {
        "user:alice",
        "sip:1001@dm.localhost",
        "sip:1002@dm.localhost",
        "tel:+4930901821",
        "tel:+4930901822",
        "tel:+4930901827",
    }
    for address in alice:
        found = WHOSE.of(parse_address(address))
        assert (found.handle, str(found.person)) == ("alice", "user:alice")
        assert len(found.addresses) == len(alice)
        assert set(map(str, found.addresses)) == alice
    stranger = WHOSE.of(parse_address("tel:+15005550006"))
    assert (stranger.handle, stranger.addresses) == (None, (stranger.person,))
    # by another name of theirs, which is no device
    assert "sip:alice@dm.localhost" in map(
        str, WHOSE.of(parse_address("sip:alice@dm.localhost")).addresses
    )


def test_a_trunk_cannot_speak_for_our_people() -> None:
    """Its From may say anything; numbers are what it is there for."""
    name = parse_address("sip:alice@dm.localhost")
    assert WHOSE.of(name, "carrier").person == name
    assert WHOSE.of(name, "carrier").handle is None
    assert WHOSE.of(parse_address("tel:+4930901821"), "carrier").handle == "alice"
