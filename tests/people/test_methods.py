"""Requests about settings, contacts and blocks, as clients send them."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from gateway.app.rpc import result
from tests.people.scene import NOW, Scene

DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
UNSET: dict[str, Any] = {
    "allow_from": "everyone",
    "allow_phone": True,
    "quiet_hours": [],
    "timezone": "UTC",
    "quiet_breakthrough": "favourites",
    "ring_seconds": 45,
    "do_not_disturb": False,
}


@pytest_twisted.ensureDeferred
async def test_settings(scene: Scene) -> None:
    assert await scene.ask("alice", "settings.get") == UNSET
    night = {"from": "22:00", "to": "07:00"}
    changed = await scene.ask(
        "alice", "settings.set", quiet_hours=[night], timezone="Europe/Berlin", allow_from=None
    )
    expected = {**UNSET, "timezone": "Europe/Berlin", "quiet_hours": [{"days": DAYS, **night}]}
    assert changed == expected
    more = {"do_not_disturb": True, "allow_phone": False, "ring_seconds": 10}
    more |= {"allow_from": "contacts", "quiet_breakthrough": "nobody"}
    assert await scene.ask("alice", "settings.set", **more) == {**expected, **more}
    assert await scene.ask("alice", "settings.get") == {**expected, **more}
    assert await scene.ask("alice", "settings.set", quiet_hours=[]) == {
        **expected,
        **more,
        "quiet_hours": [],
    }
    assert await scene.ask("bob", "settings.get") == UNSET


@pytest.mark.parametrize(
    ("params", "field", "problem"),
    [
        ({"allow_from": "friends"}, "allow_from", "Input should be 'everyone', 'contacts'"),
        ({"allow_phone": 1}, "allow_phone", "valid boolean"),
        ({"ring_seconds": 9}, "ring_seconds", "greater than or equal to 10"),
        ({"ring_seconds": 61}, "ring_seconds", "less than or equal to 60"),
        ({"ring_seconds": 20.5}, "ring_seconds", "valid integer"),
        ({"timezone": "Berlin"}, "timezone", "is no time zone; right is Europe/Berlin"),
        ({"timezone": "../../etc/passwd"}, "timezone", "is no time zone"),
        ({"timezone": 1}, "timezone", "is no time zone"),
        ({"quiet_hours": {}}, "quiet_hours", "valid list"),
        ({"quiet_hours": [{"from": "22:00"}]}, "quiet_hours.0.to", "is missing"),
        ({"quiet_hours": [{"from": "9am", "to": "10:00"}]}, "quiet_hours.0.from", "time of day"),
        ({"quiet_hours": [{"from": "10:00", "to": "10:00"}]}, "quiet_hours.0", "are the same"),
        ({"quiet_hours": [{"from": "24:00", "to": "10:00"}]}, "quiet_hours.0", "are the same"),
        (
            {"quiet_hours": [{"days": ["mon", "mon"], "from": "1:00", "to": "2:00"}]},
            "quiet_hours.0.days",
            "a day is there twice",
        ),
        (
            {"quiet_hours": [{"days": [], "from": "1:00", "to": "2:00"}]},
            "quiet_hours.0.days",
            "at least 1",
        ),
        (
            {"quiet_hours": [{"from": "1:00", "to": "2:00", "tz": "UTC"}]},
            "quiet_hours.0.tz",
            "no such member",
        ),
        ({"quiet_hours": [{"from": "1:00", "to": "2:00"}] * 22}, "quiet_hours", "at most 21"),
        ({"dnd": True}, "dnd", "no such member"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_settings_that_are_not_taken(
    scene: Scene, params: dict[str, Any], field: str, problem: str
) -> None:
    code, errors = await scene.ask("alice", "settings.set", **params)
    assert code == -32602
    assert list(errors) == [field]
    assert problem in errors[field]
    assert await scene.ask("alice", "settings.get") == UNSET


@pytest_twisted.ensureDeferred
async def test_contacts(scene: Scene) -> None:
    for address, name, favourite in (
        ("user:bob", "Bob", True),
        ("tel:+4930901820", "Fire brigade", False),
    ):
        given = {"address": address, "name": name, "favourite": favourite}
        assert await scene.ask("alice", "contacts.put", **given) == {}
    assert await scene.ask("alice", "contacts.put", address="user:bob", name="Bobby") == {}
    assert await scene.ask("alice", "contacts.list") == {
        "contacts": [
            {"address": "tel:+4930901820", "name": "Fire brigade", "favourite": False},
            {"address": "user:bob", "name": "Bobby", "favourite": False},
        ]
    }
    assert await scene.ask("bob", "contacts.list") == {"contacts": []}
    removed = await scene.ask("alice", "contacts.remove", address="user:bob")
    assert removed == {"removed": True}
    removed = await scene.ask("alice", "contacts.remove", address="user:bob")
    assert removed == {"removed": False}


@pytest_twisted.ensureDeferred
async def test_blocks(scene: Scene) -> None:
    for _ in range(2):
        assert await scene.ask("alice", "blocks.add", who="tel:+4930901820") == {}
    listed = await scene.ask("alice", "blocks.list")
    assert listed == {"blocks": [{"who": "tel:+4930901820", "since": NOW}]}
    for removed in (True, False):
        answer = await scene.ask("alice", "blocks.remove", who="tel:+4930901820")
        assert answer == {"removed": removed}


@pytest.mark.parametrize(
    ("method", "params", "field", "problem"),
    [
        ("contacts.put", {}, "address", "is missing"),
        ("contacts.put", {"address": "bob"}, "address", "not an address"),
        ("contacts.put", {"address": "service:echo"}, "address", "is a service"),
        ("contacts.put", {"address": "user:alice"}, "address", "is your own"),
        ("contacts.put", {"address": "sip:1001@dm.localhost"}, "address", "is your own"),
        ("contacts.put", {"address": "user:bob", "name": "x" * 101}, "name", "at most 100"),
        ("contacts.put", {"address": "user:bob", "name": "x\n"}, "name", "control characters"),
        ("contacts.put", {"address": "user:bob", "favourite": 1}, "favourite", "valid boolean"),
        ("contacts.remove", {"address": 7}, "address", "must be a string"),
        ("contacts.list", {"limit": 101}, "limit", "less than or equal to 100"),
        ("contacts.list", {"after": ""}, "after", "at least 1"),
        ("blocks.add", {"who": "service:dial-in"}, "who", "is a service"),
        ("blocks.add", {"who": "user:alice"}, "who", "is your own"),
        ("blocks.add", {"address": "user:bob"}, "who", "is missing"),
        ("blocks.remove", {"who": ""}, "who", "not an address"),
        ("blocks.list", {"limit": 0}, "limit", "greater than or equal to 1"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_not_taken(
    scene: Scene, method: str, params: dict[str, Any], field: str, problem: str
) -> None:
    code, errors = await scene.ask("alice", method, **params)
    assert code == -32602
    assert problem in errors[field]


@pytest_twisted.ensureDeferred
async def test_the_longest_page_fits_in_a_frame(scene: Scene) -> None:
    for number in range(100):
        address = f"sip:{number:03}{'x' * 125}@{'h' * 253}"
        given = {"address": address, "name": "\N{GRINNING FACE}" * 100, "favourite": True}
        assert await scene.ask("alice", "contacts.put", **given) == {}
    page = await scene.ask("alice", "contacts.list")
    assert len(page["contacts"]) < 100
    assert len(result(None, page).encode()) < 65_536
    rest = await scene.ask("alice", "contacts.list", after=page["next"])
    assert len(page["contacts"]) + len(rest["contacts"]) == 100
