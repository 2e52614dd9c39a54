"""Which legs hear which: what the daemon has asked for, kept true as media sessions change."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.media.leg import Leg, drain, silence, transmit


class Bridge:
    """Connects nothing by itself: only ways that were asked for are joined, again and again.

    A way is ordered: who speaks, who hears.

    A leg's port on the conference bridge is another one after each negotiation.
    """

    def __init__(self, legs: Mapping[str, Leg]) -> None:
        self._legs = legs
        self._ways: set[tuple[str, str]] = set()
        self._muted: set[str] = set()
        self._hushed: set[str] = set()
        self._joined: set[tuple[str, str]] = set()
        self._with_media: set[str] = set()
        self._drained: set[str] = set()

    def connect(self, a: str, b: str) -> None:
        """``a == b``: the leg hears itself."""
        self._ways |= {(a, b), (b, a)}
        self._join()

    def listen(self, source: str, sink: str) -> None:
        self._ways.add((source, sink))
        self._join()

    def unlisten(self, source: str, sink: str) -> None:
        self._ways.discard((source, sink))
        self._join()

    def disconnect(self, a: str, b: str) -> None:
        self._ways -= {(a, b), (b, a)}
        self._join()

    def mute(self, leg: str, muted: bool) -> None:
        (self._muted.add if muted else self._muted.discard)(leg)
        self._join()

    def hush(self, leg: str, hushed: bool) -> None:
        """The leg hears nobody: the tones of a digit are lost in speech."""
        (self._hushed.add if hushed else self._hushed.discard)(leg)
        self._join()

    def changed(self, leg: str) -> None:
        """The leg has a fresh media session: what was joined has to be joined again."""
        self._joined = {way for way in self._joined if leg not in way}
        self._with_media.add(leg)
        self._drained.discard(leg)
        self._join()

    def forget(self, leg: str) -> None:
        """The leg is over; PJSIP has taken its port off the bridge."""
        for kept in (self._muted, self._hushed, self._with_media, self._drained):
            kept.discard(leg)
        self._ways = {way for way in self._ways if leg not in way}
        self._joined = {way for way in self._joined if leg not in way}

    def _join(self) -> None:
        wanted = {(a, b) for a, b in self._ways if a not in self._muted and b not in self._hushed}
        for a, b in self._joined - wanted:
            silence(self._legs[a], self._legs[b])
        self._joined &= wanted
        for a, b in wanted - self._joined:
            if transmit(self._legs[a], self._legs[b]):
                self._joined.add((a, b))
        unheard = self._with_media - {source for source, _ in self._joined}
        self._drained |= {leg for leg in unheard - self._drained if drain(self._legs[leg], True)}
        for leg in self._drained - unheard:
            drain(self._legs[leg], False)
        self._drained &= unheard
