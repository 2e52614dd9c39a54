"""From a call that is wanted to a judgement of it: facts are gathered, then the chain speaks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from gateway.calls.call import Call
from gateway.calls.directory import shown
from gateway.calls.machine import Side
from gateway.calls.outside import Outside, Terms
from gateway.calls.people_ports import PeopleFacts
from gateway.calls.record import Means
from gateway.calls.tasks import together
from gateway.policy.chain import ANONYMOUS, Attempt, Dialled, Facts, Verdict
from gateway.policy.identity import Identity
from gateway.policy.limits import Usage
from gateway.policy.people import Claims, Person
from gateway.policy.permission import ALLOW_FROM, OWN_BLOCK, FirstContact, needed_pass, stranger
from gateway.routing.numbers import country_of
from gateway.routing.targets import Group, NoRoute, Target, Telephone
from gateway.values import (
    Address,
    CallId,
    NumberClass,
    Principal,
    Reason,
    ServiceAddress,
    TelAddress,
    UserAddress,
    Verification,
)

log = structlog.get_logger()

_NOT_TOLD = (None, Reason.BUSY, Reason.UNREACHABLE, Reason.UNAVAILABLE)


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that is wanted.  ``to`` is what was dialled, ``target`` whom that means."""

    caller: Address
    to: Address
    target: Target
    means: Means
    principal: Principal | None = None
    trunk: str | None = None
    verification: Verification | None = None
    source: str | None = None
    """The network address that the caller asks from, where it is known."""


@dataclass(frozen=True, slots=True)
class Load:
    """Calls that are now: of the caller, of the callee, of all."""

    caller: int
    callee: int
    all: int
    draining: bool


@dataclass(frozen=True, slots=True)
class Judgement:
    """``target`` lacks those of a group who may not be called; ``silent`` are to ring nowhere."""

    verdict: Verdict
    target: Target
    terms: Terms
    silent: frozenset[Address] = frozenset()

    @property
    def refused(self) -> bool:
        """The caller is told that it may not be; else it is a call, however it ends."""
        return self.verdict.reason not in _NOT_TOLD


class Occupancy:
    """How many calls each person is in, whatever they call with."""

    def __init__(self) -> None:
        self._calls: Counter[Address] = Counter()
        self._in: dict[CallId, list[Address]] = {}

    def calls(self, person: Address) -> int:
        return self._calls[person]

    def enter(self, call: Call) -> None:
        people = self._in[call.id] = list(_people_in(call))
        self._calls.update(people)

    def leave(self, call: Call) -> None:
        for person in self._in.pop(call.id, ()):
            self._out(person)

    def left(self, call: Call, person: Address) -> None:
        """The call goes on without this one."""
        if person in self._in.get(call.id, ()):
            self._in[call.id].remove(person)
            self._out(person)

    def _out(self, person: Address) -> None:
        self._calls[person] -= 1
        if self._calls[person] <= 0:
            del self._calls[person]


