"""The interfaces between the call machine and the outside.

``calls/`` calls the ports in the first half; the outside calls those in the second.
Every method that returns an awaitable may raise ``gateway.errors.GatewayError``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NewType, Protocol

from gateway.calls.events import AppEvent
from gateway.calls.record import CallRecord, HistoryPage
from gateway.values import (
    EXPECTED,
    Address,
    CallId,
    Client,
    ClientId,
    Contact,
    Direction,
    FarSide,
    HostPort,
    LegEnd,
    LegId,
    LegKind,
    LegMedia,
    LegProfile,
    LegStats,
    Reason,
    SipAddress,
    SipTarget,
    TelAddress,
    Transport,
    UserAddress,
    WorkerId,
)

Prompt = NewType("Prompt", str)
"""``prompt:NAME``: a recording, NAME.wav, that is played once."""
Sound = Literal["ringback", "hold"] | Prompt
"""What a worker can play to a leg by itself; ``ringback`` and ``hold`` last until ``stop``."""


def prompt(name: str) -> Prompt:
    """``name`` is the recording's file name without ``.wav``: ``a-z``, ``0-9``, ``_`` and ``-``."""
    return Prompt(f"prompt:{name}")


# --- what calls/ needs ------------------------------------------------------------------


class LegEvents(Protocol):
    """What happens to a leg; called by ``media/``, never after ``leg_closed``."""

    def leg_incoming(self, leg: LegId) -> None:
        """The INVITE that was expected has reached the worker; it may be answered now."""

    def leg_ringing(self, leg: LegId, code: int) -> None:
        """A provisional response (180, 183) came from the far end."""

    def leg_answered(self, leg: LegId) -> None:
        """The far end answered 2xx, or the ACK of our 2xx came: the dialog is confirmed."""

    def leg_media(self, leg: LegId, media: LegMedia) -> None:
        """The media session stands (again): after each completed offer and answer."""

    def leg_dtmf(self, leg: LegId, digit: str, duration_ms: int) -> None:
        """The far end pressed one of ``0-9A-D*#``; told once a press, when it ended."""

    def leg_played(self, leg: LegId, sound: Sound) -> None:
        """A prompt was played to its end; not told of one that was stopped or replaced."""

    def leg_stats(self, leg: LegId, stats: LegStats) -> None:
        """Every ``media.stats_interval_s`` while media stands."""

    def leg_closed(self, leg: LegId, end: LegEnd) -> None:
        """Last word: the worker holds nothing of this leg any more."""

    def worker_lost(self) -> None:
        """The worker is gone with all its legs; no ``leg_closed`` will follow."""


@dataclass(frozen=True, slots=True)
class LegAnswer:
    """The answer to an app client's offer."""

    sdp: str
    media: LegMedia


