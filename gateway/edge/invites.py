"""An INVITE from outside as the call machine is told of it."""

from __future__ import annotations

import re
from typing import Final

from gateway.calls.ports import IncomingInvite
from gateway.edge.admission import Admitted
from gateway.edge.flows import Flow
from gateway.edge.registrar import Registrar
from gateway.edge.wire import Wire
from gateway.errors import BadAddress
from gateway.sip.errors import SipSyntaxError
from gateway.sip.message import Request
from gateway.sip.uri import SipUri, parse_uri
from gateway.values import Address, SipAddress, TelAddress, parse_address

ANONYMOUS: Final = SipAddress("anonymous", "anonymous.invalid")
MAX_NAME: Final = 100
_NUMBER: Final = re.compile(r"\+[1-9][0-9]{1,14}")


def read_invite(
    request: Request, flow: Flow, verdict: Admitted, wire: Wire, registrar: Registrar
) -> IncomingInvite:
    """Raises ``BadAddress`` for a target that names nothing, ``SipSyntaxError`` for no SIP URI."""
    sender, uri = request.from_, parse_uri(request.uri)
    if not isinstance(sender.uri, SipUri) or not isinstance(uri, SipUri):
        raise SipSyntaxError("From or Request-URI is no SIP URI")
    if verdict.account is not None:
        account = SipAddress(verdict.account, wire.domain.lower())
        caller: SipAddress | TelAddress = account
        name = sender.display or registrar.display_name(account)
    else:
        caller, name = _caller(sender.uri), sender.display
    return IncomingInvite(
        caller=caller,
        caller_name=_printable(name),
        target=_target(uri, wire),
        sip_call_id=request.call_id,
        offer=request.body or None,
        source=flow.peer,
        transport=flow.transport,
        trunk=verdict.trunk,
    )


def _target(uri: SipUri, wire: Wire) -> Address:
    user = uri.user or ""
    if user.startswith("+"):
        return parse_address(f"tel:{user}")
    host = wire.domain if wire.is_us(uri) else uri.host
    return parse_address(f"sip:{user}@{host}")


def _caller(uri: SipUri) -> SipAddress | TelAddress:
    """A trusted peer's caller; what cannot be written as an address is anonymous."""
    if uri.user is not None and _NUMBER.fullmatch(uri.user):
        return TelAddress(uri.user)
    try:
        address = parse_address(f"sip:{uri.user or 'anonymous'}@{uri.host}")
    except BadAddress:
        return ANONYMOUS
    return address if isinstance(address, SipAddress) else ANONYMOUS


def _printable(name: str) -> str:
    """A display name fit for apps and records: valid Unicode without control characters."""
    text = name[: 4 * MAX_NAME].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(c for c in text if c.isprintable())[:MAX_NAME]