class Judging:
    """``load(caller, callee)`` counts over all that the person of each has."""

    def __init__(self, outside: Outside, load: Callable[[Address, Address], Load]) -> None:
        self._outside = outside
        self._load = load

    async def transfer(
        self, call: Call, side: Side, to: Address, target: Target, means: Means
    ) -> Judgement:
        """As a call of the one who leaves, who asks for it, and of the one who stays."""
        leaving, staying = call.at(side), call.at(side.other)
        found = await self.judge(Asked(leaving.address, to, target, means))
        if not found.verdict.allowed:
            return found
        trunk = call.trunk if side is Side.CALLEE else None
        asked = Asked(staying.address, to, found.target, means, trunk=trunk)
        theirs, found = found, await self.judge(asked)
        if found.verdict.rule != OWN_BLOCK:
            return replace(found, silent=found.silent | theirs.silent)
        # whom the one who stays has blocked is no business of the one who leaves
        verdict = replace(found.verdict, reason=Reason.UNAVAILABLE, text="")
        terms = replace(found.terms, silent=True)
        return replace(found, verdict=verdict, terms=terms, silent=_silent(asked, verdict))

    async def addition(self, asked: Asked, others: Sequence[Asked]) -> Judgement:
        """As a call of the one who asks for it, and of ``others``, who are in the call already."""
        found = await self.judge(asked)
        for other in others:
            if not found.verdict.allowed:
                break
            theirs = await self.judge(replace(other, target=found.target))
            if theirs.verdict.rule == OWN_BLOCK:
                # whom another has blocked is no business of the one who asks
                verdict = replace(theirs.verdict, reason=Reason.UNAVAILABLE, text="")
                terms = replace(found.terms, silent=True)
                return replace(found, verdict=verdict, terms=terms, silent=_silent(other, verdict))
            longest_s = min(found.terms.longest_s, theirs.terms.longest_s)
            terms = replace(found.terms, longest_s=longest_s, silent=theirs.terms.silent)
            silent = found.silent | theirs.silent
            found = replace(theirs, terms=terms, silent=silent)
        return found

    async def judge(self, asked: Asked) -> Judgement:
        """``GatewayError`` where the facts cannot be had.

        Nothing is awaited after the load was looked at: it is still so when this returns.
        """
        found = await self._judge(asked)
        verdict = found.verdict
        if verdict.alarm and self._outside.holds is not None:
            caller = self._outside.identities.of(asked.caller, asked.trunk).person
            await self._outside.holds.hold(caller, verdict.rule, self._outside.clock.seconds())
        log.info(
            "judged",
            rule=verdict.rule,
            reason=None if verdict.reason is None else str(verdict.reason),
            caller=str(asked.caller),
            callee=str(shown(asked.to, asked.target)),
            means=asked.means,
        )
        return found

    async def _known(
        self, asked: Asked, caller: Identity, callees: Sequence[Identity], now: float
    ) -> tuple[Usage, Sequence[PeopleFacts]]:
        """Usage once a call, however many of a group it rings."""
        outside = self._outside
        if _emergency(asked.target):  # no rule about people holds, and nothing is to be in its way
            one = Person(caller.person)
            return Usage(), [PeopleFacts(one, Person(callee.person)) for callee in callees]
        if outside.ledger is not None:
            callee, *members = callees
            return await outside.ledger.ask(caller, callee, _source(asked), now, members)
        return Usage(), await together(*(outside.people.facts(caller, c, now) for c in callees))

    async def _judge(self, asked: Asked) -> Judgement:
        target = asked.target
        callee = shown(asked.to, target)
        members = target.members if isinstance(target, Group) else ()
        whom = (callee, *members)
        facts, *its_facts = await self._facts(asked, whom)
        of_members = zip(members, its_facts, strict=True)
        attempt = self._attempt(asked, callee, facts)
        verdict = self._outside.chain.judge(attempt)
        if verdict.rule == ALLOW_FROM:
            facts = await self._with_pass(asked, callee, facts)
            attempt = self._attempt(asked, callee, facts)
            verdict = self._outside.chain.judge(attempt)
        found = Judgement(verdict, target, self._terms(attempt, verdict), _silent(asked, verdict))
        if not isinstance(target, Group) or not verdict.allowed:
            return found
        attempts = {member: self._attempt(asked, member, its) for member, its in of_members}
        verdicts = {member: self._outside.chain.judge(a) for member, a in attempts.items()}
        rung = tuple(m for m, v in verdicts.items() if v.allowed or v.silent)
        if not rung:
            return replace(found, verdict=next(iter(verdicts.values())))
        silent = frozenset(m for m in rung if verdicts[m].silent)
        # whoever of them answers, no bound of theirs is passed over
        longest_s = min(self._terms(attempts[m], verdicts[m]).longest_s for m in rung)
        terms = replace(found.terms, longest_s=longest_s)
        if len(silent) == len(rung):
            terms = replace(terms, silent=True)
            found = replace(found, verdict=verdicts[rung[0]])
        rung_group = replace(target, members=rung)
        return replace(found, target=rung_group, silent=silent, terms=terms)

    async def _with_pass(self, asked: Asked, callee: Address, facts: Facts) -> Facts:
        """Looked for only where nothing else would let the caller through."""
        outside = self._outside
        if outside.passes is None:
            return facts
        one, other = outside.identities.of(asked.caller, asked.trunk), outside.identities.of(callee)
        held = await outside.passes.held(one, other, outside.clock.seconds())
        return facts if held is None else replace(facts, parts=(*facts.parts, held))

    def _terms(self, attempt: Attempt, verdict: Verdict) -> Terms:
        calls, chain = self._outside.settings, self._outside.chain
        bound_s = chain.longest_s(attempt)
        longest_s = calls.max_duration_s
        return Terms(
            ring_s=attempt.facts.callee.preferences.ring_seconds or calls.ring_s,
            longest_s=longest_s if bound_s is None else min(longest_s, bound_s),
            first_contact=attempt.facts.part(FirstContact) is not None and stranger(attempt),
            silent=verdict.silent,
            pass_=None if (held := needed_pass(attempt)) is None else held.id,
        )

    def _attempt(self, asked: Asked, callee: Address, facts: Facts) -> Attempt:
        load = self._load(facts.caller.address, facts.callee.address)
        target = asked.target
        dialled = None
        if isinstance(target, Telephone):
            dialled = Dialled(target.number, target.classes, country_of(target.number))
        return Attempt(
            caller=asked.caller,
            callee=callee,
            # who adds another to a call makes no further call
            caller_calls=load.caller - 1 if asked.means == "added" else load.caller,
            callee_calls=0 if isinstance(callee, ServiceAddress) else load.callee,
            all_calls=load.all,
            draining=load.draining,
            now=self._outside.clock.seconds(),
            facts=facts,
            means=asked.means,
            trunk=asked.trunk,
            verification=asked.verification,
            dialled=dialled,
            caller_country=_country(asked.caller),
        )

    async def _facts(self, asked: Asked, whom: Sequence[Address]) -> list[Facts]:
        """Of the caller with each."""
        outside, now = self._outside, self._outside.clock.seconds()
        caller = outside.identities.of(asked.caller, asked.trunk)
        callees = [outside.identities.of(callee) for callee in whom]
        usage, known = await self._known(asked, caller, callees, now)
        facts = []
        for callee, found in zip(callees, known, strict=True):
            parts = () if _emergency(asked.target) else await self._parts(caller, callee, now)
            one = self._current(found.caller, asked.principal)
            other = self._current(found.callee, None)
            facts.append(Facts(one, other, (*found.parts, *parts, usage)))
        return facts

    async def _parts(self, caller: Identity, callee: Identity, now: float) -> Sequence[object]:
        sources = self._outside.fact_sources
        return await together(*(source.part(caller, callee, now) for source in sources))

    def _current(self, person: Person, principal: Principal | None) -> Person:
        """The token of whoever is signed in goes before what was kept of an earlier one."""
        if principal is None and isinstance(person.address, UserAddress):
            signed_in = self._outside.clients.clients_of(person.address.handle)
            principal = signed_in[-1].principal if signed_in else None
        return person if principal is None else replace(person, claims=Claims.of(principal))


def _emergency(target: Target) -> bool:
    return isinstance(target, Telephone) and NumberClass.EMERGENCY in target.classes


def _source(asked: Asked) -> str | None:
    """The numbers of a trunk are people each; those without a number have but the trunk."""
    if asked.trunk is not None and asked.caller == ANONYMOUS:
        return f"trunk:{asked.trunk}"
    return asked.source


def _silent(asked: Asked, verdict: Verdict) -> frozenset[Address]:
    if not verdict.silent or isinstance(asked.target, Group | NoRoute):
        return frozenset()
    return frozenset({shown(asked.to, asked.target)})


def _people_in(call: Call) -> tuple[Address, ...]:
    """Whoever does not notice a call is not in it: blocked callers cannot keep a line busy.

    Who adds another to a call is in that one already.
    """
    caller, callee = call.identities
    if call.record.group is not None:
        return () if call.terms.silent else (callee.person,)
    return (caller.person,) if call.terms.silent else (caller.person, callee.person)


def _country(address: Address) -> str | None:
    return country_of(address.number) if isinstance(address, TelAddress) else None
