"""The peers against each other: what later meets the gateway is known to be good."""

from __future__ import annotations

import asyncio
import sys

import numpy as np
import pytest
import pytest_twisted

from tests import audio
from tests.peers import g711
from tests.peers.fixtures import Cast
from tests.peers.programs import Program
from tests.peers.sip_message import SipMessage, credentials
from tests.peers.waiting import Happenings, NotSeen, pause, reactor


def test_the_reactor_is_asyncios() -> None:
    assert type(reactor).__name__ == "AsyncioSelectorReactor"
    assert isinstance(reactor._asyncioEventloop, asyncio.AbstractEventLoop)


@pytest.mark.parametrize("law", ["PCMU", "PCMA"])
def test_g711_survives_a_round_trip(law: str) -> None:
    signal = audio.tone(1000, 0.5, level=0.5)
    back = g711.decode(g711.encode(signal, law), law)
    noise = np.mean((signal - back) ** 2) / np.mean(signal**2)
    assert 10 * np.log10(noise) < -33  # what G.712 asks for


def test_g711_agrees_with_sox_values() -> None:
    assert g711.encode(np.zeros(1), "PCMU") in (b"\xff", b"\x7f")
    assert g711.decode(b"\x80", "PCMU")[0] * 32768 == 32124
    assert g711.decode(b"\x00", "PCMU")[0] * 32768 == -32124
    assert g711.decode(b"\xaa", "PCMA")[0] * 32768 == 32256
    assert g711.decode(b"\xd5", "PCMA")[0] * 32768 == 8


