"""What is measured, each of a SIP server that is up: latency, set-ups a second, cost of a call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from gateway.values import HostPort
from tests.bench.machine import Ticks
from tests.peers.fixtures import Cast
from tests.peers.gateway import Gateway
from tests.peers.sip_message import SipMessage
from tests.peers.sip_phone import SipCall, SipPhone
from tests.peers.waiting import pause, reactor


class Server(Protocol):
    sip: HostPort

    def cpu_s(self) -> float: ...


@dataclass(frozen=True)
class Latency:
    """INVITE in to INVITE out, milliseconds, as the two peers on the wire saw it."""

    calls: int
    p50: float
    p99: float
    stolen: float


@dataclass(frozen=True)
class Rate:
    """Whole calls (INVITE, 200, ACK, BYE, 200) a second, and the server's CPU for each."""

    calls: int
    failed: int
    per_s: float
    cpu_ms: float
    stolen: float


@dataclass(frozen=True)
class Load:
    """Calls with G.711 both ways: percent of a core in the workers, and bytes, a call."""

    calls: int
    worker_percent: float
    tree_percent: float
    pss_per_call: float
    stolen: float


async def latency(cast: Cast, server: Server, calls: int = 200, every_s: float = 0.1) -> Latency:
    """Calls from a known phone to a registered one, ten a second."""
    caller = await _registered(cast, server, "1001")
    callee = await _registered(cast, server, "1002")
    began = Ticks.now()

    def answer(message: SipMessage, at: float) -> None:
        if message.code == 0 and message.method == "INVITE":
            leg = SipCall.from_invite(callee, message)
            leg.stream = None
            order.append(at)
            leg.answer(200, "OK", _sdp(9))

    order: list[float] = []
    callee.on_message = answer
    took = []
    for _ in range(calls):
        call = caller.call("1002")
        seen = len(order)
        call.send_invite(_sdp(7))
        sent = caller.sent[-1][0]
        response = await call.final(5)
        assert response.code == 200, str(response)
        took.append((order[seen] - sent) * 1000)
        call.learn(response)
        call.ack(response)
        assert (await call.bye()).code == 200
        await pause(every_s)
    callee.on_message = None
    p50, p99 = np.percentile(took, [50, 99])
    return Latency(calls, float(p50), float(p99), began.stolen_percent())


async def rate(cast: Cast, server: Server, calls: int, at_once: int = 8) -> Rate:
    """sipp to sipp through the server, always so many calls on the way."""
    phone = await _registered(cast, server, "1002")
    port = phone.port  # sipp takes this over, with the binding
    await phone.close()
    callee = cast.sipp("answers", service="1002", calls=calls, hold_ms=0, port=port, timeout_s=90)
    await callee.listening()
    ticks, cpu, began = Ticks.now(), server.cpu_s(), reactor.seconds()
    caller = cast.sipp(
        "plain_call",
        remote=str(server.sip),
        service="1002",
        calls=calls,
        rate=1000,
        at_once=at_once,
        hold_ms=0,
        timeout_s=90,
    )
    result = await caller.run()
    took, used = reactor.seconds() - began, server.cpu_s() - cpu
    await callee.stop()
    done = max(1, result.succeeded)
    return Rate(calls, result.failed, done / took, 1000 * used / done, ticks.stolen_percent())


async def load(cast: Cast, gateway: Gateway, calls: int = 20, seconds: float = 15) -> Load:
    """So many bridged PCMU calls between two phones, RTP both ways."""
    caller, callee = cast.phone(gateway, "1001"), cast.phone(gateway, "1002")
    for phone in (caller, callee):
        assert (await phone.register()).code == 200
    await pause(2)
    idle = gateway.memory()["pss"]
    up = []
    for _ in range(calls):
        seen = callee.messages.mark()
        call = caller.call("1002", caller.stream(hz=440))
        call.send_invite()
        leg = await callee.incoming(since=seen)
        leg.stream = callee.stream(hz=700)
        leg.answer(200)
        await call.answered()
        up.append(call)
    await pause(2)
    ticks, began = Ticks.now(), reactor.seconds()
    workers, tree = _workers_cpu(gateway), gateway.cpu_s()
    await pause(seconds)
    took = reactor.seconds() - began
    workers, tree = _workers_cpu(gateway) - workers, gateway.cpu_s() - tree
    memory = (gateway.memory()["pss"] - idle) / calls
    stolen = ticks.stolen_percent()
    for call in up:
        assert call.stream is not None
        heard = len(call.stream.heard.packets)
        assert heard > 40 * seconds, f"a call heard only {heard} packets"
        await call.bye()
    await gateway.at_rest(10)
    share = 100 / took / calls
    return Load(calls, workers * share, tree * share, memory, stolen)


def _workers_cpu(gateway: Gateway) -> float:
    return sum(sum(p.cpu_times()[:2]) for p in gateway.workers())


async def _registered(cast: Cast, server: Server, user: str) -> SipPhone:
    phone = cast.sip_phone(str(server.sip), user, password=f"secret{user}")
    await phone.register(expires=0, contact="*")
    response = await phone.register(expires=300)
    assert response.code == 200, str(response)
    return phone


def _sdp(port: int) -> str:
    return (
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
    )
