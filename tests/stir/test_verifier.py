"""Identity headers judged, with certificates fetched from a repository on loopback."""

from __future__ import annotations

import base64
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import pytest_twisted
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import crypto
from twisted.internet.defer import Deferred, gatherResults

from gateway.calls.ports import Refuse
from gateway.errors import CannotStart
from gateway.settings import StirSection
from gateway.sip.passport import party
from gateway.stir import tnauthlist
from gateway.stir.credential import judged
from gateway.stir.rejected import Rejected
from gateway.stir.verifier import Verifier
from gateway.values import Verification
from tests.peers.waiting import reactor
from tests.stir.authority import NOW, SPC_709J, Issued, issue, key_usage, of_number
from tests.stir.repository import begins, says
from tests.stir.scene import (
    BAD_INFO,
    DEST,
    INVALID,
    PASSED,
    STALE,
    UNSUPPORTED,
    Meters,
    Scene,
    failed,
)

# --- what holds -------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_good_signature(scene: Scene) -> None:
    found = await scene.told(scene.identity())
    assert found == PASSED
    assert found.verstat == "TN-Validation-Passed"
    assert scene.meters.results == ["passed"]


@pytest.mark.parametrize("level", ["A", "B", "C"])
@pytest_twisted.ensureDeferred
async def test_the_level_is_the_signers(scene: Scene, level: str) -> None:
    assert (await scene.told(scene.identity(attest=level))).attest == level


@pytest_twisted.ensureDeferred
async def test_no_identity_header(scene: Scene) -> None:
    found = await scene.told([])
    assert found == Verification("none", code=428, text="Use Identity Header")
    assert found.verstat == "No-TN-Validation"
    assert scene.meters.results == ["none"]


@pytest_twisted.ensureDeferred
async def test_a_passport_without_extension_says_no_level(scene: Scene) -> None:
    plain = scene.identity(ppt=None, attest=None, origid="")
    assert await scene.told(plain) == Verification("passed")


@pytest_twisted.ensureDeferred
async def test_the_compact_form_is_completed_with_the_date_header(scene: Scene) -> None:
    compact = scene.identity(ppt=None, attest=None, origid="", compact=True)
    assert compact.startswith("..")
    assert await scene.told(compact, date=NOW) == Verification("passed")
    assert failed(await scene.told(compact, date=NOW + 1)) == INVALID
    assert failed(await scene.told(compact)) == INVALID
    assert failed(await scene.told(compact, date=NOW, dest="+1999")) == INVALID
    assert failed(await scene.told(compact, date=NOW - 120)) == STALE
    assert failed(await scene.told(scene.identity(compact=True), date=NOW)) == INVALID


@pytest_twisted.ensureDeferred
async def test_one_of_several_destinations(scene: Scene) -> None:
    dest = (party("+12155550000"), party(DEST))
    assert await scene.told(scene.identity(dest=dest)) == PASSED