class WorkerLease(Protocol):
    """One call's share of one media worker: up to ``legs`` legs, all of one call."""

    worker: WorkerId
    sip: HostPort
    """The loopback address of the worker's SIP socket, for the edge to forward to."""

    async def open_sip_leg(self, leg: LegId, target: SipTarget) -> None:
        """Send an INVITE through the edge; progress comes as events."""

    async def expect_sip_leg(
        self, leg: LegId, profile: LegProfile = EXPECTED, joined: HostPort | None = None
    ) -> None:
        """An INVITE with this leg's id will come; hold it until ``answer``.

        The edge forwards it, or the worker at ``joined`` sends it.
        """

    async def answer(self, leg: LegId, code: int, text: str = "") -> None:
        """Answer an incoming SIP leg: 180, 200, or a final refusal."""

    async def open_app_leg(self, leg: LegId, offer: str) -> LegAnswer:
        """Make a leg from a bare, plain SDP offer (``RTP/AVP`` or ``RTP/SAVP`` with SDES)."""

    async def reoffer(self, leg: LegId, offer: str) -> LegAnswer:
        """A fresh offer on an app leg."""

    async def connect(self, a: LegId, b: LegId) -> None:
        """Let two legs hear each other (``a == b``: its own echo).

        Only the call machine calls this, and only once both sides have accepted.
        """

    async def disconnect(self, a: LegId, b: LegId) -> None:
        """Neither hears the other any more, whether ``connect`` or ``listen`` let it."""

    async def listen(self, source: LegId, sink: LegId) -> None:
        """Let ``sink`` hear ``source``, and not the other way round; ``connect`` adds that.

        For early media: a far end that is to be heard before it has accepted.
        """

    async def unlisten(self, source: LegId, sink: LegId) -> None:
        """``sink`` hears ``source`` no longer; the other way stays as it is."""

    async def mute(self, leg: LegId, muted: bool) -> None:
        """What this leg says is (not) heard by the others."""

    async def hold(self, leg: LegId, held: bool) -> None:
        """Re-INVITE a SIP leg ``sendonly`` or ``sendrecv`` (RFC 3264 §8.4)."""

    async def dtmf(self, leg: LegId, digits: str, duration_ms: int) -> None:
        """Send RFC 4733 events; done when the last digit is sent; ``,`` pauses 500 ms."""

    async def play(self, leg: LegId, sound: Sound) -> None:
        """Play to this leg alone, in place of what was played before.

        A prompt ends by itself, with ``leg_played``.  ``MediaFailed`` for one that there is not.
        """

    async def stop(self, leg: LegId) -> None: ...

    async def close_leg(
        self,
        leg: LegId,
        code: int,
        text: str,
        cause: int | None = None,
        *,
        why: str = "",
        retry_after_s: int | None = None,
    ) -> None:
        """BYE, CANCEL or refusal, as its state needs; its Reason is ``why``, else of ``cause``.

        ``leg_closed`` follows.  Idempotent.
        """

    async def notify(self, leg: LegId, code: int, text: str, *, final: bool) -> None:
        """Tell a far end what became of its REFER (RFC 3515 §2.4.4)."""

    def widen(self, legs: int) -> bool:
        """Room for so many legs more; ``False`` where the worker has none."""

    def share(self, legs: int, events: LegEvents) -> WorkerLease | None:
        """For another call that joins this one, in the same worker; ``None``: it has no room."""

    async def release(self) -> None:
        """Give the share back; closes what is left of its legs.  Idempotent."""


class MediaPool(Protocol):
    async def lend(self, call: CallId, legs: int, events: LegEvents, spare: int = 0) -> WorkerLease:
        """A share of a worker with room for ``legs`` legs; ``NoCapacity`` when none is left.

        ``spare`` more, at most what a worker holds, are kept for ``share`` and ``widen``.
        """


@dataclass(frozen=True, slots=True)
class PlainOffer:
    """An app client's offer turned into what a worker takes."""

    sdp: str
    secure: bool
    codec: str | None
    """The codec the browser will hear, where rtpengine transcodes (``opus``); else ``None``."""


class AppMedia(Protocol):
    """One app client's media path in one call: through rtpengine, or straight."""

    async def offer(self, sdp: str) -> PlainOffer:
        """Turn a client's (fresh) offer into plain SDP; ``SdpUnusable`` where it cannot be."""

    async def answer(self, sdp: str) -> str:
        """Turn the worker's answer into the client's answer."""

    async def stats(self) -> LegStats | None:
        """What the client's own path measures; ``None`` where that is the worker's leg."""

    async def close(self) -> None:
        """Idempotent; leaves nothing behind in rtpengine."""


class AppMediaPaths(Protocol):
    def path_for(self, call: CallId, leg: LegId, offer: str) -> AppMedia:
        """Choose by the offer's profile; ``SdpUnusable`` for one that is not taken."""


class Anchor(Protocol):
    """One SIP leg's media through rtpengine, whatever either side offers or answers."""

    async def offer(self, sdp: str, *, from_worker: bool) -> str:
        """An offer as the other side is to see it; ``SdpUnusable`` where it cannot be."""

    async def answer(self, sdp: str, *, from_worker: bool) -> str: ...

    async def close(self) -> None:
        """Idempotent; leaves nothing behind in rtpengine."""


class Anchors(Protocol):
    def needed(self, offer: str) -> bool:
        """Whether a worker cannot take this offer of a SIP peer, and rtpengine can."""

    def anchor(self, call: CallId, leg: LegId, far: FarSide | None) -> Anchor:
        """``far`` is ``None`` for a leg that the far end began: its offer says what it wants."""


