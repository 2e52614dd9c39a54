"""Where a place is served: RFC 3263 §4 as rules that ask, and are told, what is in DNS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from gateway.errors import Unlocatable
from gateway.sip.errors import SipSyntaxError
from gateway.sip.places import Place, parse_place
from gateway.sip.records import (
    Absent,
    AddressRecord,
    Answer,
    Chance,
    Failed,
    Found,
    Lookups,
    NaptrRecord,
    Question,
    SrvRecord,
    account,
    by_order,
    by_priority,
)
from gateway.values import Hop, HostPort

HopTransport = Literal["udp", "tcp", "tls"]
Family = Literal["ipv4", "ipv6"]

MOST_HOPS: Final = 16
MOST_LOOKUPS: Final = 40

ALL_TRANSPORTS: Final[tuple[HopTransport, ...]] = ("tls", "tcp", "udp")
_SERVICES: Final[Mapping[str, HopTransport]] = {
    "sips+d2t": "tls",
    "sip+d2t": "tcp",
    "sip+d2u": "udp",
}
_SRV: Final[Mapping[HopTransport, str]] = {
    "tls": "_sips._tcp",
    "tcp": "_sip._tcp",
    "udp": "_sip._udp",
}
_PORTS: Final[Mapping[HopTransport, int]] = {"tls": 5061, "tcp": 5060, "udp": 5060}
_TYPES: Final[Mapping[Family, Literal["A", "AAAA"]]] = {"ipv4": "A", "ipv6": "AAAA"}


@dataclass(frozen=True, slots=True)
class Located:
    """A hop, and the records that led to it, one a text."""

    hop: Hop
    led: tuple[str, ...]


def locating(
    text: str,
    transport: HopTransport | None = None,
    *,
    families: Sequence[Family],
    chance: Chance,
    transports: Sequence[HopTransport] = ALL_TRANSPORTS,
) -> Lookups[tuple[Located, ...]]:
    """The hops of a place in the order to try them; ``Unlocatable`` tells what came of it all.

    ``transports`` are those we speak, the best first: DNS chooses among them.
    """
    try:
        place = parse_place(text)
    except SipSyntaxError as e:
        raise Unlocatable(str(e)) from e
    if place.numeric:
        return (_numeric(place, transport or "udp", families),)
    search = _Search(place, families, chance, transports)
    yield from search.run(transport)
    if not search.found:
        raise Unlocatable(f"{place} cannot be located: {account(search.ends)}")
    return tuple(search.found.values())


def _numeric(place: Place, transport: HopTransport, families: Sequence[Family]) -> Located:
    family: Family = "ipv6" if place.is_ipv6 else "ipv4"
    if family not in families:
        raise Unlocatable(f"{place} cannot be used: dns.families lacks {family}")
    address = HostPort(place.host, place.port or _PORTS[transport])
    return Located(Hop(transport, address), ("numeric, nothing to look up",))


@dataclass(frozen=True, slots=True)
class _Target:
    """A name whose addresses are wanted, and what led to it."""

    name: str
    port: int
    led: tuple[str, ...] = ()


class _Search:
    """One locating: ``found`` in order, and in ``ends`` what led nowhere."""

    def __init__(
        self,
        place: Place,
        families: Sequence[Family],
        chance: Chance,
        transports: Sequence[HopTransport],
    ) -> None:
        self.found: dict[Hop, Located] = {}
        self._place = place
        self._families = families
        self._chance = chance
        self._transports = transports
        self._asked = 0
        self.ends: list[str] = []

    def run(self, transport: HopTransport | None) -> Lookups[None]:
        host, port = self._place.host, self._place.port
        if port is not None:
            yield from self._addresses([_Target(host, port)], transport or "udp")
        elif transport is not None:
            yield from self._by_services((transport,), ())
        elif not (yield from self._by_naptr(host, (), ())):
            yield from self._by_services(self._transports, (self.ends[-1],))

    def _ask(self, *questions: Question) -> Lookups[list[Answer]]:
        asked = questions[: MOST_LOOKUPS - self._asked]
        self._asked += len(asked)
        answers: list[Answer] = list((yield asked)) if asked else []
        for question, answer in zip(asked, answers, strict=True):
            if not isinstance(answer, Found):
                self.ends.append(f"{question}: {answer.why}")
        if left := len(questions) - len(asked):
            given_up = f"given up after {MOST_LOOKUPS} lookups"
            answers += [Failed(given_up)] * left
            self.ends.insert(0, given_up)
        return answers

    # -- NAPTR (RFC 3263 §4.1)

    def _by_naptr(self, name: str, led: tuple[str, ...], through: tuple[str, ...]) -> Lookups[bool]:
        """Does the domain say by NAPTR how it is served?

        A higher order is looked at only where a lower one leads nowhere.
        """
        question = Question(name, "NAPTR")
        if name in through:
            self.ends.append(f"{question}: a loop, {' to '.join((*through, name))}")
            return True
        (answer,) = yield from self._ask(question)
        if not isinstance(answer, Found):
            return bool(through)
        records = [r for r in answer.records if isinstance(r, NaptrRecord) and _of_sip(r)]
        if not records:
            self.ends.append(f"{question}: none for SIP")
            return bool(through)
        for same in by_order(records):
            for record in same:
                on = (*led, f"{question}: {record}")
                yield from self._rule(question, record, on, (*through, name))
            if self.found:
                break
        return True

    def _rule(
        self,
        question: Question,
        record: NaptrRecord,
        led: tuple[str, ...],
        through: tuple[str, ...],
    ) -> Lookups[None]:
        transport = _SERVICES.get(record.service.lower())
        flags = record.flags.lower()
        if not record.replacement or record.regexp:
            why = "a rule for SIP has a replacement and no regexp"
        elif flags == "":
            yield from self._by_naptr(record.replacement, led, through)
            return
        elif transport is None or transport not in self._transports:
            why = "nothing we speak"
        elif flags == "s":
            srv = Question(record.replacement, "SRV")
            (answer,) = yield from self._ask(srv)
            if isinstance(answer, Found):
                yield from self._targets(srv, answer, transport, led)
            return
        elif flags == "a":
            target = _Target(record.replacement, _PORTS[transport], led)
            yield from self._addresses([target], transport)
            return
        else:
            why = f"flags {record.flags!r} do not lead to a server"
        self.ends.append(f"{question}: {record}: {why}")

    # -- SRV (RFC 3263 §4.1 and §4.2, RFC 2782)

    def _by_services(
        self, transports: Sequence[HopTransport], led: tuple[str, ...]
    ) -> Lookups[None]:
        host = self._place.host
        questions = [Question(f"{_SRV[t]}.{host}", "SRV") for t in transports]
        answers = yield from self._ask(*questions)
        for transport, question, answer in zip(transports, questions, answers, strict=True):
            if isinstance(answer, Found):
                yield from self._targets(question, answer, transport, led)
        # what could not be asked may well be there: only an absence leads to the default port
        if all(isinstance(answer, Absent) for answer in answers):
            default = transports[0] if len(transports) == 1 else "udp"
            target = _Target(host, _PORTS[default], (*led, "no SRV"))
            yield from self._addresses([target], default)

    def _targets(
        self, question: Question, answer: Found, transport: HopTransport, led: tuple[str, ...]
    ) -> Lookups[None]:
        records = [r for r in answer.records if isinstance(r, SrvRecord)]
        usable = [r for r in records if r.target and r.port]
        if len(usable) < len(records):
            self.ends.append(f"{question}: the service is not offered")
        order = by_priority(usable, self._chance)[:MOST_HOPS]
        targets = [_Target(r.target, r.port, (*led, f"{question}: {r}")) for r in order]
        yield from self._addresses(targets, transport)

    # -- A and AAAA

    def _addresses(self, targets: Sequence[_Target], transport: HopTransport) -> Lookups[None]:
        """Hops of every address of every target, all asked for at once."""
        types = [_TYPES[f] for f in self._families]
        names = dict.fromkeys(t.name for t in targets)
        questions = [Question(name, kind) for name in names for kind in types]
        answers = yield from self._ask(*questions)
        known = dict(zip(questions, answers, strict=True))
        for target in targets:
            for kind in types:
                question = Question(target.name, kind)
                answer = known[question]
                if isinstance(answer, Found):
                    self._reached(target, transport, question, answer)

    def _reached(
        self, target: _Target, transport: HopTransport, question: Question, answer: Found
    ) -> None:
        addresses = [r.address for r in answer.records if isinstance(r, AddressRecord)]
        # none of them is better; a server's turns would be lost in the cache
        self._chance.shuffle(addresses)
        for address in addresses:
            if len(self.found) < MOST_HOPS:
                hop = Hop(transport, HostPort(address, target.port), self._place.host)
                led = (*target.led, f"{question}: {address}")
                self.found.setdefault(hop, Located(hop, led))


def _of_sip(record: NaptrRecord) -> bool:
    """The domain's other rules (ENUM, XMPP, Diameter) are nothing to us."""
    service = record.service.lower()
    return service.startswith(("sip+", "sips+")) or not (service or record.flags)
