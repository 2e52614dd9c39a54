"""The params of requests by which people say who may call them, and when."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, PlainValidator, model_validator

from gateway.app.messages import AddressText, Params, printable
from gateway.settings.people import is_zone
from gateway.settings.routing import DAYS, Clock, Day, minutes
from gateway.values import ServiceAddress

MOST_PERIODS = 21


def _no_service(address: object) -> object:
    if isinstance(address, ServiceAddress):
        raise ValueError("is a service; right are user:HANDLE, tel:+E164, sip:USER@HOST")
    return address


def _zone(text: object) -> str:
    if not isinstance(text, str) or not is_zone(text):
        raise ValueError("is no time zone; right is Europe/Berlin")
    return text


def _once(days: list[Day]) -> list[Day]:
    if len(set(days)) < len(days):
        raise ValueError("a day is there twice")
    return days


PersonAddress = Annotated[AddressText, AfterValidator(_no_service)]
After = Annotated[str, Field(min_length=1, max_length=400), AfterValidator(printable)]


class QuietPeriod(Params):
    days: Annotated[list[Day], AfterValidator(_once)] = Field([*DAYS], min_length=1, max_length=7)
    from_: Annotated[Clock, Field(alias="from")]
    to: Clock

    @model_validator(mode="after")
    def _some_time(self) -> Self:
        if minutes(self.from_) == minutes(self.to) or self.from_ == "24:00":
            raise ValueError("from and to are the same; right is from 00:00 to 24:00")
        return self


class SettingsGet(Params):
    pass


class SettingsSet(Params):
    allow_from: Literal["everyone", "contacts", "nobody"] | None = None
    allow_phone: bool | None = None
    quiet_hours: Annotated[list[QuietPeriod], Field(max_length=MOST_PERIODS)] | None = None
    timezone: Annotated[str, PlainValidator(_zone)] | None = None
    quiet_breakthrough: Literal["favourites", "nobody"] | None = None
    ring_seconds: Annotated[int, Field(ge=10, le=60)] | None = None
    do_not_disturb: bool | None = None


class Listed(Params):
    after: After | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 100


class ContactsPut(Params):
    address: PersonAddress
    name: Annotated[str, Field(max_length=100), AfterValidator(printable)] = ""
    favourite: bool = False


class ContactsRemove(Params):
    address: AddressText


class BlocksOf(Params):
    who: PersonAddress


class BlocksRemove(Params):
    who: AddressText
