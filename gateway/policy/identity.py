"""Whose an address is: one person is a handle, with the accounts and the numbers of theirs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.settings import Settings
from gateway.values import (
    E164,
    HANDLE,
    Address,
    SipAddress,
    TelAddress,
    UserAddress,
    parse_address,
)


@dataclass(frozen=True, slots=True)
class Identity:
    """``person`` is ``user:HANDLE``, or the address itself where it is nobody's.

    ``addresses`` are all that this person has, ``person`` first.
    """

    person: Address
    addresses: tuple[Address, ...]

    @property
    def handle(self) -> str | None:
        return self.person.handle if isinstance(self.person, UserAddress) else None


class Identities:
    """Read from the settings: owners of accounts, verified numbers, numbers of ours for one."""

    def __init__(self, settings: Settings) -> None:
        self._domain = settings.sip.domain.lower()
        self._accounts = {a.user: a.owner for a in settings.sip.accounts}
        self._numbers: dict[str, Address | None] = {}
        for number, person in self._claimed(settings):
            # what two people have is neither's
            known = self._numbers.setdefault(number, person)
            self._numbers[number] = person if known == person else None
        self._of: dict[Address, list[Address]] = {}
        for user, owner in self._accounts.items():
            if owner is not None:
                account = SipAddress(user, self._domain)
                self._of.setdefault(UserAddress(owner), []).append(account)
        for number, whose in self._numbers.items():
            if whose is not None:
                self._of.setdefault(whose, []).append(TelAddress(number))

    def _claimed(self, settings: Settings) -> Iterator[tuple[str, Address]]:
        for text, number in settings.routing.caller_id.verified.items():
            yield number, self.person(parse_address(text))
        for own in settings.routing.numbers:
            if len(own.to) == 1 and not own.to[0].startswith("service:"):
                yield own.number, self.person(parse_address(own.to[0]))

    def person(self, address: Address) -> Address:
        """Whose it is: a handle's where there is one, else the address itself."""
        match address:
            case TelAddress(number=number):
                return self._numbers.get(number) or address
            case SipAddress(user=user, host=host) if host == self._domain:
                if user in self._accounts:
                    owner = self._accounts[user]
                    return address if owner is None else UserAddress(owner)
                if E164.fullmatch(user):
                    return self.person(TelAddress(user))
                return UserAddress(user) if HANDLE.fullmatch(user) else address
            case _:
                return address

    def of(self, address: Address, trunk: str | None = None) -> Identity:
        """The person behind an address; a trunk answers for numbers alone, not for our names."""
        if trunk is not None and not isinstance(address, TelAddress):
            return Identity(address, (address,))
        person = self.person(address)
        mine = self._of.get(person, ())
        others = (*mine, *(() if address in mine else (address,)))
        return Identity(person, (person, *(a for a in others if a != person)))