class AnchoredLegs(Protocol):
    """Implemented by the edge, which every message of a SIP leg passes."""

    def anchored(self, leg: LegId, anchor: Anchor | None) -> None:
        """Rewrite the SDP of this leg's dialog through the anchor; ``None``: no more."""


class AppClients(Protocol):
    """The people who are signed in."""

    def clients_of(self, handle: str) -> Sequence[Client]:
        """Every client of this person, also those whose socket is being resumed."""

    def notify(self, client: ClientId, event: AppEvent) -> None:
        """Send an event; kept (bounded) for a client that is reconnecting; unknown ids: ignored."""


class Locations(Protocol):
    """The registrar's bindings."""

    def is_account(self, aor: SipAddress) -> bool: ...

    def display_name(self, aor: SipAddress) -> str: ...

    def contacts(self, aor: SipAddress) -> Sequence[Contact]:
        """Current bindings, best ``q`` first."""


class CallRecords(Protocol):
    """Durable: once the awaitable fires, the record outlives ``kill -9``."""

    async def save(self, record: CallRecord) -> None:
        """Insert or update by ``record.call``."""


class CallMeters(Protocol):
    def call_began(self, direction: Direction) -> None: ...
    def call_seen(self, direction: Direction) -> None: ...
    def call_accepted(self, direction: Direction) -> None: ...
    def call_connected(self, direction: Direction, setup_s: float) -> None: ...
    def call_ended(self, direction: Direction, reason: Reason, duration_s: float) -> None:
        """``duration_s`` is 0 for a call that never connected."""

    def group_began(self) -> None: ...
    def group_joined(self) -> None: ...
    def group_ended(self) -> None: ...
    def leg_began(self, kind: LegKind) -> None: ...
    def leg_ended(self, kind: LegKind) -> None: ...
    def leg_measured(self, before: LegStats, now: LegStats) -> None:
        """New figures of one leg, with those told last, so that counters take the difference."""


@dataclass(frozen=True, slots=True)
class Farewell:
    """The message that ends one SIP dialog (or early dialog) if nobody is left to do it properly.

    A BYE, a CANCEL or a 500 response, ready to send from ``source`` to ``destination``.
    """

    transport: Transport
    source: HostPort
    destination: HostPort
    payload: bytes


class Wills(Protocol):
    """Workers send these if the daemon dies.  Implemented by the pool, called by the edge."""

    def keep(self, worker: HostPort, dialog: str, farewell: Farewell | None) -> None:
        """Replace what the worker at this loopback address keeps for a dialog; ``None`` drops."""


class WorkerWatch(Protocol):
    """Implemented by the edge, called by the pool: which loopback addresses are workers."""

    def worker_up(self, sip: HostPort) -> None: ...
    def worker_gone(self, sip: HostPort) -> None:
        """It is dead: the edge ends the dialogs it had (BYE, CANCEL or 500)."""


class EdgeMeters(Protocol):
    def request(self, method: str) -> None: ...
    def response(self, code: int) -> None: ...
    def dropped(self, reason: str) -> None:
        """``reason`` is one of a bounded set."""

    def registrations(self, count: int) -> None: ...


WorkerState = Literal["starting", "idle", "busy", "draining"]


class PoolMeters(Protocol):
    def workers(self, state: WorkerState, count: int) -> None: ...


class DnsMeters(Protocol):
    def dns_query(self, rdtype: str, result: str, seconds: float) -> None:
        """One question that servers were asked; both labels are of bounded sets."""


class QualityModel(Protocol):
    def mos(self, codec: str, loss: float, jitter_ms: float, rtt_ms: float | None) -> float:
        """Mean opinion score, 1 to 4.5, of one direction (ITU-T G.107); ``loss`` 0 to 1."""


class DelayedCall(Protocol):
    def cancel(self) -> None: ...
    def active(self) -> bool: ...


class Clock(Protocol):
    """Twisted's ``IReactorTime``, in part."""

    def seconds(self) -> float: ...
    def callLater(self, delay: float, func: Callable[[], object]) -> DelayedCall: ...


# --- what calls/ offers -----------------------------------------------------------------


