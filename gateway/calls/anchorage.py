"""Which SIP legs of one call have their media anchored in rtpengine."""

from __future__ import annotations

from typing import Literal

from gateway.calls.ports import Anchor, AnchoredLegs, Anchors
from gateway.settings import Trunk
from gateway.values import CallId, FarSide, Hop, LegId, Transport

BROWSER = FarSide("UDP/TLS/RTP/SAVPF", ("opus",), ice=True)
"""What a softphone in a browser takes (RFC 8834), which is what WebSockets bring."""


class Anchorage:
    """Anchors are kept until their leg is dropped, or the call is over."""

    def __init__(self, call: CallId, anchors: Anchors, legs: AnchoredLegs) -> None:
        self._call = call
        self._anchors = anchors
        self._legs = legs
        self._open: dict[LegId, Anchor] = {}

    def stand(self, leg: LegId, far: FarSide | None) -> Anchor:
        """Put rtpengine between this leg and its far end."""
        anchor = self._anchors.anchor(self._call, leg, far)
        self._open[leg] = anchor
        self._legs.anchored(leg, anchor)
        return anchor

    async def taken(self, leg: LegId, offer: bytes | None, *, tones: bool = False) -> bytes | None:
        """A SIP peer's offer as a worker takes it; ``None`` where that is as it came.

        ``tones``: it may press digits that are sound.

        ``SdpUnusable`` where even rtpengine cannot help.
        """
        far = FarSide(tones=True) if tones else None
        if not offer:
            if far is not None:  # the worker makes the offer, in its answer
                self.stand(leg, far)
            return None
        text = offer.decode("utf-8", "replace")
        if far is None and not self._anchors.needed(text):
            return None
        return (await self.stand(leg, far).offer(text, from_worker=False)).encode()

    async def drop(self, leg: LegId) -> None:
        anchor = self._open.pop(leg, None)
        if anchor is not None:
            self._legs.anchored(leg, None)
            await anchor.close()

    async def drop_all(self) -> None:
        for leg in tuple(self._open):
            await self.drop(leg)


def far_of_contact(transport: Transport) -> FarSide | None:
    """What a registered softphone needs; ``None``: it speaks with the worker itself."""
    return BROWSER if transport in ("ws", "wss") else None


def far_of_trunk(trunk: Trunk, hop: Hop) -> FarSide | None:
    """What a trunk's target needs; ``None``: it speaks with the worker itself."""
    beyond = tuple(c for c in trunk.codecs if c in ("opus", "G729"))
    family: Literal["IP4", "IP6"] = "IP6" if ":" in hop.address.host else "IP4"
    needed = bool(beyond) or family == "IP6" or trunk.hears_tones
    if trunk.media == "direct" or (trunk.media == "auto" and not needed):
        return None
    if trunk.srtp == "dtls":
        return FarSide("UDP/TLS/RTP/SAVP", beyond, family=family, tones=trunk.hears_tones)
    secure = trunk.srtp != "off"
    profile: Literal["RTP/SAVP", "RTP/AVP"] = "RTP/SAVP" if secure else "RTP/AVP"
    return FarSide(profile, beyond, family=family, tones=trunk.hears_tones)
