"""The dialogs that pass through the edge, and the word that ends each of them.

One entry a dialog, early ones included.  The edge is no party to them, but having seen
them it can say BYE for a worker that died.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from gateway.calls.ports import Farewell
from gateway.edge.flows import Flow
from gateway.edge.passages import Passage
from gateway.sip.errors import SipSyntaxError
from gateway.sip.headers import Via
from gateway.sip.message import Headers, Request, Response, response_to
from gateway.sip.proxying import COOKIE
from gateway.values import HostPort


class Role(StrEnum):
    """What the worker is in the dialog."""

    UAC = "uac"
    UAS = "uas"


class Phase(StrEnum):
    EARLY = "early"
    CONFIRMED = "confirmed"
    ENDING = "ending"


@dataclass(slots=True)
class Dialog:
    """``local`` is the worker's side, ``remote`` the outside.

    ``invite`` is the INVITE as it was sent outwards (UAC) or came in (UAS).
    """

    role: Role
    worker: HostPort
    leg: str
    call_id: str
    token: str
    flow: Flow
    invite: Request
    local_tag: str | None
    remote_tag: str | None
    remote_target: str
    created_at: float
    local_contact: str = ""
    route_set: tuple[str, ...] = ()
    local_cseq: int = 0
    remote_cseq: int = 0
    phase: Phase = Phase.EARLY
    passage: Passage | None = None

    @property
    def name(self) -> str:
        return self.token


def new_token() -> str:
    """The user part of the Contact that the outside sees; not to be guessed."""
    return "g" + secrets.token_hex(10)


class Dialogs:
    """``changed`` is told of a dialog at every change of what its farewell would be."""

    def __init__(self, limit: int, changed: Callable[[Dialog, bool], None]) -> None:
        self._limit = limit
        self._changed = changed
        self._by_token: dict[str, Dialog] = {}
        self._by_worker: dict[tuple[HostPort, str, str], Dialog] = {}
        self._by_local: dict[tuple[str, str], Dialog] = {}
        self._by_invite: dict[tuple[str, str], Dialog] = {}

    def __len__(self) -> int:
        return len(self._by_token)

    @property
    def full(self) -> bool:
        return len(self._by_token) >= self._limit

    def add(self, dialog: Dialog) -> None:
        self._by_token[dialog.token] = dialog
        if dialog.local_tag is not None:
            self._by_local[(dialog.call_id, dialog.local_tag)] = dialog
        if dialog.role is Role.UAS and dialog.remote_tag is not None:
            self._by_invite[(dialog.call_id, dialog.remote_tag)] = dialog
        self._changed(dialog, True)

    def local_tag_seen(self, dialog: Dialog, tag: str) -> None:
        if dialog.local_tag is None:
            dialog.local_tag = tag
            self._by_local[(dialog.call_id, tag)] = dialog

    def touched(self, dialog: Dialog) -> None:
        if dialog.token in self._by_token:
            self._changed(dialog, True)

    def remove(self, dialog: Dialog) -> None:
        if self._by_token.pop(dialog.token, None) is None:
            return
        if dialog.passage is not None:
            dialog.passage.over = dialog.phase is not Phase.CONFIRMED
        if dialog.local_tag is not None:
            self._by_local.pop((dialog.call_id, dialog.local_tag), None)
        if dialog.role is Role.UAS and dialog.remote_tag is not None:
            self._by_invite.pop((dialog.call_id, dialog.remote_tag), None)
        self._changed(dialog, False)

    def by_local(self, call_id: str, local_tag: str) -> Dialog | None:
        return self._by_local.get((call_id, local_tag))

    def of_incoming(self, call_id: str, remote_tag: str) -> Dialog | None:
        """The dialog that an INVITE from outside began."""
        return self._by_invite.get((call_id, remote_tag))

    def of_worker(self, worker: HostPort) -> tuple[Dialog, ...]:
        return tuple(d for d in self._by_token.values() if d.worker == worker)

    def older_than(self, then: float) -> tuple[Dialog, ...]:
        return tuple(d for d in self._by_token.values() if d.created_at < then)


def outlived(dialog: Dialog, method: str) -> bool:
    """Whether a dialog is over when a transaction of it was forgotten without an answer.

    An early one ends with its INVITE, and any with a BYE (RFC 3261 §15.1.1).
    """
    return method == "BYE" or (method == "INVITE" and dialog.phase is not Phase.CONFIRMED)


def farewell(dialog: Dialog, via: Via, source: HostPort) -> Farewell | None:
    """The message that ends the dialog in its present phase; ``None`` when it ends by itself.

    ``via`` is ours, without a branch.
    """
    if dialog.phase is Phase.ENDING:
        return None
    if dialog.phase is Phase.CONFIRMED:
        message: Request | Response = bye(dialog, via)
    elif dialog.role is Role.UAC:
        message = cancel(dialog.invite)
    else:
        tag = dialog.local_tag or new_token()
        message = response_to(dialog.invite, 500, to_tag=tag)
    return Farewell(dialog.flow.transport, source, dialog.flow.peer, message.to_bytes())


def bye(
    dialog: Dialog, via: Via, cause: str = "500", text: str = "Server Internal Error"
) -> Request:
    """RFC 3261 §15.1.1, with a CSeq above any that the worker has used (§12.2.1.1)."""
    ours = with_tag(dialog, dialog.role is Role.UAC, dialog.local_tag)
    theirs = with_tag(dialog, dialog.role is Role.UAS, dialog.remote_tag)
    branch = via.with_param("branch", f"{COOKIE}bye{secrets.token_hex(8)}")
    items = [
        ("Via", str(branch)),
        ("Max-Forwards", "70"),
        *(("Route", r) for r in dialog.route_set),
        ("From", ours),
        ("To", theirs),
        ("Call-ID", dialog.call_id),
        ("CSeq", f"{dialog.local_cseq + 1} BYE"),
        ("Reason", f'SIP;cause={cause};text="{text}"'),
    ]
    return Request(headers=Headers.of(*items), method="BYE", uri=dialog.remote_target)


def with_tag(dialog: Dialog, from_side: bool, tag: str | None) -> str:
    """One party as the dialog's INVITE named it, with its tag."""
    invite = dialog.invite
    value = (invite.headers.get("From") if from_side else invite.headers.get("To")) or ""
    try:
        party = invite.from_ if from_side else invite.to
    except SipSyntaxError:
        return value
    return value if party.tag is not None or tag is None else f"{value};tag={tag}"


