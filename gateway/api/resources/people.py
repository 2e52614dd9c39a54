"""What people have set: who may call them and when, their contacts, their blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Final, Literal

from pydantic import Field

from gateway.api.operation import (
    AddressText,
    Asked,
    Body,
    Handle,
    Limit,
    Line,
    Operation,
    PersonText,
    Reply,
    Request,
    Shown,
    whole,
)
from gateway.api.problems import Refused
from gateway.calls.people_ports import PeopleBook
from gateway.policy.people import AllowFrom, Breakthrough, Preferences, QuietHours
from gateway.settings.people import is_zone
from gateway.settings.routing import DAYS, Day, minutes
from gateway.values import parse_address

READ: Final = "people:read"
WRITE: Final = "people:write"
MOST_PERIODS: Final = 21


class QuietPeriod(Shown):
    days: list[str]
    from_: str = Field(serialization_alias="from")
    to: str


class PersonSettings(Shown):
    """``timezone`` and ``ring_seconds`` left out: as the token and the gateway say."""

    allow_from: AllowFrom
    allow_phone: bool
    quiet_hours: list[QuietPeriod]
    timezone: str | None = None
    quiet_breakthrough: Breakthrough
    ring_seconds: int | None = None
    do_not_disturb: bool


Clock = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
End = Annotated[str, Field(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]


class QuietChange(Body):
    """By the clock on the wall; ``to`` before ``from`` is on the next day."""

    days: list[Day] = Field([*DAYS], min_length=1, max_length=7)
    from_: Clock = Field(alias="from")
    to: End

    def hours(self) -> QuietHours:
        """``Refused`` with 422 where that is no time at all."""
        if minutes(self.from_) == minutes(self.to):
            problem = "from and to are the same; right is from 00:00 to 24:00"
            raise Refused(422, f"not right: quiet_hours: {problem}", [("quiet_hours", problem)])
        days = tuple(day for day in DAYS if day in self.days)
        return QuietHours(days, self.from_, self.to)


class SettingsChange(Body):
    """What is left out stays as it is."""

    quiet_hours: Annotated[list[QuietChange], Field(max_length=MOST_PERIODS)] | None = None
    timezone: Annotated[str, Field(min_length=1, max_length=64)] | None = None

    def changes(self) -> dict[str, object]:
        """``Refused`` with 422 for what cannot be."""
        found = {name: v for name, v in self.model_dump().items() if v is not None}
        if self.quiet_hours is not None:
            found["quiet_hours"] = tuple(period.hours() for period in self.quiet_hours)
        if self.timezone is not None and not is_zone(self.timezone):
            problem = "is no time zone; right is Europe/Berlin"
            raise Refused(422, f"not right: timezone {problem}", [("timezone", problem)])
        return found

    allow_from: Literal["everyone", "contacts", "nobody"] | None = None
    allow_phone: bool | None = None
    quiet_breakthrough: Literal["favourites", "nobody"] | None = None
    ring_seconds: Annotated[int, Field(ge=10, le=60), whole] | None = None
    do_not_disturb: bool | None = None


class ContactShown(Shown):
    address: str
    name: str
    favourite: bool


class Contacts(Shown):
    contacts: list[ContactShown]
    next: str | None = None


class ContactPut(Body):
    address: PersonText
    name: Annotated[Line, Field(max_length=100)] = ""
    favourite: bool = False


class BlockShown(Shown):
    who: str
    since: float


class Blocks(Shown):
    blocks: list[BlockShown]
    next: str | None = None


class BlockPut(Body):
    who: PersonText


class OfPerson(Asked):
    handle: Handle


class ListQuery(Asked):
    after: AddressText | None = None
    limit: Limit = 50


class OneAddress(Asked):
    address: AddressText


class PeopleResource:
    def __init__(self, book: PeopleBook, now: Callable[[], float]) -> None:
        self._book = book
        self._now = now

    def operations(self) -> Sequence[Operation]:
        person = "/v1/people/{handle}"
        settings, contacts, blocks = (f"{person}/{p}" for p in ("settings", "contacts", "blocks"))
        # fmt: off
        return (
            Operation("getSettings", "A person's settings", "GET", settings, READ, self._settings,
                      PersonSettings, path=OfPerson),
            Operation("changeSettings", "Change settings", "PATCH", settings, WRITE, self._change,
                      PersonSettings, path=OfPerson, body=SettingsChange, refuses=(422,)),
            Operation("listContacts", "A person's contacts, by address", "GET", contacts, READ,
                      self._contacts, Contacts, path=OfPerson, query=ListQuery),
            Operation("putContact", "Add or replace a contact", "PUT", contacts, WRITE, self._put,
                      status=204, path=OfPerson, body=ContactPut),
            Operation("removeContact", "Remove a contact", "DELETE", contacts, WRITE, self._remove,
                      status=204, path=OfPerson, query=OneAddress, refuses=(404,)),
            Operation("listBlocks", "Whom a person has blocked, by address", "GET", blocks, READ,
                      self._blocks, Blocks, path=OfPerson, query=ListQuery),
            Operation("putBlock", "Block somebody", "PUT", blocks, WRITE, self._block, status=204,
                      path=OfPerson, body=BlockPut),
            Operation("removeBlock", "Unblock somebody", "DELETE", blocks, WRITE, self._unblock,
                      status=204, path=OfPerson, query=OneAddress, refuses=(404,)),
        )
        # fmt: on

    async def _settings(self, r: Request) -> Reply:
        return Reply(_shown(await self._book.preferences(r.path.handle)))

    async def _change(self, r: Request) -> Reply:
        made = await self._book.prefer(r.path.handle, r.body.changes(), self._now())
        return Reply(_shown(made))

    async def _contacts(self, r: Request) -> Reply:
        page = await self._book.contacts(r.path.handle, r.query.after, r.query.limit)
        found = [
            ContactShown(address=str(c.address), name=c.name, favourite=c.favourite)
            for c in page.contacts
        ]
        return Reply(Contacts(contacts=found, next=page.next))

    async def _put(self, r: Request) -> Reply:
        b, address = r.body, parse_address(r.body.address)
        await self._book.put_contact(r.path.handle, address, b.name, b.favourite, self._now())
        return Reply()

    async def _remove(self, r: Request) -> Reply:
        address = parse_address(r.query.address)
        if not await self._book.remove_contact(r.path.handle, address):
            raise Refused(404, "no such contact")
        return Reply()

    async def _blocks(self, r: Request) -> Reply:
        page = await self._book.blocks(r.path.handle, r.query.after, r.query.limit)
        found = [BlockShown(who=str(b.who), since=b.since) for b in page.blocks]
        return Reply(Blocks(blocks=found, next=page.next))

    async def _block(self, r: Request) -> Reply:
        await self._book.block(r.path.handle, parse_address(r.body.who), self._now())
        return Reply()

    async def _unblock(self, r: Request) -> Reply:
        if not await self._book.unblock(r.path.handle, parse_address(r.query.address)):
            raise Refused(404, "no such block")
        return Reply()


def _shown(p: Preferences) -> PersonSettings:
    return PersonSettings(
        allow_from=p.allow_from,
        allow_phone=p.allow_phone,
        quiet_hours=[QuietPeriod(days=list(q.days), from_=q.from_, to=q.to) for q in p.quiet_hours],
        timezone=p.timezone,
        quiet_breakthrough=p.quiet_breakthrough,
        ring_seconds=p.ring_seconds,
        do_not_disturb=p.do_not_disturb,
    )
