"""An edge on loopback with everything around it recorded."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from gateway.calls.ports import Farewell, Forward, IncomingInvite, Referral, Refuse
from gateway.edge.edge import Edge
from gateway.settings import SipSection
from gateway.sip.message import Request, Response
from gateway.sip.parser import parse_datagram
from gateway.values import HostPort, LegId
from tests.edge.peers import Phone, Worker

SETTINGS = SipSection(
    port=0,
    accounts=(
        {"user": "1001", "password": "secret1001"},  # type: ignore[arg-type]  # pydantic reads it
        {"user": "1002", "password": "secret1002"},  # type: ignore[arg-type]
    ),
    requests_per_s=10_000,
    requests_burst=10_000,
)


PASSWORDS = {"1001": "secret1001", "1002": "secret1002"}


class Outside:
    """Meters, wills and the decisions, all recorded."""

    def __init__(self) -> None:
        self.dropped_for: list[str] = []
        self.invites: list[IncomingInvite] = []
        self.wills: dict[str, Farewell] = {}
        self.decision: Forward | Refuse | Deferred[Any] = Refuse(404, "Not Found")
        self.bindings = 0
        self.referrals: list[tuple[LegId, Referral]] = []
        self.verdict: Refuse | None = None

    def request(self, method: str) -> None:
        pass

    def response(self, code: int) -> None:
        pass

    def dropped(self, reason: str) -> None:
        self.dropped_for.append(reason)

    def registrations(self, count: int) -> None:
        self.bindings = count

    def keep(self, worker: HostPort, dialog: str, farewell: Farewell | None) -> None:
        if farewell is None:
            self.wills.pop(dialog, None)
        else:
            self.wills[dialog] = farewell

    def refer(self, leg: LegId, referral: Referral) -> Refuse | None:
        self.referrals.append((leg, referral))
        return self.verdict

    async def incoming(self, invite: IncomingInvite) -> Forward | Refuse:
        self.invites.append(invite)
        if isinstance(self.decision, Deferred):
            return await self.decision
        return self.decision


class Scene:
    def __init__(self, edge: Edge, outside: Outside) -> None:
        self.edge = edge
        self.outside = outside
        self.peers: list[Any] = []

    def phone(self, user: str = "1001") -> Phone:
        phone = Phone(reactor, self.edge.outer, user)
        self.peers.append(phone)
        return phone

    def worker(self) -> Worker:
        worker = Worker(reactor, self.edge.inner)
        self.peers.append(worker)
        self.edge.worker_up(worker.address)
        return worker

    async def call(self, phone: Phone, worker: Worker) -> tuple[Request, Request, Response]:
        """A call of a registered phone up to the confirmed dialog."""
        self.outside.decision = Forward(worker.address, LegId("leg1"))
        await phone.register()
        invite = phone.message("INVITE", "sip:bob@dm.localhost", phone.contact, body=b"v=0")
        phone.send(invite)
        await phone.response(100)
        seen = await worker.request("INVITE")
        worker.reply(seen, 200)
        answer = await phone.response(200)
        return invite, seen, answer


def cancel_of(phone: Phone, invite: Request) -> Request:
    return phone.message(
        "CANCEL", invite.uri, branch=invite.top_via.branch, cseq=invite.cseq.number
    )


def outgoing(worker: Worker, phone: Phone, flow: str | None = None) -> Request:
    text = "\r\n".join(
        [
            f"INVITE sip:1001@{phone.address} SIP/2.0",
            f"Via: SIP/2.0/UDP {worker.address};rport;branch=z9hG4bKw{len(worker.raw)}",
            f"Route: <sip:{worker.to};lr>",
            "Max-Forwards: 70",
            "From: <sip:alice@dm.localhost>;tag=local",
            "To: <sip:1001@dm.localhost>",
            f"Call-ID: out-{phone.address.port}",
            "CSeq: 10 INVITE",
            f"Contact: <sip:gw@{worker.address}>",
            "X-DMGW-Leg: leg7",
            f"X-DMGW-Flow: {flow or f'udp:{phone.address}'}",
            "Content-Length: 0",
            "",
            "",
        ]
    )
    message = parse_datagram(text.encode())
    assert isinstance(message, Request)
    return message
