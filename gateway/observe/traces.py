"""What happened in the newest calls: their log, their SIP, how they sounded.  In memory.

Implements ``console_ports.Traces``, ``SipTap`` and ``LegTap``.
"""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from threading import get_ident
from typing import Any, Final

from structlog.typing import EventDict

from gateway.calls.console_ports import Sample, SipSeen, Trace
from gateway.sip.redaction import redacted
from gateway.values import CallId, HostPort, LegId, Transport

MESSAGES: Final = 400
NOTES: Final = 400
SAMPLES: Final = 720
LEGS: Final = 32
LOOSE: Final = 200
"""SIP dialogs that may turn out to be a call's."""
LOOSE_MESSAGES: Final = 20
OVERHEAD: Final = 300
"""Bytes that a message, a note or a sample takes beside its text."""

_CALL_ID: Final = re.compile(rb"^(?:Call-ID|i)[ \t]*:[ \t]*(\S+)", re.I | re.M)
_METHOD: Final = re.compile(rb"^CSeq[ \t]*:[ \t]*\d+[ \t]+(\w+)", re.I | re.M)
_APART: Final = frozenset({b"REGISTER", b"OPTIONS"})
"""Of no call."""
_DROPPED: Final = frozenset({"call", "timestamp", "traceback"})


class _Kept:
    def __init__(self) -> None:
        self.notes: deque[Mapping[str, Any]] = deque(maxlen=NOTES)
        self.messages: deque[SipSeen] = deque(maxlen=MESSAGES)
        self.samples: dict[LegId, deque[Sample]] = {}
        self.dialogs: list[str] = []
        self.bytes = 0
        self.dropped = 0


class Recorder:
    """At most ``most`` calls and about ``most_bytes``; the oldest give way."""

    def __init__(self, most: int, most_bytes: int, now: Callable[[], float]) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._now = now
        self._thread = get_ident()
        self._calls: OrderedDict[CallId, _Kept] = OrderedDict()
        self._call_of: dict[str, CallId] = {}
        self._loose: OrderedDict[str, list[SipSeen]] = OrderedDict()
        self._bytes = 0

    # -- what is written

    def noted(self, event: EventDict) -> None:
        """An event of the log: one that names a call is kept with it."""
        call = event.get("call")
        if not isinstance(call, str) or not call or get_ident() != self._thread:
            return  # what other threads log is of no one call
        seen = event.get("sip_call_id")
        if isinstance(seen, str):
            self._join(seen, CallId(call))
        kept = self._of(CallId(call))
        if len(kept.notes) == NOTES:
            kept.dropped += 1
        fields = {k: v for k, v in event.items() if k not in _DROPPED}
        kept.notes.append({"at": self._now(), **fields})
        self._grew(kept, OVERHEAD + sum(len(str(v)) for v in fields.values()))

    def saw(
        self,
        outward: bool,
        transport: Transport,
        here: HostPort,
        there: HostPort,
        message: bytes,
    ) -> None:
        found, method = _CALL_ID.search(message), _METHOD.search(message)
        if found is None or method is None or method[1].upper() in _APART:
            return
        name = found[1].decode("utf-8", "replace")
        text = redacted(message)
        seen = SipSeen(self._now(), outward, transport, here, there, text)
        call = self._call_of.get(name)
        if call is not None:
            self._add(self._of(call), seen)
            return
        waiting = self._loose.setdefault(name, [])
        if len(waiting) < LOOSE_MESSAGES:
            waiting.append(seen)
        while len(self._loose) > LOOSE:
            self._loose.popitem(last=False)

    def joins(self, sip_call_id: str, leg: LegId) -> None:
        self._join(sip_call_id, CallId(leg.rpartition(".")[0]))

    def sampled(self, call: CallId, leg: LegId, sample: Sample) -> None:
        kept = self._of(call)
        if leg not in kept.samples and len(kept.samples) >= LEGS:
            kept.dropped += 1
            return
        kept.samples.setdefault(leg, deque(maxlen=SAMPLES)).append(sample)
        self._grew(kept, OVERHEAD)

    def _join(self, name: str, call: CallId) -> None:
        if not call or name in self._call_of:
            return
        kept = self._of(call)
        self._call_of[name] = call
        kept.dialogs.append(name)
        for seen in self._loose.pop(name, ()):
            self._add(kept, seen)

    def _add(self, kept: _Kept, seen: SipSeen) -> None:
        if len(kept.messages) == MESSAGES:
            kept.dropped += 1
        kept.messages.append(seen)
        self._grew(kept, OVERHEAD + len(seen.text))

    def _of(self, call: CallId) -> _Kept:
        kept = self._calls.get(call)
        if kept is None:
            kept = self._calls[call] = _Kept()
            while len(self._calls) > self._most:
                self._forget_oldest()
        return kept

    def _grew(self, kept: _Kept, size: int) -> None:
        """What a full deque lets go is still counted: a call that talks much goes earlier."""
        kept.bytes += size
        self._bytes += size
        while self._bytes > self._most_bytes and len(self._calls) > 1:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        _, gone = self._calls.popitem(last=False)
        self._bytes -= gone.bytes
        for name in gone.dialogs:
            self._call_of.pop(name, None)

    # -- what is read

    def trace(self, call: CallId) -> Trace | None:
        kept = self._calls.get(call)
        if kept is None:
            return None
        return Trace(
            call=call,
            notes=tuple(kept.notes),
            messages=tuple(sorted(kept.messages, key=lambda m: m.at)),
            samples={leg: tuple(samples) for leg, samples in kept.samples.items()},
            dropped=kept.dropped,
        )
