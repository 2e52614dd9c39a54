"""How calls fail and end: each reason, who is told, and that nothing is left."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred

from gateway.calls.ports import IncomingInvite, Refuse
from gateway.calls.reasons import from_answered
from gateway.errors import (
    NoCapacity,
    NotAllowed,
    RateLimited,
)
from gateway.values import (
    CallId,
    HostPort,
    LegEnd,
    LegId,
    Reason,
    SipAddress,
    UserAddress,
)
from tests.calls.outside import World
from tests.calls.scene import app_to_app, incoming, invite


@pytest.mark.parametrize(
    ("codes", "reason"),
    [
        ([486], "busy"),
        ([600], "busy"),
        ([603], "declined"),
        ([403], "declined"),
        ([404], "unreachable"),
        ([410], "unreachable"),
        ([480], "no_answer"),
        ([408], "no_answer"),
        ([488], "media_failed"),
        ([415], "media_failed"),
        ([503], "unreachable"),
        ([500], "gateway_error"),
        ([480, 486], "busy"),
        ([503, 404], "unreachable"),
    ],
)
def test_what_the_callees_phone_says_becomes_the_reason(codes: list[int], reason: str) -> None:
    world = World()
    alice = world.person("alice")
    world.softphone("1001", *[f"sip:{n}@h" for n in range(len(codes))])
    invite(world, alice, "sip:1001@dm.localhost")
    for n, code in enumerate(codes):
        world.legs.leg_closed(LegId(f"c1.{n + 2}"), LegEnd(code, "", remote=True))
    assert world.last("alice")["reason"] == reason
    assert world.last("alice")["duration_s"] == 0
    world.assert_clean()


def test_accepting_without_sdp_fails_when_no_media_follows() -> None:
    world = World()
    bob = world.person("bob")
    forward = incoming(world)
    world.legs.leg_incoming(forward.leg)
    world.do(world.registry.accept(bob, CallId("c1"), None))
    world.clock.advance(10)
    assert world.last("bob")["reason"] == "media_failed"
    assert "close c1.1 488 488" in world.log
    world.assert_clean()


def test_inviting_without_sdp_fails_when_no_media_follows() -> None:
    world = World()
    alice = world.person("alice")
    world.person("bob")
    invite(world, alice, "user:bob", None)
    world.clock.advance(10)
    assert world.last("alice")["reason"] == "media_failed"
    world.assert_clean()


def test_the_caller_gives_up() -> None:
    world = World()
    world.person("bob")
    forward = incoming(world)
    world.legs.leg_incoming(forward.leg)
    world.legs.leg_closed(forward.leg, LegEnd(487, "Request Terminated", remote=True))
    assert (world.last("bob")["reason"], world.last("bob")["by"]) == ("cancelled", "caller")
    world.assert_clean()


def test_a_callers_invite_that_never_reaches_the_worker() -> None:
    world = World()
    world.person("bob")
    incoming(world)
    world.clock.advance(5)
    assert world.saved[-1].reason is Reason.GATEWAY_ERROR
    world.assert_clean()


def test_ring_time_runs_out() -> None:
    world = World(ring_s=20)
    alice = world.person("alice")
    world.person("bob")
    invite(world, alice, "user:bob")
    assert world.last("bob")["expires"] == 20
    world.clock.advance(20)
    for who in ("alice", "bob"):
        assert (world.last(who)["reason"], world.last(who)["by"]) == ("no_answer", "gateway")
    world.assert_clean()


@pytest.mark.parametrize("to", ["user:nobody", "tel:+14155550123", "sip:x@example.org"])
def test_nobody_there(to: str) -> None:
    world = World()
    alice = world.person("alice")
    invite(world, alice, to)
    assert world.events("alice") == ["call.ended"]
    assert world.last("alice")["reason"] == "unreachable"
    assert world.saved[-1].reason is Reason.UNREACHABLE
    assert world.log == []
    assert isinstance(incoming(world, "sip:nobody@dm.localhost"), Refuse)
    world.assert_clean()


def test_refusals_of_the_chain() -> None:
    world = World(calls_per_user=1)
    alice = world.person("alice")
    world.person("bob")
    carol = world.person("carol")
    with pytest.raises(NotAllowed):
        invite(world, alice, "user:alice")
    invite(world, alice, "user:bob")
    with pytest.raises(RateLimited) as limited:
        invite(world, alice, "user:carol")
    assert limited.value.data() == {"retry_after_s": 10}
    invite(world, carol, "user:bob")
    assert world.last("carol")["reason"] == "busy"
    assert incoming(world) == Refuse(486, "Busy Here")
    world.registry.drain()
    with pytest.raises(NoCapacity):
        invite(world, carol, "user:bob")
    assert incoming(world) == Refuse(503, "Service Unavailable", 30)


def test_no_worker_left() -> None:
    world = World()
    alice = world.person("alice")
    world.person("bob")
    world.full = True
    with pytest.raises(NoCapacity):
        invite(world, alice, "user:bob")
    assert incoming(world).code == 503
    world.assert_clean()


def test_a_cancel_before_the_decision() -> None:
    world = World()
    world.person("bob")
    world.save_gate = Deferred()
    message = IncomingInvite(
        caller=SipAddress("1001", "dm.localhost"),
        caller_name="",
        target=UserAddress("bob"),
        sip_call_id="abc",
        offer=None,
        source=HostPort("127.0.0.1", 5070),
        transport="udp",
    )
    deciding = Deferred.fromCoroutine(world.registry.incoming(message))
    seen: list[Any] = []
    deciding.addErrback(lambda failure: seen.append(failure.type))
    deciding.cancel()
    assert seen == [CancelledError]
    gate, world.save_gate = world.save_gate, None
    if not gate.called:
        gate.callback(None)
    assert world.saved[-1].reason is Reason.CANCELLED
    world.assert_clean()


def test_a_worker_dies() -> None:
    world = World()
    app_to_app(world)
    world.clock.advance(3)
    world.legs.worker_lost()
    for who in ("alice", "bob"):
        ended = world.last(who)
        assert (ended["reason"], ended["by"]) == ("gateway_error", "gateway")
        assert ended["duration_s"] == 3
    assert not [line for line in world.log if line.startswith("close")]
    world.assert_clean()


def test_a_client_that_does_not_come_back() -> None:
    world = World()
    registry, alice, bob, _call = app_to_app(world)
    registry.client_gone(bob.id)
    assert (world.last("alice")["reason"], world.last("alice")["by"]) == (
        "network_lost",
        "callee",
    )
    world.assert_clean()
    assert alice


def test_draining_waits_for_the_present_calls() -> None:
    world = World()
    registry, alice, _bob, call = app_to_app(world)
    drained: list[None] = []
    registry.drain().addCallback(drained.append)
    assert drained == []
    world.do(registry.hangup(alice, call))
    assert drained == [None]


def test_a_call_that_ends_while_the_worker_connects_stays_ended() -> None:
    world = World()
    alice, bob = world.person("alice"), world.person("bob")
    call = invite(world, alice, "user:bob")
    gate: Deferred[None] = Deferred()
    world.worker.connecting = gate
    world.do(world.registry.accept(bob, call, "plain"))
    world.do(world.registry.hangup(alice, call))
    if not gate.called:
        gate.callback(None)
    assert "call.connected" not in world.events("alice")
    assert world.last("bob")["reason"] == "cancelled"
    world.assert_clean()


def test_closing_that_hangs_is_given_up() -> None:
    world = World()
    registry, alice, _bob, call = app_to_app(world)

    async def never(*_args: object) -> None:
        return None

    world.worker.close_leg = never  # type: ignore[method-assign]
    world.do(registry.hangup(alice, call))
    assert len(registry) == 1
    world.clock.advance(40)
    world.assert_clean()


@pytest.mark.parametrize(
    ("code", "remote", "reason"),
    [
        (200, True, Reason.COMPLETED),
        (408, False, Reason.MEDIA_FAILED),
        (415, True, Reason.MEDIA_FAILED),
        (488, False, Reason.MEDIA_FAILED),
        (500, False, Reason.GATEWAY_ERROR),
    ],
)
def test_how_an_answered_leg_ends(code: int, remote: bool, reason: Reason) -> None:
    assert from_answered(LegEnd(code, "", remote=remote)) is reason
