"""How calls are judged before they are made: by the facts of both people, whatever the way in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from gateway.calls.ports import Forward, Refuse
from gateway.calls.trunk_ports import Standing
from gateway.errors import NotAllowed, RateLimited, StoreUnavailable
from gateway.policy.chain import Attempt, Chain, Verdict
from gateway.settings import RoutingSection, Trunk
from gateway.values import (
    CallId,
    Client,
    ClientId,
    Hop,
    HostPort,
    Principal,
    Reason,
    parse_address,
)
from tests.calls.outside import World, people_settings
from tests.calls.scene import app_to_app, incoming, invite, message

OWNERS = people_settings(
    sip={"accounts": [{"user": "1001", "password": "secret1001", "owner": "alice"}]}
)


@dataclass
class Told:
    """A rule that does what tests say, and remembers what it was asked."""

    verdicts: dict[tuple[str, str], Verdict]
    asked: list[Attempt]

    def __call__(self, attempt: Attempt) -> Verdict | None:
        self.asked.append(attempt)
        return self.verdicts.get((str(attempt.caller), str(attempt.callee)))


def ruled(world: World, **bounds: float) -> Told:
    """The world's chain begins with a rule of ours."""
    told = Told({}, [])
    before = world.outside.chain
    within = tuple((lambda _a, s=s: s) for s in bounds.values())
    world.settle(chain=Chain((told, *before.rules), (*before.bounds, *within)))
    return told


def test_the_rule_that_spoke_is_in_the_record() -> None:
    world = World()
    _, alice, _, call = app_to_app(world)
    assert world.saved[-1].verdict == "allowed"
    world.do(world.registry.hangup(alice, call))
    world = World(calls_per_user=1)
    app_to_app(world)
    assert invite(world, world.person("carol"), "user:bob")
    assert (world.saved[-1].reason, world.saved[-1].verdict) == (Reason.BUSY, "callee_calls")


@pytest.mark.parametrize("way", ["app", "sip"])
def test_a_refusal_before_the_call_is_made(way: str) -> None:
    world = World()
    alice, _ = world.person("alice"), world.person("bob")
    told = ruled(world)
    no = Verdict("rule", Reason.NOT_ALLOWED, "not these two")
    told.verdicts = {(c, "user:bob"): no for c in ("user:alice", "sip:1001@dm.localhost")}
    if way == "app":
        with pytest.raises(NotAllowed, match="not these two"):
            invite(world, alice, "user:bob")
    else:
        assert incoming(world) == Refuse(403, "Forbidden")
    assert not world.saved
    world.assert_clean()


@pytest.mark.parametrize("way", ["app", "sip"])
def test_without_facts_there_is_no_call(way: str) -> None:
    world = World()
    alice, _ = world.person("alice"), world.person("bob")
    world.book.failing = StoreUnavailable("the database does not take it")
    with pytest.raises(StoreUnavailable):
        invite(world, alice, "user:bob") if way == "app" else incoming(world)
    world.assert_clean()


def test_a_caller_who_gives_up_while_facts_are_gathered() -> None:
    world = World()
    world.person("bob")
    world.book.gate = Deferred()
    deciding = Deferred.fromCoroutine(world.registry.incoming(message()))
    deciding.addErrback(lambda _: None)
    deciding.cancel()
    assert deciding.called
    assert not world.log
    world.assert_clean()


def test_a_client_that_is_gone_by_then_calls_nobody() -> None:
    world = World()
    alice, bob = world.person("alice"), world.person("bob")
    gate = world.book.gate = Deferred()
    work = world.registry.invite(alice, parse_address("user:bob"), None, "plain")
    Deferred.fromCoroutine(work)
    world.online["alice"].clear()
    world.registry.client_gone(alice.id)
    world.book.gate = None
    gate.callback(None)
    world.clock.advance(0)
    assert world.saved[-1].reason is Reason.NETWORK_LOST
    assert not world.events(bob.id)
    world.assert_clean()


def test_two_calls_at_once_do_not_both_pass_a_limit() -> None:
    """What was free while the facts were gathered may be taken when they are there."""
    world = World(calls_per_user=1)
    alice, _, _ = world.person("alice"), world.person("bob"), world.person("carol")
    gate = world.book.gate = Deferred()
    outcomes: list[Any] = []
    for to in ("user:bob", "user:carol"):
        work = world.registry.invite(alice, parse_address(to), None, "plain")
        Deferred.fromCoroutine(work).addBoth(outcomes.append)
    world.book.gate = None
    gate.callback(None)
    world.clock.advance(0)
    made, refused = outcomes
    assert made == "c1"
    assert refused.check(RateLimited)


def test_limits_hold_over_all_that_a_person_calls_with() -> None:
    world = World(identities=OWNERS, calls_per_user=1)
    alice, _ = world.person("alice"), world.person("bob")
    world.softphone("1001", "sip:1001@127.0.0.1:5070")
    call = invite(world, alice, "user:bob")
    assert incoming(world) == Refuse(503, "Service Unavailable", 10)
    world.do(world.registry.hangup(alice, CallId(call)))
    assert isinstance(incoming(world), Forward)
    with pytest.raises(RateLimited):
        invite(world, alice, "user:bob")


def test_the_token_of_whoever_is_signed_in_goes_before_what_was_kept() -> None:
    world = World(identities=OWNERS)
    told = ruled(world)
    bob = world.person("bob")
    world.online["bob"] = [replace(bob, principal=replace(bob.principal, age="13-15"))]
    world.person("alice")
    incoming(world)
    caller, callee = told.asked[-1].facts.caller, told.asked[-1].facts.callee
    assert (str(caller.address), str(callee.address)) == ("user:alice", "user:bob")
    assert callee.claims.age == "13-15"


