"""Who may come in: rate, source, digest.  Denied unless one of them says yes."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from gateway.edge.flows import Flow
from gateway.edge.registrar import Registrar
from gateway.policy.buckets import Buckets
from gateway.settings import SipSection, Trunk
from gateway.sip.digest import NonceIssuer, challenges, nonce_count, verify
from gateway.sip.errors import SipSyntaxError
from gateway.sip.headers import parse_auth
from gateway.sip.message import Request
from gateway.sip.uri import SipUri, parse_uri


@dataclass(frozen=True, slots=True)
class Admitted:
    """``account`` is ``None`` for a trusted peer or a trunk, whose From is believed."""

    account: str | None
    peer: str
    trunk: str | None = None
    believed: bool = False
    """What it says of a caller's identity counts (RFC 3325 §5)."""


@dataclass(frozen=True, slots=True)
class Challenge:
    code: int
    headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Denied:
    code: int
    text: str


def _same(a: str, b: str) -> bool:
    ours, theirs = (text.encode("utf-8", "surrogateescape") for text in (a, b))
    return hmac.compare_digest(ours, theirs)


def _names(digest_uri: str, request: Request) -> bool:
    """Whether the ``uri`` that was signed is the one that is asked for (RFC 7616 §3.4.6).

    A REGISTER concerns the registrar as a whole, whichever user part a client signs.
    """
    if digest_uri == request.uri:
        return True
    try:
        signed, asked = parse_uri(digest_uri), parse_uri(request.uri)
    except SipSyntaxError:
        return False
    if not isinstance(signed, SipUri) or not isinstance(asked, SipUri):
        return False
    if request.method == "REGISTER":
        return signed.host.lower() == asked.host.lower()
    return signed.equivalent(asked)


class Admission:
    """``passwords`` maps an account to its password; they stay in here."""

    def __init__(
        self,
        settings: SipSection,
        passwords: Mapping[str, str],
        registrar: Registrar,
        now: Callable[[], float],
        trunks: Sequence[Trunk] = (),
    ) -> None:
        self._realm = settings.domain
        self._passwords = dict(passwords)
        self._algorithms = settings.digest_algorithms
        self._trusted = {t.address: t.name for t in settings.trusted}
        # the narrowest network first: it knows best
        self._sources = sorted(
            ((ip_network(source), trunk.name) for trunk in trunks for source in trunk.sources),
            key=lambda entry: -entry[0].prefixlen,
        )
        self._certified = {
            name.lower(): trunk.name for trunk in trunks for name in trunk.certificate_names
        }
        self._believed = frozenset(trunk.name for trunk in trunks if trunk.trusted)
        self._registrar = registrar
        self._now = now
        self._nonces = NonceIssuer(secrets.token_bytes(32), settings.nonce_lifetime_s)
        self._buckets = Buckets(settings.requests_per_s, settings.requests_burst)
        # compared against for names that do not exist, so that both take the same time
        self._nobody = secrets.token_hex(16)

    def within_rate(self, host: str) -> bool:
        return self._buckets.take(host, self._now()) == 0

    def of_call(self, request: Request, flow: Flow) -> Admitted | Challenge | Denied:
        """An INVITE from outside: trusted peer, registered source, or valid digest."""
        name = self._trusted.get(flow.peer.host)
        if name is not None:
            return Admitted(None, name, believed=True)
        trunk = self._trunk_named(flow) or self._trunk_at(flow.peer.host)
        if trunk is not None:
            return Admitted(None, trunk, trunk, trunk in self._believed)
        caller = self._from_account(request)
        if caller is not None and self._registrar.is_at(caller, flow):
            return Admitted(caller, caller)
        return self._digest(request, "Proxy-Authorization", caller)

    def _trunk_named(self, flow: Flow) -> str | None:
        """By a verified certificate (RFC 5922 §7.2); no wildcards."""
        return next((self._certified[n] for n in flow.names if n in self._certified), None)

    def _trunk_at(self, host: str) -> str | None:
        try:
            address = ip_address(host)
        except ValueError:
            return None
        return next((name for network, name in self._sources if address in network), None)

    def of_registration(self, request: Request) -> Admitted | Challenge | Denied:
        try:
            uri = request.to.uri
        except SipSyntaxError:
            return Denied(400, "Bad To")
        account = uri.user if isinstance(uri, SipUri) and self._is_ours(uri) else None
        return self._digest(request, "Authorization", account)

    def _from_account(self, request: Request) -> str | None:
        uri = request.from_.uri
        if isinstance(uri, SipUri) and self._is_ours(uri) and uri.user in self._passwords:
            return uri.user
        return None

    def _is_ours(self, uri: SipUri) -> bool:
        return uri.host.lower() == self._realm.lower()

    def _digest(
        self, request: Request, header: str, account: str | None
    ) -> Admitted | Challenge | Denied:
        stale = False
        for value in request.headers.fields(header):
            try:
                scheme, given = parse_auth(value)
            except SipSyntaxError:
                return Denied(400, f"Bad {header}")
            if scheme != "digest" or given.get("realm") != self._realm:
                continue
            freshness = self._nonces.judge(given.get("nonce", ""), self._now())
            if freshness == "forged":
                continue
            if not self._proves(given, request):
                return Denied(403, "Forbidden")
            if freshness == "stale" or not self._first_use(given):
                stale = True
                continue
            user = given.get("username", "")
            if account is None or not _same(user, account):
                return Denied(403, "Forbidden")
            return Admitted(account, account)
        return self._challenge(header, stale)

    def _proves(self, given: Mapping[str, str], request: Request) -> bool:
        password = self._passwords.get(given.get("username", ""))
        right = verify(given, request.method, password or self._nobody, self._algorithms)
        return right and password is not None and _names(given.get("uri", ""), request)

    def _first_use(self, given: Mapping[str, str]) -> bool:
        """A nonce count that was seen before is a replay; without qop there is none to check."""
        nc = nonce_count(given)
        if "qop" not in given:
            nc = 1
        return nc is not None and self._nonces.count(given["nonce"], nc)

    def _challenge(self, header: str, stale: bool) -> Challenge:
        proxy = header == "Proxy-Authorization"
        nonce = self._nonces.issue(self._now())
        name = "Proxy-Authenticate" if proxy else "WWW-Authenticate"
        values = challenges(self._realm, nonce, self._algorithms, stale=stale)
        return Challenge(407 if proxy else 401, tuple((name, v) for v in values))
