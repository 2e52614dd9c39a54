"""Everyone who is signed in.  Offers ``AppClients`` to the calls room."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from gateway.app.machine import State
from gateway.app.rates import TokenBucket
from gateway.app.session import Session
from gateway.calls.events import AppEvent
from gateway.calls.ports import Clock
from gateway.errors import NoCapacity, RateLimited
from gateway.settings import AppSection
from gateway.values import Client, ClientId, Principal

log = structlog.get_logger()


class Watcher(Protocol):
    """Who is told of clients that come and go; ``DmCalls`` is one."""

    def client_gone(self, client: ClientId) -> None: ...
    def client_joined(self, client: Client) -> None: ...


class Sessions:
    """``watcher`` is set at wiring, before the first client can come."""

    def __init__(self, section: AppSection, clock: Clock) -> None:
        self.watcher: Watcher | None = None
        self._section = section
        self._clock = clock
        self._sessions: dict[ClientId, Session] = {}
        self._of: dict[str, dict[ClientId, Session]] = {}
        self._invites: dict[str, TokenBucket] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    # -- AppClients

    def clients_of(self, handle: str) -> Sequence[Client]:
        return [s.client for s in self._of.get(handle, {}).values()]

    def notify(self, client: ClientId, event: AppEvent) -> None:
        session = self._sessions.get(client)
        if session is not None:
            session.notify(event)

    # -- coming and going

    def find(self, name: str | None, principal: Principal) -> Session | None:
        """The session of that secret name, if it is this person's and may still be resumed."""
        if name is None:
            return None
        session = self._sessions.get(ClientId(name.partition(".")[0]))
        if session is None or not session.is_named(name):
            return None
        return session if session.client.principal.handle == principal.handle else None

    def new(self, principal: Principal) -> Session:
        """``RateLimited`` or ``NoCapacity`` where there are too many.

        A client whose socket is gone gives way: a page that is loaded again and again leaves
        one behind each time.
        """
        mine = self._of.get(principal.handle, {})
        if len(mine) >= self._section.clients_per_user:
            absent = next((s for s in mine.values() if s.state is State.DETACHED), None)
            if absent is not None:
                absent.end()
        if len(self._of.get(principal.handle, ())) >= self._section.clients_per_user:
            raise RateLimited("clients of this person", self._section.reconnect_grace_s)
        if len(self._sessions) >= self._section.max_clients:
            raise NoCapacity("too many clients are signed in")
        client = Client(ClientId(secrets.token_hex(8)), principal)
        session = Session(client, secrets.token_hex(24), self._section, self._clock, self._over)
        self._sessions[client.id] = session
        self._of.setdefault(principal.handle, {})[client.id] = session
        log.info("session_opened", client=client.id, user=principal.handle)
        return session

    def joined(self, session: Session) -> None:
        """Its client has been answered: what rings may ring there too."""
        if self.watcher is not None and session.state is not State.GONE:
            self.watcher.client_joined(session.client)

    def _over(self, session: Session) -> None:
        client = session.client
        self._sessions.pop(client.id, None)
        of_user = self._of.get(client.principal.handle, {})
        of_user.pop(client.id, None)
        if not of_user:
            self._of.pop(client.principal.handle, None)
        log.info("session_gone", client=client.id, user=client.principal.handle)
        if self.watcher is not None:
            self.watcher.client_gone(client.id)

    def end_where(self, revoked: Callable[[Principal], bool]) -> int:
        """End every session whose token is good no more; how many there were."""
        ending = [s for s in self._sessions.values() if revoked(s.client.principal)]
        for session in ending:
            session.revoke()
        return len(ending)

    def take_invite(self, handle: str) -> None:
        """Count a call that a person wants to make; ``RateLimited`` when there are too many."""
        bucket = self._invites.get(handle)
        if bucket is None:
            if len(self._invites) >= self._section.max_clients:
                self._invites = {h: b for h, b in self._invites.items() if not b.full}
            per_minute = self._section.invites_per_minute
            bucket = TokenBucket(per_minute / 60, max(1.0, per_minute), self._clock)
            self._invites[handle] = bucket
        wait = bucket.take()
        if wait:
            raise RateLimited("calls", wait)

    def stop(self) -> None:
        for session in tuple(self._sessions.values()):
            session.end()