def test_a_transfer_is_judged_for_both() -> None:
    world = World()
    told = ruled(world)
    registry, alice, bob, call = app_to_app(world)
    world.person("carol")
    for caller in ("user:alice", "user:bob"):
        told.asked.clear()
        no = Verdict("rule", Reason.NOT_ALLOWED, "not these two")
        told.verdicts = {(caller, "user:carol"): no}
        with pytest.raises(NotAllowed):
            world.do(registry.transfer(bob, call, parse_address("user:carol")))
        assert world.saved[-1].verdict == "rule"
        assert {a.means for a in told.asked} == {"transfer"}
    told.verdicts.clear()
    told.asked.clear()
    going = Deferred.fromCoroutine(registry.transfer(bob, call, parse_address("user:carol")))
    going.addErrback(lambda _: None)  # it is cut short below
    world.clock.advance(0)
    pairs = [(str(a.caller), str(a.callee)) for a in told.asked]
    assert pairs == [("user:bob", "user:carol"), ("user:alice", "user:carol")]
    assert world.events("carol") == ["call.incoming"]
    world.do(registry.hangup(alice, call))


def test_an_emergency_call_waits_for_no_facts() -> None:
    routing = RoutingSection.model_validate(
        {
            "home_country": "DE",
            "emergency": {"trunk": "carrier"},
        }
    )
    trunk = Trunk.model_validate({"name": "carrier", "address": "192.0.2.1"})
    off = {"rollout": {"enabled": False}, "age": {"unknown": "13-15"}}
    world = World(routing, (trunk,), policy=off)
    world.book.failing = StoreUnavailable("the database does not take it")
    world.carriers.standing["carrier"] = Standing(good=(Hop("udp", HostPort("192.0.2.1", 5060)),))
    invite(world, world.person("alice"), "sip:112@dm.localhost")
    assert any("open_sip_leg" in line for line in world.log)
    assert world.saved[-1].verdict == "allowed"


GROUP = RoutingSection.model_validate(
    {
        "numbers": [
            {"number": "+4930901820", "to": ["user:bob", "user:carol"]},
            {"number": "+4930901821", "to": ["user:bob", "user:carol"], "order": "in_turn"},
        ]
    }
)


@pytest.mark.parametrize(
    ("bob", "carol", "rung", "verdict"),
    [
        (None, None, {"bob", "carol"}, "allowed"),
        (Reason.NOT_ALLOWED, None, {"carol"}, "allowed"),
        (Reason.UNAVAILABLE, None, {"carol"}, "allowed"),
        (Reason.UNAVAILABLE, Reason.UNAVAILABLE, set(), "of bob"),
        (Reason.UNAVAILABLE, Reason.NOT_ALLOWED, set(), "of bob"),
    ],
)
def test_each_of_a_group_is_judged(
    bob: Reason | None, carol: Reason | None, rung: set[str], verdict: str
) -> None:
    world = World(GROUP)
    told = ruled(world)
    for name, reason in (("bob", bob), ("carol", carol)):
        world.person(name)
        if reason is not None:
            told.verdicts["user:alice", f"user:{name}"] = Verdict(f"of {name}", reason, "no")
    call = invite(world, world.person("alice"), "tel:+4930901820")
    assert {n for n in ("bob", "carol") if world.events(n) == ["call.incoming"]} == rung
    assert world.events("alice")[-1] == "call.ringing"
    assert world.saved[-1].verdict == verdict
    world.clock.advance(45)
    assert world.last("alice")["reason"] == "no_answer"
    expected = Reason.NO_ANSWER if rung else Reason.UNAVAILABLE
    assert (world.saved[-1].call, world.saved[-1].reason) == (call, expected)
    world.assert_clean()


def test_a_group_of_which_nobody_may_be_called() -> None:
    world = World(GROUP)
    told = ruled(world)
    for name in ("bob", "carol"):
        world.person(name)
        no = Verdict("rule", Reason.NOT_ALLOWED, "not these two")
        told.verdicts["user:alice", f"user:{name}"] = no
    with pytest.raises(NotAllowed):
        invite(world, world.person("alice"), "tel:+4930901820")


def test_the_narrowest_bound_of_a_group_holds_for_it() -> None:
    rules = {"minutes_per_day": 1, "strangers": True, "night_from": None, "night_to": None}
    world = World(GROUP, policy={"age": {"from_13": rules}})
    bob, _ = world.person("bob"), world.person("carol")
    world.online["carol"] = [Client(ClientId("carol"), Principal("carol", "", age="13-15"))]
    call = invite(world, world.person("alice"), "tel:+4930901820")
    assert world.events("carol") == ["call.incoming"]
    world.do(world.registry.accept(bob, call, "plain"))
    world.clock.advance(59.9)
    assert not world.saved[-1].reason
    world.clock.advance(0.2)
    assert world.saved[-1].reason is Reason.LIMIT_REACHED


def test_the_narrowest_bound_ends_a_call() -> None:
    world = World()
    ruled(world, credit=120, minutes=60)
    app_to_app(world)
    world.clock.advance(59.9)
    assert not world.saved[-1].reason
    world.clock.advance(0.2)
    assert world.saved[-1].reason is Reason.LIMIT_REACHED