def test_digest_is_rfc_7616s(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two examples of RFC 7616 §3.9.1."""
    cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    monkeypatch.setattr("secrets.token_hex", lambda _: cnonce)
    nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
    for algorithm, response in (
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ):
        challenge = (
            f'Digest realm="http-auth@example.org", qop="auth", algorithm={algorithm}, '
            f'nonce="{nonce}"'
        )
        line = credentials(challenge, "Mufasa", "Circle of Life", "GET", "/dir/index.html")
        assert f'response="{response}"' in line


def test_sip_messages_survive_a_round_trip() -> None:
    message = SipMessage("OPTIONS sip:a@b SIP/2.0", [("via", "SIP/2.0/UDP x"), ("cseq", "1 X")])
    assert SipMessage.parse(str(message).encode()).all("Via") == ["SIP/2.0/UDP x"]


@pytest_twisted.ensureDeferred
async def test_an_event_that_does_not_come_is_told_with_what_came() -> None:
    events: Happenings[str] = Happenings("bell")
    events.add("knock")
    with pytest.raises(NotSeen, match=r"bell: no ring in 0.05 s; seen:\n  knock"):
        await events.expect(lambda e: e == "ring", "ring", 0.05)


@pytest_twisted.ensureDeferred
async def test_a_program_is_stopped_though_it_will_not() -> None:
    stubborn = "import signal,time; signal.signal(15, lambda *a: 0); print(1, flush=True)\n"
    program = Program([sys.executable, "-c", stubborn + "while True: time.sleep(1)"])
    await program.stdout.expect(lambda line: line == "1", "its first line", 10)
    assert await program.stop(grace_s=0.3) == -9


@pytest_twisted.ensureDeferred
async def test_rtp_streams_hear_each_other(cast: Cast) -> None:
    a, b = cast.stream("PCMU", 440), cast.stream("PCMA", 700)
    a.send_to("127.0.0.1", b.port)
    b.send_to("127.0.0.1", a.port)
    await pause(1.0)
    for stream, hz in ((a, 700), (b, 440)):
        heard = stream.audio()
        assert audio.over_neighbours_db(heard, hz, 8000) > 20
        assert audio.longest_gap_ms(heard, hz, 8000) <= 20
        assert 0.8 < len(heard) / 8000 < 1.5
    await a.press("0123456789*#ABCD", duration_ms=60, gap_ms=40)
    await b.presses.expect(lambda p: p.digit == "D" and p.ended, "the last digit", 2)
    assert b.digits() == "0123456789*#ABCD"
    assert {p.duration for p in b.presses.seen} == {480}


@pytest_twisted.ensureDeferred
async def test_two_baresips_talk(cast: Cast) -> None:
    a = await cast.baresip(user="a", hz=440)
    b = await cast.baresip(user="b", hz=700)
    await a.dial(f"sip:b@127.0.0.1:{b.sip_port}")
    await b.incoming()
    await b.accept()
    await a.established()
    await b.established()
    await pause(2)
    await a.press("159#")
    await b.expect_digits("159#")
    await a.hangup()
    await b.closed()
    for phone, hz in ((a, 700), (b, 440)):
        heard, rate = phone.heard()
        assert len(heard) > 1.5 * rate
        assert audio.over_neighbours_db(heard, hz, rate) > 20
        assert audio.longest_gap_ms(heard, hz, rate) <= 60


@pytest_twisted.ensureDeferred
async def test_two_baresips_talk_in_g722(cast: Cast) -> None:
    a = await cast.baresip(user="a", hz=440, codecs=["G722"])
    b = await cast.baresip(user="b", hz=700, codecs=["G722", "PCMU"], auto_answer=True)
    await a.dial(f"sip:b@127.0.0.1:{b.sip_port}")
    await a.established()
    await pause(1.5)
    await a.hangup()
    heard, rate = b.heard()
    assert rate == 16_000
    assert audio.over_neighbours_db(heard, 440, rate) > 20


@pytest_twisted.ensureDeferred
async def test_sipp_calls_a_python_phone_and_is_told_what_happened(cast: Cast) -> None:
    """A wrong expectation of sipp's must come out as a failure, a right one as a success."""
    sipp = cast.sipp("answers", hold_ms=100)
    await sipp.listening()
    phone = cast.sip_phone(sipp.address)
    call = phone.call("bob", phone.stream())
    call.send_invite()
    await call.answered()
    assert (await call.bye()).code == 200
    (await sipp.run()).assert_all(1)

    other = cast.sip_phone("127.0.0.1:9")
    sipp = cast.sipp("register", remote=f"127.0.0.1:{other.port}", final=200)
    other.server = ("127.0.0.1", sipp.port)
    request = await other.messages.expect(lambda m: m.method == "REGISTER", "REGISTER")
    other.send(other.refusal(request, 403))
    result = await sipp.run()
    assert (result.exit_code, result.failed) == (1, 1)
    assert "403" in result.why


@pytest_twisted.ensureDeferred
async def test_sipp_answers_a_challenge_and_the_phone_checks_it(cast: Cast) -> None:
    phone = cast.sip_phone("127.0.0.1:9")
    sipp = cast.sipp("register", remote=f"127.0.0.1:{phone.port}", final=200)
    phone.server = ("127.0.0.1", sipp.port)
    request = await phone.messages.expect(lambda m: m.method == "REGISTER", "REGISTER")
    challenge = 'Digest realm="dm.localhost", nonce="abc", algorithm=MD5, qop="auth"'
    phone.send(phone.refusal(request, 401, ("www-authenticate", challenge)))
    again = await phone.messages.expect(lambda m: bool(m.get("authorization")), "credentials")
    assert 'username="1001"' in again.get("authorization")
    assert "qop=auth" in again.get("authorization")
    phone.send(phone.refusal(again, 200))
    (await sipp.run()).assert_all(1)


MD5 = ("www-authenticate", 'Digest realm="dm", nonce="abc", algorithm=MD5, qop="auth"')
SHA = ("www-authenticate", 'Digest realm="dm", nonce="abc", algorithm=SHA-256, qop="auth"')


@pytest_twisted.ensureDeferred
async def test_baresip_answers_a_challenge(cast: Cast) -> None:
    """Only one that is in MD5 alone: beside SHA-256, in whatever order, baresip 1.0 gives up."""
    phone = cast.sip_phone("127.0.0.1:9")
    softphone = cast.bare_baresip(registrar=f"127.0.0.1:{phone.port}", password="secret1001")
    phone.server = ("127.0.0.1", softphone.sip_port)
    request = await phone.messages.expect(lambda m: m.method == "REGISTER", "REGISTER")
    phone.send(phone.refusal(request, 401, MD5))
    again = await phone.messages.expect(lambda m: bool(m.get("authorization")), "credentials")
    assert 'username="1001"' in again.get("authorization")


@pytest_twisted.ensureDeferred
async def test_sipp_picks_the_first_of_two_challenges(cast: Cast) -> None:
    """It knows MD5 alone, and gives up where SHA-256 comes first."""
    phone = cast.sip_phone("127.0.0.1:9")
    sipp = cast.sipp("register", remote=f"127.0.0.1:{phone.port}", final=200)
    phone.server = ("127.0.0.1", sipp.port)
    request = await phone.messages.expect(lambda m: m.method == "REGISTER", "REGISTER")
    phone.send(phone.refusal(request, 401, MD5, SHA))
    again = await phone.messages.expect(lambda m: bool(m.get("authorization")), "credentials")
    phone.send(phone.refusal(again, 200))
    (await sipp.run()).assert_all(1)
