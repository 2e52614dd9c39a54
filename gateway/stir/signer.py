"""Signing our callers' numbers: an authentication service (RFC 8224 §5, RFC 8588)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.calls.identity_ports import StirMeters
from gateway.errors import CannotStart
from gateway.settings import StirSection
from gateway.sip.passport import SHAKEN, Passport, identity_value, party
from gateway.values import Attestation

log = structlog.get_logger()

MAX_FILE: Final = 100_000


@dataclass(frozen=True, slots=True)
class SigningKey:
    """``certificate`` is there where the settings name a file of it, and of that same key."""

    key: ec.EllipticCurvePrivateKey
    url: str
    certificate: x509.Certificate | None


def load_signing_key(section: StirSection) -> SigningKey:
    """``CannotStart`` says which file cannot be used, and why."""
    file = section.key_file or Path()
    data = _read("key_file", file)
    try:
        key = load_pem_private_key(data, None)
    except TypeError as e:
        problem = f"stir.key_file: {file} is encrypted; it has to be without a passphrase"
        raise CannotStart(problem) from e
    except (ValueError, UnsupportedAlgorithm) as e:
        raise CannotStart(f"stir.key_file: {file} is no private key in PEM") from e
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CannotStart(
            f"stir.key_file: {file} is no EC key of P-256; ES256 (RFC 8225 §8) signs with no other"
        )
    certificate = None
    if section.certificate_file is not None:
        certificate = _certificate(section.certificate_file)
        if certificate.public_key() != key.public_key():
            raise CannotStart(
                f"stir.certificate_file: {section.certificate_file} is not the certificate of "
                f"stir.key_file, {file}"
            )
    return SigningKey(key, section.certificate_url or "", certificate)


def _certificate(file: Path) -> x509.Certificate:
    try:
        certificate = x509.load_pem_x509_certificates(_read("certificate_file", file))[0]
        certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as e:
        raise CannotStart(f"stir.certificate_file: {file} is no certificate in PEM") from e
    return certificate


def _read(name: str, file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_FILE)
    except OSError as e:
        raise CannotStart(f"stir.{name}: {file} cannot be read: {e.strerror}") from e


class Signer:
    """Implements ``ports.Attestor``.  ``CannotStart`` where the key cannot be used."""

    def __init__(
        self, section: StirSection, meters: StirMeters, origid: Callable[[], UUID] = uuid4
    ) -> None:
        self._section = section
        self._meters = meters
        self._origid = origid
        self._signing = load_signing_key(section)

    def reload(self) -> None:
        """Read the files anew; ``CannotStart`` when they cannot be used: the old key stays."""
        self._signing = load_signing_key(self._section)
        log.info("stir_key_loaded", key_file=str(self._section.key_file))

    def sign(self, orig: str, dest: str, level: Attestation, now: float) -> str:
        signing = self._signing
        passport = Passport(
            x5u=signing.url,
            iat=int(now),
            orig=party(orig),
            dest=(party(dest),),
            ppt=SHAKEN,
            attest=level,
            origid=str(self._origid()),
        )
        value = identity_value(passport, signing.key)
        self._meters.signed(level)
        return value
