"""Transfers through the registry, against recording fakes: what fails, and what follows."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from gateway.calls.ports import Referral, Refuse
from gateway.errors import GatewayError, WrongState
from gateway.values import CallId, Client, LegEnd, LegId, parse_address
from tests.calls.outside import PCMU, Lease, World
from tests.calls.scene import BYE, invite


def connected(world: World) -> tuple[Client, CallId, Lease]:
    """alice has called the softphone 1001, which has answered."""
    alice = world.person("alice")
    world.softphone("1001", "sip:1001@127.0.0.1:5070")
    call = invite(world, alice, "sip:1001@dm.localhost")
    world.legs.leg_answered(LegId("c1.2"))
    world.legs.leg_media(LegId("c1.2"), PCMU)
    assert "call.connected" in world.events("alice")
    return alice, call, world.worker


def refer(world: World, to: str = "user:bob", replaces: str | None = None) -> Refuse | None:
    other = None if replaces is None else LegId(replaces)
    verdict = world.registry.refer(LegId("c1.2"), Referral(parse_address(to), other))
    world.clock.advance(0)
    return verdict


def accept(world: World, bob: Client) -> Lease:
    """bob accepts the call to him; both halves of the joint come up."""
    world.do(world.registry.accept(bob, CallId("c2"), "plain"))
    second = world.worker
    assert "expect c2.2 127.0.0.1:40001" in world.log
    second.events.leg_incoming(LegId("c2.2"))
    second.events.leg_media(LegId("c2.2"), PCMU)
    return second


def test_a_blind_transfer() -> None:
    world = World()
    alice, call, first = connected(world)
    bob = world.person("bob")
    assert refer(world) is None
    assert "notify c1.2 180 so far" in world.log
    second = accept(world, bob)
    first.events.leg_media(LegId("c1.3"), PCMU)
    assert first.targets[LegId("c1.3")].joins == "c2.2"
    assert "connect c2.1 c2.2" in world.log or "connect c2.2 c2.1" in world.log
    assert "disconnect c1.1 c1.2" in world.log
    assert "connect c1.1 c1.3" in world.log
    assert "notify c1.2 200 final" in world.log
    assert "close c1.2 480 None" in world.log
    assert world.last("bob")["call"] == "c2"
    world.do(world.registry.hangup(alice, call))
    assert world.last("bob")["reason"] == "completed"
    assert second.released
    world.assert_clean()


def test_the_other_worker_dies() -> None:
    world = World()
    _alice, _call, first = connected(world)
    bob = world.person("bob")
    refer(world)
    second = accept(world, bob)
    first.events.leg_media(LegId("c1.3"), PCMU)
    second.events.worker_lost()
    world.clock.advance(0)
    assert world.last("bob")["reason"] == "gateway_error"
    assert world.last("alice")["reason"] == "gateway_error"
    world.assert_clean()


def test_the_one_who_transferred_has_left_and_the_target_declines() -> None:
    world = World()
    _alice, _call, first = connected(world)
    bob = world.person("bob")
    refer(world)
    first.events.leg_closed(LegId("c1.2"), BYE)
    world.clock.advance(0)
    assert "play c1.1 ringback" in world.log
    assert world.events("alice")[-1] == "call.connected"
    world.do(world.registry.decline(bob, CallId("c2"), "declined"))
    world.clock.advance(0)
    assert world.last("alice")["reason"] == "completed"
    world.assert_clean()


def test_the_one_who_stays_hangs_up_meanwhile() -> None:
    world = World()
    alice, call, _first = connected(world)
    bob = world.person("bob")
    refer(world)
    world.do(world.registry.hangup(alice, call))
    world.clock.advance(0)
    assert world.last("bob")["reason"] in ("cancelled", "completed")
    del bob
    world.assert_clean()


def test_a_full_worker_lets_the_one_who_leaves_go_first() -> None:
    world = World()
    _alice, _call, first = connected(world)
    first.wide = False
    bob = world.person("bob")
    refer(world)
    accept(world, bob)
    assert world.log.index("notify c1.2 200 final") < world.log.index("close c1.2 480 None")
    opened = next(i for i, line in enumerate(world.log) if line.startswith("open_sip_leg c1.3"))
    assert world.log.index("close c1.2 480 None") < opened
    first.events.leg_media(LegId("c1.3"), PCMU)
    assert "connect c1.1 c1.3" in world.log


def test_one_transfer_at_a_time_and_only_by_those_in_the_call() -> None:
    world = World(transfers=True)
    alice, call, _first = connected(world)
    world.person("bob")
    assert refer(world) is None
    again = refer(world)
    assert again is not None
    assert again.code == 491
    failures: list[Any] = []
    work = world.registry.transfer(alice, call, parse_address("user:bob"))
    Deferred.fromCoroutine(work).addErrback(failures.append)
    assert isinstance(failures[0].value, WrongState)
    stranger = world.registry.refer(LegId("c9.1"), Referral(parse_address("user:bob")))
    assert stranger is not None
    assert stranger.code == 403


def test_transfers_may_be_switched_off() -> None:
    world = World(transfers=False)
    alice, call, _first = connected(world)
    refused = refer(world)
    assert refused is not None
    assert refused.code == 403
    failures: list[Any] = []
    work = world.registry.transfer(alice, call, parse_address("user:bob"))
    Deferred.fromCoroutine(work).addErrback(failures.append)
    assert isinstance(failures[0].value, GatewayError)


def test_an_attended_transfer_takes_a_call_of_ones_own() -> None:
    world = World()
    _alice, _call, _first = connected(world)
    bob = world.person("bob")
    world.softphone("1002", "sip:1002@127.0.0.1:5071")
    invite(world, bob, "sip:1002@dm.localhost")
    world.legs.leg_answered(LegId("c2.2"))
    world.legs.leg_media(LegId("c2.2"), PCMU)
    refused = refer(world, "sip:bob@dm.localhost", "c2.2")
    assert refused is not None  # that is another account's
    assert refused.code == 403
    assert world.registry.refer(LegId("c1.2"), Referral(parse_address("user:x"), LegId("c1.2")))
    ended = LegEnd(200, "OK", remote=True)
    world.legs.leg_closed(LegId("c2.2"), ended)
