"""Requests by which people say who may call them, and when: settings, contacts, blocks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gateway.app import messages, rpc
from gateway.app import people_messages as params_of
from gateway.calls.people_ports import PeopleBook
from gateway.errors import GatewayError
from gateway.policy.identity import Identities
from gateway.policy.people import Preferences, QuietHours
from gateway.values import Address, Client, Principal

log = structlog.get_logger()

Result = dict[str, Any]
Work = Callable[[], Awaitable[Result]]
Reader = Callable[[Client, Any], Work]


class PeopleMethods:
    """``included`` says who has calls at all.

    ``ring_s`` is how long a call rings whose callee has set nothing.
    """

    def __init__(
        self,
        book: PeopleBook,
        identities: Identities,
        included: Callable[[Principal], bool],
        ring_s: float,
        now: Callable[[], float],
    ) -> None:
        self.included = included
        self._book = book
        self._identities = identities
        self._ring_s = ring_s
        self._now = now

    def readers(self) -> Mapping[str, Reader]:
        return {
            "settings.get": self._get,
            "settings.set": self._set,
            "contacts.list": self._contacts,
            "contacts.put": self._put,
            "contacts.remove": self._remove,
            "blocks.list": self._blocks,
            "blocks.add": self._block,
            "blocks.remove": self._unblock,
        }

    def seen(self, principal: Principal) -> None:
        """Keep what a token says, for calls to people who are not signed in.

        A call of who is judges by the token itself.
        """
        kept = Deferred.fromCoroutine(self._book.seen(principal, self._now()))
        kept.addErrback(_not_kept)

    # -- settings

    def _get(self, client: Client, params: Any) -> Work:
        messages.read(params_of.SettingsGet, params)

        async def work() -> Result:
            return self._shown(client, await self._book.preferences(client.principal.handle))

        return work

    def _set(self, client: Client, params: Any) -> Work:
        m = messages.read(params_of.SettingsSet, params)
        changes: dict[str, object] = {
            name: value
            for name in params_of.SettingsSet.model_fields
            if (value := getattr(m, name)) is not None
        }
        if m.quiet_hours is not None:
            changes["quiet_hours"] = tuple(
                QuietHours(tuple(p.days), p.from_, p.to) for p in m.quiet_hours
            )

        async def work() -> Result:
            handle = client.principal.handle
            return self._shown(client, await self._book.prefer(handle, changes, self._now()))

        return work

    def _shown(self, client: Client, p: Preferences) -> Result:
        return {
            "allow_from": p.allow_from,
            "allow_phone": p.allow_phone,
            "quiet_hours": [
                {"days": list(q.days), "from": q.from_, "to": q.to} for q in p.quiet_hours
            ],
            "timezone": p.timezone or client.principal.timezone or "UTC",
            "quiet_breakthrough": p.quiet_breakthrough,
            "ring_seconds": p.ring_seconds or round(self._ring_s),
            "do_not_disturb": p.do_not_disturb,
        }

    # -- contacts

    def _contacts(self, client: Client, params: Any) -> Work:
        m = messages.read(params_of.Listed, params)

        async def page(limit: int) -> Result:
            found = await self._book.contacts(client.principal.handle, m.after, limit)
            entries: list[Result] = [
                {"address": str(c.address), "name": c.name, "favourite": c.favourite}
                for c in found.contacts
            ]
            return _paged("contacts", entries, found.next)

        return lambda: _fitting(page, m.limit)

    def _put(self, client: Client, params: Any) -> Work:
        m = messages.read(params_of.ContactsPut, params)
        self._another(client, "address", m.address)

        async def work() -> Result:
            owner = client.principal.handle
            await self._book.put_contact(owner, m.address, m.name, m.favourite, self._now())
            return {}

        return work

    def _remove(self, client: Client, params: Any) -> Work:
        m = messages.read(params_of.ContactsRemove, params)

        async def work() -> Result:
            gone = await self._book.remove_contact(client.principal.handle, m.address)
            return {"removed": gone}

        return work

    # -- blocks

    def _blocks(self, client: Client, params: Any) -> Work:
        m = messages.read(params_of.Listed, params)

        async def page(limit: int) -> Result:
            found = await self._book.blocks(client.principal.handle, m.after, limit)
            entries: list[Result] = [{"who": str(b.who), "since": b.since} for b in found.blocks]
            return _paged("blocks", entries, found.next)

        return lambda: _fitting(page, m.limit)

    def _block(self, client: Client, params: Any) -> Work:
        m = messages.read(params_of.BlocksOf, params)
        self._another(client, "who", m.who)

        async def work() -> Result:
            await self._book.block(client.principal.handle, m.who, self._now())
            return {}

        return work

    def _unblock(self, client: Client, params: Any) -> Work:
        m = messages.read(params_of.BlocksRemove, params)

        async def work() -> Result:
            return {"removed": await self._book.unblock(client.principal.handle, m.who)}

        return work

    def _another(self, client: Client, field: str, address: Address) -> None:
        if self._identities.person(address) == client.principal.address:
            raise rpc.bad_fields([(field, "is your own")])


def _not_kept(failure: Failure) -> None:
    why = failure.value if isinstance(failure.value, GatewayError) else failure.getTraceback()
    log.error("claims_not_kept", error=str(why))


def _paged(name: str, entries: list[Result], after: str | None) -> Result:
    return {name: entries} if after is None else {name: entries, "next": after}


async def _fitting(page: Callable[[int], Awaitable[Result]], limit: int) -> Result:
    """The longest page up to ``limit`` that fits in a frame, or one entry: that always does."""
    while True:
        found = await page(limit)
        if limit == 1 or len(rpc.result(None, found).encode()) <= rpc.PAGE_BYTES:
            return found
        limit //= 2
