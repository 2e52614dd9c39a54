"""Groups through the registry, against recording fakes: who is told what, who hears whom."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.calls.ports import Referral, Refuse
from gateway.errors import GatewayError, NoCapacity, NoSuchParty, NotAllowed, WrongState
from gateway.values import (
    Address,
    CallId,
    Client,
    ClientId,
    LegEnd,
    LegId,
    LegMedia,
    Principal,
    Reason,
    parse_address,
)
from tests.calls.outside import PCMU, World
from tests.calls.scene import BYE, app_to_app, incoming, invite


def add(world: World, who: Client, to: str, call: str = "c1") -> None:
    world.do(world.registry.add(who, CallId(call), parse_address(to)))


def heard(world: World) -> set[str]:
    """``speaker>hearer`` by legs, as the worker has been told."""
    out: set[str] = set()
    for line in world.log:
        what, *legs = line.split()
        match what:
            case "connect":
                out |= {f"{legs[0]}>{legs[1]}", f"{legs[1]}>{legs[0]}"}
            case "disconnect":
                out -= {f"{legs[0]}>{legs[1]}", f"{legs[1]}>{legs[0]}"}
            case "listen":
                out.add(f"{legs[0]}>{legs[1]}")
            case "unlisten":
                out.discard(f"{legs[0]}>{legs[1]}")
            case "close":
                out = {way for way in out if legs[0] not in way.split(">")}
    return out


def all_of(*legs: str) -> set[str]:
    return {f"{a}>{b}" for a in legs for b in legs if a != b}


def three(world: World) -> tuple[Client, Client, Client]:
    """alice and bob talk, and alice has added carol, who has accepted."""
    _, alice, bob, _ = app_to_app(world)
    carol = world.person("carol")
    add(world, alice, "user:carol")
    world.do(world.registry.accept(carol, CallId("c2"), "plain"))
    assert heard(world) == all_of("c1.1", "c1.2", "c2.1")
    return alice, bob, carol


def told(world: World, who: str, method: str) -> list[dict[str, Any]]:
    return [e.params() for client, e in world.told if client == who and method == e.METHOD]


def test_a_third_joins_once_they_have_accepted() -> None:
    world = World()
    _, alice, _, _ = app_to_app(world)
    carol = world.person("carol")
    add(world, alice, "user:carol")
    (rung,) = told(world, "carol", "call.incoming")
    assert rung["from"]["address"] == "user:alice"
    assert rung["group"] == ["user:alice", "user:bob"]
    assert heard(world) == all_of("c1.1", "c1.2")  # before they accept
    assert told(world, "bob", "call.joined") == []
    world.do(world.registry.accept(carol, CallId("c2"), "plain"))
    assert heard(world) == all_of("c1.1", "c1.2", "c2.1")
    for who in ("alice", "bob"):
        joined = {"call": "c1", "address": "user:carol", "name": "Carol"}
        assert told(world, who, "call.joined") == [joined]
    methods = world.events("carol")
    assert methods.index("call.connected") < methods.index("call.joined")
    met = {e["address"] for e in told(world, "carol", "call.joined")}
    assert met == {"user:alice", "user:bob"}
    last = world.saved[-1] if world.saved[-1].call == "c1" else world.saved[-2]
    assert [(c.what, c.by) for c in last.changes] == [("joined", "c2")]
    guest = next(r for r in reversed(world.saved) if r.call == "c2")
    assert (str(guest.caller), str(guest.callee), guest.group) == ("user:alice", "user:carol", "c1")
    assert world.metered.count("joined") == 1


@pytest.mark.parametrize("leaver", ["alice", "bob", "carol"])
def test_whoever_leaves_leaves_the_others_talking(leaver: str) -> None:
    world = World()
    people = dict(zip(("alice", "bob", "carol"), three(world), strict=True))
    legs = {"alice": "c1.1", "bob": "c1.2", "carol": "c2.1"}
    calls = {"alice": "c1", "bob": "c1", "carol": "c2"}
    world.do(world.registry.hangup(people[leaver], CallId(calls[leaver])))
    stay = [name for name in people if name != leaver]
    assert heard(world) == all_of(*(legs[name] for name in stay))
    (ended,) = told(world, leaver, "call.ended")
    assert ended["reason"] == "completed"
    for name in stay:
        left = {"call": calls[name], "address": f"user:{leaver}"}
        assert told(world, name, "call.left") == [left]
        assert told(world, name, "call.ended") == []
    with pytest.raises(GatewayError):
        world.do(world.registry.mute(people[leaver], CallId(calls[leaver]), True))
    # and the last but one ends it for both
    one, other = stay
    world.do(world.registry.hangup(people[one], CallId(calls[one])))
    for name in (one, other):
        (ended,) = told(world, name, "call.ended")
        assert ended["reason"] == "completed"
    assert len(world.registry) == 0
    assert world.metered.count("group over") == 1


def test_who_has_left_may_be_called_again() -> None:
    world = World(calls_per_user=1)
    _, bob, _ = three(world)
    dave = world.person("dave")
    invite(world, dave, "user:bob")
    assert told(world, "dave", "call.ended")[-1]["reason"] == "busy"
    world.do(world.registry.hangup(bob, CallId("c1")))
    invite(world, dave, "user:bob")
    assert world.events("dave")[-1] == "call.ringing"


@pytest.mark.parametrize("how", ["decline", "ring out", "unreachable"])
def test_who_does_not_come(how: str) -> None:
    world = World(ring_s=30)
    _, alice, _, _ = app_to_app(world)
    if how != "unreachable":
        carol = world.person("carol")
    add(world, alice, "user:carol")
    world.clock.advance(0)
    if how == "decline":
        world.do(world.registry.decline(carol, CallId("c2"), "declined"))
    elif how == "ring out":
        world.clock.advance(31)
    (left,) = told(world, "alice", "call.left")
    reason = {"decline": "declined", "ring out": "no_answer"}.get(how, how)
    assert left == {"call": "c1", "address": "user:carol", "reason": reason}
    assert told(world, "bob", "call.left") == []
    assert heard(world) == all_of("c1.1", "c1.2")


def test_whom_the_one_who_leaves_has_asked_is_not_called_any_longer() -> None:
    world = World()
    alice, _bob, _carol = three(world)
    dave = world.person("dave")
    add(world, alice, "user:dave")
    world.do(world.registry.hangup(alice, CallId("c1")))
    (ended,) = told(world, "dave", "call.ended")
    assert ended["reason"] == "cancelled"
    with pytest.raises(GatewayError):
        world.do(world.registry.accept(dave, CallId("c3"), "plain"))
    assert heard(world) == all_of("c1.2", "c2.1")


def test_the_end_of_the_call_is_the_end_for_all() -> None:
    world = World()
    three(world)
    world.registry.end_by_server(CallId("c1"), Reason.MODERATED)
    world.clock.advance(0)
    for who in ("alice", "bob", "carol"):
        (ended,) = told(world, who, "call.ended")
        assert ended["reason"] == "moderated"
    assert len(world.registry) == 0 and heard(world) == set()


def test_a_client_that_vanishes_leaves() -> None:
    world = World()
    three(world)
    world.registry.client_gone(ClientId("alice"))
    world.clock.advance(0)
    assert heard(world) == all_of("c1.2", "c2.1")
    assert told(world, "bob", "call.left") == [{"call": "c1", "address": "user:alice"}]


def test_a_whisper() -> None:
    world = World()
    alice, bob, carol = three(world)
    whisper = world.registry.whisper
    world.do(whisper(alice, CallId("c1"), parse_address("user:bob")))
    assert heard(world) == all_of("c1.1", "c1.2", "c2.1") - {"c1.1>c2.1"}
    said = {"call": "c1", "by": "user:alice", "to": "user:bob"}
    assert told(world, "bob", "call.whispering") == [said]
    assert told(world, "alice", "call.whispering") == [said]
    assert told(world, "carol", "call.whispering") == []
    world.do(whisper(alice, CallId("c1"), parse_address("user:carol")))
    assert heard(world) == all_of("c1.1", "c1.2", "c2.1") - {"c1.1>c1.2"}
    assert told(world, "bob", "call.whispering")[1:] == [{"call": "c1", "by": "user:alice"}]
    world.do(whisper(alice, CallId("c1"), None))
    assert heard(world) == all_of("c1.1", "c1.2", "c2.1")
    for nobody in ("user:alice", "user:dave"):
        with pytest.raises(NoSuchParty):
            world.do(whisper(alice, CallId("c1"), parse_address(nobody)))
    for other, call in ((bob, "c1"), (carol, "c2")):
        with pytest.raises(NotAllowed):
            world.do(whisper(other, CallId(call), parse_address("user:alice")))


def test_a_whisper_ends_with_either_of_the_two() -> None:
    world = World()
    alice, bob, _ = three(world)
    world.person("dave")
    world.do(world.registry.whisper(alice, CallId("c1"), parse_address("user:carol")))
    world.do(world.registry.hangup(world.online["carol"][0], CallId("c2")))
    assert heard(world) == all_of("c1.1", "c1.2")
    last = told(world, "alice", "call.whispering")[-1]
    assert last == {"call": "c1", "by": "user:alice"}
    assert bob


def test_mute_all_and_listen() -> None:
    world = World()
    alice, bob, carol = three(world)
    world.do(world.registry.mute_all(alice, CallId("c1"), True))
    assert heard(world) == {"c1.1>c1.2", "c1.1>c2.1"}
    for who, call in (("alice", "c1"), ("bob", "c1"), ("carol", "c2")):
        muted = {"call": call, "by": "user:alice", "muted": True}
        assert told(world, who, "call.muted_all") == [muted]
    with pytest.raises(NotAllowed):
        world.do(world.registry.mute_all(bob, CallId("c1"), False))
    dave = world.person("dave")
    add(world, bob, "user:dave")
    world.do(world.registry.accept(dave, CallId("c3"), "plain"))
    assert heard(world) == {"c1.1>c1.2", "c1.1>c2.1", "c1.1>c3.1"}
    world.do(world.registry.hangup(alice, CallId("c1")))  # who silenced them has left
    assert heard(world) == all_of("c1.2", "c2.1", "c3.1")
    assert told(world, "bob", "call.muted_all")[-1]["muted"] is False
    world.do(world.registry.listen(carol, CallId("c2"), True))
    assert heard(world) == all_of("c1.2", "c2.1", "c3.1") - {"c2.1>c1.2", "c2.1>c3.1"}
    assert told(world, "dave", "call.listening") == [
        {"call": "c3", "by": "user:carol", "listening": True}
    ]


def test_members_of_a_named_group_moderate() -> None:
    world = World(moderator_groups=("mods",))
    _, alice, _, _ = app_to_app(world)
    carol = Client(ClientId("carol"), Principal("carol", "Carol", groups=frozenset({"mods"})))
    world.online["carol"] = [carol]
    add(world, alice, "user:carol")
    world.do(world.registry.accept(carol, CallId("c2"), "plain"))
    world.do(world.registry.whisper(carol, CallId("c2"), parse_address("user:alice")))
    assert "c2.1>c1.2" not in heard(world) and "c2.1>c1.1" in heard(world)


def test_who_holds_steps_out() -> None:
    world = World()
    _, bob, _ = three(world)
    world.do(world.registry.hold(bob, CallId("c1"), True))
    assert heard(world) == all_of("c1.1", "c2.1")
    held = {"call": "c2", "by": "user:bob", "held": True}
    assert told(world, "carol", "call.held") == [held]
    assert not [line for line in world.log if line.startswith(("play", "hold"))][1:]
    world.do(world.registry.hold(bob, CallId("c1"), False))
    assert heard(world) == all_of("c1.1", "c1.2", "c2.1")


def test_a_softphone_whose_user_holds_plays_no_music_to_the_others() -> None:
    world = World()
    _, alice, _, _ = app_to_app(world)
    world.softphone("1001", "sip:1001@127.0.0.1:5070")
    add(world, alice, "sip:1001@dm.localhost")
    legs = world.legs_of("c2")
    legs.leg_answered(LegId("c2.1"))
    legs.leg_media(LegId("c2.1"), PCMU)
    world.clock.advance(0)
    assert heard(world) == all_of("c1.1", "c1.2", "c2.1")
    legs.leg_media(LegId("c2.1"), LegMedia("PCMU", 8000, secure=False, remote_held=True))
    assert heard(world) == all_of("c1.1", "c1.2")
    legs.leg_media(LegId("c2.1"), PCMU)
    assert heard(world) == all_of("c1.1", "c1.2", "c2.1")
    legs.leg_dtmf(LegId("c2.1"), "5", 100)
    for who in ("alice", "bob"):
        assert told(world, who, "call.dtmf")[-1]["digit"] == "5"
    legs.leg_closed(LegId("c2.1"), BYE)
    assert told(world, "bob", "call.left")[-1]["address"] == "sip:1001@dm.localhost"
    assert heard(world) == all_of("c1.1", "c1.2")


def test_a_telephones_number_is_shown_to_whoever_called_it() -> None:
    world = World()
    bob = world.person("bob")
    incoming(world, "user:bob", caller=parse_address("tel:+14155550123"))
    world.legs.leg_incoming(LegId("c1.1"))
    world.do(world.registry.accept(bob, CallId("c1"), "plain"))
    world.legs.leg_answered(LegId("c1.1"))
    world.legs.leg_media(LegId("c1.1"), PCMU)
    world.clock.advance(0)
    carol = world.person("carol")
    add(world, bob, "user:carol")
    (rung,) = told(world, "carol", "call.incoming")
    assert rung["group"] == ["service:guest-1", "user:bob"]
    world.do(world.registry.accept(carol, CallId("c2"), "plain"))
    met = told(world, "carol", "call.joined")
    assert {"call": "c2", "address": "service:guest-1"} in met
    assert "4155550123" not in str([e for who, e in world.told if who == "carol"])
    world.legs.leg_closed(LegId("c1.1"), BYE)
    assert told(world, "carol", "call.left") == [{"call": "c2", "address": "service:guest-1"}]


def test_what_cannot_be_added() -> None:
    world = World()
    _, alice, bob, _ = app_to_app(world)
    for to in ("user:alice", "user:bob", "service:echo"):
        with pytest.raises(NotAllowed):
            add(world, alice, to)
    world.do(world.registry.hold(bob, CallId("c1"), True))
    with pytest.raises(WrongState):
        add(world, alice, "user:carol")
    world.do(world.registry.hold(bob, CallId("c1"), False))
    carol = world.person("carol")
    add(world, alice, "user:carol")
    with pytest.raises(NotAllowed):
        add(world, bob, "user:carol")  # rings already
    with pytest.raises(WrongState):
        world.do(world.registry.transfer(alice, CallId("c1"), parse_address("user:dave")))
    with pytest.raises(GatewayError):
        add(world, carol, "user:dave", "c2")  # not in it yet


def test_a_full_worker() -> None:
    world = World()
    _, alice, _, _ = app_to_app(world)
    world.person("carol")
    world.worker.wide = False
    with pytest.raises(NoCapacity):
        add(world, alice, "user:carol")
    assert heard(world) == all_of("c1.1", "c1.2")
    assert len(world.registry) == 1


def test_groups_may_be_switched_off() -> None:
    world = World(groups=False)
    _, alice, _, _ = app_to_app(world)
    world.person("carol")
    with pytest.raises(NotAllowed):
        add(world, alice, "user:carol")


def test_a_worker_that_dies_ends_all() -> None:
    world = World()
    three(world)
    world.legs_of("c2").worker_lost()
    world.legs_of("c1").worker_lost()
    world.clock.advance(0)
    for who in ("alice", "bob", "carol"):
        (ended,) = told(world, who, "call.ended")
        assert ended["reason"] == "gateway_error"
    assert len(world.registry) == 0


def test_a_group_is_not_transferred() -> None:
    world = World()
    three(world)
    refused = world.registry.refer(LegId("c1.2"), Referral(parse_address("user:dave")))
    assert isinstance(refused, Refuse)


steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["add", "accept", "decline", "hangup", "hold", "whisper", "mute_all", "listen", "lost"]
        ),
        st.sampled_from(["alice", "bob", "carol", "dave"]),
        st.sampled_from(["carol", "dave", "bob", "alice"]),
        st.booleans(),
    ),
    max_size=25,
)


@settings(max_examples=200, deadline=None)
@given(steps)
def test_nobody_hears_anybody_before_both_have_accepted(
    script: list[tuple[str, str, str, bool]],
) -> None:
    world = World()
    _, alice, bob, _ = app_to_app(world)
    people = {"alice": alice, "bob": bob}
    people |= {name: world.person(name) for name in ("carol", "dave")}
    for what, who, other, on in script:
        client = people[who]
        call = CallId(calls_of(world, who))
        to = parse_address(f"user:{other}")
        with contextlib.suppress(GatewayError):
            world.do(act(world, what, client, call, to, on))
        world.clock.advance(0)
        accepted = accepted_legs(world)
        for way in heard(world):
            assert set(way.split(">")) <= accepted, (way, script)
    world.registry.end_all(Reason.GATEWAY_ERROR)
    world.clock.advance(60)
    assert len(world.registry) == 0 and heard(world) == set()
    assert world.metered.count("group") == world.metered.count("group over")


async def act(world: World, what: str, client: Client, call: CallId, to: Address, on: bool) -> None:
    registry = world.registry
    match what:
        case "add":
            await registry.add(client, call, to)
        case "accept":
            await registry.accept(client, call, "plain")
        case "decline":
            await registry.decline(client, call, "declined")
        case "hangup":
            await registry.hangup(client, call)
        case "hold":
            await registry.hold(client, call, on)
        case "whisper":
            await registry.whisper(client, call, to if on else None)
        case "mute_all":
            await registry.mute_all(client, call, on)
        case "listen":
            await registry.listen(client, call, on)
        case "lost":
            registry.client_gone(client.id)


def calls_of(world: World, who: str) -> str:
    """The call that they heard of last."""
    named = [e.params()["call"] for client, e in world.told if client == who]
    return str(named[-1]) if named else "c1"


def accepted_legs(world: World) -> set[str]:
    """Of records in which whoever has the leg has accepted."""
    latest = {record.call: record for record in world.saved}
    out: set[str] = set()
    for call, record in latest.items():
        if record.group is None:
            out |= {f"{call}.1"} if record.caller_accepted else set()
            out |= {f"{call}.2"} if record.callee_accepted else set()
        elif record.callee_accepted:
            out.add(f"{call}.1")
    return out


def test_the_end_of_one_that_was_added_is_theirs_alone() -> None:
    world = World()
    three(world)
    world.registry.end_by_server(CallId("c2"), None)
    world.clock.advance(0)
    assert heard(world) == all_of("c1.1", "c1.2")
    assert told(world, "carol", "call.ended")[0]["by"] == "gateway"
    assert world.legs_of("c1") is not None
    world.legs_of("c1").leg_closed(LegId("c1.2"), LegEnd(200, "OK", remote=True))
    assert len(world.registry) == 0
