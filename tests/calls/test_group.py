"""Several behind one number: together or in turn, and each way in which that ends."""

from __future__ import annotations

import pytest

from gateway.settings import RoutingSection
from gateway.values import CallId, Client, LegEnd, LegId
from tests.calls.outside import PCMU, World
from tests.calls.scene import BYE, incoming, invite

TOGETHER, IN_TURN = "+4930901820", "+4930901821"
PHONES, PHONES_IN_TURN = "+4930901822", "+4930901823"
ROUTING = RoutingSection.model_validate(
    {
        "numbers": [
            {"number": TOGETHER, "to": ["user:bob", "user:carol"]},
            {"number": IN_TURN, "to": ["user:bob", "user:carol"], "order": "in_turn"},
            {"number": PHONES, "to": ["sip:1001@dm.localhost", "sip:1002@dm.localhost"]},
            {
                "number": PHONES_IN_TURN,
                "to": ["sip:1001@dm.localhost", "sip:1002@dm.localhost"],
                "order": "in_turn",
            },
        ]
    }
)
RING_S = 40
TURN_S = RING_S / 2
FIRST, SECOND = LegId("c1.2"), LegId("c1.3")


def scene() -> tuple[World, Client, dict[str, Client]]:
    """Alice calls; each of the others has one client or one phone."""
    world = World(ROUTING, ring_s=RING_S)
    people = {name: world.person(name) for name in ("bob", "carol")}
    for user in ("1001", "1002"):
        world.softphone(user, f"sip:{user}@127.0.0.1:5070")
    return world, world.person("alice"), people


def opened(world: World) -> list[str]:
    return [line.split()[1] for line in world.log if line.startswith("open_sip_leg")]


def hang_up(world: World, client: Client, call: CallId) -> None:
    world.do(world.registry.hangup(client, call))


# --- together -------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "other"), [("bob", "carol"), ("carol", "bob")])
def test_together_the_first_who_accepts_has_the_call(first: str, other: str) -> None:
    world, alice, people = scene()
    call = invite(world, alice, f"tel:{TOGETHER}")
    assert world.events("bob") == world.events("carol") == ["call.incoming"]
    world.do(world.registry.accept(people[first], call, "plain"))
    assert world.last(other)["reason"] == "answered_elsewhere"
    assert world.events(first)[-1] == world.events("alice")[-1] == "call.connected"
    connects = [line for line in world.log if line.startswith("connect")]
    assert len(connects) == 1
    hang_up(world, people[first], call)
    assert (world.last("alice")["reason"], world.last("alice")["by"]) == ("completed", "callee")
    assert world.events(other) == ["call.incoming", "call.ended"]
    world.assert_clean()


def test_together_one_who_declines_leaves_the_other_ringing() -> None:
    world, alice, people = scene()
    call = invite(world, alice, f"tel:{TOGETHER}")
    world.do(world.registry.decline(people["bob"], call, "declined"))
    assert world.events("carol") == ["call.incoming"]
    assert "call.ended" not in world.events("alice")
    world.do(world.registry.accept(people["carol"], call, "plain"))
    assert world.events("alice")[-1] == "call.connected"
    hang_up(world, alice, call)
    assert world.last("carol")["reason"] == "completed"
    world.assert_clean()


@pytest.mark.parametrize(
    ("codes", "reason"),
    [
        ((486, 603), "busy"),
        ((603, 486), "busy"),
        ((603, 480), "declined"),
        ((480, 404), "no_answer"),
        ((404, 404), "unreachable"),
        ((404, 500), "unreachable"),
        ((500, 404), "gateway_error"),
    ],
)
@pytest.mark.parametrize("number", [PHONES, PHONES_IN_TURN])
def test_when_all_refuse_the_caller_hears_the_most_telling(
    number: str, codes: tuple[int, int], reason: str
) -> None:
    world, alice, _ = scene()
    invite(world, alice, f"tel:{number}")
    for leg, code in zip((FIRST, SECOND), codes, strict=True):
        assert "call.ended" not in world.events("alice")
        world.legs.leg_closed(leg, LegEnd(code, "", remote=True))
    assert world.last("alice")["reason"] == reason
    world.assert_clean()


