"""Calls that the app's server makes between two people: both have to accept."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import NoSuchCall, SdpUnusable, WrongState
from gateway.values import CallId, Reason, UserAddress, parse_address
from tests.calls.outside import World

ALICE = UserAddress("alice")


def place(world: World, to: str = "user:bob") -> CallId:
    record = world.do(world.registry.place(ALICE, parse_address(to), "t1"))
    return CallId(record.call)


def scene() -> tuple[World, Any, Any, CallId]:
    world = World()
    alice, bob = world.person("alice"), world.person("bob")
    return world, alice, bob, place(world)


def test_the_callee_is_called_only_once_the_caller_has_accepted() -> None:
    world, alice, bob, call = scene()
    assert world.events("alice") == ["call.incoming"]
    assert world.last("alice")["placed_by"] == "server"
    assert world.last("alice")["from"]["address"] == "user:bob"
    assert world.saved[-1].caller_accepted is None
    assert not world.events("bob")
    world.clock.advance(20)
    world.do(world.registry.accept(alice, call, "plain"))
    assert world.saved[-1].caller_accepted is not None
    assert world.events("bob") == ["call.incoming"]
    assert world.last("bob") == {
        "call": call,
        "from": {"address": "user:alice", "name": "Alice"},
        "expires": 20 + 45,
        "thread": "t1",
    }
    assert not [line for line in world.log if line.startswith("connect")]
    world.do(world.registry.accept(bob, call, "plain"))
    assert "connect c1.1 c1.2" in world.log
    assert world.events("alice")[-1] == world.events("bob")[-1] == "call.connected"


def test_a_caller_without_sdp_sends_it_later() -> None:
    world, alice, bob, call = scene()
    world.do(world.registry.accept(alice, call, None))
    assert world.do(world.registry.media(alice, call, "plain"))
    world.do(world.registry.accept(bob, call, "plain"))
    assert "connect c1.1 c1.2" in world.log


def test_nothing_is_connected_without_the_callers_media() -> None:
    world, alice, bob, call = scene()
    with pytest.raises(WrongState):
        world.do(world.registry.media(alice, call, "plain"))
    world.do(world.registry.accept(alice, call, None))
    world.do(world.registry.accept(bob, call, "plain"))
    world.clock.advance(11)
    assert not [line for line in world.log if line.startswith("connect")]
    assert world.last("bob")["reason"] == "media_failed"


@pytest.mark.parametrize(
    ("act", "reason", "by"),
    [
        (lambda w, a, c: w.do(w.registry.decline(a, c, "busy")), "busy", "caller"),
        (lambda w, a, c: w.do(w.registry.hangup(a, c)), "cancelled", "caller"),
        (lambda w, a, c: w.registry.client_gone(a.id), "network_lost", "caller"),
        (lambda w, a, c: w.clock.advance(46), "no_answer", "caller"),
        (lambda w, a, c: w.registry.end_by_server(c, None), "cancelled", "gateway"),
        (lambda w, a, c: w.registry.end_by_server(c, Reason.MODERATED), "moderated", "gateway"),
    ],
)
def test_it_ends_before_the_caller_has_accepted(act: Any, reason: str, by: str) -> None:
    world, alice, _bob, call = scene()
    act(world, alice, call)
    world.clock.advance(0)
    assert (str(world.saved[-1].reason), str(world.saved[-1].ended_by)) == (reason, by)
    told = "call.ended" in world.events("alice")
    assert told == (reason != "network_lost")  # nobody is there to be told
    assert not world.events("bob")
    assert world.worker.released
    assert not world.registry.active()
    with pytest.raises(NoSuchCall):
        world.registry.end_by_server(call, None)


def test_the_first_client_of_the_caller_has_the_call() -> None:
    world = World()
    phone, laptop = world.person("alice", "phone"), world.person("alice", "laptop")
    world.person("bob")
    call = place(world)
    late = world.person("alice", "late")
    world.registry.client_joined(late)
    world.registry.client_gone(laptop.id)
    assert world.events("late") == ["call.incoming"]
    with pytest.raises(SdpUnusable):
        world.do(world.registry.accept(phone, call, "bad"))
    world.do(world.registry.accept(late, call, "plain"))
    assert world.last("phone")["reason"] == "answered_elsewhere"
    for client in (phone, late):
        with pytest.raises((WrongState, NoSuchCall)):
            world.do(world.registry.accept(client, call, "plain"))
    world.registry.client_gone(late.id)
    assert world.last("bob")["reason"] == "network_lost"


def test_who_is_not_signed_in_cannot_be_called() -> None:
    world = World()
    world.person("bob")
    record = world.do(world.registry.place(ALICE, parse_address("user:bob"), None))
    assert record.reason is Reason.UNREACHABLE
    assert world.saved == [record]
    assert not world.registry.active()
