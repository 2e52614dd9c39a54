"""ENUM (RFC 6116): from a telephone number to SIP URIs, as rules that ask what is in DNS."""

from __future__ import annotations

import re
from typing import Final

from gateway.errors import Unlocatable
from gateway.sip.errors import SipSyntaxError
from gateway.sip.places import is_name
from gateway.sip.records import Failed, Found, Lookups, NaptrRecord, Question, account, by_order
from gateway.sip.substitution import parse_substitution
from gateway.sip.uri import SipUri, parse_uri

MOST_URIS: Final = 16
MOST_LOOKUPS: Final = 8
MOST_RULES: Final = 32
"""Expressions that are tried for one number."""

_NUMBER: Final = re.compile(r"\+[1-9][0-9]{1,14}")


def enum_domain(number: str, suffix: str) -> str:
    """``+441632960083`` → ``3.8.0.0.6.9.2.3.6.1.4.4.e164.arpa`` (RFC 6116 §3.2)."""
    if not _NUMBER.fullmatch(number):
        raise Unlocatable(f"not an E.164 number: {number[:40]!r}; right is +14155550123")
    return ".".join((*reversed(number[1:]), suffix.rstrip(".").lower()))


def enum_lookups(number: str, suffix: str) -> Lookups[tuple[str, ...]]:
    """The SIP URIs of a number, in order; empty where DNS has none.

    ``Unlocatable`` where that cannot be known.
    """
    search = _Search(number)
    yield from search.look(enum_domain(number, suffix), ())
    if not search.found and search.failed:
        raise Unlocatable(f"{number} cannot be looked up: {account(search.failed)}")
    return tuple(search.found)


class _Search:
    def __init__(self, number: str) -> None:
        self.found: dict[str, None] = {}
        self.failed: list[str] = []
        self._number = number
        self._asked = 0
        self._tried = 0

    def look(self, name: str, through: tuple[str, ...]) -> Lookups[None]:
        """Every rule of a name by order, then preference; chained ones in their place."""
        question = Question(name, "NAPTR")
        if name in through:
            self.failed.append(f"{question}: a loop, {' to '.join((*through, name))}")
            return
        if self._asked >= MOST_LOOKUPS:
            self.failed.insert(0, f"given up after {MOST_LOOKUPS} lookups")
            return
        self._asked += 1
        (answer,) = yield (question,)
        if isinstance(answer, Failed):
            self.failed.append(f"{question}: {answer.why}")
        if not isinstance(answer, Found):
            return
        records = [r for r in answer.records if isinstance(r, NaptrRecord)]
        for record in (r for same in by_order(records) for r in same):
            if len(self.found) >= MOST_URIS:
                return
            if record.flags == "":
                on = self._chained(record)
                if on is not None:
                    yield from self.look(on, (*through, name))
            elif record.flags.lower() == "u" and _of_sip(record.service):
                uri = self._uri(record)
                if uri is not None:
                    self.found.setdefault(uri)

    def _chained(self, record: NaptrRecord) -> str | None:
        """Where a rule that is not the last goes on."""
        target = record.replacement or self._substituted(record)
        return target.rstrip(".").lower() if target and is_name(target) else None

    def _uri(self, record: NaptrRecord) -> str | None:
        text = self._substituted(record) if not record.replacement else None
        try:
            uri = parse_uri(text) if text else None
        except SipSyntaxError:
            return None
        # headers in a URI would be the stranger's in our request (RFC 3261 §19.1.5)
        usable = isinstance(uri, SipUri) and not uri.headers and uri.password is None
        return str(uri) if usable else None

    def _substituted(self, record: NaptrRecord) -> str | None:
        """A rule that cannot be used is one that does not match."""
        self._tried += 1
        if self._tried > MOST_RULES:
            return None
        try:
            return parse_substitution(record.regexp).apply(self._number)
        except SipSyntaxError:
            return None


def _of_sip(service: str) -> bool:
    """``E2U+sip``, alone or among others (RFC 6116 §3.4.3), or ``sip+E2U`` (RFC 2916)."""
    tokens = [token.partition(":")[0] for token in service.lower().split("+")]
    return "e2u" in (tokens[0], tokens[-1]) and "sip" in tokens
