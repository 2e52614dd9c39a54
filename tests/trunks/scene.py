"""Trunks with what is around them recorded: a registrar by script, a clock by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gateway.errors import NoResponse
from gateway.sip.message import Request, Response, response_to
from gateway.values import Hop, HostPort

A = Hop("udp", HostPort("192.0.2.1", 5060), "carrier.example")
B = Hop("udp", HostPort("192.0.2.2", 5060), "carrier.example")

Answer = Callable[[Request, Hop], Response | None]


class World:
    """Locator, SipClient and TrunkMeters; ``answer`` says ``None`` for silence."""

    def __init__(self, answer: Answer, hops: tuple[Hop, ...] = (A, B)) -> None:
        self.clock = Clock()
        self.answer = answer
        self.hops = hops
        self.asked: list[tuple[Request, Hop]] = []
        self.registered: dict[str, bool] = {}
        self.targets: tuple[int, int] = (0, 0)
        self.calls: dict[str, int] = {}
        self.tried: list[bool] = []

    async def locate(
        self, place: str, transport: Literal["udp", "tcp", "tls"] | None = None
    ) -> tuple[Hop, ...]:
        return self.hops

    async def enum(self, number: str) -> tuple[str, ...]:
        return ()

    def contact(self, user: str, hop: Hop) -> str:
        return f"<sip:{user}@198.51.100.1:5060>"

    async def ask(self, request: Request, hop: Hop, give_up_s: float) -> Response:
        self.asked.append((request, hop))
        response = self.answer(request, hop)
        if response is None:
            silence: Deferred[None] = Deferred()
            timer = self.clock.callLater(give_up_s, silence.callback, None)
            silence.addErrback(lambda f: timer.cancel() or f)
            await silence
            raise NoResponse(f"{request.method} to {hop.address}: silent")
        return response

    def trunk_registered(self, trunk: str, registered: bool) -> None:
        self.registered[trunk] = registered

    def trunk_targets(self, trunk: str, up: int, down: int) -> None:
        self.targets = (up, down)

    def trunk_calls(self, trunk: str, count: int) -> None:
        self.calls[trunk] = count

    def trunk_tried(self, trunk: str, worked: bool) -> None:
        self.tried.append(worked)


def says(code: int, *headers: tuple[str, str], reason: str | None = None) -> Answer:
    def answer(request: Request, hop: Hop) -> Response:
        return response_to(request, code, reason, to_tag="r", headers=headers)

    return answer


def half() -> float:
    return 0.5


def trunk(**settings: Any) -> Any:
    from gateway.settings import Trunk

    base: dict[str, Any] = {"name": "carrier", "address": "carrier.example"}
    return Trunk.model_validate(base | settings)
