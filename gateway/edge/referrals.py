"""A REFER from outside as the call machine is told of it."""

from __future__ import annotations

from gateway.calls.ports import Referral
from gateway.edge.dialogs import Dialog, Dialogs, Phase
from gateway.edge.wire import Wire
from gateway.errors import BadAddress
from gateway.sip.errors import SipSyntaxError
from gateway.sip.message import Request
from gateway.sip.referral import Replaces, read_refer_to, read_replaces
from gateway.sip.uri import SipUri
from gateway.values import Address, LegId, parse_address


def read_referral(
    request: Request, dialog: Dialog, dialogs: Dialogs, wire: Wire
) -> Referral | None:
    """``None`` where it names a dialog to replace that this far end has not with us.

    ``SipSyntaxError`` for a Refer-To that cannot be read.
    """
    wanted = read_refer_to(request)
    try:
        target = _target(wanted.target, wire)
    except BadAddress as e:
        raise SipSyntaxError(f"Refer-To: {e}") from e
    if wanted.replaces is None:
        return Referral(target)
    other = _replaced(wanted.replaces, dialogs)
    if other is None or other.flow.peer.host != dialog.flow.peer.host or other is dialog:
        return None
    return Referral(target, LegId(other.leg))


def replacing(request: Request, dialogs: Dialogs) -> int | None:
    """Why an INVITE with Replaces is refused (RFC 3891 §3); ``None``: it has none.

    Calls are handed over by REFER alone: who sends an INVITE has not shown that the call is theirs.
    """
    values = request.headers.all("Replaces")
    if not values:
        return None
    if len(values) > 1:
        return 400
    try:
        wanted = read_replaces(values[0])
    except SipSyntaxError:
        return 400
    return 481 if _replaced(wanted, dialogs) is None else 603


def _target(target: SipUri | str, wire: Wire) -> Address:
    if isinstance(target, str):
        return parse_address(f"tel:{target}")
    host = wire.domain if wire.is_us(target) else target.host
    return parse_address(f"sip:{target.user or ''}@{host}")


def _replaced(replaces: Replaces, dialogs: Dialogs) -> Dialog | None:
    """RFC 3891 §3: the tags are as we know them, and the dialog is confirmed."""
    found = dialogs.by_local(replaces.call_id, replaces.to_tag)
    if found is None or found.remote_tag != replaces.from_tag or replaces.early_only:
        return None
    return found if found.phase is Phase.CONFIRMED else None
