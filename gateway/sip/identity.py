"""Who calls, as networks tell each other: P-Asserted-Identity and Privacy (RFC 3323, RFC 3325).

Remote-Party-ID (draft-ietf-sip-privacy-04) is older, and still what some carriers have.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from gateway.errors import BadAddress
from gateway.sip.errors import SipSyntaxError
from gateway.sip.headers import NameAddr, param, parse_name_addr, split_list
from gateway.sip.message import Headers
from gateway.sip.uri import SipUri, Uri, unescape
from gateway.values import SipAddress, TelAddress, UserAddress, parse_address

Style = Literal["pai", "rpid"]
"""P-Asserted-Identity, or Remote-Party-ID."""

ASSERTIONS: Final = frozenset(
    {"P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID", "Privacy"}
)
"""Of no meaning from a stranger, and never passed on as they came."""

ANONYMOUS_NAME: Final = "Anonymous"
ANONYMOUS_URI: Final = "sip:anonymous@anonymous.invalid"
"""RFC 3323 §4.1.1.3."""

MAX_NAME: Final = 100
_MAX_VALUES: Final = 8
_HIDING: Final = frozenset({"id", "user", "header"})
_VISUAL: Final = re.compile(r"[().\-]")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls; ``address`` is ``None`` where nobody can be made out.

    ``asserted``: a trusted peer vouches for it.  ``privacy``: it is not to be shown to the callee.
    """

    address: TelAddress | SipAddress | None
    display: str
    privacy: bool
    asserted: bool = False


def asserted(headers: Headers, trusted: bool) -> Identity:
    """The caller of a request.

    A trusted peer is believed P-Asserted-Identity, then Remote-Party-ID, then From; of a stranger
    From alone is read, which it has to prove itself.  P-Preferred-Identity is a wish to a proxy
    that asserts (RFC 3325 §9.2), and never believed.  ``SipSyntaxError`` where From is broken.
    """
    sender = parse_name_addr(headers.get("From") or "")
    privacy = wants_privacy(headers) or _is_anonymous(sender)
    if trusted:
        if found := _p_asserted(headers):
            return Identity(address_of(found.uri), printable(found.display), privacy, True)
        if found := _remote_party(headers):
            hidden = (param(found.params, "privacy") or "off").strip('"').lower() != "off"
            name = printable(found.display)
            return Identity(address_of(found.uri), name, privacy or hidden, True)
    if _is_anonymous(sender):
        return Identity(None, "", privacy)
    return Identity(address_of(sender.uri), printable(sender.display), privacy)


def wants_privacy(headers: Headers) -> bool:
    """Whether Privacy hides who calls (RFC 3323 §4.2, RFC 3325 §9.3); ``none`` rules the rest out.

    ``session`` and ``critical`` alone hide nobody.
    """
    wanted = {
        value.strip().lower()
        for text in headers.fields("Privacy")[:_MAX_VALUES]
        for value in re.split(r"[;,]", text)
    }
    return "none" not in wanted and bool(wanted & _HIDING)


def _p_asserted(headers: Headers) -> NameAddr | None:
    """A number before a SIP address, where there are both (RFC 3325 §9.1)."""
    found = _readable(headers, "P-Asserted-Identity")
    numbers = [one for one in found if isinstance(address_of(one.uri), TelAddress)]
    named = numbers or [one for one in found if address_of(one.uri) is not None]
    if not named:
        return None
    best = named[0]
    if not best.display:  # the name is often with the other of the two
        best = NameAddr(next((one.display for one in found if one.display), ""), best.uri)
    return best


def _remote_party(headers: Headers) -> NameAddr | None:
    for one in _readable(headers, "Remote-Party-ID"):
        if (param(one.params, "party") or "calling").lower() == "calling" and address_of(one.uri):
            return one
    return None


def _readable(headers: Headers, name: str) -> list[NameAddr]:
    found = []
    for text in [v for f in headers.fields(name)[:_MAX_VALUES] for v in split_list(f)][
        :_MAX_VALUES
    ]:
        try:
            found.append(parse_name_addr(text))
        except SipSyntaxError:
            continue  # says nothing; the next source is asked
    return found


def _is_anonymous(sender: NameAddr) -> bool:
    uri = sender.uri
    return isinstance(uri, SipUri) and (
        uri.host.lower() == "anonymous.invalid" or (uri.user or "").lower() == "anonymous"
    )


def address_of(uri: Uri) -> TelAddress | SipAddress | None:
    """Whom a URI names: a number where it is one of E.164 (RFC 3966, RFC 3261 §19.1.6)."""
    if not isinstance(uri, SipUri):
        return _number(uri.rest.partition(";")[0]) if uri.scheme == "tel" else None
    user = uri.user or ""
    if found := _number(unescape(user.partition(";")[0])):
        return found
    try:
        address = parse_address(f"sip:{user}@{uri.host}")
    except BadAddress:
        return None
    return address if isinstance(address, SipAddress) else None


def _number(text: str) -> TelAddress | None:
    if not text.startswith("+"):
        return None
    try:
        address = parse_address(f"tel:{_VISUAL.sub('', text)}")
    except BadAddress:
        return None
    return address if isinstance(address, TelAddress) else None


def printable(name: str) -> str:
    """A display name fit for apps, records and headers: no control characters, no surrogates."""
    text = name[: 4 * MAX_NAME].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(c for c in text if c.isprintable())[:MAX_NAME].strip()


@dataclass(frozen=True, slots=True)
class Shown:
    """What an INVITE says of its caller: From, and the headers besides."""

    from_name: str
    from_uri: str
    headers: tuple[tuple[str, str], ...] = ()


def identity_headers(
    caller: TelAddress | SipAddress | UserAddress,
    display: str,
    *,
    privacy: bool,
    trusted: bool,
    domain: str,
    style: Style = "pai",
) -> Shown:
    """How a caller is shown to a peer; numbers and people are of our ``domain``.

    With ``privacy`` From says nothing.  A trusted peer is told all the same, and asked to keep it;
    a stranger is told no more than the callee may know (RFC 3325 §7).
    """
    name = printable(display)
    uri = _uri(caller, domain)
    real = parse_name_addr(f"<{uri}>")
    told = str(NameAddr(name, real.uri))
    from_name, from_uri = (ANONYMOUS_NAME, ANONYMOUS_URI) if privacy else (name, uri)
    if not trusted:
        return Shown(from_name, from_uri)
    headers: tuple[tuple[str, str], ...]
    match style:
        case "pai":
            headers = (("P-Asserted-Identity", told),)
        case "rpid":
            kept = "full" if privacy else "off"
            value = f"{told};party=calling;screen=yes;privacy={kept}"
            headers = (("Remote-Party-ID", value),)
    if privacy:
        headers += (("Privacy", "id"),)
    return Shown(from_name, from_uri, headers)


def _uri(caller: TelAddress | SipAddress | UserAddress, domain: str) -> str:
    match caller:
        case TelAddress(number):
            return f"sip:{number}@{domain};user=phone"
        case UserAddress(handle):
            return f"sip:{handle}@{domain}"
        case SipAddress():
            return str(caller)
