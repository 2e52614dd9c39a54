"""PJSIP's call object of one leg: its callbacks, read and passed on."""

from __future__ import annotations

import re
from typing import Any, Final, Protocol

import pjsua2 as pj

from gateway.media.accounts import Account, contained
from gateway.media.peer_sdp import unusable
from gateway.media.presses import Presses
from gateway.values import LegEnd

SOURCE_MARK: Final = "X-DMGW-Source"
"""The edge says with it from which address a message came."""

_DTMF_END: Final = 2
_REQUEST_PENDING: Final = 491
_SOURCE: Final = re.compile(rf"^{SOURCE_MARK}:\s*(\S+)\s*$", re.I | re.M)
_CONTACT: Final = re.compile(r"^(?:Contact|m)\s*:[^\r\n<]*<([^>\r\n]+)>", re.I | re.M)
_RETRY_AFTER: Final = re.compile(r"^Retry-After\s*:\s*(\d{1,6})", re.I | re.M)
_MOVED: Final = re.compile(r"^SIP/2\.0 (3\d\d) ?([^\r\n]*)", re.I)
_REASON: Final = re.compile(r"^Reason[ \t]*:[ \t]*([^\r\n]*)", re.I | re.M)
_ONE_REASON: Final = re.compile(
    r"[A-Za-z0-9.\-]{1,16}[ \t]*;[ \t]*cause[ \t]*=[ \t]*\d{1,3}"
    r'(?:[ \t]*;[ \t]*text[ \t]*=[ \t]*"[^"\\\x00-\x1f\x7f]{0,80}")?',
    re.I,
)
_CAUSE: Final = re.compile(r"^Reason:\s*SIP\s*;\s*cause\s*=\s*(\d{3})", re.I | re.M)


class DialogSide(Protocol):
    """What a dialog tells its leg."""

    presses: Presses

    def on_state(self, prm: Any) -> None: ...
    def on_media(self) -> None: ...
    def on_stream_over(self) -> None: ...
    def on_source(self, host: str, said_by: str) -> None: ...
    def on_glare(self) -> None: ...
    def takes(self, offer: str) -> bool: ...
    def fitted(self, sdp: str) -> str: ...


class Dialog(pj.Call):  # type: ignore[misc]  # the binding has no types
    def __init__(
        self, account: Account, leg: DialogSide, call_id: int = pj.PJSUA_INVALID_ID
    ) -> None:
        super().__init__(account, call_id)
        self._account = account  # C++ holds a bare reference to it
        self._leg: DialogSide | None = leg

    def forget(self) -> None:
        self._leg = None

    @contained
    def onCallState(self, prm: Any) -> None:
        if self._leg is not None:
            self._leg.on_state(prm)

    @contained
    def onCallTsxState(self, prm: Any) -> None:
        if self._leg is None or prm.e.type != pj.PJSIP_EVENT_TSX_STATE:
            return
        source = source_of(message_of(prm))
        if source:
            self._leg.on_source(source, prm.e.body.tsxState.src.rdata.srcAddress)
        transaction = prm.e.body.tsxState.tsx
        ours = transaction.role == pj.PJSIP_ROLE_UAC and transaction.method in ("INVITE", "UPDATE")
        over = transaction.state == pj.PJSIP_TSX_STATE_COMPLETED
        if ours and over and transaction.statusCode == _REQUEST_PENDING:
            self._leg.on_glare()

    @contained
    def onCallRxOffer(self, prm: Any) -> None:
        """Of a re-INVITE or an UPDATE (RFC 3311)."""
        offer = prm.offer.wholeSdp
        if self._leg is None or unusable(offer) or not self._leg.takes(offer):
            prm.statusCode = 488

    @contained
    def onCallTransferRequest(self, prm: Any) -> None:
        """PJSIP would call whom the far end names; only the call machine decides on calls."""
        prm.statusCode = 603

    @contained
    def onCallReplaceRequest(self, prm: Any) -> None:
        prm.statusCode = 603

    @contained
    def onCallMediaState(self, prm: Any) -> None:
        if self._leg is not None:
            self._leg.on_media()

    @contained
    def onCallSdpCreated(self, prm: Any) -> None:
        if self._leg is not None:
            prm.sdp.wholeSdp = self._leg.fitted(prm.sdp.wholeSdp)

    @contained
    def onStreamDestroyed(self, prm: Any) -> None:
        if self._leg is not None:
            self._leg.on_stream_over()

    @contained
    def onDtmfEvent(self, prm: Any) -> None:
        if self._leg is None:
            return
        if prm.method == pj.PJSUA_DTMF_METHOD_RFC2833:
            ended = bool(prm.flags & _DTMF_END)
            self._leg.presses.heard(prm.digit, prm.duration, prm.timestamp, ended)
        else:
            self._leg.presses.told(prm.digit, prm.duration)


def message_of(prm: Any) -> str:
    """What the far end sent, where that is what changed a state; else empty."""
    if prm.e.type != pj.PJSIP_EVENT_TSX_STATE:
        return ""
    change = prm.e.body.tsxState
    return str(change.src.rdata.wholeMsg) if change.type == pj.PJSIP_EVENT_RX_MSG else ""


def source_of(message: str) -> str:
    """The address that the edge had this message from; empty where it does not say."""
    found = _SOURCE.search(message.partition("\r\n\r\n")[0])
    return found[1] if found else ""


def cause_of(message: str) -> int | None:
    """The SIP cause in the Reason header of the message that ended the call (RFC 3326)."""
    found = _CAUSE.search(message)
    return int(found[1]) if found else None


def reason_of(message: str) -> str:
    """Its Reason headers as one, what cannot be read left out (RFC 3326 §2)."""
    head = message.partition("\r\n\r\n")[0]
    values = [m[0] for line in _REASON.findall(head) for m in [_ONE_REASON.match(line)] if m]
    return ", ".join(values[:_MAX_REASONS])


_MAX_REASONS: Final = 3
_MAX_CONTACTS: Final = 5


def end_of(info: Any, message: str, *, remote: bool) -> LegEnd:
    """What a dialog ended with; ``message`` is what the far end sent last, if that ended it.

    PJSIP follows no 3xx of its own accord, and then gives 487 for it.
    """
    code, text, contacts = int(info.lastStatusCode), str(info.lastReason), []
    if moved := _MOVED.match(message):
        code, text, contacts = int(moved[1]), moved[2], _CONTACT.findall(message)
    retry = _RETRY_AFTER.search(message)
    return LegEnd(
        code=code,
        text=text[:100],
        remote=remote,
        cause=cause_of(message),
        contacts=tuple(uri[:400] for uri in contacts[:_MAX_CONTACTS]),
        retry_after_s=int(retry[1]) if retry else None,
        why=reason_of(message),
    )


def header(name: str, value: str) -> Any:
    made = pj.SipHeader()
    made.hName, made.hValue = name, value
    return made
