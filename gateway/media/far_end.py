"""Where one leg's RTP may come from: what the far end's SDP and SIP say, then what is heard."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import pjsua2 as pj

from gateway.media.rtp_gate import Address, RtpGate

_LOOK_S, _LOOK_LATER_S = 0.02, 0.4
"""How soon to look where the first packets came from, and how seldom when none come."""
_IPV4: Final = re.compile(r"\d{1,3}(\.\d{1,3}){3}")


class FarEnd:
    """``source`` is the address that its SIP comes from; empty where nobody says."""

    def __init__(self, later: Callable[[float, Callable[[], None]], Any]) -> None:
        self.source = ""
        self._later = later
        self._gate = RtpGate()
        self._call: Any = None
        self._stream = 0
        self._look_s = _LOOK_S
        self._looking: Any = None

    def has_port(self, port: int) -> bool:
        """Our SDP names this port; its socket, if new, is shut.  Whether it is new."""
        if port in (0, self._gate.port):
            return False
        self._gate.shut(port)
        return True

    def moved(self, call: Any, stream: int) -> None:
        """After a negotiation, or when ``source`` is another: let in what comes from the address
        in its SDP, or from where its SIP comes from, for it may be behind NAT (RFC 4961 §4).
        """
        try:
            ours, theirs = call.getMedTransportInfo(stream), call.getStreamInfo(stream)
        except pj.Error:
            return  # held at 0.0.0.0 (RFC 2543) there is no stream
        self._gate.port = int(ours.localRtpName.rpartition(":")[2])
        said = {a.rpartition(":")[0] for a in (theirs.remoteRtpAddress, theirs.remoteRtcpAddress)}
        self._gate.admit({host for host in (*said, self.source) if _IPV4.fullmatch(host)})
        self._call, self._stream = call, stream
        self._look_s = _LOOK_S
        self._look_later()

    def gone(self) -> None:
        """The leg is over.  Idempotent."""
        self._call = None
        self._rest()

    def _rest(self) -> None:
        if self._looking is not None and self._looking.active():
            self._looking.cancel()

    def _look_later(self) -> None:
        self._rest()
        self._looking = self._later(self._look_s, self._look)
        self._look_s = min(2 * self._look_s, _LOOK_LATER_S)

    def _look(self) -> None:
        """From the first source on, only that one; until the next negotiation."""
        if self._call is None:
            return
        try:
            heard = self._call.getMedTransportInfo(self._stream)
        except pj.Error:
            return
        if not self._gate.latch(_address(heard.srcRtpName), _address(heard.srcRtcpName)):
            self._look_later()


def _address(name: str) -> Address | None:
    """``host:port`` as PJSIP tells it; nothing was heard where it tells none."""
    host, _, port = name.rpartition(":")
    return (host, int(port)) if _IPV4.fullmatch(host) and int(port) else None
