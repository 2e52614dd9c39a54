"""A signer's certificate and the chain to an authority that is believed (RFC 8226, RFC 5280 §6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtensionOID as Known
from OpenSSL import crypto

from gateway.errors import CannotStart
from gateway.stir import tnauthlist
from gateway.stir.rejected import Rejected
from gateway.stir.tnauthlist import TnAuthList

MAX_CHAIN: Final = 8
_TN_AUTH_LIST: Final = x509.ObjectIdentifier(tnauthlist.OID)
_UNDERSTOOD: Final = frozenset(
    {
        Known.BASIC_CONSTRAINTS,
        Known.KEY_USAGE,
        Known.EXTENDED_KEY_USAGE,
        Known.NAME_CONSTRAINTS,
        Known.POLICY_CONSTRAINTS,
        Known.CERTIFICATE_POLICIES,
        Known.INHIBIT_ANY_POLICY,
        Known.SUBJECT_ALTERNATIVE_NAME,
        Known.CRL_DISTRIBUTION_POINTS,
        _TN_AUTH_LIST,
    }
)
"""What may be critical: OpenSSL judges it, or we do."""
_WEAK: Final = (hashes.MD5, hashes.SHA1)
_UNREADABLE: Final = (
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
    crypto.Error,
)
_SUFFIXES: Final = frozenset({".pem", ".crt", ".cer"})
MAX_FILE: Final = 4_000_000


@dataclass(frozen=True, slots=True)
class Credential:
    """A key that is believed from ``not_before`` to ``not_after``, when the whole chain is valid.

    ``tn`` says for which numbers, ``domains`` for the SIP addresses of which domains.
    """

    key: ec.EllipticCurvePublicKey
    not_before: float
    not_after: float
    tn: TnAuthList | None = None
    domains: frozenset[str] = frozenset()


def judged(body: bytes, anchors: Sequence[x509.Certificate], now: float) -> Credential:
    """What was fetched: PEM, the signer's certificate first, or one in DER; else ``Rejected``."""
    leaf, *others = read_chain(body)
    try:
        key = _signing_key(leaf)
        chain = _chain(leaf, others, anchors, now)
        for certificate in chain:
            _sound(certificate)
        return Credential(
            key=key,
            not_before=max(c.not_valid_before_utc.timestamp() for c in chain),
            not_after=min(c.not_valid_after_utc.timestamp() for c in chain),
            tn=_tn_auth_list(leaf.extensions),
            domains=_domains(leaf.extensions),
        )
    except _UNREADABLE as e:
        why = str(e)[:200] or type(e).__name__
        raise _unsupported(f"a certificate cannot be read: {why}") from e


def _unsupported(why: str) -> Rejected:
    return Rejected("unsupported_credential", why)


def read_chain(body: bytes) -> list[x509.Certificate]:
    try:
        if body[:1] == b"\x30":
            return [x509.load_der_x509_certificate(body)]
        chain = x509.load_pem_x509_certificates(body)
    except _UNREADABLE as e:
        raise Rejected("bad_identity_info", "what was fetched is no certificate") from e
    if len(chain) > MAX_CHAIN:
        raise _unsupported(f"more than {MAX_CHAIN} certificates")
    return chain


def _signing_key(leaf: x509.Certificate) -> ec.EllipticCurvePublicKey:
    key = leaf.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise _unsupported("the certificate's key is not of P-256")
    if _is_authority(leaf.extensions):
        raise _unsupported("the certificate is an authority's, not a signer's")
    try:
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return key
    if not usage.digital_signature:
        raise _unsupported("the certificate's key is not for signing")
    return key


def _is_authority(extensions: x509.Extensions) -> bool:
    try:
        return extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _tn_auth_list(extensions: x509.Extensions) -> TnAuthList | None:
    try:
        value = extensions.get_extension_for_oid(_TN_AUTH_LIST).value
    except x509.ExtensionNotFound:
        return None
    return tnauthlist.parse(value.public_bytes())


def _domains(extensions: x509.Extensions) -> frozenset[str]:
    """What RFC 8224 §7.1 compares with the caller's domain; wildcards are none (RFC 5922 §7.2)."""
    try:
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(name.lower() for name in names.get_values_for_type(x509.DNSName))


def _chain(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    now: float,
) -> list[x509.Certificate]:
    """From the signer to the anchor; OpenSSL builds and judges it."""
    store = crypto.X509Store()
    for anchor in anchors:
        store.add_cert(crypto.X509.from_cryptography(anchor))
    # an anchor need not be self-signed; critical extensions are judged in _sound
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN | crypto.X509StoreFlags.IGNORE_CRITICAL)
    store.set_time(datetime.fromtimestamp(now, UTC))
    untrusted = [crypto.X509.from_cryptography(c) for c in others]
    context = crypto.X509StoreContext(store, crypto.X509.from_cryptography(leaf), untrusted)
    try:
        return [c.to_cryptography() for c in context.get_verified_chain()]
    except crypto.X509StoreContextError as e:
        raise _unsupported(f"the certificate is not to be trusted: {e}") from e


def _sound(certificate: x509.Certificate) -> None:
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD:
            raise _unsupported(f"critical extension {extension.oid.dotted_string} is not known")
    if isinstance(certificate.signature_hash_algorithm, _WEAK):
        raise _unsupported("a certificate of the chain is signed with a weak hash")
    match certificate.public_key():
        case ec.EllipticCurvePublicKey(key_size=size) if size >= 256:
            return
        case rsa.RSAPublicKey(key_size=size) if size >= 2048:
            return
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            return
    raise _unsupported("a key of the chain is too weak")


def load_anchors(path: Path) -> tuple[x509.Certificate, ...]:
    """Of a PEM file, or of every ``.pem``, ``.crt`` and ``.cer`` in a directory.

    ``CannotStart`` names the file that cannot be read, or says that there is none.
    """
    try:
        files = (
            sorted(f for f in path.iterdir() if f.suffix in _SUFFIXES) if path.is_dir() else [path]
        )
        found = [c for file in files for c in _certificates(file)]
    except OSError as e:
        problem = f"stir.trust_anchors: {e.filename} cannot be read: {e.strerror}"
        raise CannotStart(problem) from e
    if not found:
        raise CannotStart(f"stir.trust_anchors: {path} holds no certificate (.pem, .crt, .cer)")
    return tuple(found)


def _certificates(file: Path) -> list[x509.Certificate]:
    with file.open("rb") as opened:
        data = opened.read(MAX_FILE)
    try:
        return x509.load_pem_x509_certificates(data)
    except _UNREADABLE as e:
        raise CannotStart(f"stir.trust_anchors: {file} is no PEM file of certificates") from e
