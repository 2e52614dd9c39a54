"""The interfaces to people: what calls ask before they are made, what clients may change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gateway.policy.identity import Identity
from gateway.policy.people import Person, Preferences
from gateway.values import Address, Principal


@dataclass(frozen=True, slots=True)
class ContactEntry:
    address: Address
    name: str
    favourite: bool


@dataclass(frozen=True, slots=True)
class Block:
    who: Address
    since: float


@dataclass(frozen=True, slots=True)
class Page:
    """``next``, where there is more, is the ``after`` of the next page."""

    next: str | None = None


@dataclass(frozen=True, slots=True)
class ContactPage(Page):
    contacts: tuple[ContactEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class BlockPage(Page):
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True, slots=True)
class PeopleFacts:
    """Both sides of a call, and what further was read with them (see ``chain.Facts.parts``)."""

    caller: Person
    callee: Person
    parts: tuple[object, ...] = ()


class People(Protocol):
    """What is known of the two sides of a call; see ``store/people``."""

    async def facts(self, caller: Identity, callee: Identity, now: float) -> PeopleFacts:
        """In one read; who is not known has the defaults of everything."""

    async def rang(self, caller: Identity, callee: Identity, now: float) -> None:
        """A stranger's call rings; the count of those without an answer outlives a restart."""

    async def answered(self, caller: Identity, callee: Identity) -> None:
        """They talk: neither's calls so far count against them any more."""


class FactSource(Protocol):
    """What further rules need to know of a call; its value is found by its type."""

    async def part(self, caller: Identity, callee: Identity, now: float) -> object: ...


class Switches(Protocol):
    """What is set while running, by name: it goes before the settings, also after a restart."""

    async def read(self, name: str) -> str | None: ...
    async def write(self, name: str, value: str, now: float) -> None: ...


class PeopleBook(Protocol):
    """What a person keeps of themselves and others; durable once the awaitable fires."""

    async def seen(self, principal: Principal, now: float) -> None:
        """What a token says holds from now, also while its person is not signed in."""

    async def preferences(self, handle: str) -> Preferences: ...
    async def prefer(self, handle: str, changes: dict[str, object], now: float) -> Preferences:
        """Change these fields of ``Preferences``; what holds after that."""

    async def contacts(self, owner: str, after: str | None, limit: int) -> ContactPage:
        """By address, those after ``after``."""

    async def put_contact(
        self, owner: str, address: Address, name: str, favourite: bool, now: float
    ) -> None:
        """Add or replace; ``NotAllowed`` beyond ``people.contacts_per_user``."""

    async def remove_contact(self, owner: str, address: Address) -> bool: ...
    async def blocks(self, owner: str, after: str | None, limit: int) -> BlockPage: ...
    async def block(self, owner: str, who: Address, now: float) -> None:
        """``NotAllowed`` beyond ``people.blocks_per_user``."""

    async def unblock(self, owner: str, who: Address) -> bool: ...
