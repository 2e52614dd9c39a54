"""What a REGISTER does to the bindings of an address of record (RFC 3261 §10.3): pure rules."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.sip.errors import SipSyntaxError
from gateway.sip.headers import NameAddr, param
from gateway.sip.message import Request
from gateway.sip.proxying import Refusal
from gateway.sip.uri import SipUri


@dataclass(frozen=True, slots=True)
class Binding:
    """``flow`` names the socket it came over; ``path`` the proxies to pass (RFC 3327)."""

    contact: NameAddr
    call_id: str
    cseq: int
    expires_at: float
    flow: str
    registered_at: float
    q: float = 1.0
    path: tuple[str, ...] = ()

    @property
    def uri(self) -> SipUri:
        if not isinstance(self.contact.uri, SipUri):
            raise SipSyntaxError("a binding to what is no SIP URI")
        return self.contact.uri

    @property
    def instance(self) -> str | None:
        return param(self.contact.params, "+sip.instance")

    @property
    def reg_id(self) -> str | None:
        return param(self.contact.params, "reg-id")

    def same_as(self, other: Binding) -> bool:
        """RFC 5626 §6: instance and reg-id when both have them, else the URI (RFC 3261 §10.2)."""
        if self.instance and other.instance and self.reg_id and other.reg_id:
            return (self.instance, self.reg_id) == (other.instance, other.reg_id)
        return self.uri.equivalent(other.uri)


@dataclass(frozen=True, slots=True)
class Limits:
    min_s: int
    max_s: int
    contacts: int


Bindings = tuple[Binding, ...]


def live(bindings: Bindings, now: float) -> Bindings:
    return tuple(b for b in bindings if b.expires_at > now)


def apply(
    bindings: Bindings, request: Request, now: float, limits: Limits, flow: str
) -> Bindings | Refusal:
    """The bindings after this REGISTER, best first, or why it changes nothing at all.

    Of those with the same ``q`` the newest is first; beyond the limit the oldest are dropped.
    """
    present = live(bindings, now)
    try:
        if request.wildcard_contact:
            return _remove_all(present, request)
        wanted = [_binding(c, request, now, limits, flow) for c in request.contacts]
    except SipSyntaxError as e:
        return Refusal(400, f"Bad Contact or Expires: {e}"[:200])
    result = sorted(present, key=lambda b: b.registered_at)
    for new in wanted:
        if isinstance(new, Refusal):
            return new
        old = next((b for b in result if b.same_as(new)), None)
        if old is not None:
            if old.call_id == new.call_id and new.cseq <= old.cseq:
                return Refusal(500, "CSeq is not above the last one of this Call-ID")
            result.remove(old)
        if new.expires_at > now:
            result.append(new)
    # a phone that restarts leaves bindings behind; the newest of an account are the live ones
    newest_first = result[-limits.contacts :][::-1]
    return tuple(sorted(newest_first, key=lambda b: -b.q))


def _remove_all(present: Bindings, request: Request) -> Bindings | Refusal:
    alone = len(request.headers.all("Contact")) == 1
    if request.expires != 0 or not alone:
        return Refusal(400, "Contact: * goes alone and with Expires: 0")
    for old in present:
        if old.call_id == request.call_id and request.cseq.number <= old.cseq:
            return Refusal(500, "CSeq is not above the last one of this Call-ID")
    return ()


def _binding(
    contact: NameAddr, request: Request, now: float, limits: Limits, flow: str
) -> Binding | Refusal:
    if not isinstance(contact.uri, SipUri):
        raise SipSyntaxError("not a SIP URI")
    asked = _expires(contact, request, limits.max_s)
    if 0 < asked < limits.min_s:
        return Refusal(423, "Interval Too Brief", (("Min-Expires", str(limits.min_s)),))
    return Binding(
        contact=contact,
        call_id=request.call_id,
        cseq=request.cseq.number,
        expires_at=now + min(asked, limits.max_s),
        flow=flow,
        registered_at=now,
        q=_q(contact),
        path=request.headers.all("Path"),
    )


def _expires(contact: NameAddr, request: Request, default: int) -> int:
    """The contact's own, else the header's, else ours; what cannot be read counts as 3600."""
    own = param(contact.params, "expires")
    if own is not None:
        return int(own) if own.isascii() and own.isdigit() and len(own) < 11 else 3600
    asked = request.expires
    return default if asked is None else asked


def _q(contact: NameAddr) -> float:
    text = param(contact.params, "q")
    try:
        return min(1.0, max(0.0, float(text))) if text else 1.0
    except ValueError:
        return 0.0


def contact_values(bindings: Bindings, now: float) -> tuple[str, ...]:
    """What the 200 lists: each binding with the seconds it has left."""
    out: list[str] = []
    for b in bindings:
        kept = tuple(p for p in b.contact.params if p[0].lower() != "expires")
        left = ("expires", str(max(0, round(b.expires_at - now))))
        out.append(str(NameAddr(b.contact.display, b.contact.uri, (*kept, left))))
    return tuple(out)
