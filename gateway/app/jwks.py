"""A JWK Set that is read again and again, while its tokens are being verified."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from gateway.app.keys import KeySet, NoKeys, read_set
from gateway.calls.ports import Clock, DelayedCall
from gateway.settings import TokenSection

log = structlog.get_logger()

AGAIN_S: Final = 10.0
"""Between two reads that tokens with unknown keys ask for: anybody can send such tokens."""
RETRY_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Document:
    """``max_age_s`` as Cache-Control has it (RFC 9111 §5.2.2.1), 0 for what is not to be kept."""

    text: bytes
    max_age_s: float | None = None


Source = Callable[[], Awaitable[Document]]
"""Reads the set; ``NoKeys`` says why it could not."""


class KeyMeters(Protocol):
    def jwks_read(self, worked: bool) -> None: ...
    def jwks_keys(self, count: int) -> None: ...


class KeyRing:
    """The last good set, refreshed by its max-age within the bounds of the settings.

    Where the source fails the last set stays good for ``jwks_keep_s``; then there are no keys.
    """

    def __init__(
        self, section: TokenSection, source: Source, clock: Clock, meters: KeyMeters
    ) -> None:
        self._section = section
        self._source = source
        self._clock = clock
        self._meters = meters
        self._set = KeySet()
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._failures = 0
        self._next: DelayedCall | None = None
        self._loading: Deferred[None] | None = None
        self._waiting: list[Deferred[None]] = []
        self._stopped = False

    @property
    def keys(self) -> KeySet:
        at, now = self._read_at, self._clock.seconds()
        return self._set if at is not None and now - at < self._section.jwks_keep_s else KeySet()

    async def refresh(self) -> None:
        """Done when the set has been read anew, or could not be; who asks meanwhile waits too."""
        if self._stopped:
            return
        waiter: Deferred[None] = Deferred()
        self._waiting.append(waiter)
        if len(self._waiting) == 1:
            loading = Deferred.fromCoroutine(self._load())
            if not loading.called:
                self._loading = loading
        await waiter

    async def look_again(self) -> None:
        """For a key that is not known: at most once in ``AGAIN_S``, however many ask."""
        at = self._tried_at
        if not self._waiting and at is not None and self._clock.seconds() - at < AGAIN_S:
            return
        await self.refresh()

    async def _load(self) -> None:
        self._tried_at = self._clock.seconds()
        self._cancel()
        try:
            reading = Deferred.fromCoroutine(_awaited(self._source()))
            reading.addTimeout(self._section.jwks_fetch_s, self._clock, _too_slow)  # type: ignore[arg-type]
            document = await reading
            found = read_set(document.text)
        except NoKeys as e:
            self._failed(e)
        else:
            self._took(found, document.max_age_s)
        finally:
            self._loading = None
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:
                if not waiter.called:
                    waiter.callback(None)

    def _took(self, found: KeySet, max_age_s: float | None) -> None:
        s = self._section
        self._set, self._read_at, self._failures = found, self._clock.seconds(), 0
        self._meters.jwks_read(True)
        self._meters.jwks_keys(len(found))
        wanted = s.jwks_refresh_min_s if max_age_s is None else max_age_s
        self._again(min(max(wanted, s.jwks_refresh_min_s), s.jwks_refresh_max_s))

    def _failed(self, e: NoKeys) -> None:
        self._failures += 1
        self._meters.jwks_read(False)
        self._meters.jwks_keys(len(self.keys))
        log.warning("jwks_not_read", why=str(e), keys=len(self.keys), failures=self._failures)
        longest = self._section.jwks_refresh_min_s
        self._again(min(RETRY_S * 2 ** min(self._failures - 1, 10), longest))

    def _again(self, after_s: float) -> None:
        if not self._stopped:
            self._next = self._clock.callLater(after_s, self._turn)

    def _turn(self) -> None:
        self._next = None
        Deferred.fromCoroutine(self.refresh())

    def _cancel(self) -> None:
        timer, self._next = self._next, None
        if timer is not None and timer.active():
            timer.cancel()

    def stop(self) -> None:
        """Give up what is being read; who waits goes on with the keys there are."""
        self._stopped = True
        self._cancel()
        if self._loading is not None:
            self._loading.addErrback(_given_up)
            self._loading.cancel()


async def _awaited(work: Awaitable[Document]) -> Document:
    return await work


def _given_up(failure: Failure) -> None:
    failure.trap(CancelledError)


def _too_slow(_failure: object, seconds: float) -> Document:
    raise NoKeys(f"no answer in {seconds:g} s")
