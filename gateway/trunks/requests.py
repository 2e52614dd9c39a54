"""REGISTER and OPTIONS to a trunk, as values."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.settings import Trunk
from gateway.sip.headers import param
from gateway.sip.message import Headers, Request, Response
from gateway.sip.uri import SipUri


@dataclass(frozen=True, slots=True)
class Names:
    """Who a trunk is to us and we to it."""

    domain: str
    user: str

    @classmethod
    def of(cls, trunk: Trunk) -> Names:
        domain = trunk.domain or host_of(trunk.address)
        user = trunk.register_.user if trunk.register_ else None
        return cls(domain, user or trunk.username or "gateway")

    @property
    def registrar(self) -> str:
        return str(SipUri("sip", None, None, self.domain, None))

    @property
    def aor(self) -> str:
        return str(SipUri("sip", self.user, None, self.domain, None))


def host_of(place: str) -> str:
    """The host of ``host``, ``host:port`` or ``[v6]:port``; IPv6 keeps its brackets."""
    if place.startswith("["):
        return place.partition("]")[0] + "]"
    return place.partition(":")[0]


def options(names: Names, call_id: str, tag: str) -> Request:
    items = [
        ("Max-Forwards", "70"),
        ("From", f"<{names.aor}>;tag={tag}"),
        ("To", f"<{names.registrar}>"),
        ("Call-ID", call_id),
        ("CSeq", "1 OPTIONS"),
        ("Accept", "application/sdp"),
    ]
    return Request(headers=Headers.of(*items), method="OPTIONS", uri=names.registrar)


def register(
    names: Names, call_id: str, tag: str, cseq: int, contact: str, expires_s: int
) -> Request:
    items = [
        ("Max-Forwards", "70"),
        ("From", f"<{names.aor}>;tag={tag}"),
        ("To", f"<{names.aor}>"),
        ("Call-ID", call_id),
        ("CSeq", f"{cseq} REGISTER"),
        ("Contact", contact),
        ("Expires", str(expires_s)),
        ("Supported", "path, outbound"),
    ]
    return Request(headers=Headers.of(*items), method="REGISTER", uri=names.registrar)


def granted_s(response: Response, contact: str, asked_s: int) -> int:
    """For how long the registrar took us: our contact's own, else Expires, else as asked (§10.2.4).

    ``contact`` is the value that was sent.
    """
    ours = contact.strip("<>")
    for found in response.contacts:
        if isinstance(found.uri, SipUri) and str(found.uri) == ours:
            own = param(found.params, "expires")
            if own is not None and own.isascii() and own.isdigit() and len(own) < 10:
                return int(own)
    given = response.expires
    return asked_s if given is None else min(given, asked_s)
