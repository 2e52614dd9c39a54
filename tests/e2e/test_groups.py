"""Group calls with real media: everybody is heard by whoever is to hear them, by nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import pytest
import pytest_twisted

from tests import audio
from tests.e2e.residue import nothing_left
from tests.e2e.test_calls import app_calls_phone
from tests.peers.fixtures import SHARED, Cast
from tests.peers.gateway import Gateway
from tests.peers.rtp import RtpStream
from tests.peers.waiting import pause

# each a multiple of 50: a frame that a jitter buffer drops leaves the tone as it was
HZ = {"alice": 1000.0, "phone": 450.0, "bob": 700.0, "carol": 1400.0}
HEARD_S = 1.2


@pytest_twisted.async_yield_fixture(scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    made = Gateway(tmp_path_factory.mktemp("gateway"), *SHARED, "calls.group_room=2")
    try:
        await made.up()
        yield made
    finally:
        await made.end()


async def hear(streams: Mapping[str, RtpStream], wanted: Mapping[str, str]) -> None:
    """Who is wanted to be heard is, from now on, and who is not, is not."""
    await pause(0.5)
    marks = {who: stream.mark() for who, stream in streams.items()}
    await pause(HEARD_S + 0.2)
    for who, stream in streams.items():
        got = stream.audio(marks[who])
        for other, hz in HZ.items():
            clear = audio.clear_db(got, hz, 8000) if len(got) else -99.0
            if other in wanted[who].split():
                assert clear >= 20, f"{who} does not hear {other}: {clear:.1f} dB"
                assert audio.seconds_of(got, hz, 8000) >= HEARD_S * 0.9, (
                    f"{who} hears {other} too short"
                )
            else:
                loud = audio.power(got, hz, 8000) if len(got) else 0.0
                assert loud < 1e-5, f"{who} hears {other}: {clear:.1f} dB, {loud}"


@pytest_twisted.ensureDeferred
async def test_four_talk_two_in_private_and_leave_one_by_one(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway)
    alice = await cast.client(gateway)
    bob = await cast.client(gateway, "bob")
    carol = await cast.client(gateway, "carol")
    async with nothing_left(gateway):
        call, hers, leg = await app_calls_phone(alice, phone, hz=(HZ["alice"], HZ["phone"]))
        assert leg.stream is not None
        streams = {"alice": hers, "phone": leg.stream}

        await alice.request("call.add", call=call, to="user:bob")
        invited = await bob.incoming()
        assert invited["group"] == ["user:alice", "sip:1001@dm.localhost"]
        await hear(streams, {"alice": "phone", "phone": "alice"})  # it goes on meanwhile
        streams["bob"] = await bob.accept(invited["call"], bob.stream(hz=HZ["bob"]))
        joined = await alice.event("call.joined", call=call)
        assert (joined["address"], joined["name"]) == ("user:bob", "Bob")
        everybody = {"alice": "phone bob", "phone": "alice bob", "bob": "alice phone"}
        await hear(streams, everybody)

        # whoever was added adds another, who is heard once she has accepted
        await bob.request("call.add", call=invited["call"], to="user:carol")
        third = await carol.incoming()
        streams["carol"] = carol.stream(hz=HZ["carol"])
        await hear(streams, {**everybody, "carol": ""})
        await carol.accept(third["call"], streams["carol"])
        await carol.connected(third["call"])
        everybody = {
            who: " ".join(other for other in HZ if other != who)
            for who in ("alice", "phone", "bob", "carol")
        }
        await hear(streams, everybody)

        # alice speaks to the phone alone; the others hear the phone, and not her
        await alice.request("call.whisper", call=call, to="sip:1001@dm.localhost")
        await hear(streams, {**everybody, "bob": "phone carol", "carol": "phone bob"})
        assert carol.told("call.whispering") == bob.told("call.whispering") == []
        await alice.request("call.whisper", call=call, to=None)

        await alice.request("call.mute_all", call=call, muted=True)
        assert (await carol.event("call.muted_all"))["by"] == "user:alice"
        await hear(streams, {"alice": "", "phone": "alice", "bob": "alice", "carol": "alice"})
        await alice.request("call.mute_all", call=call, muted=False)
        await hear(streams, everybody)

        # whoever began it leaves, and the call goes on; then the phone does
        await alice.hangup(call)
        assert (await alice.ended(call))["reason"] == "completed"
        assert (await bob.event("call.left"))["address"] == "user:alice"
        del streams["alice"]
        rest = {"phone": "bob carol", "bob": "phone carol", "carol": "phone bob"}
        await hear(streams, rest)
        await leg.bye()
        del streams["phone"]
        await hear(streams, {"bob": "carol", "carol": "bob"})
        await carol.hangup(third["call"])
        assert (await bob.ended(invited["call"]))["reason"] == "completed"


@pytest_twisted.ensureDeferred
async def test_a_softphone_is_added_and_does_not_answer(gateway: Gateway, cast: Cast) -> None:
    phone = await cast.registered(gateway)
    second = await cast.registered(gateway, "1002")
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        call, hers, leg = await app_calls_phone(alice, phone, hz=(HZ["alice"], HZ["phone"]))
        assert leg.stream is not None
        await alice.request("call.add", call=call, to="sip:1002@dm.localhost")
        rung = await second.incoming()
        rung.answer(486)
        left = await alice.event("call.left", call=call)
        assert (left["address"], left["reason"]) == ("sip:1002@dm.localhost", "busy")
        await hear({"alice": hers, "phone": leg.stream}, {"alice": "phone", "phone": "alice"})
        await leg.bye()
        await alice.ended(call)
