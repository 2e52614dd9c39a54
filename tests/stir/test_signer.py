"""Keys and certificates that are taken or not, and what is signed with them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import pytest_twisted
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.errors import CannotStart
from gateway.settings import StirSection
from gateway.sip.errors import SipSyntaxError
from gateway.sip.passport import Party, Passport, parse_identity
from gateway.stir.signer import Signer
from tests.stir.authority import NOW, Issued, issue, pem_of_key

if TYPE_CHECKING:
    from tests.stir.scene import Meters, Scene

URL = "https://cert.example.org/passport.cer"
ORIGID = UUID("123e4567-e89b-12d3-a456-426655440000")


def section(directory: Path, issued: Issued, url: str = URL, **other: Any) -> StirSection:
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    key.write_bytes(pem_of_key(issued.key))
    certificate.write_bytes(issued.pem)
    return StirSection.model_validate(
        {
            "sign": True,
            "key_file": key,
            "certificate_file": certificate,
            "certificate_url": url,
            **other,
        }
    )


def test_what_is_signed(tmp_path: Path, meters: Meters) -> None:
    issued = issue("signer")
    signer = Signer(section(tmp_path, issued), meters, lambda: ORIGID)
    read = parse_identity(signer.sign("+12155551212", "sip:+12155550131@t.example", "B", NOW + 0.9))
    assert read.passport == Passport(
        URL,
        int(NOW),
        Party("tn", "12155551212"),
        (Party("tn", "12155550131"),),
        "shaken",
        "B",
        str(ORIGID),
    )
    assert read.fits(issued.key.public_key())
    assert meters.levels == ["B"]


def test_each_call_has_an_origid_of_its_own(tmp_path: Path, meters: Meters) -> None:
    signer = Signer(section(tmp_path, issue("signer")), meters)
    read = [parse_identity(signer.sign("+1", "+2", "A", NOW)).passport for _ in range(3)]
    assert len({UUID(p.origid) for p in read if p}) == 3


@pytest.mark.parametrize(("orig", "dest"), [("alice", "+1"), ("+1", ""), ("sip:h", "+1")])
def test_nobody_to_sign_for(tmp_path: Path, meters: Meters, orig: str, dest: str) -> None:
    signer = Signer(section(tmp_path, issue("signer")), meters)
    with pytest.raises(SipSyntaxError):
        signer.sign(orig, dest, "A", NOW)
    assert not meters.levels


RSA = rsa.generate_private_key(65537, 2048)
P384 = ec.generate_private_key(ec.SECP384R1())
P256 = ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("key_file", None, r"stir\.key_file: .*key_file cannot be read: No such file"),
        ("key_file", b"", r"stir\.key_file: .*key_file is no private key in PEM"),
        ("key_file", issue("x").pem, r"stir\.key_file: .*key_file is no private key in PEM"),
        ("key_file", pem_of_key(P256, b"secret"), r"key_file is encrypted; it has to be without"),
        ("key_file", pem_of_key(RSA), r"key_file is no EC key of P-256; ES256"),
        ("key_file", pem_of_key(P384), r"key_file is no EC key of P-256; ES256"),
        ("key_file", pem_of_key(P256), r"stir\.certificate_file: .* is not the certificate of"),
        ("certificate_file", None, r"stir\.certificate_file: .* cannot be read: No such file"),
        ("certificate_file", b"x", r"stir\.certificate_file: .* is no certificate in PEM"),
        ("certificate_file", issue("x").pem, r"certificate_file is not the certificate of"),
    ],
)
def test_keys_and_certificates_that_are_not_taken(
    tmp_path: Path, meters: Meters, name: str, content: bytes | None, problem: str
) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CannotStart, match=problem) as caught:
        Signer(section(tmp_path, issue("signer"), **{name: file}), meters)
    assert "PRIVATE" not in str(caught.value)


def test_a_key_without_its_certificate_is_taken(tmp_path: Path, meters: Meters) -> None:
    Signer(section(tmp_path, issue("signer"), certificate_file=None), meters)


def test_a_new_key_is_read_and_a_bad_one_is_not(tmp_path: Path, meters: Meters) -> None:
    one, two = issue("one"), issue("two")
    signer = Signer(section(tmp_path, one), meters)

    def signs_with(issued: Issued) -> bool:
        read = parse_identity(signer.sign("+1", "+2", "A", NOW))
        return read.fits(issued.key.public_key())

    (tmp_path / "key.pem").write_bytes(pem_of_key(two.key))
    assert signs_with(one)
    with pytest.raises(CannotStart, match="is not the certificate of"):
        signer.reload()
    assert signs_with(one)
    (tmp_path / "certificate.pem").write_bytes(two.pem)
    signer.reload()
    assert signs_with(two)


@pytest_twisted.ensureDeferred
async def test_what_is_signed_here_is_believed_there(scene: Scene) -> None:
    signing = section(scene.directory, scene.signer, scene.url)
    signer = Signer(signing, scene.meters, lambda: ORIGID)
    text = signer.sign("+1 (215) 555-1212", "tel:+1-215-555-0131", "C", NOW)
    found = await scene.told(text, now=NOW + 1)
    assert (found.status, found.attest, found.origid) == ("passed", "C", str(ORIGID))
