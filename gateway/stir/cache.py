"""Signers' credentials by URL: fetched once, judged once, kept for a bounded time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from gateway.calls.ports import Clock
from gateway.policy.buckets import Buckets
from gateway.settings import StirSection
from gateway.stir.credential import Credential
from gateway.stir.fetcher import Fetched
from gateway.stir.rejected import Rejected

MAX_FETCHES: Final = 32
"""URLs asked at a time."""
FETCHES_PER_S: Final = 20
FETCHES_BURST: Final = 60
"""Each costs the reactor some 5 ms, most of it for TLS: strangers must not buy more of them."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Kept(Generic[T]):
    what: T
    until: float


class _Table(Generic[T]):
    """The least lately used goes first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[str, _Kept[T]] = OrderedDict()

    def get(self, url: str, now: float) -> T | None:
        kept = self._kept.get(url)
        if kept is None:
            return None
        if now >= kept.until:
            del self._kept[url]
            return None
        self._kept.move_to_end(url)
        return kept.what

    def put(self, url: str, what: T, until: float) -> None:
        self._kept[url] = _Kept(what, until)
        self._kept.move_to_end(url)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        self._kept.clear()

    def __len__(self) -> int:
        return len(self._kept)


class CredentialCache:
    """``fetch`` gets what is at a URL, ``judge`` makes a credential of it; both raise ``Rejected``.

    Who asks for a URL that is being fetched waits for that fetch.  What failed is remembered apart:
    bad URLs, of which anybody can send many, drive no good ones out.
    """

    def __init__(
        self,
        section: StirSection,
        fetch: Callable[[str], Awaitable[Fetched]],
        judge: Callable[[bytes, float], Credential],
        clock: Clock,
    ) -> None:
        self._section = section
        self._fetch = fetch
        self._judge = judge
        self._clock = clock
        self._good: _Table[Credential] = _Table(section.cache_entries)
        self._bad: _Table[Rejected] = _Table(section.cache_entries)
        self._waiting: dict[str, list[Deferred[Credential]]] = {}
        self._loading: dict[str, Deferred[None]] = {}
        self._rate = Buckets(FETCHES_PER_S, FETCHES_BURST, 1)

    async def get(self, url: str, now: float) -> Credential:
        """``now`` is the time by which certificates are judged; ``Rejected`` says what is wrong."""
        clock = self._clock.seconds()
        if found := self._good.get(url, clock):
            return found
        if failed := self._bad.get(url, clock):
            raise Rejected(failed.result, str(failed))
        waiter: Deferred[Credential] = Deferred()
        if url in self._waiting:
            self._waiting[url].append(waiter)
        elif len(self._waiting) >= MAX_FETCHES or self._rate.take("", clock) > 0:
            raise Rejected("bad_identity_info", "too many certificates are being fetched")
        else:
            self._waiting[url] = [waiter]
            loading = Deferred.fromCoroutine(self._load(url, now))
            if url in self._waiting:
                self._loading[url] = loading
        return await waiter

    async def _load(self, url: str, now: float) -> None:
        """Ends every wait for the URL, however it ends itself."""
        rejected = Rejected("bad_identity_info", "the fetch was given up")
        credential = None
        try:
            fetched = await self._fetch(url)
            credential = self._judge(fetched.body, now)
            self._keep(url, credential, fetched.max_age_s, now)
        except Rejected as e:
            rejected = e
            self._bad.put(url, e, self._clock.seconds() + self._section.cache_failures_s)
        finally:
            self._loading.pop(url, None)
            for waiter in self._waiting.pop(url):
                if credential is not None:
                    waiter.callback(credential)
                else:
                    waiter.errback(Rejected(rejected.result, str(rejected)))

    def _keep(self, url: str, found: Credential, max_age_s: float | None, now: float) -> None:
        s = self._section
        wanted = s.cache_min_s if max_age_s is None else max_age_s
        age = min(max(wanted, s.cache_min_s), s.cache_max_s, found.not_after - now)
        self._good.put(url, found, self._clock.seconds() + age)

    def clear(self) -> None:
        """Forget everything; fetches that are under way go on."""
        self._good.clear()
        self._bad.clear()

    def stop(self) -> None:
        """Give up every fetch; who waits gets ``Rejected``."""
        for loading in list(self._loading.values()):
            loading.addErrback(_given_up)
            loading.cancel()


def _given_up(failure: Failure) -> None:
    failure.trap(CancelledError)