def cancel(invite: Request) -> Request:
    """RFC 3261 §9.1: the INVITE's own URI, Via, Route, From, To and Call-ID."""
    cseq = f"{invite.cseq.number} CANCEL"
    kept = ("Route", "From", "To", "Call-ID")
    items = [("Via", str(invite.top_via)), ("Max-Forwards", "70")]
    items += [(n, v) for n, v in invite.headers if n in kept]
    items.append(("CSeq", cseq))
    return Request(headers=Headers.of(*items), method="CANCEL", uri=invite.uri)


def ack(dialog: Dialog, response: Response, via: Via) -> Request:
    """The ACK of a final response to the dialog's INVITE (RFC 3261 §13.2.2.4, §17.1.1.3)."""
    success = response.code < 300
    branch = (
        via.with_param("branch", f"{COOKIE}ack{secrets.token_hex(8)}")
        if success
        else dialog.invite.top_via
    )
    routes = dialog.route_set if success else dialog.invite.headers.fields("Route")
    items = [
        ("Via", str(branch)),
        ("Max-Forwards", "70"),
        *(("Route", r) for r in routes),
        ("From", dialog.invite.headers.get("From") or ""),
        ("To", response.headers.get("To") or ""),
        ("Call-ID", dialog.call_id),
        ("CSeq", f"{dialog.invite.cseq.number} ACK"),
    ]
    uri = dialog.remote_target if success else dialog.invite.uri
    return Request(headers=Headers.of(*items), method="ACK", uri=uri)
