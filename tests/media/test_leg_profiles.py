"""What the settings ask of one leg: codecs, SRTP, credentials, and legs of many kinds at once."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Literal

import pytest
import pytest_twisted

from gateway.errors import MediaFailed
from gateway.media.commands import profile_fields, profile_of
from gateway.media.lease import Lease
from gateway.values import HostPort, LegId, LegProfile
from tests import audio
from tests.media.conftest import MakeScene
from tests.media.scene import Scene, target
from tests.media.sdp import audio_line, offer
from tests.media.srtp import SrtpKey
from tests.peers.baresip import Baresip
from tests.peers.sip_message import SipMessage, challenge_parameters
from tests.peers.sip_phone import SipCall
from tests.peers.waiting import pause

S, T = LegId("s"), LegId("t")
Srtp = Literal["off", "optional", "mandatory"]
Reliable = Literal["off", "optional", "mandatory"]


async def _invited(
    scene: Scene, profile: LegProfile, sdp: str
) -> tuple[Lease, LegId, SipCall, SipMessage]:
    """An INVITE with this offer, answered 200 by us unless it is refused."""
    lease = await scene.lend(1)
    leg = LegId(f"in{len(scene.told.seen)}")
    await lease.expect_sip_leg(leg, profile)
    call = scene.calling(lease)
    call.send_invite(sdp, ("x-dmgw-leg", leg))
    event = await scene.told.expect(
        lambda e: e.leg == leg and e.name in ("incoming", "closed"), "a verdict"
    )
    if event.name == "incoming":
        await lease.answer(leg, 200)
    final = await call.final()
    if final.code == 200:
        call.learn(final)
    call.ack(final)
    if final.code == 200:
        await scene.told.that("answered", leg)
    else:
        assert (await scene.told.that("closed", leg)).code == final.code
    return lease, leg, call, final


async def _dialled(scene: Scene, leg: str, profile: LegProfile) -> tuple[Lease, SipCall]:
    lease = await scene.lend(1)
    mark = scene.phone.messages.mark()
    await lease.open_sip_leg(LegId(leg), target(profile=profile))
    return lease, await scene.phone.incoming(since=mark)


def test_a_profile_travels_whole_and_shows_no_password() -> None:
    profile = LegProfile(("PCMA", "GSM"), "mandatory", "off", 600, "info", "us", "pa ss\u2603")
    assert profile_of(profile_fields(profile)) == profile
    assert profile_of(profile_fields(LegProfile())) == LegProfile()
    assert "pa ss" not in repr(profile)


# --- codecs -----------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_leg_offers_its_own_codecs(scene: Scene) -> None:
    for leg, codecs, formats in (
        ("a", ("PCMA", "GSM"), [8, 3, 120]),
        ("b", ("PCMU",), [0, 120]),
        ("c", (), [9, 0, 8, 120]),
    ):
        lease, call = await _dialled(scene, leg, LegProfile(codecs))
        assert call.invite is not None
        assert audio_line(call.invite.body)[2] == formats
        call.stream = scene.phone.stream("PCMA" if 8 in formats else "PCMU")
        call.answer(200)
        await scene.told.that("answered", leg)
        mark = scene.phone.messages.mark()
        await lease.hold(LegId(leg), True)  # a later offer is no other
        assert audio_line((await call.got("INVITE", since=mark)).body)[2] == formats


@pytest_twisted.ensureDeferred
async def test_a_leg_takes_its_own_codecs_alone(scene: Scene) -> None:
    for offered, answered in (
        (("PCMU", "PCMA"), 8),
        (("iLBC", "PCMU"), 98),
        (("PCMU", "GSM"), None),
        (("opus",), None),
    ):
        profile = LegProfile(("PCMA", "iLBC"))
        lease, leg, call, final = await _invited(scene, profile, offer(4000, *offered))
        if answered is None:
            assert final.code == 488
            continue
        assert audio_line(final.body)[2][0] == answered
        refused = call.send_invite(offer(4000, "PCMU"))
        response = await scene.phone.final(refused)
        assert response.code == 488
        call.ack(response)
        assert (await call.in_dialog("UPDATE", offer(4000, "PCMU"))).code == 488
        assert not scene.told.all("closed", leg)
        await lease.close_leg(leg, 200, "OK")
        await lease.release()


@pytest_twisted.ensureDeferred
async def test_codecs_that_this_pjsip_lacks(scene: Scene) -> None:
    lease = await scene.lend(1)
    with pytest.raises(MediaFailed, match="none of the codecs opus, EVS"):
        await lease.open_sip_leg(S, target(profile=LegProfile(("opus", "EVS"))))
    with pytest.raises(MediaFailed, match="none of the codecs"):
        await lease.expect_sip_leg(S, LegProfile(("opus",)))
    await lease.expect_sip_leg(S)  # its name is free again


# --- SRTP -------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_what_a_leg_offers(scene: Scene) -> None:
    kinds: list[tuple[Srtp, str, int]] = [
        ("off", "RTP/AVP", 0),
        ("optional", "RTP/AVP", 4),
        ("mandatory", "RTP/SAVP", 4),
    ]
    for srtp, profile, suites in kinds:
        _, call = await _dialled(scene, srtp, LegProfile(srtp=srtp))
        assert call.invite is not None
        assert audio_line(call.invite.body)[1] == profile
        assert len(re.findall(r"^a=crypto:\d+ ", call.invite.body, re.M)) == suites
        call.stream = scene.phone.stream("PCMU")
        call.answer(200)  # without a key
        if srtp == "mandatory":
            await call.got("BYE")
            assert (await scene.told.that("closed", srtp)).code == 488
        else:
            assert not (await scene.told.that("media", srtp)).secure


SAVP = offer(4000, "PCMU", profile="RTP/SAVP", crypto=SrtpKey().inline)
KEYED_AVP = offer(4000, "PCMU", crypto=SrtpKey().inline)
AVP = offer(4000, "PCMU")


TAKEN: list[tuple[Srtp, str, bool | None]] = [
    ("off", AVP, False),
    ("off", SAVP, None),
    ("optional", AVP, False),
    ("optional", KEYED_AVP, True),
    ("optional", SAVP, True),
    ("mandatory", AVP, None),
    ("mandatory", SAVP, True),
]
SUITES = {
    "AES_CM_128_HMAC_SHA1_32": 30,
    "AES_256_CM_HMAC_SHA1_80": 46,
    "AES_256_CM_HMAC_SHA1_32": 46,
}
"""With the bytes of key and salt."""


@pytest_twisted.ensureDeferred
async def test_what_a_leg_takes(scene: Scene) -> None:
    for srtp, sdp, secure in TAKEN:
        lease, leg, call, final = await _invited(scene, LegProfile(srtp=srtp), sdp)
        if secure is None:
            assert final.code == 488, srtp
            await lease.release()
            continue
        assert final.code == 200
        assert (await scene.told.that("media", leg)).secure is secure
        assert ("a=crypto:1 " in final.body) is secure
        again = await call.in_dialog("UPDATE", AVP if srtp == "mandatory" else SAVP)
        assert again.code == (200 if srtp == "optional" else 488)
        await lease.close_leg(leg, 200, "OK")
        await lease.release()


@pytest_twisted.ensureDeferred
async def test_suites(scene: Scene) -> None:
    for suite, size in SUITES.items():
        key = base64.b64encode(bytes(range(size))).decode()
        sdp = re.sub(r"inline:\S+", f"inline:{key}", SAVP)
        sdp = sdp.replace("AES_CM_128_HMAC_SHA1_80", suite)
        _, leg, _, final = await _invited(scene, LegProfile(srtp="mandatory"), sdp)
        assert final.code == 200 and f"a=crypto:1 {suite} inline:" in final.body
        assert (await scene.told.that("media", leg)).secure


@pytest.mark.parametrize(
    ("srtp", "phone", "secure"),
    [
        ("mandatory", "srtp-mand", True),
        ("optional", "srtp", True),
        ("off", "srtp", False),
    ],
)
@pytest_twisted.ensureDeferred
async def test_srtp_with_a_softphone(
    make_scene: MakeScene,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    srtp: Srtp,
    phone: str,
    secure: bool,
) -> None:
    softphone = await Baresip.start(tmp_path, media=phone, auto_answer=True, hz=440)
    try:
        scene = await make_scene(proxy=HostPort("127.0.0.1", softphone.sip_port))
        lease = await scene.lend(1)
        uri = f"sip:1001@127.0.0.1:{softphone.sip_port}"
        await lease.open_sip_leg(S, target(uri, profile=LegProfile(srtp=srtp)))
        await scene.told.that("answered", "s")
        assert (await scene.told.that("media", "s")).secure is secure
        await lease.connect(S, S)
        await pause(1.2)
        heard, rate = softphone.heard()
        assert audio.over_neighbours_db(heard[-rate // 2 :], 440, rate) > 20
        await lease.close_leg(S, 200, "OK")
        await scene.told.that("closed", "s")
    finally:
        await softphone.stop()
    said = "".join(capfd.readouterr())
    assert "inline:" not in said and "a=crypto" not in said


# --- credentials ------------------------------------------------------------------------


def _challenge(algorithm: str, nonce: str = "abc", more: str = "") -> str:
    return f'Digest realm="carrier", nonce="{nonce}", algorithm={algorithm}, qop="auth"{more}'


def _is_right(header: str, password: str) -> bool:
    """Whether a Digest answer to an INVITE is that of this password (RFC 7616 §3.4.1)."""
    p = challenge_parameters(header)
    name = {"MD5": "md5", "SHA-256": "sha256"}[p["algorithm"]]

    def h(text: str) -> str:
        return hashlib.new(name, text.encode()).hexdigest()

    ha1 = h(f"{p['username']}:{p['realm']}:{password}")
    ha2 = h(f"INVITE:{p['uri']}")
    middle = f"{p['nonce']}:{p['nc']}:{p['cnonce']}:{p['qop']}"
    return p["response"] == h(f"{ha1}:{middle}:{ha2}")


KNOWN = LegProfile(username="us", password="secret\u00e9")


async def _challenged(scene: Scene, call: SipCall, code: int, *challenges: str) -> SipCall:
    """Refuse with challenges; the INVITE that follows."""
    name = "www-authenticate" if code == 401 else "proxy-authenticate"
    mark = scene.phone.messages.mark()
    call.answer(code, "", "", *((name, c) for c in challenges))
    await call.got("ACK", since=mark)
    return await scene.phone.incoming(since=mark)


@pytest.mark.parametrize("code", [401, 407])
@pytest_twisted.ensureDeferred
async def test_a_challenge_is_answered(
    scene: Scene, code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    for algorithms in (("MD5",), ("SHA-256",), ("SHA-256", "MD5")):
        leg = "+".join(algorithms)
        lease, first = await _dialled(scene, leg, KNOWN)
        call = await _challenged(scene, first, code, *map(_challenge, algorithms))
        assert call.invite is not None and call.invite.call_id == first.call_id
        header = call.invite.get("authorization" if code == 401 else "proxy-authorization")
        assert challenge_parameters(header)["username"] == "us"
        assert _is_right(header, KNOWN.password)
        assert not _is_right(header, "other")
        assert call.invite.get("x-dmgw-leg") == leg  # the edge still knows whose it is
        call.stream = scene.phone.stream("PCMU")
        call.answer(200)
        await scene.told.that("answered", leg)
        await lease.close_leg(LegId(leg), 200, "OK")
        await lease.release()
    assert KNOWN.password not in "".join(capfd.readouterr())


@pytest_twisted.ensureDeferred
async def test_a_stale_nonce_is_replaced(scene: Scene) -> None:
    lease = await scene.lend(1)
    await lease.open_sip_leg(S, target(profile=KNOWN))
    call = await _challenged(scene, await scene.phone.incoming(), 401, _challenge("MD5", "one"))
    call = await _challenged(scene, call, 401, _challenge("MD5", "two", ", stale=true"))
    assert call.invite is not None
    header = call.invite.get("authorization")
    assert challenge_parameters(header)["nonce"] == "two" and _is_right(header, "secret\u00e9")


@pytest.mark.parametrize(
    ("known", "fresh", "most"), [(True, True, 5), (True, False, 2), (False, True, 1)]
)
@pytest_twisted.ensureDeferred
async def test_a_password_that_is_not_taken_ends_the_leg(
    scene: Scene, known: bool, fresh: bool, most: int
) -> None:
    """Each nonce is tried once, and not too many of them."""
    lease = await scene.lend(1)
    await lease.open_sip_leg(S, target(profile=KNOWN if known else LegProfile()))
    call = await scene.phone.incoming()
    for count in range(most):
        mark = scene.phone.messages.mark()
        nonce = f"n{count if fresh else 0}"
        call.answer(407, "", "", ("proxy-authenticate", _challenge("MD5", nonce)))
        await call.got("ACK", since=mark)
        await pause(0.2)
        if scene.told.all("closed"):
            break
        call = await scene.phone.incoming(since=mark)
    end = await scene.told.that("closed", "s")
    assert (end.code, end.remote) == (407, True)
    invites = [m for m in scene.phone.messages.seen if m.method == "INVITE" and not m.code]
    assert len(invites) <= most


# --- legs of many kinds -----------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_legs_of_many_kinds_in_one_worker(scene: Scene) -> None:
    """More kinds than PJSIP has accounts, one after another and four at once."""
    for round_ in range(4):
        lease = await scene.lend(4)
        calls = []
        for n in range(4):
            who = f"user{round_}.{n}"
            profile = LegProfile(username=who, password="x", srtp="optional" if n % 2 else "off")
            leg = LegId(f"{round_}.{n}")
            mark = scene.phone.messages.mark()
            await lease.open_sip_leg(leg, target(profile=profile))
            call = await scene.phone.incoming(since=mark)
            call = await _challenged(scene, call, 401, _challenge("MD5"))
            assert call.invite is not None
            header = call.invite.get("authorization")
            assert challenge_parameters(header)["username"] == who
            calls.append((leg, call))
        for leg, call in calls:
            call.answer(486)
            await scene.told.that("closed", leg)
        await lease.release()
    assert scene.watch.gone == []


@pytest_twisted.ensureDeferred
async def test_ports_rest_whatever_the_kind_of_leg(scene: Scene) -> None:
    ports = []
    for n in range(12):
        lease = await scene.lend(1)
        leg = LegId(f"p{n}")
        mark = scene.phone.messages.mark()
        if n % 3 == 2:
            await lease.expect_sip_leg(leg, LegProfile(username=f"u{n}"))
            call = scene.calling(lease)
            call.send_invite(None, ("x-dmgw-leg", leg))
            await scene.told.that("incoming", leg)
            await lease.answer(leg, 200)
            ports.append(audio_line((await call.answered()).body)[0])
            await lease.close_leg(leg, 200, "OK")
        else:
            await lease.open_sip_leg(leg, target(profile=LegProfile(username=f"u{n % 2}")))
            call = await scene.phone.incoming(since=mark)
            assert call.invite is not None
            ports.append(audio_line(call.invite.body)[0])
            call.answer(486)
        await scene.told.that("closed", leg)
        await lease.release()
    assert len(set(ports)) == len(ports), ports