def test_together_two_who_pick_up_at_once_one_is_let_go() -> None:
    world, alice, _ = scene()
    call = invite(world, alice, f"tel:{PHONES}")
    world.worker.known.discard(SECOND)  # its CANCEL meets a 200 on the way
    world.legs.leg_answered(FIRST)
    world.legs.leg_answered(SECOND)
    world.legs.leg_media(SECOND, PCMU)
    assert not any(line.startswith("connect") for line in world.log)
    world.legs.leg_media(FIRST, PCMU)
    assert f"close {SECOND} 487 200" in world.log
    connects = [line for line in world.log if line.startswith("connect")]
    assert connects == [f"connect c1.1 {FIRST}"]
    world.legs.leg_closed(SECOND, LegEnd(487, "", remote=False))
    assert world.events("alice")[-1] == "call.connected"
    hang_up(world, alice, call)
    world.assert_clean()


def test_together_an_answer_without_media_ends_in_the_chosen_ones_name() -> None:
    world, alice, _ = scene()
    invite(world, alice, f"tel:{PHONES}")
    world.legs.leg_answered(FIRST)
    world.legs.leg_closed(FIRST, LegEnd(488, "", remote=True))
    assert world.last("alice")["reason"] == "media_failed"
    world.assert_clean()


@pytest.mark.parametrize("number", [TOGETHER, PHONES, IN_TURN, PHONES_IN_TURN])
def test_the_caller_gives_up_and_all_stop(number: str) -> None:
    world, alice, _ = scene()
    call = invite(world, alice, f"tel:{number}")
    hang_up(world, alice, call)
    rung = [n for n in ("bob", "carol") if world.events(n)]
    assert all(world.last(n)["reason"] == "cancelled" for n in rung)
    closed = [line.split()[1] for line in world.log if line.startswith("close ") and "487" in line]
    assert sorted(set(opened(world)) - set(closed)) == []
    world.assert_clean()


def test_together_nobody_answers() -> None:
    world, alice, _ = scene()
    invite(world, alice, f"tel:{TOGETHER}")
    world.clock.advance(RING_S - 0.1)
    assert "call.ended" not in world.events("alice")
    world.clock.advance(0.2)
    for name in ("alice", "bob", "carol"):
        assert (world.last(name)["reason"], world.last(name)["by"]) == ("no_answer", "gateway")
    world.assert_clean()


def test_together_the_chosen_phone_hangs_up() -> None:
    world, alice, _ = scene()
    invite(world, alice, f"tel:{PHONES}")
    world.legs.leg_answered(SECOND)
    world.legs.leg_media(SECOND, PCMU)
    assert world.events("alice")[-1] == "call.connected"
    assert f"close {FIRST} 487 200" in world.log
    world.legs.leg_closed(SECOND, BYE)
    assert (world.last("alice")["reason"], world.last("alice")["by"]) == ("completed", "callee")
    world.assert_clean()


# --- one after the other --------------------------------------------------------------------


def test_in_turn_the_second_rings_when_the_firsts_time_is_over() -> None:
    world, alice, people = scene()
    call = invite(world, alice, f"tel:{IN_TURN}")
    assert (world.events("bob"), world.events("carol")) == (["call.incoming"], [])
    world.clock.advance(TURN_S - 0.1)
    assert world.events("carol") == []
    world.clock.advance(0.2)
    assert world.last("bob")["reason"] == "no_answer"
    assert world.events("carol") == ["call.incoming"]
    world.do(world.registry.accept(people["carol"], call, "plain"))
    assert world.events("alice")[-1] == "call.connected"
    world.clock.advance(RING_S)  # no turn is left to interrupt
    assert world.events("alice")[-1] == "call.connected"
    hang_up(world, alice, call)
    assert world.events("bob") == ["call.incoming", "call.ended"]
    world.assert_clean()


