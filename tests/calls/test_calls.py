"""Whole calls through the registry, against recording fakes: who is told what, and when."""

from __future__ import annotations

import pytest

from gateway.calls.ports import Forward
from gateway.errors import (
    NoSuchCall,
    SdpUnusable,
    WrongState,
)
from gateway.values import (
    CallId,
    HostPort,
    LegEnd,
    LegId,
    LegStats,
    Reason,
    StreamStats,
    UserAddress,
)
from tests.calls.outside import PCMU, World
from tests.calls.scene import BYE, app_to_app, incoming, invite


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
        "play c1.2 hold",
        "connect c1.1 c1.2",
        "hold c1.2 False",
        "stop c1.2",
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
