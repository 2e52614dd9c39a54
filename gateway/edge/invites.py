"""An INVITE from outside as the call machine is told of it."""

from __future__ import annotations

from typing import Final

from gateway.calls.ports import IncomingInvite
from gateway.edge.admission import Admitted
from gateway.edge.flows import Flow
from gateway.edge.registrar import Registrar
from gateway.edge.wire import Wire
from gateway.sip.errors import SipSyntaxError
from gateway.sip.identity import address_of, asserted
from gateway.sip.message import Request
from gateway.sip.passport import sip_date
from gateway.sip.uri import OtherUri, SipUri, parse_uri
from gateway.values import Address, SipAddress, TelAddress, parse_address

ANONYMOUS: Final = SipAddress("anonymous", "anonymous.invalid")
MAX_NAME: Final = 100


def read_invite(
    request: Request, flow: Flow, verdict: Admitted, wire: Wire, registrar: Registrar
) -> IncomingInvite:
    """Raises ``BadAddress`` for a target that names nothing, ``SipSyntaxError`` for no SIP URI."""
    sender, uri = request.from_, parse_uri(request.uri)
    if isinstance(uri, OtherUri) and uri.scheme == "tel":
        uri = SipUri("sip", uri.rest, None, wire.domain)
    if not isinstance(sender.uri, SipUri) or not isinstance(uri, SipUri):
        raise SipSyntaxError("From or Request-URI is no SIP URI")
    if verdict.account is not None:
        account = SipAddress(verdict.account, wire.domain.lower())
        caller: SipAddress | TelAddress = account
        name = sender.display or registrar.display_name(account)
    else:
        said = asserted(request.headers, verdict.believed)
        caller = said.address if said.address is not None and not said.privacy else ANONYMOUS
        name = "" if said.privacy else said.display
    return IncomingInvite(
        caller=caller,
        caller_name=_printable(name),
        target=_target(uri, wire),
        sip_call_id=request.call_id,
        offer=request.body or None,
        source=flow.peer,
        transport=flow.transport,
        trunk=verdict.trunk,
        identity=request.headers.fields("Identity") if verdict.trunk else (),
        date=_date(request),
        to=str(address_of(request.to.uri) or request.to.uri).removeprefix("tel:"),
    )


def _target(uri: SipUri, wire: Wire) -> Address:
    """In our domain where that is meant; what is a number is for the dial plan to say."""
    host = wire.domain if wire.is_us(uri) else uri.host
    return parse_address(f"sip:{uri.user or ''}@{host}")


def _date(request: Request) -> float | None:
    """One that cannot be read is none: only the compact form of a signature needs it."""
    try:
        return sip_date(request.headers.get("Date") or "")
    except SipSyntaxError:
        return None


def _printable(name: str) -> str:
    """A display name fit for apps and records: valid Unicode without control characters."""
    text = name[: 4 * MAX_NAME].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(c for c in text if c.isprintable())[:MAX_NAME]