def test_in_turn_a_refusal_passes_on_at_once() -> None:
    world, alice, _ = scene()
    call = invite(world, alice, f"tel:{PHONES_IN_TURN}")
    assert opened(world) == [FIRST]
    world.legs.leg_closed(FIRST, LegEnd(486, "Busy Here", remote=True))
    assert opened(world) == [FIRST, SECOND]
    world.clock.advance(TURN_S + 0.1)  # the first's time ends nothing any more
    assert "call.ended" not in world.events("alice")
    world.legs.leg_answered(SECOND)
    world.legs.leg_media(SECOND, PCMU)
    assert world.events("alice")[-1] == "call.connected"
    hang_up(world, alice, call)
    world.assert_clean()


def test_in_turn_a_turn_that_is_given_up_leaves_no_timer() -> None:
    world, alice, _ = scene()
    call = invite(world, alice, f"tel:{PHONES_IN_TURN}")
    world.legs.leg_closed(FIRST, LegEnd(486, "Busy Here", remote=True))
    hang_up(world, alice, call)
    world.assert_clean()


def test_in_turn_the_first_answers_and_the_second_never_rings() -> None:
    world, alice, people = scene()
    call = invite(world, alice, f"tel:{IN_TURN}")
    world.do(world.registry.accept(people["bob"], call, "plain"))
    assert min(c.getTime() for c in world.clock.getDelayedCalls()) > RING_S  # no turn is left
    world.clock.advance(RING_S)
    assert world.events("carol") == []
    assert world.events("alice")[-1] == "call.connected"
    hang_up(world, people["bob"], call)
    assert world.last("alice")["reason"] == "completed"
    world.assert_clean()


def test_in_turn_a_late_answer_of_the_first_is_let_go() -> None:
    world, alice, _ = scene()
    call = invite(world, alice, f"tel:{PHONES_IN_TURN}")
    world.worker.known.discard(FIRST)  # its CANCEL meets a 200 on the way
    world.clock.advance(TURN_S + 0.1)
    assert any(line.startswith(f"close {FIRST} ") for line in world.log)
    world.legs.leg_answered(FIRST)
    world.legs.leg_media(FIRST, PCMU)
    assert not any(line.startswith("connect") for line in world.log)
    world.legs.leg_answered(SECOND)
    world.legs.leg_media(SECOND, PCMU)
    assert [li for li in world.log if li.startswith("connect")] == [f"connect c1.1 {SECOND}"]
    world.legs.leg_closed(FIRST, LegEnd(487, "", remote=False))
    hang_up(world, alice, call)
    world.assert_clean()


def test_in_turn_nobody_answers() -> None:
    world, alice, _ = scene()
    invite(world, alice, f"tel:{IN_TURN}")
    world.clock.advance(TURN_S + 0.1)
    world.clock.advance(TURN_S + 0.1)
    assert world.last("alice")["reason"] == "no_answer"
    assert world.events("bob") == world.events("carol") == ["call.incoming", "call.ended"]
    world.assert_clean()


# --- from a telephone -----------------------------------------------------------------------


def test_a_softphone_that_calls_a_group_is_answered_by_one() -> None:
    world, _, people = scene()
    world.softphone("1003", "sip:1003@127.0.0.1:5071")
    forward = incoming(world, f"sip:{TOGETHER}@dm.localhost")
    world.legs.leg_incoming(forward.leg)
    assert world.events("bob") == world.events("carol") == ["call.incoming"]
    world.do(world.registry.accept(people["carol"], CallId("c1"), "plain"))
    assert f"answer {forward.leg} 200" in world.log
    assert world.last("bob")["reason"] == "answered_elsewhere"
    world.legs.leg_closed(forward.leg, BYE)
    assert world.events("bob") == ["call.incoming", "call.ended"]
    world.assert_clean()


def test_the_worker_dies_while_a_group_rings() -> None:
    world, alice, _ = scene()
    invite(world, alice, f"tel:{IN_TURN}")
    world.legs.worker_lost()
    assert world.last("alice")["reason"] == world.last("bob")["reason"] == "gateway_error"
    assert world.events("carol") == []
    world.assert_clean()