class DmCalls(Protocol):
    """What ``app/`` asks for on behalf of a signed-in client."""

    async def invite(
        self, client: Client, to: Address, thread: str | None, sdp: str | None
    ) -> CallId: ...
    async def accept(self, client: Client, call: CallId, sdp: str | None) -> None: ...
    async def decline(
        self, client: Client, call: CallId, reason: Literal["declined", "busy"]
    ) -> None: ...
    async def hangup(self, client: Client, call: CallId) -> None: ...
    async def mute(self, client: Client, call: CallId, muted: bool) -> None: ...
    async def hold(self, client: Client, call: CallId, held: bool) -> None: ...
    async def dtmf(self, client: Client, call: CallId, digits: str, duration_ms: int) -> None:
        """Done when the last digit is sent."""

    async def media(self, client: Client, call: CallId, sdp: str) -> str:
        """A fresh offer; returns the answer."""

    async def transfer(self, client: Client, call: CallId, to: Address) -> None:
        """Done when the target has answered and hears the other party; the client has left then."""

    async def add(self, client: Client, call: CallId, to: Address) -> None:
        """Done when another is being rung; whether they join comes as an event."""

    async def whisper(self, client: Client, call: CallId, to: Address | None) -> None:
        """Speak to one of a group alone, or to all again."""

    async def listen(self, client: Client, call: CallId, listening: bool) -> None:
        """Hear a group without being heard."""

    async def mute_all(self, client: Client, call: CallId, muted: bool) -> None:
        """Everybody but this client's person is heard no longer, or again."""

    def client_gone(self, client: ClientId) -> None:
        """The client did not come back in time; its calls end with ``network_lost``."""

    def client_joined(self, client: Client) -> None:
        """A new client signed in: calls that are ringing for its person ring on it too."""


@dataclass(frozen=True, slots=True)
class IncomingInvite:
    """An admitted out-of-dialog INVITE, as the edge read it."""

    caller: SipAddress | TelAddress
    """Who it is: the account that was authenticated, or the trusted peer's From address."""
    caller_name: str
    target: Address
    """What the Request-URI names in our domain: an account, a user, a service, a number."""
    sip_call_id: str
    offer: bytes | None
    source: HostPort
    transport: Transport
    trunk: str | None = None
    """The trunk it comes from."""
    identity: tuple[str, ...] = ()
    """Identity headers (RFC 8224), for a trunk's calls."""
    date: float | None = None
    to: str = ""
    """The number or URI of To, which a signature is for."""


@dataclass(frozen=True, slots=True)
class Forward:
    """Send the INVITE to this worker, marked with the leg's id; ``offer`` is instead of its own."""

    worker: HostPort
    leg: LegId
    offer: bytes | None = None


@dataclass(frozen=True, slots=True)
class Refuse:
    code: int
    text: str = ""
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class Referral:
    """A REFER (RFC 3515): to whom the far end of a leg wants to transfer its call.

    ``replaces`` is the leg of the call that the target is in with the far end, where the
    transfer is attended and that dialog is ours.
    """

    target: Address
    replaces: LegId | None = None


class IncomingCalls(Protocol):
    """What ``edge/`` asks for."""

    def refer(self, leg: LegId, referral: Referral) -> Refuse | None:
        """Decide on a REFER; ``None``: it is taken, and its outcome will be notified."""

    async def incoming(self, invite: IncomingInvite) -> Forward | Refuse:
        """Decide on an INVITE.  The edge cancels the awaitable when the caller gives up first."""


class History(Protocol):
    """What ``app/`` asks of the kept calls on behalf of a signed-in person."""

    async def list(
        self,
        user: UserAddress,
        before: str | None,
        limit: int,
        with_: Address | None,
        missed: bool | None,
    ) -> HistoryPage:
        """At most ``limit`` (1 to 100) calls in which ``user`` took part, newest first.

        ``before`` is the ``next`` of the page before, opaque to clients; one that is not ours gives
        an empty page.  ``with_`` keeps calls with that party, ``missed`` those (not) missed.
        """

    async def hide(self, user: UserAddress, calls_: Sequence[CallId] | None) -> int:
        """Delete these calls (``None``: all) from this person's view alone; how many there were."""
