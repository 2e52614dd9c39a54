"""A tiny SIP user agent on loopback, inside the worker's own process.

PJSIP makes media only through a SIP session; this agent turns a bare SDP offer into one: it
sends the offer to the worker's own endpoint in an INVITE, and the 200's SDP is the answer.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol

from gateway.errors import MediaFailed, SdpUnusable

ANSWER_S: Final = 3.0
_STATUS: Final = re.compile(rb"SIP/2\.0 (\d{3}) ([^\r\n]*)")


@dataclass(slots=True)
class _Dialog:
    leg: str
    call_id: str
    tag: str
    cseq: int = 0
    remote_tag: str = ""
    target: str = ""
    waiting: Deferred[str] | None = None
    branch: str = ""
    over: bool = False


class LoopbackUa(DatagramProtocol):
    """``leg_mark`` is the header that names a leg; ``at`` is where our INVITEs come from."""

    def __init__(self, reactor: Any, endpoint_port: int, leg_mark: str) -> None:
        self._reactor = reactor
        self._to = ("127.0.0.1", endpoint_port)
        self._leg_mark = leg_mark
        self._dialogs: dict[str, _Dialog] = {}
        self._by_leg: dict[str, _Dialog] = {}
        self._port: Any = reactor.listenUDP(0, self, "127.0.0.1", 65_536)
        self.at = f"127.0.0.1:{self._port.getHost().port}"

    def offer(self, leg: str, sdp: str) -> Deferred[str]:
        """INVITE, or re-INVITE where the leg is there; fires with the answer.

        ``SdpUnusable`` when the endpoint refuses it, ``MediaFailed`` when it says nothing.
        """
        dialog = self._by_leg.get(leg)
        if dialog is None:
            dialog = _Dialog(leg, secrets.token_hex(12), secrets.token_hex(6))
            self._by_leg[leg] = self._dialogs[dialog.call_id] = dialog
        if dialog.waiting is not None:
            raise MediaFailed("an offer of this leg is still being answered")
        dialog.cseq += 1
        dialog.branch = f"z9hG4bK{secrets.token_hex(8)}"
        waiting: Deferred[str] = Deferred()
        dialog.waiting = waiting
        waiting.addTimeout(ANSWER_S, self._reactor)
        waiting.addBoth(self._over, dialog)
        self._send(dialog, "INVITE", sdp)
        return waiting

    def _over(self, result: Any, dialog: _Dialog) -> Any:
        dialog.waiting = None
        if dialog.over or not dialog.target:
            self._drop(dialog)
        return result

    def forget(self, leg: str) -> None:
        """The leg has ended; the answer to its last offer may still be on its way to us."""
        dialog = self._by_leg.pop(leg, None)
        if dialog is not None:
            dialog.over = True
            if dialog.waiting is None:
                self._drop(dialog)

    def _drop(self, dialog: _Dialog) -> None:
        self._dialogs.pop(dialog.call_id, None)
        if self._by_leg.get(dialog.leg) is dialog:
            del self._by_leg[dialog.leg]

    def stop(self) -> None:
        self._port.stopListening()

    def _send(self, dialog: _Dialog, method: str, sdp: str = "") -> None:
        branch = dialog.branch if method != "ACK" else f"z9hG4bK{secrets.token_hex(8)}"
        to_tag = f";tag={dialog.remote_tag}" if dialog.remote_tag else ""
        body = sdp.encode()
        target = dialog.target or f"sip:local@{self._to[0]}:{self._to[1]}"
        lines = [
            f"{method} {target} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.at};branch={branch};rport",
            "Max-Forwards: 1",
            f"From: <sip:local@{self.at}>;tag={dialog.tag}",
            f"To: <sip:local@127.0.0.1>{to_tag}",
            f"Call-ID: {dialog.call_id}",
            f"CSeq: {dialog.cseq} {method}",
            f"Contact: <sip:local@{self.at}>",
            f"{self._leg_mark}: {dialog.leg}",
        ]
        if body:
            lines.append("Content-Type: application/sdp")
        lines += [f"Content-Length: {len(body)}", "", ""]
        transport: Any = self.transport
        transport.write("\r\n".join(lines).encode() + body, self._to)

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        if addr != self._to:
            return
        head, _, body = datagram.partition(b"\r\n\r\n")
        call_id = _field(head, "Call-ID")
        dialog = self._dialogs.get(call_id)
        status = _STATUS.match(head)
        if status is None:
            self._answer(head)
            return
        if dialog is None or not _field(head, "CSeq").endswith("INVITE"):
            return
        code = int(status[1])
        cseq = _field(head, "CSeq").split()[0]
        if code >= 200 and cseq == str(dialog.cseq):
            self._final(dialog, code, status[2].decode("utf-8", "replace"), head, body)

    def _final(self, dialog: _Dialog, code: int, text: str, head: bytes, body: bytes) -> None:
        tag = re.search(r";tag=([^;\s]+)", _field(head, "To"))
        if tag is not None and (code < 300 or not dialog.remote_tag):
            dialog.remote_tag = tag[1]
        waiting = dialog.waiting
        if code < 300:
            contact = re.search(r"<([^>]+)>", _field(head, "Contact"))
            dialog.target = contact[1] if contact else dialog.target
            self._send(dialog, "ACK")
            if waiting is not None:
                waiting.callback(body.decode("utf-8", "replace"))
            return
        self._ack_refusal(dialog)
        if waiting is not None:
            waiting.errback(SdpUnusable(f"the offer cannot be answered: {code} {text}"))

    def _ack_refusal(self, dialog: _Dialog) -> None:
        """The ACK of a refusal is part of its INVITE's transaction (RFC 3261 §17.1.1.3)."""
        to_tag = f";tag={dialog.remote_tag}" if dialog.remote_tag else ""
        target = dialog.target or f"sip:local@{self._to[0]}:{self._to[1]}"
        lines = [
            f"ACK {target} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.at};branch={dialog.branch};rport",
            "Max-Forwards: 1",
            f"From: <sip:local@{self.at}>;tag={dialog.tag}",
            f"To: <sip:local@127.0.0.1>{to_tag}",
            f"Call-ID: {dialog.call_id}",
            f"CSeq: {dialog.cseq} ACK",
            "Content-Length: 0",
            "",
            "",
        ]
        transport: Any = self.transport
        transport.write("\r\n".join(lines).encode(), self._to)
        if not dialog.target:
            dialog.remote_tag = ""

    def _answer(self, head: bytes) -> None:
        """The endpoint's own requests (its BYE when a leg closes): 200, whatever they are."""
        if head.startswith(b"ACK "):
            return
        kept = [
            line
            for line in head.decode("utf-8", "replace").split("\r\n")[1:]
            if line.partition(":")[0].strip().lower() in ("via", "from", "to", "call-id", "cseq")
        ]
        text = "\r\n".join(["SIP/2.0 200 OK", *kept, "Content-Length: 0", "", ""])
        transport: Any = self.transport
        transport.write(text.encode(), self._to)


def _field(head: bytes, name: str) -> str:
    match = re.search(rf"^{name}\s*:\s*(.*?)\r?$", head.decode("utf-8", "replace"), re.I | re.M)
    return match[1].strip() if match else ""
