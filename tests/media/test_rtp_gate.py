"""Whose RTP is heard, and who is sent ours: the far end alone, wherever an attacker sends from."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import pytest_twisted

from gateway.media.rtp_gate import RtpGate, attach, program, sockets_at
from gateway.values import LegId
from tests import audio
from tests.media.conftest import MakeScene
from tests.media.hearing import deaf, hears, listen
from tests.media.scene import Scene, target
from tests.media.sdp import audio_line
from tests.peers.app_client import plain_offer
from tests.peers.ports import free_ports
from tests.peers.rtp import RtpStream
from tests.peers.sip_phone import SipCall
from tests.peers.waiting import pause

A, S = LegId("a"), LegId("s")
STRANGER = "127.0.0.2"


# --- the filters ------------------------------------------------------------------------


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.close()


class Wire:
    """A receiver, and senders at three addresses, named by the last number of theirs."""

    def __init__(self) -> None:
        self.port = free_ports(2)
        self.receiver = self._bound("127.0.0.1", self.port)
        self.senders = {n: self._bound(f"127.0.0.{n}", 0) for n in (1, 2, 3)}

    @staticmethod
    def _bound(host: str, port: int) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((host, port))
        made.setblocking(False)
        return made

    def arrive(self, size: int = 1) -> set[int]:
        """Which of the senders get through."""
        for n, sender in self.senders.items():
            sender.sendto(bytes([n]) * size, ("127.0.0.1", self.port))
        came = set()
        while True:
            try:
                came.add(self.receiver.recv(100_000)[0])
            except BlockingIOError:
                return came

    def close(self) -> None:
        for sock in (self.receiver, *self.senders.values()):
            sock.close()


@pytest.mark.parametrize(
    ("hosts", "passed"),
    [
        ((), set()),
        (("127.0.0.1",), {1}),
        (("127.0.0.3", "127.0.0.1"), {1, 3}),
        (("127.0.0.1", "127.0.0.2", "127.0.0.3"), {1, 2, 3}),
        (("10.0.0.1", "127.0.0.2"), {2}),
        (("10.0.0.1",), set()),
    ],
)
def test_a_filter_passes_addresses(wire: Wire, hosts: tuple[str, ...], passed: set[int]) -> None:
    attach(wire.receiver, program(hosts))
    assert wire.arrive() == passed


def test_a_filter_passes_one_port(wire: Wire) -> None:
    port = wire.senders[2].getsockname()[1]
    attach(wire.receiver, program(("127.0.0.1", "127.0.0.2"), port))
    assert wire.arrive() == {2}
    attach(wire.receiver, program(("127.0.0.2",), port ^ 1))
    assert wire.arrive() == set()


def test_ip_options_do_not_pass(wire: Wire) -> None:
    attach(wire.receiver, program(("127.0.0.1", "127.0.0.2")))
    nothing = bytes([1, 1, 1, 0])  # three NOPs and the end of the list (RFC 791 §3.1)
    wire.senders[1].setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, nothing)
    assert wire.arrive() == {2}


def test_a_gate_opens_step_by_step(wire: Wire) -> None:
    gate = RtpGate()
    with sockets_at((wire.port, wire.port + 1)) as found:
        assert set(found) == {wire.port}  # the RTCP socket is not there in this test
    wire.senders[1].sendto(b"\x09", ("127.0.0.1", wire.port))
    gate.shut(wire.port)
    assert wire.arrive() == set(), "what came before is lost, too"
    gate.admit({"127.0.0.1", "127.0.0.2"})
    assert wire.arrive() == {1, 2}
    assert not gate.latch(None, None)
    assert not gate.latch(("127.0.0.3", 5), None), "not one that was let in"
    assert wire.arrive() == {1, 2}
    first = ("127.0.0.2", wire.senders[2].getsockname()[1])
    assert not gate.latch(first, None)
    assert wire.arrive() == {2}
    assert gate.latch(("127.0.0.1", wire.senders[1].getsockname()[1]), ("127.0.0.2", 9))
    assert wire.arrive() == {2}, "the first one that was heard"
    gate.admit({"127.0.0.1"})
    assert wire.arrive() == {1}


# --- legs -------------------------------------------------------------------------------


class Attackers:
    """Streams that send to a leg's RTP port from a strange address, and from a strange port."""

    def __init__(self, scene: Scene, hz: float = 1700) -> None:
        self.stranger = RtpStream("PCMU", hz, host=STRANGER)
        self.neighbour = RtpStream("PCMU", hz)
        self.streams = (self.stranger, self.neighbour)
        scene.also(*self.streams)

    def send_to(self, port: int, *streams: RtpStream) -> None:
        for stream in streams or self.streams:
            stream.send_to("127.0.0.1", port)

    def got_nothing(self) -> bool:
        return not any(s.heard.packets for s in self.streams)


def _our_port(call: SipCall) -> int:
    assert call.invite is not None
    return audio_line(call.invite.body)[0]


