"""Peers that speak SIP bytes over real sockets on loopback: a phone and a worker."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.protocol import DatagramProtocol

from gateway.sip.digest import algorithm_of, response_value
from gateway.sip.headers import parse_auth
from gateway.sip.message import Request, Response, response_to
from gateway.sip.parser import parse_datagram
from gateway.values import HostPort

WAIT_S = 5


class UdpPeer(DatagramProtocol):
    """Sends to one address; what comes is parsed and queued."""

    def __init__(self, reactor: Any, to: HostPort) -> None:
        self.reactor = reactor
        self.to = to
        self.queue: DeferredQueue[Request | Response] = DeferredQueue()
        self.raw: list[bytes] = []
        self.port = reactor.listenUDP(0, self, "127.0.0.1")
        self.address = HostPort("127.0.0.1", self.port.getHost().port)
        self.serial = 0

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.raw.append(datagram)
        self.queue.put(parse_datagram(datagram))

    def send(self, message: Request | Response | bytes, to: HostPort | None = None) -> None:
        target = to or self.to
        data = message if isinstance(message, bytes) else message.to_bytes()
        transport: Any = self.transport
        transport.write(data, (target.host, target.port))

    def next(self) -> Deferred[Request | Response]:
        got = self.queue.get()
        got.addTimeout(WAIT_S, self.reactor)
        return got

    async def response(self, code: int) -> Response:
        message = await self.next()
        assert isinstance(message, Response), message
        assert message.code == code, message
        return message

    async def request(self, method: str) -> Request:
        message = await self.next()
        assert isinstance(message, Request), message
        assert message.method == method, message
        return message

    async def close(self) -> None:
        await self.port.stopListening()


class Phone(UdpPeer):
    def __init__(self, reactor: Any, to: HostPort, user: str = "1001") -> None:
        super().__init__(reactor, to)
        self.user = user

    def message(self, method: str, uri: str, *lines: str, **fields: Any) -> Request:
        """A request of this phone; ``fields`` change cseq, branch, call_id, tags, body."""
        self.serial += 1
        branch = fields.get("branch", f"z9hG4bKp{self.address.port}x{self.serial}")
        to_tag = f";tag={fields['to_tag']}" if fields.get("to_tag") else ""
        from_user = fields.get("from_user", self.user)
        head = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.address};branch={branch};rport",
            "Max-Forwards: 70",
            f"From: <sip:{from_user}@dm.localhost>;tag={fields.get('from_tag', 'phone')}",
            f"To: <{fields.get('to', uri)}>{to_tag}",
            f"Call-ID: {fields.get('call_id', f'call-{self.address.port}')}",
            f"CSeq: {fields.get('cseq', self.serial)} {method}",
            *lines,
        ]
        body: bytes = fields.get("body", b"")
        text = "\r\n".join([*head, f"Content-Length: {len(body)}", "", ""])
        message = parse_datagram(text.encode() + body)
        assert isinstance(message, Request)
        return message

    @property
    def contact(self) -> str:
        return f"Contact: <sip:{self.user}@{self.address}>"

    def authorization(
        self, challenge: Response, method: str, uri: str, password: str, which: int = 0
    ) -> str:
        proxy = challenge.code == 407
        name = "Proxy-Authenticate" if proxy else "WWW-Authenticate"
        _, given = parse_auth(challenge.headers.fields(name)[which])
        given |= {"username": self.user, "uri": uri, "nc": "00000001", "cnonce": "abc"}
        algorithm = algorithm_of(given)
        assert algorithm is not None
        given["response"] = response_value(given, method, password, algorithm)
        members = ", ".join(
            f"{k}={v}" if k in ("nc", "qop", "algorithm") else f'{k}="{v}"'
            for k, v in given.items()
        )
        return f"{'Proxy-Authorization' if proxy else 'Authorization'}: Digest {members}"

    async def register(self, password: str = "secret1001", *lines: str) -> Response:
        uri = "sip:dm.localhost"
        to = f"sip:{self.user}@dm.localhost"
        self.send(self.message("REGISTER", uri, self.contact, to=to))
        challenge = await self.response(401)
        signed = self.authorization(challenge, "REGISTER", uri, password)
        self.send(self.message("REGISTER", uri, self.contact, signed, *lines, to=to))
        answer = await self.next()
        assert isinstance(answer, Response)
        return answer


class Worker(UdpPeer):
    """Stands where a PJSIP worker would; ``to`` is the edge's inner address."""

    @property
    def contact(self) -> tuple[str, str]:
        return ("Contact", f"<sip:gw@{self.address}>")

    def reply(self, request: Request, code: int, tag: str = "w1") -> None:
        headers: tuple[tuple[str, str], ...] = tuple(
            ("Record-Route", v) for v in request.headers.fields("Record-Route")
        )
        if 100 < code < 300:
            headers += (self.contact,)
        self.send(response_to(request, code, to_tag=tag, headers=headers))
