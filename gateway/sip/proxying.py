"""The rules of a proxy (RFC 3261 §16) as judgements over messages: nothing is sent here."""

from __future__ import annotations

import hmac
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from gateway.sip.errors import SipSyntaxError
from gateway.sip.headers import Via, param
from gateway.sip.message import Headers, Request
from gateway.sip.uri import SipUri, Uri, parse_uri

COOKIE = "z9hG4bK"


@dataclass(frozen=True, slots=True)
class Refusal:
    code: int
    reason: str
    headers: tuple[tuple[str, str], ...] = ()


def refusal(
    request: Request, methods: Collection[str], supported: Collection[str]
) -> Refusal | None:
    """Reasonable validation, method and extensions (RFC 3261 §16.3, §8.2.1, §8.2.2)."""
    try:
        uri = parse_uri(request.uri)
    except SipSyntaxError as e:
        return Refusal(400, f"Bad Request-URI: {e}"[:200])
    if not isinstance(uri, SipUri):
        return Refusal(416, "Unsupported URI Scheme")
    if uri.headers:
        return Refusal(400, "Request-URI with headers")
    if request.max_forwards == 0 and request.method != "OPTIONS":
        return Refusal(483, "Too Many Hops")
    if request.method not in methods:
        known = {"SUBSCRIBE", "NOTIFY", "MESSAGE", "PUBLISH", "REFER", "UPDATE", "PRACK"}
        allow = (("Allow", ", ".join(sorted(methods))),)
        if request.method in known:
            return Refusal(405, "Method Not Allowed", allow)
        return Refusal(501, "Not Implemented", allow)
    if request.method not in ("ACK", "CANCEL"):
        asked = (*request.headers.all("Require"), *request.headers.all("Proxy-Require"))
        unknown = [tag for tag in asked if tag.lower() not in supported]
        if unknown:
            return Refusal(420, "Bad Extension", (("Unsupported", ", ".join(unknown)),))
    return _broken_contact(request)


def _broken_contact(request: Request) -> Refusal | None:
    if request.method != "INVITE":
        return None
    try:
        contacts = request.contacts
    except SipSyntaxError as e:
        return Refusal(400, f"Bad Contact: {e}"[:200])
    if len(contacts) != 1:
        return Refusal(400, "An INVITE needs exactly one Contact")
    return None


def add_received(request: Request, host: str, port: int) -> Request:
    """Note where a request really came from (RFC 3261 §18.2.1, RFC 3581 §4)."""
    via = request.top_via
    if via.rport is not None:
        via = via.with_param("received", host).with_param("rport", str(port))
    elif via.host != host:
        via = via.with_param("received", host)
    else:
        return request
    return request.replaced(headers=with_vias(request.headers, (via, *request.vias[1:])))


def with_vias(headers: Headers, vias: Iterable[Via]) -> Headers:
    return headers.replaced("Via", *map(str, vias))


def response_target(via: Via) -> tuple[str, int]:
    """Where a response goes over UDP (RFC 3261 §18.2.2, RFC 3581 §4)."""
    host = via.received or param(via.params, "maddr") or via.host
    if via.rport and via.rport.isdigit() and int(via.rport) < 65536:
        return host, int(via.rport)
    return host, via.port or 5060


def loop_key(request: Request, key: bytes) -> str:
    """What a request that came back unchanged has in common with itself (RFC 3261 §16.6 item 8).

    Also the identity of its transaction: the same for retransmissions, for the CANCEL and for
    the ACK of a final response that is not 2xx (§17.2.3).
    """
    via = request.top_via
    method = "INVITE" if request.method in ("ACK", "CANCEL") else request.method
    parts = (
        via.branch or "",
        via.host.lower(),
        str(via.port or ""),
        method,
        request.call_id,
        str(request.cseq.number),
        request.from_.tag or "",
    )
    return hmac.digest(key, "\0".join(parts).encode("utf-8", "surrogateescape"), "sha256").hex()[
        :24
    ]


def has_been_here(request: Request, host: str, port: int) -> bool:
    """Whether one of the hops below the top is ourselves (RFC 3261 §16.3 item 4).

    This proxy never legitimately spirals: it ends every request at a worker or a contact.
    """
    return any(v.host.lower() == host.lower() and (v.port or 5060) == port for v in request.vias)


@dataclass(frozen=True, slots=True)
class NextHop:
    """Where a request goes: to ``uri``, with ``routes`` left to carry."""

    uri: Uri
    request: Request


def follow_routes(request: Request) -> NextHop:
    """The next hop of a request whose own Route entry is popped already (RFC 3261 §16.6 6-7).

    A strict router in front (no ``lr``) gets the request as it wants it: its own URI in the
    Request-URI, the target last among the routes.
    """
    if not request.routes:
        return NextHop(parse_uri(request.uri), request)
    first = request.routes[0].uri
    if not isinstance(first, SipUri):
        raise SipSyntaxError("a Route that is no SIP URI")
    if first.param("lr") is not None:
        return NextHop(first, request)
    rest = [*map(str, request.routes[1:]), f"<{request.uri}>"]
    moved = request.replaced(uri=str(first), headers=request.headers.replaced("Route", *rest))
    return NextHop(first, moved)


def pop_route(request: Request) -> Request:
    """Without its first Route."""
    rest = map(str, request.routes[1:])
    return request.replaced(headers=request.headers.replaced("Route", *rest))


def decremented(request: Request) -> Request:
    """Max-Forwards one less, or 70 where it was missing (RFC 3261 §16.6 item 3)."""
    hops = request.max_forwards
    left = 70 if hops is None else max(0, hops - 1)
    return request.replaced(headers=request.headers.replaced("Max-Forwards", str(left)))