@pytest_twisted.ensureDeferred
async def test_a_stranger_is_never_heard_before_or_during_a_call(scene: Scene) -> None:
    lease = await scene.lend(2)
    app, _ = await scene.app_leg(lease, "a", 700)
    await lease.open_sip_leg(S, target())
    call = await scene.phone.incoming()
    attackers = Attackers(scene)
    attackers.send_to(_our_port(call))  # while it rings
    call.answer(180)
    await pause(0.4)
    attackers.neighbour.quiet()  # our own host's other ports are only known once we have spoken
    call.stream = scene.phone.stream("PCMU", 440)
    call.answer(200)
    await scene.told.that("media", "s")
    await lease.connect(A, S)
    await hears(app, 440, 0.3)
    attackers.send_to(_our_port(call))
    await pause(0.3)
    signal = await listen(app, 0.5)
    await hears(call.stream, 700, 0.3)
    call.stream.quiet()  # a far end that says nothing for a while is no invitation
    await deaf(app, 0.6)
    assert attackers.got_nothing()
    assert audio.over_neighbours_db(signal, 440, 8000) > 20
    assert audio.power(signal, 1700, 8000) < audio.power(signal, 440, 8000) / 1000


@pytest_twisted.ensureDeferred
async def test_a_far_end_that_is_silent_at_first_is_not_replaced(scene: Scene) -> None:
    """Nothing was heard yet: a stranger still is not let in."""
    lease = await scene.lend(2)
    app, _ = await scene.app_leg(lease, "a", 700)
    await lease.open_sip_leg(S, target())
    call = await scene.phone.incoming()
    call.stream = scene.phone.stream("PCMU", None)
    call.answer(200, "OK", plain_offer(call.stream))
    await scene.told.that("media", "s")
    attackers = Attackers(scene)
    attackers.send_to(_our_port(call), attackers.stranger)
    await lease.connect(A, S)
    await deaf(app, 0.5)
    await hears(call.stream, 700, 0.3)
    assert attackers.got_nothing()


@pytest_twisted.ensureDeferred
async def test_an_app_leg_hears_its_own_client_alone(scene: Scene) -> None:
    lease = await scene.lend(1)
    app, answer = await scene.app_leg(lease, "a", 700)
    await lease.connect(A, A)
    await hears(app, 700, 0.3)
    attackers = Attackers(scene)
    attackers.send_to(audio_line(answer.sdp)[0])
    await pause(0.3)
    await hears(app, 700, 0.3)
    app.quiet()
    await deaf(app, 0.5)
    assert attackers.got_nothing()


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest_twisted.ensureDeferred
async def test_a_far_end_that_moves_is_followed(scene: Scene, method: str) -> None:
    lease = await scene.lend(2)
    app, _ = await scene.app_leg(lease, "a", 700)
    call = await scene.invited(lease, "s")
    await lease.connect(A, S)
    await hears(app, 440, 0.3)
    old, ours = call.stream, call.stream and call.stream.remote
    assert old is not None and ours is not None
    old.quiet()
    moved = scene.stream("PCMU", 1000)
    if method == "INVITE":
        call.stream = moved
        call.send_invite(plain_offer(moved))
        await call.answered()
    else:
        response = await call.in_dialog("UPDATE", plain_offer(moved))
        assert response.code == 200
        moved.send_to("127.0.0.1", audio_line(response.body)[0])
    await hears(app, 1000, 0.3)
    old.say(1700)
    old.send_to(*ours)
    await hears(app, 1000, 0.3)
    await hears(moved, 700, 0.3)
    moved.quiet()
    await deaf(app, 0.6)


@pytest.mark.parametrize("inwards", [True, False])
@pytest_twisted.ensureDeferred
async def test_a_far_end_behind_nat(scene: Scene, inwards: bool) -> None:
    """Its SDP has a private address; RTP comes from where its SIP came from."""
    lease = await scene.lend(2)
    app, _ = await scene.app_leg(lease, "a", 700)
    stream = RtpStream("PCMU", 440, host="127.0.0.3")
    scene.also(stream)
    private = plain_offer(stream).replace("127.0.0.1", "10.255.0.9")
    source = ("x-dmgw-source", "127.0.0.3")
    if inwards:
        await lease.expect_sip_leg(S)
        call = scene.calling(lease)
        call.send_invite(private, ("x-dmgw-leg", "s"), source)
        await scene.told.that("incoming", "s")
        await lease.answer(S, 200)
        call.stream = None
        port = audio_line((await call.answered()).body)[0]
    else:
        await lease.open_sip_leg(S, target())
        call = await scene.phone.incoming()
        call.answer(200, "OK", private, source)
        port = _our_port(call)
    await scene.told.that("media", "s")
    attackers = Attackers(scene)
    attackers.send_to(port, attackers.stranger)
    await lease.connect(A, S)
    await deaf(app, 0.4)
    stream.send_to("127.0.0.1", port)
    await hears(app, 440, 0.3)
    await hears(stream, 700, 0.3)
    assert attackers.got_nothing()


@pytest_twisted.ensureDeferred
async def test_only_the_edge_says_where_sip_comes_from(scene: Scene, make_scene: MakeScene) -> None:
    lease = await scene.lend(2)
    app, _ = await scene.app_leg(lease, "a", 700)
    call = await scene.invited(lease, "s", None)
    assert call.stream is not None
    assert call.stream.remote is not None
    call.stream.quiet()
    stranger = (await make_scene()).phone
    stranger.server = (lease.sip.host, lease.sip.port)
    forged = call.request("UPDATE", "", ("x-dmgw-source", STRANGER))
    stranger.send(forged)
    assert (await stranger.final(forged)).code == 200
    attackers = Attackers(scene)
    attackers.send_to(call.stream.remote[1], attackers.stranger)
    await lease.connect(A, S)
    await deaf(app, 0.6)
    assert attackers.got_nothing()
