"""PASSporT (RFC 8225, RFC 8588) and the Identity header that carries it (RFC 8224 §4)."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal, cast, get_args

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.sip.errors import SipSyntaxError
from gateway.sip.headers import TOKEN, split_list
from gateway.sip.uri import SipUri, parse_uri, unescape
from gateway.values import Attestation

ES256: Final = "ES256"
SHAKEN: Final = "shaken"
KNOWN: Final = frozenset({None, SHAKEN})
"""The extensions (``ppt``) whose claims are read."""
MAX_VALUE: Final = 8192
"""Characters of one Identity value."""
_MAX_URL: Final = 1024
_MAX_PARTIES: Final = 32
_MAX_ORIGID: Final = 128
_HALF: Final = 32
"""Bytes of r and of s (RFC 7518 §3.4)."""

_DIGEST: Final = re.compile(r"([A-Za-z0-9_-]*)\.([A-Za-z0-9_-]*)\.([A-Za-z0-9_-]+)")
_PARAM: Final = re.compile(
    rf"[ \t]*;[ \t]*({TOKEN.pattern})[ \t]*=[ \t]*(?:<([^<>\s]+)>|\"([^\"\\]*)\"|({TOKEN.pattern}))"
)
_NUMBER: Final = re.compile(r"[*#]?[0-9]{1,31}|\*[0-9*#]{1,31}")
_SEPARATORS: Final = re.compile(r"[\s().\-]")
_DIGITS: Final = re.compile(r"sips?:([0-9]{3,15})@.*")
_NUMERIC_DATE: Final = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True, slots=True)
class Party:
    """Who calls or is called, in canonical form: a telephone number, or a URI (RFC 8224 §8)."""

    kind: Literal["tn", "uri"]
    value: str


@dataclass(frozen=True, slots=True)
class Passport:
    """The claims, and ``x5u``: where the signer's certificate is.  ``iat`` is whole seconds.

    ``attest`` and ``origid`` are there when ``ppt`` is ``shaken``.
    """

    x5u: str
    iat: int
    orig: Party
    dest: tuple[Party, ...]
    ppt: str | None = None
    attest: Attestation | None = None
    origid: str = ""
    alg: str = ES256


@dataclass(frozen=True, slots=True)
class SignedIdentity:
    """One value of an Identity header, read and not yet believed.

    Of the compact form (RFC 8225 §7) there is a signature alone: ``passport`` is ``None`` and
    ``signed`` empty until ``completed``; so they are for good where ``ppt`` is not ``KNOWN``.
    """

    signature: bytes
    info: str
    alg: str
    ppt: str | None
    passport: Passport | None
    signed: bytes

    def completed(self, orig: Party, dest: tuple[Party, ...], iat: int) -> SignedIdentity:
        """The compact form with what the request says in place of the claims (RFC 8224 §6.2.3).

        An extension's claims are not in a request: ``SipSyntaxError`` where ``ppt`` names one.
        """
        if self.ppt is not None:
            raise SipSyntaxError(f"{self.ppt[:32]} has no compact form")
        passport = Passport(self.info, iat, orig, dest, alg=self.alg)
        return replace(self, passport=passport, signed=signing_input(passport))

    def fits(self, key: EllipticCurvePublicKey) -> bool:
        """Whether the signature is of this key (P-256, RFC 7518 §3.4)."""
        if len(self.signature) != 2 * _HALF:
            return False
        r, s = (int.from_bytes(h, "big") for h in (self.signature[:_HALF], self.signature[_HALF:]))
        try:
            key.verify(encode_dss_signature(r, s), self.signed, ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True


# --- who ----------------------------------------------------------------------------------


def canonical_number(text: str) -> str:
    """``+1 (215) 555-1212`` is ``12155551212`` (RFC 8224 §8.3)."""
    number = _SEPARATORS.sub("", text[:64]).removeprefix("+")
    if len(text) > 64 or not _NUMBER.fullmatch(number):
        raise SipSyntaxError(f"{text[:40]!r} is no telephone number")
    return number


def party(text: str) -> Party:
    """Of a telephone number or a URI as it stands in a request (RFC 8224 §8.2, §8.5).

    A SIP URI means a number where its user part has a plus sign or it says ``user=phone``.
    """
    if ":" not in text:
        return Party("tn", canonical_number(text))
    uri = parse_uri(text)
    if not isinstance(uri, SipUri):
        if uri.scheme != "tel":
            raise SipSyntaxError(f"{text[:40]!r} is neither a telephone number nor a SIP URI")
        return Party("tn", canonical_number(uri.rest.partition(";")[0]))
    if not uri.user:
        raise SipSyntaxError(f"nobody is named in {text[:40]!r}")
    if uri.user.startswith("+") or (uri.param("user") or "").lower() == "phone":
        return Party("tn", canonical_number(unescape(uri.user.partition(";")[0])))
    return Party("uri", f"{uri.scheme}:{uri.user}@{uri.host.lower()}")


def parties(text: str) -> tuple[Party, ...]:
    """Whom it may mean to a signer: many carriers write numbers as bare digits (RFC 8224 §8.2)."""
    strict = party(text)
    if digits := _DIGITS.fullmatch(strict.value):
        return (strict, Party("tn", digits[1]))
    return (strict,)


def sip_date(text: str) -> float:
    """Seconds since 1970 of a Date header (RFC 3261 §20.17), which the compact form needs."""
    try:
        found = datetime.strptime(text.strip(), "%a, %d %b %Y %H:%M:%S GMT")  # noqa: DTZ007
    except ValueError as e:
        right = "Sat, 13 Nov 2010 23:29:00 GMT"
        raise SipSyntaxError(f"{text[:40]!r} is no Date; right is {right}") from e
    return found.replace(tzinfo=UTC).timestamp()


# --- writing ------------------------------------------------------------------------------


def signing_input(passport: Passport) -> bytes:
    """Header and payload as they are signed: sorted keys, no white space (RFC 8225 §9)."""
    header: dict[str, Any] = {"alg": passport.alg, "typ": "passport", "x5u": passport.x5u}
    claims: dict[str, Any] = {
        "dest": _grouped(passport.dest),
        "iat": passport.iat,
        "orig": {passport.orig.kind: passport.orig.value},
    }
    if passport.ppt is not None:
        header["ppt"] = passport.ppt
    if passport.ppt == SHAKEN:
        claims |= {"attest": passport.attest, "origid": passport.origid}
    return b".".join(map(_encoded, (header, claims)))


def _grouped(parties: Iterable[Party]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for one in parties:
        groups.setdefault(one.kind, []).append(one.value)
    return {kind: sorted(values) for kind, values in groups.items()}


def _encoded(value: Mapping[str, Any]) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=")


def identity_value(
    passport: Passport, key: EllipticCurvePrivateKey, *, compact: bool = False
) -> str:
    """The value of an Identity header, signed with ES256; ``key`` is of P-256."""
    signed = signing_input(passport)
    r, s = decode_dss_signature(key.sign(signed, ECDSA(SHA256())))
    signature = base64.urlsafe_b64encode(r.to_bytes(_HALF, "big") + s.to_bytes(_HALF, "big"))
    shown = "." if compact else signed.decode()
    ppt = "" if passport.ppt is None else f";ppt={passport.ppt}"
    return (
        f"{shown}.{signature.rstrip(b'=').decode()};info=<{passport.x5u}>;alg={passport.alg}{ppt}"
    )


# --- reading ------------------------------------------------------------------------------


def split_identities(fields: Iterable[str]) -> tuple[str, ...]:
    """The values of all Identity header fields of a request (RFC 8224 §4)."""
    return tuple(
        value
        for text in fields
        for value in (split_list(text) if len(text) <= MAX_VALUE else (text,))
    )


def parse_identity(text: str) -> SignedIdentity:
    """``SipSyntaxError`` says what is wrong: all of it would be answered 438.

    Of a ``ppt`` that is not ``KNOWN`` the claims are not read: it is to be ignored (§6.2).
    """
    if len(text) > MAX_VALUE:
        raise SipSyntaxError(f"Identity has more than {MAX_VALUE} characters")
    text = text.strip()
    digest = _DIGEST.match(text)
    if digest is None:
        raise SipSyntaxError("Identity does not begin with a PASSporT")
    params = _params(text, digest.end())
    info = params.get("info", "")
    if not info or len(info) > _MAX_URL or not text.isascii():
        raise SipSyntaxError(f"Identity needs info=<URI>, of {_MAX_URL} ASCII characters at most")
    header, payload, signature = digest.groups()
    ppt = params.get("ppt")
    if ppt not in KNOWN or not (header or payload):
        alg = params.get("alg", ES256)
        return SignedIdentity(_decoded(signature), info, alg, ppt, None, b"")
    passport = _passport(_json(header), _json(payload))
    for name, outside, inside in (
        ("info", info, passport.x5u),
        ("alg", params.get("alg", passport.alg), passport.alg),
        ("ppt", ppt, passport.ppt),
    ):
        if outside != inside:
            raise SipSyntaxError(f"{name} of the Identity header is not what its PASSporT says")
    signed = f"{header}.{payload}".encode()
    return SignedIdentity(_decoded(signature), info, passport.alg, ppt, passport, signed)


def _params(text: str, at: int) -> dict[str, str]:
    params: dict[str, str] = {}
    while at < len(text):
        match = _PARAM.match(text, at)
        if match is None:
            raise SipSyntaxError(f"bad parameter of Identity at {text[at : at + 20]!r}")
        name = match[1].lower()
        if name in params:
            raise SipSyntaxError(f"parameter {name[:32]} is there twice in Identity")
        if (name == "info") != (match[2] is not None):
            raise SipSyntaxError("info, and it alone, stands in angle brackets")
        params[name] = match[2] or match[3] or match[4] or ""
        at = match.end()
    return params


def _decoded(text: str) -> bytes:
    """Base64url without padding and with one form alone (RFC 7515 §2)."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError as e:
        raise SipSyntaxError("a part of the PASSporT is not base64url") from e
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != text:
        raise SipSyntaxError("a part of the PASSporT is not base64url in its one form")
    return data


