"""What app clients are told: one frozen class a notification of the DM call protocol.

``params()`` is the JSON the client sees; ``METHOD`` its JSON-RPC method.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

from gateway.values import Address, CallId, LegStats, Party, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class AppEvent:
    METHOD: ClassVar[str]

    def params(self) -> dict[str, Any]:
        """Members in wire form; optional ones that are ``None`` are left out."""
        out: dict[str, Any] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if value is None:
                continue
            if not isinstance(value, str | int | float | bool | dict):
                value = str(value)
            out[f.name] = value
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming(AppEvent):
    METHOD: ClassVar[str] = "call.incoming"
    call: CallId
    caller: Address
    caller_name: str
    thread: str | None = None
    verified: bool | None = None
    expires: float
    placed_by: Literal["server"] | None = None
    """``server``: the gateway's owner calls both, and ``caller`` is rung once this side accepts."""
    group: Sequence[Address] = ()
    """Who is in the call already, where that is a group or would be one."""

    def params(self) -> dict[str, Any]:
        who: dict[str, Any] = {"address": str(self.caller), "name": self.caller_name}
        if self.verified is not None:
            who["verified"] = self.verified
        out: dict[str, Any] = {"call": self.call, "from": who, "expires": self.expires}
        if self.thread is not None:
            out["thread"] = self.thread
        if self.placed_by is not None:
            out["placed_by"] = self.placed_by
        if self.group:
            out["group"] = [str(address) for address in self.group]
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Ringing(AppEvent):
    METHOD: ClassVar[str] = "call.ringing"
    call: CallId


@dataclass(frozen=True, slots=True, kw_only=True)
class Media(AppEvent):
    METHOD: ClassVar[str] = "call.media"
    call: CallId
    sdp: str
    codec: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted(AppEvent):
    METHOD: ClassVar[str] = "call.accepted"
    call: CallId
    by: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected(AppEvent):
    METHOD: ClassVar[str] = "call.connected"
    call: CallId
    at: float
    codec: str
    peer_codec: str
    secure: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Held(AppEvent):
    METHOD: ClassVar[str] = "call.held"
    call: CallId
    by: Address
    held: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Muted(AppEvent):
    METHOD: ClassVar[str] = "call.muted"
    call: CallId
    by: Address
    muted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined(AppEvent):
    METHOD: ClassVar[str] = "call.joined"
    call: CallId
    address: Address
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Left(AppEvent):
    """``reason`` is told to whoever asked for somebody who did not come."""

    METHOD: ClassVar[str] = "call.left"
    call: CallId
    address: Address
    reason: Reason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Whispering(AppEvent):
    """``to`` is ``None`` when they speak to all again."""

    METHOD: ClassVar[str] = "call.whispering"
    call: CallId
    by: Address
    to: Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening(AppEvent):
    METHOD: ClassVar[str] = "call.listening"
    call: CallId
    by: Address
    listening: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MutedAll(AppEvent):
    METHOD: ClassVar[str] = "call.muted_all"
    call: CallId
    by: Address
    muted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Dtmf(AppEvent):
    METHOD: ClassVar[str] = "call.dtmf"
    call: CallId
    digit: str
    duration_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality(AppEvent):
    """``loss`` is a fraction of packets, 0 to 1; MOS by ITU-T G.107."""

    METHOD: ClassVar[str] = "call.quality"
    call: CallId
    stats: LegStats
    mos_sent: float
    mos_received: float
    loss_sent: float
    loss_received: float

    def params(self) -> dict[str, Any]:
        rtt = None if self.stats.rtt_ms is None else round(self.stats.rtt_ms, 1)

        def side(mos: float, loss: float, jitter: float) -> dict[str, Any]:
            return {
                "mos": round(mos, 2),
                "loss": round(loss, 4),
                "jitter_ms": round(jitter, 1),
                "rtt_ms": rtt,
            }

        return {
            "call": self.call,
            "sent": side(self.mos_sent, self.loss_sent, self.stats.sent.jitter_ms),
            "received": side(self.mos_received, self.loss_received, self.stats.received.jitter_ms),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PassGranted(AppEvent):
    """A creator has granted this follower a pass, ``shown`` as ``pass.list`` shows it."""

    METHOD: ClassVar[str] = "pass.granted"
    shown: Mapping[str, Any]

    def params(self) -> dict[str, Any]:
        return dict(self.shown)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice(AppEvent):
    METHOD: ClassVar[str] = "call.notice"
    call: CallId
    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(AppEvent):
    METHOD: ClassVar[str] = "call.ended"
    call: CallId
    reason: Reason
    by: Party
    duration_s: float
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Displaced(AppEvent):
    METHOD: ClassVar[str] = "session.displaced"
    by: str
