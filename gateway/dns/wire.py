"""Questions over the wire: dnspython asks the name servers, on the reactor's asyncio loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal

import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.rdatatype
import dns.resolver
import dns.rrset
import structlog
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA
from dns.rdtypes.IN.NAPTR import NAPTR
from dns.rdtypes.IN.SRV import SRV
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from gateway.dns.server import Server, TooLong
from gateway.errors import CannotStart
from gateway.settings import DnsSection
from gateway.settings.dns import DNS_PORT
from gateway.sip.records import (
    Absent,
    AddressRecord,
    Answer,
    Failed,
    Found,
    NaptrRecord,
    Question,
    Record,
    SrvRecord,
)

log = structlog.get_logger()

PAYLOAD_BYTES: Final = 1232
"""Largest answer over UDP that is asked for: it passes everywhere unfragmented (EDNS, RFC 6891)."""
LONGEST_TRY_S: Final = 1.5
"""A server silent for so long is left for the next one."""


MOST_RECORDS: Final = 100
"""Records of one answer that are used; rules take time for each."""

Result = Literal["found", "no_record", "no_name", "timeout", "failed"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the servers said, for ``ttl_s``.

    ``alias``: the name has a CNAME, and its target is yet to be asked for.
    """

    result: Result
    answer: Answer
    ttl_s: float = 0
    alias: str | None = None


