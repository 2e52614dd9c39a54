"""One app client's session: it outlives its sockets."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import structlog

from gateway.app import rpc
from gateway.app.kept import Kept, Message
from gateway.app.lanes import Lanes
from gateway.app.machine import Core, Link, State, new_machine
from gateway.app.rates import TokenBucket
from gateway.calls.events import AppEvent, Displaced, Dtmf, Quality
from gateway.calls.ports import Clock, DelayedCall
from gateway.settings import AppSection
from gateway.values import Client, Principal

log = structlog.get_logger()

CLOSE_TOKEN: Final = 4401
CLOSE_DISPLACED: Final = 4409
GOING_AWAY: Final = 1001
_ONCE = (Dtmf, Quality)


class Session:
    """``name`` is a secret: whoever knows it, and has a token of the same person, may resume."""

    def __init__(
        self,
        client: Client,
        secret: str,
        section: AppSection,
        clock: Clock,
        over: Callable[[Session], None],
    ) -> None:
        self.client = client
        self.name = f"{client.id}.{secret}"
        self.rate = TokenBucket(section.requests_per_s, section.requests_burst, clock)
        self.lanes = Lanes()
        self._section = section
        self._clock = clock
        self._over = over
        self._kept = Kept()
        self._asked: int | None = None
        self._farewell = GOING_AWAY, "going away"
        self._core = Core(self)
        self._machine = new_machine(self._core)
        self._grace: DelayedCall | None = None
        self._expiry: DelayedCall | None = None

    @property
    def state(self) -> State:
        return self._core.state

    def is_named(self, name: str) -> bool:
        return hmac.compare_digest(self.name.encode(), name.encode())

    # -- what happens to it

    def attach(
        self, link: Link, principal: Principal, id_: rpc.RequestId, result: Mapping[str, Any]
    ) -> None:
        """A socket for it; the result of ``session.open`` is the first thing told there."""
        self._machine.attach(link, rpc.result(id_, result))
        self.renew(principal)

    def lost(self, link: Link) -> None:
        """A socket of it is no more; one that was displaced changes nothing."""
        if link is self._core.link:
            self._machine.lost(link)

    def end(self) -> None:
        self._machine.end()

    def revoke(self) -> None:
        """Its token is good no more: there is no grace in which to come back."""
        self._farewell = CLOSE_TOKEN, "token revoked"
        self._machine.end()

    def pong(self, link: Link, payload: bytes) -> None:
        """What was told before the ping has arrived."""
        if link is not self._core.link or self._asked is None:
            return
        if payload != self._asked.to_bytes(8, "big"):
            return
        self._kept.confirmed(self._asked)
        self._asked = None
        if len(self._kept):
            self._ask(link)

    # -- telling the client

    def notify(self, event: AppEvent) -> None:
        text = rpc.notification(event.METHOD, event.params())
        self.tell(text, once=isinstance(event, _ONCE))

    def tell(self, text: str, *, once: bool = False) -> None:
        """Send now, or keep for the socket that resumes; after the end: nothing."""
        link = self._core.link
        if self._core.state is State.GONE:
            return
        if link is None or not once:
            self._kept.add(Message(text, once))
        if link is not None:
            link.send(text)
            self._ask(link)

    def _ask(self, link: Link) -> None:
        if self._asked is None and len(self._kept):
            self._asked = self._kept.last
            link.ping(self._asked.to_bytes(8, "big"))

    # -- Outputs of the machine

    def greet(self, link: Link, hello: str) -> None:
        self._stop(self._grace)
        self._grace = None
        self._asked = None
        link.send(hello)
        for message in self._kept.told_again():
            link.send(message.text)
        self._ask(link)

    def displace(self, link: Link) -> None:
        event = Displaced(by="signed_in_elsewhere")
        link.send(rpc.notification(event.METHOD, event.params()))
        link.close(CLOSE_DISPLACED, "signed in elsewhere")

    def wait(self) -> None:
        log.info("session_detached", client=self.client.id, user=self.client.principal.handle)
        self._stop(self._expiry)
        self._expiry = None
        self._grace = self._clock.callLater(self._section.reconnect_grace_s, self.end)

    def bury(self, link: Link | None) -> None:
        self._stop(self._grace)
        self._stop(self._expiry)
        self._grace = self._expiry = None
        self.lanes.close()
        if link is not None:
            link.close(*self._farewell)
        self._over(self)

    # -- the token's end

    def renew(self, principal: Principal) -> None:
        """What a fresh token of the same person says holds from now."""
        self.client = replace(self.client, principal=principal)
        self._stop(self._expiry)
        self._expiry = None
        if principal.expires is not None and self._core.state is State.OPEN:
            left = principal.expires + self._section.token.leeway_s - self._clock.seconds()
            # a token may live longer than a timer can count
            self._expiry = self._clock.callLater(min(max(0.0, left), 86_400 * 7), self._expired)

    def _expired(self) -> None:
        """Its client may come back with a fresh token within the grace."""
        self._expiry = None
        expires = self.client.principal.expires
        if (
            expires is not None
            and expires + self._section.token.leeway_s > self._clock.seconds() + 1
        ):
            self.renew(self.client.principal)
            return
        link = self._core.link
        if link is not None:
            log.info("session_token_expired", client=self.client.id)
            link.close(CLOSE_TOKEN, "token expired")
            self._machine.lost(link)

    @staticmethod
    def _stop(timer: DelayedCall | None) -> None:
        if timer is not None and timer.active():
            timer.cancel()
