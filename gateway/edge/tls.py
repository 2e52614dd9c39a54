"""TLS of SIP (RFC 5922): our certificates, by name and read anew; and whose a peer's is."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import structlog
from cryptography import x509
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface import implementer

from gateway.errors import CannotStart
from gateway.settings.transports import TlsSection

log = structlog.get_logger()

CIPHERS: Final = b"ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2; those of 1.3 are all good."""
_OPTIONS: Final = SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE


def _modern() -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(CIPHERS)
    context.set_options(_OPTIONS)
    return context


def _use(context: SSL.Context, certificate: Path, key: Path) -> None:
    """``CannotStart`` says which file is at fault, and why."""
    try:
        context.use_certificate_chain_file(str(certificate))
    except (SSL.Error, OSError) as e:
        raise CannotStart(f"sip.tls: {certificate} is no PEM certificate: {_why(e)}") from e
    try:
        context.use_privatekey_file(str(key))
        context.check_privatekey()
    except (SSL.Error, OSError) as e:
        problem = f"sip.tls: {key} is not the PEM key of {certificate}: {_why(e)}"
        raise CannotStart(problem) from e


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    reasons = error.args[0] if error.args else ()
    texts = [r[-1] for r in reasons if isinstance(r, tuple)] if isinstance(reasons, list) else []
    return ", ".join(texts) or "it cannot be read"


@implementer(IOpenSSLServerConnectionCreator)
class ServerContexts:
    """What a listener offers, to each connection as it is then."""

    def __init__(self, section: TlsSection) -> None:
        self._section = section
        self._files = _files(section)
        self._seen = self._stamps()
        self._default, self._named = self._made()

    def serverConnectionForTLS(self, protocol: object) -> SSL.Connection:
        return SSL.Connection(self._default, None)

    def _made(self) -> tuple[SSL.Context, dict[bytes, SSL.Context]]:
        s = self._section
        if s.certificate_file is None or s.key_file is None:
            raise CannotStart("sip.tls: certificate_file and key_file are missing")
        default = self._one(s.certificate_file, s.key_file)
        named = {
            c.name.lower().encode(): self._one(c.certificate_file, c.key_file)
            for c in s.certificates
        }

        def choose(connection: SSL.Connection) -> None:
            wanted = (connection.get_servername() or b"").lower()
            if wanted in self._named:
                connection.set_context(self._named[wanted])

        default.set_tlsext_servername_callback(choose)
        return default, named

    def _one(self, certificate: Path, key: Path) -> SSL.Context:
        s = self._section
        context = _modern()
        _use(context, certificate, key)
        context.set_session_id(b"dm-gateway")
        if s.clients != "none":
            mode = SSL.VERIFY_PEER
            if s.clients == "required":
                mode |= SSL.VERIFY_FAIL_IF_NO_PEER_CERT
            context.set_verify(mode, lambda _c, _x, _n, _d, ok: bool(ok))
            _believe(context, s.client_ca_file)
        return context

    def _stamps(self) -> tuple[int, ...]:
        return tuple(f.stat().st_mtime_ns if f.exists() else 0 for f in self._files)

    def look(self) -> None:
        """Read what has changed; what cannot be used leaves the old in use."""
        stamps = self._stamps()
        if stamps == self._seen:
            return
        self._seen = stamps
        try:
            self._default, self._named = self._made()
        except CannotStart as e:
            log.error("certificates_not_read", why=str(e))
        else:
            log.info("certificates_read", files=len(self._files))


def _files(s: TlsSection) -> tuple[Path, ...]:
    listed = [s.certificate_file, s.key_file, s.client_ca_file]
    for one in s.certificates:
        listed += [one.certificate_file, one.key_file]
    return tuple(f for f in listed if f is not None)


def _believe(context: SSL.Context, authorities: Path | None) -> None:
    if authorities is None:
        context.set_default_verify_paths()
        return
    try:
        context.load_verify_locations(str(authorities))
    except (SSL.Error, OSError) as e:
        raise CannotStart(f"{authorities} holds no PEM authorities: {_why(e)}") from e


def client_context(authorities: Path | None, own: TlsSection) -> SSL.Context:
    """For connections to trunks: their certificate is verified, ours is shown where we have one."""
    context = _modern()
    context.set_verify(SSL.VERIFY_PEER, lambda _c, _x, _n, _d, ok: bool(ok))
    _believe(context, authorities)
    if own.certificate_file is not None and own.key_file is not None:
        _use(context, own.certificate_file, own.key_file)
    return context


def names_of(certificate: Any) -> frozenset[str]:
    """The SIP domains that a peer's certificate is for (RFC 5922 §7.1), in lower case.

    URIs of the scheme ``sip`` without a user, else DNS names; the subject's common name does not
    count.
    """
    if certificate is None:
        return frozenset()
    try:
        cert: x509.Certificate = certificate.to_cryptography()
        found = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return frozenset()
    uris = found.get_values_for_type(x509.UniformResourceIdentifier)
    domains = [u[4:].lower() for u in uris if u.lower().startswith("sip:") and "@" not in u]
    if not domains:
        domains = [d.lower() for d in found.get_values_for_type(x509.DNSName)]
    addresses = [str(a) for a in found.get_values_for_type(x509.IPAddress)]
    return frozenset((*domains, *addresses))


def is_for(names: frozenset[str], wanted: str) -> bool:
    """Whether a certificate with these names is one of ``wanted``: no wildcards (§7.2)."""
    try:
        return str(ip_address(wanted)) in names
    except ValueError:
        return wanted.lower().rstrip(".") in names


def check(section: TlsSection, authorities: Sequence[Path | None]) -> None:
    """Read every file once; ``CannotStart`` names the first that is of no use."""
    if section.wanted:
        ServerContexts(section)
    for file in authorities:
        client_context(file, section)