class NameServers:
    """The servers of the settings, or of the system."""

    def __init__(self, section: DnsSection) -> None:
        self._section = section
        self._servers: list[Server] = []
        self._resolver: dns.asyncresolver.Resolver | None = None

    def open(self) -> None:
        """Read which servers there are; blocks, so it is done once, at start.

        ``CannotStart`` where there are none.
        """
        resolver = dns.asyncresolver.Resolver(configure=False)
        listed = [_split(text) for text in self._section.servers] or _of_system()
        self._servers = [Server(address, port, self._prefer) for address, port in listed]
        # one that stays without answer leaves time for what is asked instead
        limit = self._section.timeout_s / 2
        resolver.nameservers = self._servers
        resolver.timeout = min(LONGEST_TRY_S, limit / (len(self._servers) + 1))
        resolver.lifetime = limit
        resolver.use_edns(0, 0, PAYLOAD_BYTES)
        self._resolver = resolver

    def close(self) -> None:
        self._resolver = None

    @property
    def names(self) -> tuple[str, ...]:
        """The servers, for people."""
        return tuple(map(str, self._servers))

    def ask(self, question: Question) -> Deferred[Reply]:
        """Ask until one answers or half of ``dns.timeout_s`` is over; fails only when cancelled."""
        asking = Deferred.fromFuture(asyncio.ensure_future(self._ask(question)))
        return asking.addErrback(_as_of_twisted)

    async def _ask(self, question: Question) -> Reply:
        resolver = self._resolver
        if resolver is None:
            return Reply("failed", Failed("the resolver is not running"))
        kind = dns.rdatatype.from_text(question.type)
        try:
            name = dns.name.from_text(question.name)
            answer = await resolver.resolve(name, kind, raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN as e:
            response: dns.message.QueryMessage = e.kwargs["responses"][name]
            ttl_s = response.resolve_chaining().minimum_ttl
            return Reply("no_name", Absent("no such name"), ttl_s)
        except dns.resolver.LifetimeTimeout as e:
            return Reply("timeout", Failed(f"no answer in time ({_told(e)})"))
        except dns.resolver.NoNameservers as e:
            why = _loop_in(e, name) or f"no server knows ({_told(e)})"
            return Reply("failed", Failed(why))
        except dns.exception.DNSException as e:
            return Reply("failed", Failed(f"cannot be asked for ({type(e).__name__})"))
        return _read(answer)

    def _prefer(self, server: Server) -> None:
        """Begin with the one that answered last, so that a silent one costs its time once."""
        if self._resolver is None or self._servers[0] is server:
            return
        log.warning("dns_server_left", server=str(self._servers[0]), now=str(server))
        self._servers = [server, *(s for s in self._servers if s is not server)]
        self._resolver.nameservers = self._servers


def _as_of_twisted(failure: Failure) -> Failure:
    cancelled = isinstance(failure.value, asyncio.CancelledError)
    return Failure(CancelledError()) if cancelled else failure  # type: ignore[no-untyped-call]  # Twisted's


def _split(text: str) -> tuple[str, int]:
    address, _, port = text.rpartition(":")
    return address.strip("[]"), int(port)


def _of_system() -> list[tuple[str, int]]:
    try:
        system = dns.resolver.Resolver()
    except dns.resolver.NoResolverConfiguration as e:
        problem = "dns.servers is empty, and /etc/resolv.conf cannot be read or names no server"
        raise CannotStart(problem) from e
    return [(str(server), DNS_PORT) for server in system.nameservers]


def plain(name: dns.name.Name) -> str:
    """In lower case without a final dot; the root is empty."""
    return name.to_text(omit_final_dot=True).lower() if name != dns.name.root else ""


def _read(answer: dns.resolver.Answer) -> Reply:
    chain = answer.chaining_result
    if answer.rrset is not None:
        records = tuple(islice(_records(answer.rrset), MOST_RECORDS))
        if records:
            return Reply("found", Found(records), chain.minimum_ttl)
        return Reply("failed", Failed("no record that can be read"))
    if chain.cnames and not _is_last(answer.response, chain.canonical_name):
        # the server knows the alias, but not what it stands for
        alias = plain(chain.canonical_name)
        return Reply("found", Absent("an alias"), chain.minimum_ttl, alias)
    return Reply("no_record", Absent("no such record"), chain.minimum_ttl)


def _is_last(response: dns.message.Message, name: dns.name.Name) -> bool:
    """Does a SOA say that there is nothing more of this name (RFC 2308 §2.2)?"""
    return any(
        rrset.rdtype == dns.rdatatype.SOA and name.is_subdomain(rrset.name)
        for rrset in response.authority
    )


def _records(rrset: dns.rrset.RRset) -> Iterator[Record]:
    for rdata in rrset:
        if isinstance(rdata, A | AAAA):
            yield AddressRecord(rdata.address)
        elif isinstance(rdata, SRV):
            yield SrvRecord(rdata.priority, rdata.weight, rdata.port, plain(rdata.target))
        elif isinstance(rdata, NAPTR):
            try:
                yield NaptrRecord(
                    rdata.order,
                    rdata.preference,
                    rdata.flags.decode("utf-8"),
                    rdata.service.decode("utf-8"),
                    rdata.regexp.decode("utf-8"),
                    plain(rdata.replacement),
                )
            except UnicodeDecodeError:
                continue  # one rule less


def _told(error: dns.resolver.LifetimeTimeout | dns.resolver.NoNameservers) -> str:
    """What each server did, once each."""
    seen: dict[str, None] = {}
    for server, _tcp, _port, what, _response in error.kwargs.get("errors") or ():
        match what:
            case str():
                how = what
            case dns.exception.Timeout():
                how = "silent"
            case TooLong():
                how = str(what)
            case OSError():
                how = what.strerror or type(what).__name__
            case _:
                how = type(what).__name__
        seen.setdefault(f"{server}: {how}")
    return ", ".join(seen) or "no server was heard"


def _loop_in(error: dns.resolver.NoNameservers, name: dns.name.Name) -> str | None:
    """The loop of CNAMEs that is in a server's answer, named."""
    for _server, _tcp, _port, what, response in error.kwargs.get("errors") or ():
        if not isinstance(what, dns.message.ChainTooLong):
            continue
        aliases = {r.name: r[0].target for r in response.answer if r.rdtype == dns.rdatatype.CNAME}
        through = [name]
        while (name := aliases[name]) not in through:
            through.append(name)
            if name not in aliases:
                return f"over {len(through)} aliases"
        return f"a CNAME loop, {' to '.join(map(plain, (*through, name)))}"
    return None