def _json(part: str) -> dict[str, Any]:
    try:
        value = json.loads(
            _decoded(part).decode(), object_pairs_hook=_once, parse_constant=_no_constant
        )
    except (ValueError, RecursionError) as e:  # SipSyntaxError and UnicodeDecodeError are of these
        raise SipSyntaxError("a part of the PASSporT is not JSON, or has a key twice") from e
    if not isinstance(value, dict):
        raise SipSyntaxError("a part of the PASSporT is not a JSON object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _passport(header: Mapping[str, Any], claims: Mapping[str, Any]) -> Passport:
    if header.get("typ") != "passport":
        raise SipSyntaxError("the token's typ is not passport")
    if "crit" in header:
        raise SipSyntaxError("the token wants an extension that is not known (RFC 7515 §4.1.11)")
    ppt = None if header.get("ppt") is None else _text(header, "ppt", 32)
    passport = Passport(
        x5u=_text(header, "x5u", _MAX_URL),
        iat=_time(claims.get("iat")),
        orig=_orig(claims.get("orig")),
        dest=_dest(claims.get("dest")),
        ppt=ppt,
        alg=_text(header, "alg", 32),
    )
    if ppt != SHAKEN:
        return passport
    attest = claims.get("attest")
    if attest not in get_args(Attestation):
        raise SipSyntaxError("attest is none of A, B, C (RFC 8588 §4)")
    origid = _text(claims, "origid", _MAX_ORIGID)
    return replace(passport, attest=cast(Attestation, attest), origid=origid)


def _text(of: Mapping[str, Any], name: str, most: int) -> str:
    value = of.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= most or not value.isprintable():
        raise SipSyntaxError(f"{name} of the PASSporT is not a text of 1 to {most} characters")
    return value


def _time(value: object) -> int:
    """A number; the examples of RFC 8225 §7.1 and RFC 8588 §6 (errata 5985, 6656) have a text."""
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not _NUMERIC_DATE.fullmatch(text):
        raise SipSyntaxError("iat of the PASSporT is not whole seconds since 1970")
    return int(text)


def _orig(value: object) -> Party:
    """One number or one URI (RFC 8225 §5.2.1)."""
    match value:
        case {"tn": str(tn), **rest} if "uri" not in rest:
            return Party("tn", canonical_number(tn))
        case {"uri": str(uri), **rest} if "tn" not in rest:
            return _claimed(uri)
    raise SipSyntaxError("orig of the PASSporT is neither one tn nor one uri")


def _dest(value: object) -> tuple[Party, ...]:
    if not isinstance(value, dict):
        raise SipSyntaxError("dest of the PASSporT is not an object")
    groups = {kind: value[kind] for kind in ("tn", "uri") if kind in value}
    for group in groups.values():
        if not isinstance(group, list) or not all(isinstance(v, str) for v in group):
            raise SipSyntaxError("dest of the PASSporT holds no list of texts")
    if not 0 < sum(map(len, groups.values())) <= _MAX_PARTIES:
        raise SipSyntaxError(f"dest of the PASSporT does not name 1 to {_MAX_PARTIES}")
    numbers = (Party("tn", canonical_number(v)) for v in groups.get("tn", ()))
    return (*numbers, *map(_claimed, groups.get("uri", ())))


def _claimed(uri: str) -> Party:
    """A URI as it was signed; one of SIP is compared in its canonical form."""
    if not uri.isprintable() or len(uri) > _MAX_URL:
        raise SipSyntaxError(f"a URI of the PASSporT has over {_MAX_URL} characters, or odd ones")
    try:
        return party(uri)
    except SipSyntaxError:
        return Party("uri", uri)
