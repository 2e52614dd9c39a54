"""A SIP user agent under the test's full control: every message is sent when the test says so.

It sends no retransmissions and answers nothing by itself, except BYE, and OPTIONS pings.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.protocol import DatagramProtocol

from tests.peers.app_client import event_type, media_address, plain_offer
from tests.peers.ports import free_ports
from tests.peers.rtp import RtpStream
from tests.peers.sip_message import (
    SipMessage,
    bare_uri,
    challenge_parameters,
    credentials,
    tag,
)
from tests.peers.waiting import Happenings, reactor


class Refused(AssertionError):
    """A final response that was not hoped for."""

    def __init__(self, response: SipMessage) -> None:
        super().__init__(str(response))
        self.response = response


class SipPhone(DatagramProtocol):
    """One UDP socket, one account.  ``messages`` holds all that came, ``clock`` when it came."""

    def __init__(
        self,
        server: str,
        user: str = "1001",
        password: str = "secret1001",
        domain: str = "dm.localhost",
        algorithm: str | None = None,
    ) -> None:
        self.user, self.password, self.domain = user, password, domain
        host, _, port = server.rpartition(":")
        self.server = (host, int(port))
        self.algorithm = algorithm
        self.port = free_ports()
        self.messages: Happenings[SipMessage] = Happenings(f"SIP phone {user}")
        self.arrivals: list[float] = []
        self.sent: list[tuple[float, SipMessage]] = []
        self.auto_bye = True
        self.on_message: Callable[[SipMessage, float], None] | None = None
        self._streams: list[RtpStream] = []
        self._speaking: dict[str, list[RtpStream]] = {}
        self._register_id, self._register_cseq = secrets.token_hex(8), 0
        self._listener = reactor.listenUDP(
            self.port, self, interface="127.0.0.1", maxPacketSize=65536
        )

    async def close(self) -> None:
        """Idempotent."""
        stopped = self._listener.stopListening()
        if stopped is not None:
            await stopped
        for stream in self._streams:
            await stream.close()

    def stream(
        self, codec: str = "PCMU", hz: float | None = 440, *, events: bool = True
    ) -> RtpStream:
        """``events``: it announces telephone-event."""
        stream = RtpStream(codec, hz)
        stream.announces_events = events
        self._streams.append(stream)
        return stream

    def speaks(self, call_id: str, stream: RtpStream) -> None:
        """This stream is silent once the dialog has ended."""
        self._speaking.setdefault(call_id, []).append(stream)

    @property
    def contact(self) -> str:
        return f"<sip:{self.user}@127.0.0.1:{self.port}>"

    # -- messages

    def send(self, message: SipMessage) -> float:
        """Send to the server; the time it left (``perf_counter``)."""
        data = str(message).encode()
        now = time.perf_counter()
        self._listener.write(data, self.server)
        self.sent.append((now, message))
        return now

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        now = time.perf_counter()
        if not datagram.strip():
            return
        message = SipMessage.parse(datagram)
        if self.on_message is not None:
            self.on_message(message, now)
        if (message.code in (200, 481) and message.method == "BYE") or message.first[:4] == "BYE ":
            for stream in self._speaking.pop(message.call_id, ()):
                stream.quiet()  # the far end's port may be another call's in a moment
        by_itself = ("OPTIONS", "BYE") if self.auto_bye else ("OPTIONS",)
        if not message.code and message.method in by_itself:
            self.send(reply(message, 200, "OK"))
        self.arrivals.append(now)
        self.messages.add(message)

    def request(
        self, method: str, uri: str, to: str, call_id: str, cseq: int, from_tag: str, *extra: Any
    ) -> SipMessage:
        via = f"SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bK{secrets.token_hex(8)};rport"
        headers = [
            ("via", via),
            ("max-forwards", "70"),
            ("from", f"<sip:{self.user}@{self.domain}>;tag={from_tag}"),
            ("to", to),
            ("call-id", call_id),
            ("cseq", f"{cseq} {method}"),
            ("contact", self.contact),
            *extra,
        ]
        return SipMessage(f"{method} {uri} SIP/2.0", headers)

    async def final(self, request: SipMessage, timeout_s: float = 5, since: int = 0) -> SipMessage:
        """The final response to a request of ours, by its branch."""
        return await self.response(request, lambda c: c >= 200, "final response", timeout_s, since)

    async def response(
        self,
        request: SipMessage,
        wanted: Callable[[int], bool],
        what: str,
        timeout_s: float = 5,
        since: int = 0,
    ) -> SipMessage:
        branch = _branch(request)
        return await self.messages.expect(
            lambda m: wanted(m.code) and m.code > 0 and _branch(m) == branch,
            f"{what} to {request.first} (CSeq {request.get('cseq')})",
            timeout_s,
            since,
        )

    def authorize(self, request: SipMessage, refusal: SipMessage) -> tuple[str, str]:
        """The header that answers a 401 or 407, in our algorithm (none set: the first offered)."""
        name = "www-authenticate" if refusal.code == 401 else "proxy-authenticate"
        offered = refusal.all(name)
        wanted = self.algorithm
        chosen = [
            c for c in offered if wanted in (None, challenge_parameters(c).get("algorithm", "MD5"))
        ]
        assert chosen, f"no challenge in {wanted}: {offered}"
        method = request.first.split()[0]
        value = credentials(chosen[0], self.user, self.password, method, request.uri)
        return ("authorization" if refusal.code == 401 else "proxy-authorization", value)

    @staticmethod
    def refusal(request: SipMessage, code: int, *extra: tuple[str, str]) -> SipMessage:
        """A response made here as a server would: for trying other peers."""
        return reply(request, code, "", "srv", *extra)

    # -- registering

    async def register(self, expires: int = 60, contact: str | None = None) -> SipMessage:
        """REGISTER, with digest when asked; returns the final response, whatever it is."""

        def build(*extra: tuple[str, str]) -> SipMessage:
            self._register_cseq += 1
            message = self.request(
                "REGISTER",
                f"sip:{self.domain}",
                f"<sip:{self.user}@{self.domain}>",
                self._register_id,
                self._register_cseq,
                "reg",
                ("expires", str(expires)),
                *extra,
            )
            if contact is not None:
                message.headers = [
                    (n, contact if n == "contact" else v) for n, v in message.headers
                ]
            return message

        request = build()
        self.send(request)
        response = await self.final(request)
        if response.code != 401:
            return response
        request = build(self.authorize(request, response))
        self.send(request)
        return await self.final(request)

    # -- calls

    def call(self, to: str, stream: RtpStream | None = None) -> SipCall:
        """An outgoing call that has sent nothing yet."""
        uri = to if to.startswith("sip:") else f"sip:{to}@{self.domain}"
        return SipCall(self, uri, stream)

    async def incoming(self, timeout_s: float = 5, since: int = 0) -> SipCall:
        """The next INVITE that begins a call (each only once)."""

        def begins(m: SipMessage) -> bool:
            return not m.code and m.method == "INVITE" and not m.to_tag

        invite = await self.messages.expect(begins, "INVITE", timeout_s, since)
        return SipCall.from_invite(self, invite)


class SipCall:
    """One dialog, as UAC or UAS."""

    def __init__(self, phone: SipPhone, uri: str, stream: RtpStream | None = None) -> None:
        self.phone, self.target = phone, uri
        self.stream = stream
        self.call_id = secrets.token_hex(10)
        self.local = f"<sip:{phone.user}@{phone.domain}>;tag={secrets.token_hex(6)}"
        self.remote = f"<{uri}>"
        self.routes: list[str] = []
        self.cseq = 0
        self.invite: SipMessage | None = None
        self.began = phone.messages.mark()

    @classmethod
    def from_invite(cls, phone: SipPhone, invite: SipMessage) -> SipCall:
        call = cls(phone, bare_uri(invite.get("contact")))
        call.call_id, call.invite = invite.call_id, invite
        call.local = invite.get("to") + f";tag={secrets.token_hex(6)}"
        call.remote = invite.get("from")
        call.routes = invite.all("record-route")
        return call

    # -- as UAC

    def request(self, method: str, body: str = "", *extra: tuple[str, str]) -> SipMessage:
        self.cseq += 1
        headers = [*(("route", r) for r in self.routes), *extra]
        if body and not any(n == "content-type" for n, _ in extra):
            headers.append(("content-type", "application/sdp"))
        message = self.phone.request(
            method, self.target, self.remote, self.call_id, self.cseq, "x", *headers
        )
        message.headers = [(n, self.local if n == "from" else v) for n, v in message.headers]
        message.body = body
        return message

    def send_invite(self, body: str | None = None, *extra: tuple[str, str]) -> SipMessage:
        """INVITE (or re-INVITE); ``body`` none: the stream's offer, empty: no offer."""
        if body is None:
            assert self.stream is not None
            body = plain_offer(self.stream)
        self.invite = self.request("INVITE", body, *extra)
        self.phone.send(self.invite)
        return self.invite

    async def admitted(self, body: str | None = None, *extra: tuple[str, str]) -> SipMessage:
        """INVITE, answering the challenge if one comes; returns the first later response."""
        invite = self.send_invite(body, *extra)
        first = await self.phone.response(invite, lambda c: c > 0, "any response")
        if first.code < 200:
            first = await self._first_of_substance(invite) or first
        if first.code not in (401, 407):
            return first
        self.ack(first)
        answer = self.phone.authorize(invite, first)
        invite = self.send_invite(body, answer, *extra)
        return await self.phone.response(invite, lambda c: c > 0, "any response")

    async def _first_of_substance(self, invite: SipMessage) -> SipMessage | None:
        response = await self.phone.response(invite, lambda c: c > 100, "response above 100", 10)
        return response if response.code in (401, 407) else None

    async def ringing(self, timeout_s: float = 5) -> SipMessage:
        assert self.invite is not None
        response = await self.phone.response(
            self.invite, lambda c: c > 100, "180", timeout_s, self.began
        )
        if response.code >= 300:
            raise Refused(response)
        return response

    async def final(self, timeout_s: float = 10) -> SipMessage:
        assert self.invite is not None
        return await self.phone.final(self.invite, timeout_s, self.began)

    async def answered(self, timeout_s: float = 10) -> SipMessage:
        """Wait for the 2xx, learn the dialog, send ACK, start the stream."""
        response = await self.final(timeout_s)
        if response.code >= 300:
            self.ack(response)
            raise Refused(response)
        self.learn(response)
        self.ack(response)
        if self.stream is not None and response.body:
            self.listen_to(response.body)
        return response

    def learn(self, response: SipMessage) -> None:
        self.remote = response.get("to")
        self.target = bare_uri(response.get("contact"))
        self.routes = list(reversed(response.all("record-route")))

    def listen_to(self, sdp: str) -> None:
        assert self.stream is not None
        self.stream.send_event_pt = event_type(sdp) or self.stream.event_pt
        chosen = re.search(r"^m=audio \d+ \S+ (\d+)", sdp, re.M)
        if chosen and int(chosen[1]) in (0, 8):
            self.stream.payload_type = int(chosen[1])
            self.stream.codec = "PCMU" if chosen[1] == "0" else "PCMA"
        self.stream.send_to(*media_address(sdp))
        self.phone.speaks(self.call_id, self.stream)

    def ack(self, response: SipMessage, body: str = "") -> None:
        """ACK: of its own for a 2xx, in the INVITE's transaction else (RFC 3261 §17.1.1.3)."""
        assert self.invite is not None
        if response.code < 300:
            ack = self.request("ACK", body)
            self.cseq -= 1
            ack.headers = [
                (n, f"{response.cseq[0]} ACK" if n == "cseq" else v) for n, v in ack.headers
            ]
        else:
            ack = self._same_transaction("ACK")
            ack.headers = [(n, response.get("to") if n == "to" else v) for n, v in ack.headers]
        self.phone.send(ack)

    def cancel(self) -> SipMessage:
        message = self._same_transaction("CANCEL")
        self.phone.send(message)
        return message

    def _same_transaction(self, method: str) -> SipMessage:
        assert self.invite is not None
        kept = ("via", "max-forwards", "from", "to", "call-id", "route")
        headers = [h for h in self.invite.headers if h[0] in kept]
        headers.append(("cseq", f"{self.invite.cseq[0]} {method}"))
        return SipMessage(f"{method} {self.invite.uri} SIP/2.0", headers)

    # -- as UAS

    def answer(self, code: int, text: str = "", body: str = "", *extra: tuple[str, str]) -> None:
        """Answer the INVITE; a 2xx without ``body`` gets the stream's SDP."""
        assert self.invite is not None
        if 200 <= code < 300 and not body and self.stream is not None:
            body = plain_offer(self.stream)
            if self.invite.body:
                self.listen_to(self.invite.body)
        headers = [("contact", self.phone.contact), *extra]
        if body:
            headers.append(("content-type", "application/sdp"))
        response = reply(self.invite, code, text, tag(self.local), *headers)
        response.body = body
        self.phone.send(response)

    # -- both

    async def in_dialog(
        self, method: str, body: str = "", *extra: tuple[str, str], timeout_s: float = 5
    ) -> SipMessage:
        """Send a request in the dialog and wait for its final response."""
        message = self.request(method, body, *extra)
        self.phone.send(message)
        return await self.phone.final(message, timeout_s, self.began)

    async def bye(self) -> SipMessage:
        return await self.in_dialog("BYE")

    async def got(self, method: str, timeout_s: float = 5, since: int | None = None) -> SipMessage:
        """A request of the far end in this dialog."""
        return await self.phone.messages.expect(
            lambda m: not m.code and m.method == method and m.call_id == self.call_id,
            f"{method} in {self.call_id}",
            timeout_s,
            self.began if since is None else since,
        )


def reply(
    request: SipMessage, code: int, text: str = "", to_tag: str = "", *extra: tuple[str, str]
) -> SipMessage:
    """A response (RFC 3261 §8.2.6); Record-Route is copied."""
    kept = ("via", "from", "to", "call-id", "cseq", "record-route")
    headers = [h for h in request.headers if h[0] in kept]
    if to_tag and not request.to_tag:
        headers = [(n, f"{v};tag={to_tag}" if n == "to" else v) for n, v in headers]
    return SipMessage(f"SIP/2.0 {code} {text or 'Said So'}", [*headers, *extra])


def _branch(message: SipMessage) -> str:
    found = re.search(r"branch=([^;,\s]+)", message.get("via"))
    return (found[1] if found else "") + message.cseq[1].replace("ACK", "INVITE")
