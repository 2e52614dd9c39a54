"""Test authorities: keys, certificates of every kind, and what an authority publishes."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from gateway.stir import tnauthlist

NOW = 1_800_000_000.0
DAY = 86_400.0

SPC_709J = bytes.fromhex("3008a00616043730394a")
"""A TNAuthList with the service provider code 709J, as ATIS-1000080 has it."""


def of_number(number: str) -> bytes:
    """A TNAuthList with one number."""
    text = number.encode()
    return bytes([0x30, len(text) + 4, 0xA2, len(text) + 2, 0x16, len(text)]) + text


def at(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def pem_of_key(key: Any, passphrase: bytes | None = None) -> bytes:
    how = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)
    return pem


@dataclass(frozen=True)
class Issued:
    key: Any
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


def issue(
    common: str,
    issuer: Issued | None = None,
    *,
    ca: bool = False,
    key: Any = None,
    begins: float = NOW - 365 * DAY,
    ends: float = NOW + 3650 * DAY,
    tn: bytes | None = SPC_709J,
    usage: bool = True,
    names: Sequence[str] = (),
    digest: Any = None,
    also: Sequence[tuple[x509.ExtensionType, bool]] = (),
    path_length: int | None = None,
) -> Issued:
    """A certificate; without ``issuer`` it signs itself.  ``tn`` is for signers alone."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    signing = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(common))
        .issuer_name(issuer.certificate.subject if issuer else name(common))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at(begins))
        .not_valid_after(at(ends))
        .add_extension(x509.BasicConstraints(ca, path_length if ca else None), critical=True)
    )
    if usage:
        builder = builder.add_extension(key_usage(signing=not ca, certifying=ca), critical=True)
    if tn is not None and not ca:
        oid = x509.ObjectIdentifier(tnauthlist.OID)
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, tn), critical=False)
    if names:
        shown = [_general(n) for n in names]
        builder = builder.add_extension(x509.SubjectAlternativeName(shown), critical=False)
    for extension, critical in also:
        builder = builder.add_extension(extension, critical)
    return Issued(key, builder.sign(signing, digest or hashes.SHA256()))


def _general(text: str) -> x509.GeneralName:
    if text.startswith("URI:"):
        return x509.UniformResourceIdentifier(text[4:])
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def key_usage(*, signing: bool, certifying: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signing,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certifying,
        crl_sign=certifying,
        encipher_only=False,
        decipher_only=False,
    )
