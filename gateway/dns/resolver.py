"""DNS without waiting for it: dnspython on the reactor's loop, cached by TTL."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import dns.asyncresolver
import dns.exception
import dns.rdatatype
import dns.resolver
import structlog
from twisted.internet.defer import Deferred

from gateway.calls.ports import Clock
from gateway.calls.trunk_ports import DnsMeters
from gateway.settings import DnsSection

log = structlog.get_logger()

NEGATIVE_S: Final = 30.0
SHORTEST_S: Final = 1.0
LONGEST_S: Final = 3600.0


class NoAnswer(Exception):
    """No server answered, or only with failures."""


@dataclass(slots=True)
class _Kept:
    """``records`` empty: the name has none of this kind, which is an answer too (RFC 2308)."""

    records: tuple[Any, ...]
    until: float


class Resolver:
    """One question is asked once at a time, and its answer kept as long as it says."""

    def __init__(self, settings: DnsSection, clock: Clock, meters: DnsMeters) -> None:
        self._settings = settings
        self._clock = clock
        self._meters = meters
        self._cache: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._asking: dict[tuple[str, str], list[Deferred[tuple[Any, ...]]]] = {}
        self._resolver: dns.asyncresolver.Resolver | None = None

    def _asked(self) -> dns.asyncresolver.Resolver:
        if self._resolver is None:
            servers = self._settings.servers
            resolver = dns.asyncresolver.Resolver(configure=not servers)
            if servers:
                resolver.nameservers = [_nameserver(text) for text in servers]
            resolver.lifetime = self._settings.timeout_s
            resolver.timeout = max(0.3, self._settings.timeout_s / 4)
            resolver.cache = None
            resolver.search = []
            self._resolver = resolver
        return self._resolver

    async def start(self) -> None:
        """Read the system's list of servers, where no other is set."""
        self._asked()

    async def ask(self, name: str, kind: str) -> tuple[Any, ...]:
        """Records of one kind (``NAPTR``, ``SRV``, ``A``, ``AAAA``); ``NoAnswer`` where none came.

        An old answer is better than none: it is used for ``stale_s`` when no server answers.
        """
        key = (name.lower().rstrip("."), kind)
        now = self._clock.seconds()
        kept = self._cache.get(key)
        if kept is not None and kept.until > now:
            return kept.records
        waiting = self._asking.get(key)
        if waiting is not None:
            also: Deferred[tuple[Any, ...]] = Deferred()
            waiting.append(also)
            shared: tuple[Any, ...] = await also
            return shared
        self._asking[key] = []
        try:
            records = await self._fresh(key)
        except NoAnswer as e:
            if kept is None or kept.until + self._settings.stale_s <= now:
                why = str(e)
                self._tell(key, lambda d: d.errback(NoAnswer(why)))
                raise
            log.warning("dns_stale_answer_used", name=name, kind=kind, why=str(e))
            records = kept.records
        except BaseException:
            self._tell(key, lambda d: d.errback(NoAnswer(f"{kind} of {name}: given up")))
            raise
        self._tell(key, lambda d: d.callback(records))
        return records

    def _tell(
        self, key: tuple[str, str], tell: Callable[[Deferred[tuple[Any, ...]]], None]
    ) -> None:
        for waiting in self._asking.pop(key, []):
            if not waiting.called:
                tell(waiting)

    async def _fresh(self, key: tuple[str, str]) -> tuple[Any, ...]:
        name, kind = key
        began = self._clock.seconds()
        work = self._asked().resolve(name, kind, raise_on_no_answer=False)
        future = asyncio.ensure_future(work)
        try:
            answer: Any = await Deferred.fromFuture(future)
        except dns.resolver.NXDOMAIN:
            self._told(kind, "nxdomain", began)
            return self._keep(key, (), NEGATIVE_S)
        except asyncio.CancelledError as e:  # the time for all look-ups is over
            self._told(kind, "failed", began)
            raise NoAnswer(f"{kind} of {name}: nothing in time") from e
        except (dns.exception.DNSException, OSError) as e:
            self._told(kind, "failed", began)
            raise NoAnswer(f"{kind} of {name}: {e}") from e
        records = tuple(answer.rrset) if answer.rrset is not None else ()
        self._told(kind, "found" if records else "empty", began)
        ttl_s = float(answer.rrset.ttl) if answer.rrset is not None else NEGATIVE_S
        chain = answer.chaining_result.minimum_ttl
        return self._keep(key, records, min(ttl_s, float(chain)))

    def _told(self, kind: str, result: str, began: float) -> None:
        self._meters.dns_asked(kind, result, self._clock.seconds() - began)

    def _keep(
        self, key: tuple[str, str], records: tuple[Any, ...], ttl_s: float
    ) -> tuple[Any, ...]:
        kept_s = min(LONGEST_S, max(SHORTEST_S, ttl_s))
        self._cache.pop(key, None)
        self._cache[key] = _Kept(records, self._clock.seconds() + kept_s)
        while len(self._cache) > self._settings.cache_entries:
            self._cache.popitem(last=False)
        return records


def _nameserver(text: str) -> Any:
    host, _, port = text.rpartition(":") if "]:" in text or text.count(":") == 1 else (text, "", "")
    return dns.nameserver.Do53Nameserver(host.strip("[]"), int(port or 53))
