"""The main flows, played with real peers; run by ``make flows``, which writes docs/flows.md."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from tests.e2e.test_calls import _answer_reinvite, app_calls_phone
from tests.e2e.test_transfers import notified
from tests.e2e.test_trunks import NUMBER, answered, office, routing
from tests.flows.tape import Tape
from tests.peers.fixtures import SHARED, Cast
from tests.peers.gateway import Gateway
from tests.peers.sip_phone import SipPhone
from tests.peers.waiting import pause

TAPES: list[Tape] = []
OUT = Path(__file__).resolve().parents[2] / "docs" / "flows.md"


@pytest.fixture(scope="session", autouse=True)
def _page() -> Iterator[None]:
    yield
    parts = [
        "# Flows",
        "",
        "What the peers of a gateway send and get, in the order it happened. `make flows` writes",
        "it: each flow is played by an app client and SIP phones against a running gateway. The",
        "gateway stands between: it speaks SIP to phones and carriers, and the",
        "[DM call protocol](protocol.md) to the app. `SDP` is an offer or an answer.",
    ]
    for tape in TAPES:
        parts += ["", f"## {tape.title}", tape.about, "", "```mermaid", tape.diagram(), "```"]
    if os.environ.get("DMGW_FLOWS"):
        OUT.write_text("\n".join(parts) + "\n", encoding="utf-8")


def tape(title: str, about: str) -> Tape:
    TAPES.append(made := Tape(title, about))
    return made


@pytest_twisted.ensureDeferred
async def test_out(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    t = tape(
        "The app calls a softphone",
        "Both have accepted once the phone has answered: only then do they hear each other.",
    )
    t.app(alice, "alice")
    t.phone(phone, "phone")
    call, _, leg = await app_calls_phone(alice, phone)
    await pause(0.2)
    await alice.hangup(call)
    await leg.got("BYE")
    await alice.ended(call)
    await pause(0.2)


@pytest_twisted.ensureDeferred
async def test_in(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    t = tape(
        "A softphone calls the app",
        "A phone is challenged unless it calls from where it registered.",
    )
    t.app(alice, "alice")
    t.phone(phone, "phone")
    outgoing = phone.call("alice", phone.stream())
    await outgoing.admitted()
    call = (await alice.incoming())["call"]
    await outgoing.ringing()
    await pause(0.2)
    await alice.accept(call, alice.stream())
    await outgoing.answered()
    await alice.connected(call)
    await pause(0.2)
    await outgoing.bye()
    await alice.ended(call)


@pytest_twisted.ensureDeferred
async def test_app(gateway: Gateway, cast: Cast) -> None:
    alice, bob = await cast.client(gateway), await cast.client(gateway, "bob")
    t = tape("The app calls the app", "Two clients, each with a media session of its own.")
    t.app(alice, "alice")
    t.app(bob, "bob")
    call = await alice.invite("user:bob", alice.stream())
    await bob.incoming()
    await pause(0.2)
    await bob.accept(call, bob.stream())
    await alice.connected(call)
    await bob.connected(call)
    await pause(0.2)
    await bob.hangup(call)
    await alice.ended(call)


@pytest_twisted.ensureDeferred
async def test_cancel(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    t = tape("The caller gives up", "While the phone rings.")
    t.app(alice, "alice")
    t.phone(phone, "phone")
    call = await alice.invite("sip:1001@dm.localhost", alice.stream())
    leg = await phone.incoming()
    leg.answer(180)
    await alice.event("call.ringing", call=call)
    await pause(0.2)
    await alice.hangup(call)
    cancel = await leg.got("CANCEL")
    phone.send(SipPhone.refusal(cancel, 200))
    leg.answer(487)
    await leg.got("ACK")
    await alice.ended(call)


@pytest_twisted.ensureDeferred
async def test_hold(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    call, _, leg = await app_calls_phone(alice, phone)
    t = tape("Hold", "First the app's user holds the phone, then takes it back.")
    t.app(alice, "alice")
    t.phone(phone, "phone")
    for held, offered, taken in ((True, "sendonly", "recvonly"), (False, "sendrecv", "sendrecv")):
        seen = phone.messages.mark()
        asked = Deferred.fromCoroutine(alice.request("call.hold", call=call, held=held))
        await _answer_reinvite(phone, leg, seen, offered, taken)
        await asked
        await pause(0.2)
    await leg.bye()
    await alice.ended(call)


@pytest_twisted.ensureDeferred
async def test_transfer(gateway: Gateway, cast: Cast) -> None:
    first, second = await cast.registered(gateway), await cast.registered(gateway, "1002")
    alice = await cast.client(gateway)
    call, _, leg = await app_calls_phone(alice, first)
    t = tape(
        "A blind transfer",
        "The phone hands Alice over to another; the gateway calls it for her and joins them.",
    )
    t.app(alice, "alice")
    t.phone(first, "phone")
    t.phone(second, "other")
    await leg.in_dialog("REFER", "", ("refer-to", "<sip:1002@dm.localhost>"))
    other = await second.incoming()
    other.stream = second.stream(hz=700)
    other.answer(180)
    await notified(leg, 180)
    other.answer(200)
    await other.got("ACK")
    await notified(leg, 200)
    await leg.got("BYE")
    await pause(0.2)
    await alice.hangup(call)
    await other.got("BYE")
    await pause(0.2)


@pytest_twisted.ensureDeferred
async def test_group(cast: Cast) -> None:
    gateway = await cast.gateway(*SHARED, "calls.group_room=2")
    phone = await cast.registered(gateway)
    alice, bob = await cast.client(gateway), await cast.client(gateway, "bob")
    call, _, leg = await app_calls_phone(alice, phone)
    t = tape("Another is added", "The call goes on meanwhile; Bob is in it once he has accepted.")
    t.app(alice, "alice")
    t.app(bob, "bob")
    t.phone(phone, "phone")
    await alice.request("call.add", call=call, to="user:bob")
    invited = (await bob.incoming())["call"]
    await pause(0.2)
    await bob.accept(invited, bob.stream())
    await alice.event("call.joined", call=call)
    await bob.connected(invited)
    await pause(0.2)
    await leg.bye()
    await alice.event("call.left", call=call)
    await alice.hangup(call)
    await bob.ended(invited)


@pytest_twisted.ensureDeferred
async def test_failover(cast: Cast) -> None:
    uses = [{"name": "first", "priority": 1}, {"name": "second", "priority": 2}]
    here = await office(cast, [{"name": "first"}, {"name": "second"}], routing(*uses))
    alice = await cast.client(here.gateway)
    first, second = here.carriers["first"], here.carriers["second"]
    t = tape(
        "A trunk that cannot, and the next one",
        "A telephone number is called over the second trunk when the first answers 503.",
    )
    t.app(alice, "alice")
    t.phone(first, "trunk1")
    t.phone(second, "trunk2")
    call = await alice.invite(f"tel:{NUMBER}", alice.stream())
    refusing = await first.incoming()
    refusing.answer(503, "Service Unavailable")
    leg = await answered(second)
    await alice.connected(call)
    await pause(0.2)
    await alice.hangup(call)
    await leg.got("BYE")
    await pause(0.2)
