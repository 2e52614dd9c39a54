"""Calls that the callee is not to notice: for the caller as if nobody had answered."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from gateway.calls.ports import Forward
from gateway.calls.trunk_ports import Standing
from gateway.policy.people import Preferences
from gateway.policy.permission import FirstContact
from gateway.settings import RoutingSection, Trunk
from gateway.values import Hop, HostPort, LegEnd, LegId, Reason, parse_address
from tests.calls.outside import World, people_settings
from tests.calls.scene import app_to_app, incoming, invite

OWNED = people_settings(
    sip={"accounts": [{"user": "1002", "password": "secret1002", "owner": "bob"}]}
)


def blocking(world: World, silent: bool) -> None:
    world.book.set("user:bob", blocks=silent)


def seen_by_app(world: World, to: str, ends: str) -> list[Any]:
    """All that Alice's client is told, and when; the worker's view of her leg."""
    alice = world.person("alice")
    call = invite(world, alice, to)
    if to.startswith("sip:") and not world.book.people["user:bob"].blocks:
        world.clock.advance(0.085)
        world.legs.leg_ringing(LegId(f"{call}.2"), 180)
    else:
        world.clock.advance(0.085)
    world.clock.advance(20)
    if ends == "hangup":
        world.do(world.registry.hangup(alice, call))
    world.clock.advance(30)
    told = [(e.METHOD, e.params()) for who, e in world.told if who == "alice"]
    return [told, [line for line in world.log if "c1.1" in line]]


@pytest.mark.parametrize("ends", ["timeout", "hangup"])
@pytest.mark.parametrize("to", ["user:bob", "sip:1002@dm.localhost"])
def test_an_app_caller_sees_what_no_answer_shows(to: str, ends: str) -> None:
    seen = []
    for silent in (False, True):
        world = World(identities=OWNED)
        blocking(world, silent)
        bob = world.person("bob")
        world.softphone("1002", "sip:1002@127.0.0.1:5070")
        seen.append(seen_by_app(world, to, ends))
        noticed = bool(world.events(bob.id)) or any("open_sip_leg" in line for line in world.log)
        assert noticed is not silent
        assert any(line.startswith("seen") for line in world.metered) is not silent
        record = world.saved[-1]
        assert record.ringing_at is not None
        assert record.verdict == ("blocked" if silent else "allowed")
        unanswered = Reason.UNAVAILABLE if silent else Reason.NO_ANSWER
        assert record.reason is (unanswered if ends == "timeout" else Reason.CANCELLED)
        world.assert_clean()
    assert seen[0] == seen[1]
    reason = "no_answer" if ends == "timeout" else "cancelled"
    assert seen[1][0][-1][1]["reason"] == reason


@pytest.mark.parametrize("ends", ["timeout", "cancel"])
def test_a_sip_caller_sees_what_no_answer_shows(ends: str) -> None:
    seen = []
    for silent in (False, True):
        world = World()
        blocking(world, silent)
        world.person("bob")
        found = incoming(world)
        assert isinstance(found, Forward)
        world.legs.leg_incoming(found.leg)
        world.clock.advance(20)
        if ends == "cancel":
            world.legs.leg_closed(found.leg, LegEnd(487, "", remote=True))
        world.clock.advance(30)
        seen.append([line for line in world.log if "c1.1" in line])
        world.assert_clean()
    assert seen[0] == seen[1]
    assert "answer c1.1 180" in seen[1]
    assert ("close c1.1 480 None" in seen[1]) is (ends == "timeout")


ROUTING = RoutingSection.model_validate(
    {
        "routes": [{"name": "out", "prefix": "+", "trunks": ["carrier"]}],
        "caller_id": {"verified": {"user:bob": "+4930901820"}},
        "numbers": [
            {"number": "+4930901821", "to": ["user:bob", "user:carol"], "order": "in_turn"}
        ],
    }
)
CARRIER = Trunk.model_validate({"name": "carrier", "address": "192.0.2.1"})
MOBILE = people_settings(routing=ROUTING.model_dump(by_alias=True, include={"caller_id"}))


def test_a_telephone_of_theirs_is_not_called() -> None:
    world = World(ROUTING, (CARRIER,), MOBILE)
    hop = Hop("udp", HostPort("192.0.2.1", 5060))
    world.carriers.standing["carrier"] = Standing(good=(hop,))
    alice = world.person("alice")
    blocking(world, True)
    invite(world, alice, "tel:+4930901820")
    assert world.events("alice") == ["call.media"]  # as long as a carrier takes
    world.clock.advance(2.1)
    assert world.events("alice")[-1] == "call.ringing"
    assert not any("open_sip_leg" in line for line in world.log)
    assert not world.carriers.told
    world.clock.advance(43)
    assert world.last("alice")["reason"] == "no_answer"
    world.assert_clean()
    blocking(world, False)
    invite(world, alice, "tel:+4930901820")
    assert any("open_sip_leg" in line for line in world.log)


def test_one_who_is_silent_has_their_turn() -> None:
    """Or the next one would ring at once, and tell."""
    turns = []
    for silent in (False, True):
        world = World(ROUTING)
        blocking(world, silent)
        bob, carol = world.person("bob"), world.person("carol")
        invite(world, world.person("alice"), "tel:+4930901821")
        assert bool(world.events(bob.id)) is not silent
        assert not world.events(carol.id)
        while not world.events(carol.id):
            world.clock.advance(0.5)
        turns.append(world.clock.seconds())
        world.clock.advance(60)
        assert world.last("alice")["reason"] == "no_answer"
        world.assert_clean()
    assert turns[0] == turns[1] == 22.5


def test_a_callee_who_cannot_be_reached_is_so_for_all() -> None:
    for silent in (False, True):
        world = World()
        blocking(world, silent)
        alice = world.person("alice")
        invite(world, alice, "user:bob")
        assert world.events("alice") == ["call.ended"]
        assert world.last("alice")["reason"] == "unreachable"
        world.assert_clean()


def test_when_the_last_client_leaves_the_call_ends_as_it_would() -> None:
    seen = []
    for silent in (False, True):
        world = World()
        blocking(world, silent)
        alice, bob = world.person("alice"), world.person("bob")
        invite(world, alice, "user:bob")
        second = world.person("bob", "bob2")
        world.registry.client_joined(second)
        for gone in (bob, second):
            world.registry.client_gone(gone.id)
        seen.append([(e.METHOD, e.params()) for who, e in world.told if who == "alice"])
        world.assert_clean()
    assert seen[0] == seen[1]
    assert seen[1][-1][1]["reason"] == "network_lost"


def test_a_blocked_caller_cannot_keep_the_line_busy() -> None:
    world = World(calls_per_user=1)
    world.book.set("user:bob", blocks=True)
    world.person("bob")
    call = invite(world, world.person("alice"), "user:bob")
    world.book.set("user:bob", blocks=False)
    invite(world, world.person("carol"), "user:bob")
    assert world.events("bob") == ["call.incoming"]
    assert world.saved[-1].verdict == "allowed"
    assert call


def test_it_rings_for_as_long_as_the_callee_has_set() -> None:
    for silent in (False, True):
        world = World()
        world.book.set("user:bob", preferences=Preferences(ring_seconds=15), blocks=silent)
        bob = world.person("bob")
        invite(world, world.person("alice"), "user:bob")
        world.clock.advance(14.9)
        assert world.events("alice")[-1] == "call.ringing"
        if not silent:
            assert world.last(bob.id)["expires"] == 15
        world.clock.advance(0.2)
        assert world.last("alice")["reason"] == "no_answer"
        world.assert_clean()


def test_a_transfer_to_whom_the_other_has_blocked_looks_unanswered() -> None:
    """Whom the one who stays has blocked is no business of the one who leaves."""
    world = World()
    registry, alice, bob, call = app_to_app(world)
    world.person("carol")
    world.book.set("user:alice", blocks=True)
    transfer = registry.transfer(bob, call, parse_address("user:carol"))
    failed: list[Any] = []
    Deferred.fromCoroutine(transfer).addErrback(failed.append)
    world.clock.advance(44)
    assert not failed
    world.clock.advance(2)
    assert "480" in str(failed[0].value)
    assert not world.events("carol")
    assert (world.saved[-1].reason, world.saved[-1].verdict) == (Reason.UNAVAILABLE, "own_block")
    world.do(registry.hangup(alice, call))
    world.assert_clean()


def test_strangers_are_counted_until_somebody_answers() -> None:
    world = World()
    world.book.parts = (FirstContact(0),)
    alice, bob = world.person("alice"), world.person("bob")
    call = invite(world, alice, "user:bob")
    assert world.book.counted == ["rang user:alice user:bob"]
    world.do(world.registry.hangup(alice, call))
    call = invite(world, alice, "user:bob")
    world.do(world.registry.accept(bob, call, "plain"))
    assert world.book.counted[1:] == ["rang user:alice user:bob", "answered user:alice user:bob"]
    world.do(world.registry.hangup(alice, call))
    world.book.set("user:bob", knows=True)
    world.do(world.registry.hangup(alice, invite(world, alice, "user:bob")))
    assert len(world.book.counted) == 3
    world.assert_clean()
