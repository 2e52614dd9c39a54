"""Whole calls through the registry, against recording fakes: who is told what, and when."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred

from gateway.calls.ports import Forward, IncomingInvite, Refuse
from gateway.calls.registry import CallRegistry
from gateway.errors import (
    NoCapacity,
    NoSuchCall,
    NotAllowed,
    RateLimited,
    SdpUnusable,
    WrongState,
)
from gateway.values import (
    CallId,
    Client,
    HostPort,
    LegEnd,
    LegId,
    LegStats,
    Reason,
    SipAddress,
    StreamStats,
    UserAddress,
    parse_address,
)
from tests.calls.outside import PCMU, World

BYE = LegEnd(200, "OK", remote=True)


def invite(world: World, client: Client, to: str, sdp: str | None = "plain") -> CallId:
    work = world.registry.invite(client, parse_address(to), "t1", sdp)
    return CallId(world.do(work))


def incoming(world: World, target: str = "sip:bob@dm.localhost") -> Any:
    message = IncomingInvite(
        caller=SipAddress("1001", "dm.localhost"),
        caller_name="Phone 1001",
        target=parse_address(target),
        sip_call_id="abc",
        offer=b"v=0",
        source=HostPort("127.0.0.1", 5070),
        transport="udp",
    )
    return world.do(world.registry.incoming(message))


def app_to_app(world: World) -> tuple[CallRegistry, Client, Client, CallId]:
    alice, bob = world.person("alice"), world.person("bob")
    call = invite(world, alice, "user:bob", "dtls")
    world.do(world.registry.accept(bob, call, "plain"))
    assert "connect c1.1 c1.2" in world.log
    return world.registry, alice, bob, call


def test_app_to_app_is_told_in_order_and_leaves_nothing() -> None:
    world = World()
    registry, alice, _bob, call = app_to_app(world)
    assert world.events("alice") == [
        "call.media",
        "call.ringing",
        "call.accepted",
        "call.connected",
    ]
    assert world.events("bob") == ["call.incoming", "call.media", "call.connected"]
    assert world.last("alice")["codec"] == "opus"
    assert world.last("alice")["peer_codec"] == "PCMU"
    assert world.last("alice")["secure"] is False
    world.clock.advance(7)
    world.do(registry.hangup(alice, call))
    for who in ("alice", "bob"):
        ended = world.last(who)
        assert (ended["reason"], ended["by"], ended["duration_s"]) == ("completed", "caller", 7)
    record = world.saved[-1]
    assert record.caller_accepted is not None
    assert record.caller_accepted.means == "app_invite"
    assert record.callee_accepted is not None
    assert record.callee_accepted.by == UserAddress("bob")
    assert world.log.count("path closed") == 2
    world.assert_clean()


def test_nothing_is_connected_before_both_accept() -> None:
    world = World()
    alice = world.person("alice")
    world.softphone("1001", "sip:1001@127.0.0.1:5070")
    invite(world, alice, "sip:1001@dm.localhost")
    world.legs.leg_ringing(LegId("c1.2"), 180)
    world.legs.leg_media(LegId("c1.2"), PCMU)  # early media is no acceptance
    assert not [line for line in world.log if line.startswith("connect")]
    assert "play c1.1 ringback" in world.log
    world.legs.leg_answered(LegId("c1.2"))
    world.clock.advance(0)
    assert world.log[-2:] == ["stop c1.1", "connect c1.1 c1.2"]


def test_app_to_sip_names_the_caller_in_our_domain() -> None:
    world = World()
    alice = world.person("alice")
    world.softphone("1001", "sip:1001@127.0.0.1:5070")
    invite(world, alice, "sip:1001@dm.localhost")
    target = world.worker.targets[LegId("c1.2")]
    assert target.from_uri == "sip:alice@dm.localhost"
    assert target.from_name == "Alice"
    assert target.flow == "flow-sip:1001@127.0.0.1:5070"
    world.legs.leg_answered(LegId("c1.2"))
    world.legs.leg_media(LegId("c1.2"), PCMU)
    assert world.last("alice")["peer_codec"] == "PCMU"
    world.legs.leg_closed(LegId("c1.2"), BYE)
    assert (world.last("alice")["reason"], world.last("alice")["by"]) == ("completed", "callee")
    world.assert_clean()


def test_contacts_ring_together_and_the_first_answer_wins() -> None:
    world = World()
    alice = world.person("alice")
    world.softphone("1001", "sip:a@h", "sip:b@h", "sip:c@h", "sip:d@h")
    invite(world, alice, "sip:1001@dm.localhost")
    opened = [line for line in world.log if line.startswith("open_sip_leg")]
    assert len(opened) == 3  # with the caller's leg: what one worker holds
    world.legs.leg_closed(LegId("c1.2"), LegEnd(486, "Busy Here", remote=True))
    world.legs.leg_answered(LegId("c1.4"))
    assert "close c1.3 487 200" in world.log
    world.legs.leg_media(LegId("c1.4"), PCMU)
    assert world.events("alice")[-1] == "call.connected"


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


def test_sip_to_app_answers_when_the_callee_has_media() -> None:
    world = World()
    bob = world.person("bob")
    forward = incoming(world)
    assert isinstance(forward, Forward)
    assert forward.worker == HostPort("127.0.0.1", 40001)
    assert world.events("bob") == []  # nobody rings before the INVITE is at the worker
    world.legs.leg_incoming(forward.leg)
    assert world.log[-1] == "answer c1.1 180"
    assert world.last("bob")["from"] == {
        "address": "sip:1001@dm.localhost",
        "name": "Phone 1001",
    }
    world.do(world.registry.accept(bob, CallId("c1"), None))
    assert "answer c1.1 200" not in world.log
    world.do(world.registry.media(bob, CallId("c1"), "plain"))
    assert world.log[-1] == "answer c1.1 200"
    world.legs.leg_answered(forward.leg)
    world.legs.leg_media(forward.leg, PCMU)
    assert world.log[-1] == "connect c1.1 c1.2"
    assert world.events("bob")[-1] == "call.connected"
    world.do(world.registry.hangup(bob, CallId("c1")))
    assert (world.last("bob")["reason"], world.last("bob")["by"]) == ("completed", "callee")
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


def test_every_client_rings_and_the_first_accept_has_the_call() -> None:
    world = World()
    alice, bob = world.person("alice"), world.person("bob", "bob-phone")
    tablet = world.person("bob", "bob-tablet")
    call = invite(world, alice, "user:bob")
    assert world.events("bob-phone") == world.events("bob-tablet") == ["call.incoming"]
    world.do(world.registry.accept(tablet, call, "plain"))
    assert world.last("bob-phone")["reason"] == "answered_elsewhere"
    with pytest.raises(NoSuchCall):
        world.do(world.registry.accept(bob, call, "plain"))
    world.do(world.registry.hangup(tablet, call))
    assert world.events("bob-phone") == ["call.incoming", "call.ended"]
    world.assert_clean()


def test_a_client_that_signs_in_while_it_rings() -> None:
    world = World()
    alice = world.person("alice")
    world.person("bob", "first")
    call = invite(world, alice, "user:bob")
    second = world.person("bob", "second")
    world.registry.client_joined(second)
    world.registry.client_joined(second)
    assert world.events("second") == ["call.incoming"]
    world.do(world.registry.decline(second, call, "busy"))
    for who in ("alice", "first", "second"):
        assert (world.last(who)["reason"], world.last(who)["by"]) == ("busy", "callee")
    world.assert_clean()


def test_an_unusable_offer_leaves_the_call_ringing() -> None:
    world = World()
    alice, bob = world.person("alice"), world.person("bob")
    call = invite(world, alice, "user:bob")
    with pytest.raises(SdpUnusable):
        world.do(world.registry.accept(bob, call, "bad"))
    world.do(world.registry.accept(bob, call, "plain"))
    assert world.events("bob")[-1] == "call.connected"
    world.do(world.registry.hangup(bob, call))
    world.assert_clean()


def test_an_unusable_first_offer_makes_no_call() -> None:
    world = World()
    alice = world.person("alice")
    world.person("bob")
    with pytest.raises(SdpUnusable):
        invite(world, alice, "user:bob", "bad")
    assert world.told == []
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


def test_echo_hears_itself_on_its_own_leg() -> None:
    world = World()
    alice = world.person("alice")
    call = invite(world, alice, "service:echo")
    assert world.log[-1] == "connect c1.1 c1.1"
    assert world.events("alice") == [
        "call.media",
        "call.ringing",
        "call.accepted",
        "call.connected",
    ]
    world.do(world.registry.hangup(alice, call))
    world.assert_clean()
    forward = incoming(world, "sip:echo@dm.localhost")
    world.legs.leg_incoming(forward.leg)
    assert world.log[-1] == f"answer {forward.leg} 200"
    world.legs.leg_media(forward.leg, PCMU)
    assert world.log[-1] == f"connect {forward.leg} {forward.leg}"
    world.legs.leg_closed(forward.leg, BYE)
    assert world.saved[-1].reason is Reason.COMPLETED
    world.assert_clean()


def test_sip_to_sip() -> None:
    world = World()
    world.softphone("1002", "sip:1002@h")
    forward = incoming(world, "sip:1002@dm.localhost")
    world.legs.leg_incoming(forward.leg)
    assert world.worker.targets[LegId("c1.2")].from_uri == "sip:1001@dm.localhost"
    world.legs.leg_ringing(LegId("c1.2"), 180)
    world.legs.leg_answered(LegId("c1.2"))
    world.legs.leg_media(LegId("c1.2"), PCMU)
    assert world.log[-1] == "answer c1.1 200"
    world.legs.leg_media(forward.leg, PCMU)
    assert world.log[-1] == "connect c1.1 c1.2"
    world.legs.leg_dtmf(forward.leg, "5", 160)
    assert world.log[-1] == "dtmf c1.2 5 160"
    world.legs.leg_closed(forward.leg, BYE)
    assert "close c1.2 480 None" in world.log
    world.assert_clean()


def test_hold_mute_and_digits() -> None:
    world = World()
    alice = world.person("alice")
    world.softphone("1001", "sip:1001@h")
    call = invite(world, alice, "sip:1001@dm.localhost")
    registry = world.registry
    with pytest.raises(WrongState) as early:
        world.do(registry.dtmf(alice, call, "1", 160))
    assert early.value.data() == {"state": "inviting"}
    world.legs.leg_answered(LegId("c1.2"))
    world.legs.leg_media(LegId("c1.2"), PCMU)
    world.log.clear()
    world.do(registry.hold(alice, call, True))
    world.do(registry.hold(alice, call, True))
    world.do(registry.hold(alice, call, False))
    world.do(registry.mute(alice, call, True))
    world.do(registry.dtmf(alice, call, "12,#", 100))
    assert world.log == [
        "disconnect c1.1 c1.2",
        "hold c1.2 True",
        "connect c1.1 c1.2",
        "hold c1.2 False",
        "mute c1.1 True",
        "dtmf c1.2 12,# 100",
    ]
    world.legs.leg_dtmf(LegId("c1.2"), "9", 200)
    assert world.last("alice") == {"call": "c1", "digit": "9", "duration_ms": 200}
    held = PCMU.__class__("PCMU", 8000, secure=False, remote_held=True)
    world.legs.leg_media(LegId("c1.2"), held)
    assert world.last("alice") == {"call": "c1", "by": "sip:1001@dm.localhost", "held": True}


def test_quality_is_told_from_the_clients_side() -> None:
    world = World()
    _registry, _alice, _bob, _call = app_to_app(world)
    stats = LegStats(received=StreamStats(90, 10, 4.0), sent=StreamStats(100, 0, 2.0), rtt_ms=30)
    world.legs.leg_stats(LegId("c1.1"), stats)
    quality = world.last("alice")
    assert quality["sent"] == {"mos": 3.4, "loss": 0.1, "jitter_ms": 4.0, "rtt_ms": 30}
    assert quality["received"] == {"mos": 4.4, "loss": 0.0, "jitter_ms": 2.0, "rtt_ms": 30}
    assert "measured 90" in world.metered


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


def test_only_the_parties_may_touch_a_call() -> None:
    world = World()
    registry, _alice, _bob, call = app_to_app(world)
    mallory = world.person("mallory")
    for work in (
        registry.hangup(mallory, call),
        registry.accept(mallory, call, "plain"),
        registry.media(mallory, call, "plain"),
        registry.hangup(mallory, CallId("nonsense")),
    ):
        with pytest.raises(NoSuchCall):
            world.do(work)


def test_a_fresh_offer_goes_over_the_same_leg() -> None:
    world = World()
    registry, alice, _bob, call = app_to_app(world)
    answer = world.do(registry.media(alice, call, "dtls"))
    assert answer == "client-worker-answer-2"
    assert world.log[-1] == "reoffer c1.1"


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