@pytest.mark.parametrize(
    "caller",
    [
        "tel:+1-215-555-1212",
        "sip:+12155551212@carrier.example",
        "sip:12155551212@carrier.example;user=phone",
        "sip:12155551212@carrier.example:5070",
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_number_however_it_is_written(scene: Scene, caller: str) -> None:
    assert await scene.told(scene.identity(), orig=caller) == PASSED
    callee = caller.replace("1212", "0131")
    assert await scene.told(scene.identity(), orig=caller, dest=callee) == PASSED
    assert failed(await scene.told(scene.identity(), orig=callee)) == INVALID


@pytest_twisted.ensureDeferred
async def test_a_sip_address_needs_a_certificate_of_its_domain(scene: Scene) -> None:
    signer = issue("s", scene.middle, tn=None, names=["A.example", "*.b.example"])
    scene.repository.answers["/good.pem"] = says(scene.chain(signer))
    verifier = scene.verifier()
    for caller, wanted in (
        ("sip:alice@a.example", PASSED),
        ("sip:alice@x.b.example", UNSUPPORTED),
        ("sip:alice@c.example", UNSUPPORTED),
    ):
        text = scene.identity(signer, orig=party(caller))
        asked = caller.replace("@a.example", "@A.Example:5070")
        found = await scene.told(text, verifier, orig=asked)
        assert (found if wanted is PASSED else failed(found)) == wanted
    # and it says nothing of numbers
    assert failed(await scene.told(scene.identity(signer), verifier)) == UNSUPPORTED


@pytest_twisted.ensureDeferred
async def test_one_of_several_headers_is_enough(scene: Scene) -> None:
    good = scene.identity()
    stale = scene.identity(iat=int(NOW) - 1000)
    assert await scene.told([stale, good]) == PASSED
    assert await scene.told([f"{stale}, {good}"]) == PASSED
    plain = scene.identity(ppt=None, attest=None, origid="")
    assert await scene.told([plain, good]) == PASSED
    assert failed(await scene.told([stale, "nonsense"])) == STALE
    # beyond those that are looked at
    assert failed(await scene.told([stale, stale, stale, stale, good])) == STALE


@pytest_twisted.ensureDeferred
async def test_an_extension_that_is_not_known_is_as_if_it_were_not_there(scene: Scene) -> None:
    div = scene.identity().replace("ppt=shaken", "ppt=div")
    assert (await scene.told(div)).status == "none"
    assert await scene.told([div, scene.identity()]) == PASSED


# --- claims that do not hold ------------------------------------------------------------------


def _flip(text: str, part: int) -> str:
    """Another letter in the middle of a part of the token."""
    parts = text.split(".", 2)
    at = len(parts[part]) // 2 if part < 2 else 40
    letter = "A" if parts[part][at] != "A" else "B"
    parts[part] = parts[part][:at] + letter + parts[part][at + 1 :]
    return ".".join(parts)


CLAIMS: dict[str, tuple[Callable[[Scene], str], dict[str, Any], tuple[str, int, str]]] = {
    "old": (lambda s: s.identity(iat=int(NOW) - 61), {}, STALE),
    "of the future": (lambda s: s.identity(iat=int(NOW) + 61), {}, STALE),
    "another caller": (lambda s: s.identity(), {"orig": "+12155551213"}, INVALID),
    "another callee": (lambda s: s.identity(), {"dest": "+12155551213"}, INVALID),
    "a URI instead of the number": (lambda s: s.identity(), {"orig": "sip:a@b.example"}, INVALID),
    "a caller that is none": (lambda s: s.identity(), {"orig": "sip:b.example"}, INVALID),
    "a callee that is none": (lambda s: s.identity(), {"dest": ""}, INVALID),
    "no passport": (lambda s: "nonsense", {}, INVALID),
    "header changed": (lambda s: _flip(s.identity(), 0), {}, INVALID),
    "payload changed": (lambda s: _flip(s.identity(), 1), {}, INVALID),
    "signature changed": (lambda s: _flip(s.identity(), 2), {}, INVALID),
    "another key": (lambda s: s.identity(issue("x", s.middle)), {}, INVALID),
    "another algorithm": (lambda s: s.identity(alg="ES384"), {}, UNSUPPORTED),
}


@pytest.mark.parametrize("case", CLAIMS)
@pytest_twisted.ensureDeferred
async def test_what_fails(scene: Scene, case: str) -> None:
    make, asked, wanted = CLAIMS[case]
    assert failed(await scene.told(make(scene), **asked)) == wanted
    assert scene.meters.results == [wanted[2].lower().replace(" ", "_")]


@pytest_twisted.ensureDeferred
async def test_nothing_is_fetched_for_claims_that_are_wrong(scene: Scene) -> None:
    await scene.told(scene.identity(), orig="+1999")
    await scene.told(scene.identity(iat=0))
    assert not scene.repository.asked


@pytest_twisted.ensureDeferred
async def test_how_old_is_too_old_is_a_setting(scene: Scene) -> None:
    text = scene.identity(iat=int(NOW) - 61)
    assert await scene.told(text, scene.verifier(max_age_s=61)) == PASSED


# --- certificates -----------------------------------------------------------------------------


def _p384(s: Scene) -> Issued:
    return issue("p384", s.middle, key=ec.generate_private_key(ec.SECP384R1()))


def _stranger(s: Scene) -> Issued:
    return issue("s", issue("Root", ca=True))


def _below_a_signer(s: Scene) -> Issued:
    return issue("s", s.signer)


def _weak_middle(s: Scene) -> tuple[Issued, Issued]:
    key = rsa.generate_private_key(65537, 1024)
    middle = issue("weak", s.root, ca=True, key=key)
    return issue("s", middle), middle


def _sha_1(s: Scene) -> Issued:
    signer = issue("s", s.middle)
    certificate = crypto.X509.from_cryptography(signer.certificate)
    certificate.sign(crypto.PKey.from_cryptography_key(s.middle.key), "sha1")
    return Issued(signer.key, certificate.to_cryptography())


SELF = issue("self", names=["a.example"])
CRITICAL = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)
TN_CRITICAL = (
    x509.UnrecognizedExtension(x509.ObjectIdentifier(tnauthlist.OID), SPC_709J),
    True,
)
POLICIES = (
    x509.CertificatePolicies(
        [x509.PolicyInformation(x509.ObjectIdentifier("2.16.840.1.114569.1.1.1"), None)]
    ),
    True,
)
CHAINS: dict[str, tuple[Callable[[Scene], Any], bool | str]] = {
    "without others, below the root": (lambda s: [issue("s", s.root)], True),
    "with critical policies": (lambda s: [issue("s", s.middle, also=[POLICIES]), s.middle], True),
    "with a critical TNAuthList": (
        lambda s: [issue("s", s.middle, tn=None, also=[TN_CRITICAL]), s.middle],
        True,
    ),
    "in any order of others": (lambda s: [s.signer, s.root, s.middle], True),
    "for this number": (
        lambda s: [issue("s", s.middle, tn=of_number("12155551212")), s.middle],
        True,
    ),
    "for another number": (
        lambda s: [issue("s", s.middle, tn=of_number("12155551213")), s.middle],
        "not for that number",
    ),
    "without TNAuthList": (lambda s: [issue("s", s.middle, tn=None), s.middle], "no TNAuthList"),
    "broken TNAuthList": (lambda s: [issue("s", s.middle, tn=b"\x30\x05\xa0"), s.middle], "cut"),
    "expired": (
        lambda s: [issue("s", s.middle, ends=NOW - 1), s.middle],
        "certificate has expired",
    ),
    "not yet valid": (
        lambda s: [issue("s", s.middle, begins=NOW + 60), s.middle],
        "not yet valid",
    ),
    "another root of the same name": (lambda s: [_stranger(s)], "certificate signature failure"),
    "self-signed": (lambda s: [issue("s")], "self"),
    "the chain is not whole": (lambda s: [s.signer], "unable to get local issuer"),
    "issued by a signer": (lambda s: [_below_a_signer(s), s.signer, s.middle], "invalid CA"),
    "an authority": (lambda s: [s.middle, s.root], "an authority's"),
    "path too long": (
        lambda s: [
            issue("s", low := issue("low", s.middle, ca=True)),
            low,
            s.middle,
        ],
        "path length constraint",
    ),
    "P-384": (lambda s: [_p384(s), s.middle], "not of P-256"),
    "RSA": (
        lambda s: [issue("s", s.middle, key=rsa.generate_private_key(65537, 2048)), s.middle],
        "not of P-256",
    ),
    "weak middle": (lambda s: [*_weak_middle(s)], "too weak"),
    "SHA-1": (lambda s: [_sha_1(s), s.middle], "weak hash"),
    "unknown critical": (
        lambda s: [issue("s", s.middle, also=[CRITICAL]), s.middle],
        "critical extension 1.2.3.4",
    ),
    "not for signing": (
        lambda s: [
            issue(
                "s", s.middle, usage=False, also=[(key_usage(signing=False, certifying=True), True)]
            ),
            s.middle,
        ],
        "not for signing",
    ),
    "too many": (lambda s: [s.signer, *[s.middle] * 8], "more than 8"),
}


@pytest.mark.parametrize("case", CHAINS)
@pytest_twisted.ensureDeferred
async def test_chains(scene: Scene, case: str) -> None:
    make, wanted = CHAINS[case]
    chain = make(scene)
    scene.repository.answers["/good.pem"] = says(b"".join(i.pem for i in chain))
    found = (
        await scene.told(scene.identity(chain[0]))
        if case not in ("P-384", "RSA")
        else (await scene.told(scene.identity()))
    )
    if wanted is True:
        assert found == PASSED
    else:
        assert failed(found) == UNSUPPORTED
        assert str(wanted) in found.why


@pytest_twisted.ensureDeferred
async def test_a_certificate_in_der(scene: Scene) -> None:
    signer = issue("s", scene.root)
    scene.repository.answers["/good.pem"] = says(signer.der)
    assert await scene.told(scene.identity(signer)) == PASSED


@pytest_twisted.ensureDeferred
async def test_the_tnauthlist_may_be_missed_by_setting(scene: Scene) -> None:
    signer = issue("s", scene.root, tn=None)
    scene.repository.answers["/good.pem"] = says(signer.pem)
    verifier = scene.verifier(require_tnauthlist=False)
    assert await scene.told(scene.identity(signer), verifier) == PASSED


@pytest_twisted.ensureDeferred
async def test_an_anchor_need_not_be_self_signed(scene: Scene) -> None:
    scene.anchors.write_bytes(scene.middle.pem)
    scene.repository.answers["/good.pem"] = says(scene.signer.pem)
    assert await scene.told(scene.identity()) == PASSED


@pytest_twisted.ensureDeferred
async def test_a_kept_certificate_that_runs_out_is_not_believed_any_longer(scene: Scene) -> None:
    signer = issue("s", scene.middle, ends=NOW + 30)
    scene.repository.answers["/good.pem"] = says(scene.chain(signer))
    verifier = scene.verifier()
    assert await scene.told(scene.identity(signer), verifier) == PASSED
    later = await scene.told(scene.identity(signer), verifier, now=NOW + 31)
    assert failed(later) == UNSUPPORTED
    assert scene.repository.asked["/good.pem"] == 1


@given(st.data())
def test_any_change_of_a_certificate_is_refused_in_order(data: st.DataObject) -> None:
    der = bytearray(SELF.der)
    for _ in range(data.draw(st.integers(1, 3))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    with suppress(Rejected):
        judged(bytes(der), [SELF.certificate], NOW)


@given(st.binary(max_size=200), st.booleans())
def test_any_octets_as_a_certificate(body: bytes, pem: bool) -> None:
    if pem:
        text = base64.b64encode(body)
        body = b"-----BEGIN CERTIFICATE-----\n" + text + b"\n-----END CERTIFICATE-----\n"
    with pytest.raises(Rejected):
        judged(body, [SELF.certificate], NOW)


# --- asked once -------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_many_calls_at_once_fetch_once(scene: Scene) -> None:
    verifier = scene.verifier()
    found = await gatherResults(
        [Deferred.fromCoroutine(scene.told(scene.identity(), verifier)) for _ in range(20)]
    )
    assert found == [PASSED] * 20
    assert await scene.told(scene.identity(), verifier) == PASSED
    assert scene.repository.asked["/good.pem"] == 1


@pytest_twisted.ensureDeferred
async def test_a_caller_who_gives_up_takes_nobody_along(scene: Scene) -> None:
    verifier = scene.verifier()
    one = Deferred.fromCoroutine(scene.told(scene.identity(), verifier))
    two = Deferred.fromCoroutine(scene.told(scene.identity(), verifier))
    one.addErrback(lambda failure: type(failure.value).__name__)
    one.cancel()
    assert await two == PASSED
    assert await one is not PASSED
    assert scene.repository.asked["/good.pem"] == 1


@pytest_twisted.ensureDeferred
async def test_stopping_ends_what_is_under_way(scene: Scene) -> None:
    asked: Deferred[None] = Deferred()
    waits = begins(b"-----BEGIN")

    def answer(request: Any) -> Any:
        asked.callback(None)
        return waits(request)

    scene.repository.answers["/good.pem"] = answer
    verifier = scene.verifier(fetch_s=30)
    waiting = Deferred.fromCoroutine(scene.told(scene.identity(), verifier))
    await asked.addTimeout(10, reactor)
    await verifier.stop()
    assert failed(await waiting.addTimeout(10, reactor)) == BAD_INFO
    await scene.repository.all_closed()


@pytest_twisted.ensureDeferred
async def test_anchors_are_read_anew(scene: Scene) -> None:
    verifier = scene.verifier()
    assert await scene.told(scene.identity(), verifier) == PASSED
    scene.anchors.write_bytes(issue("Another", ca=True).pem)
    verifier.reload()
    assert failed(await scene.told(scene.identity(), verifier)) == UNSUPPORTED
    scene.anchors.write_text("nothing", encoding="utf-8")
    with pytest.raises(CannotStart, match=r"anchors\.pem is no PEM file"):
        verifier.reload()
    scene.anchors.write_bytes(scene.root.pem)
    verifier.reload()
    assert await scene.told(scene.identity(), verifier) == PASSED


# --- what is made of it -----------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_failure_marks_or_refuses_as_the_settings_say(scene: Scene) -> None:
    stale = await scene.told(scene.identity(iat=0))
    none = await scene.told([])
    passed = await scene.told(scene.identity())
    marks, refuses = scene.verifier(), scene.verifier(on_failed="refuse")
    assert [marks.refusal(v) for v in (stale, none, passed)] == [None, None, None]
    assert refuses.refusal(stale) == Refuse(403, "Stale Date")
    assert [refuses.refusal(v) for v in (none, passed)] == [None, None]


def test_anchors_of_a_directory(tmp_path: Any, meters: Meters) -> None:
    section = StirSection(trust_anchors=tmp_path)
    with pytest.raises(CannotStart, match=r"holds no certificate \(.pem, .crt, .cer\)"):
        Verifier(section, reactor, meters)
    (tmp_path / "README").write_text("not looked at", encoding="utf-8")
    (tmp_path / "one.pem").write_bytes(issue("one", ca=True).pem)
    (tmp_path / "two.crt").write_bytes(issue("two", ca=True).pem * 2)
    assert len(Verifier(section, reactor, meters)._anchors) == 3
    (tmp_path / "three.cer").write_bytes(b"broken")
    with pytest.raises(CannotStart, match=r"three\.cer is no PEM file of certificates"):
        Verifier(section, reactor, meters)
    with pytest.raises(CannotStart, match=r"cannot be read: No such file"):
        Verifier(StirSection(trust_anchors=tmp_path / "nowhere"), reactor, meters)
