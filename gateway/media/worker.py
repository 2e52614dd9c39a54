"""A media worker: one process, one PJSIP endpoint, a few legs.

Run by the pool with its options as the only argument and the channel to the daemon on
descriptors 3 (in) and 4 (out): PJSIP prints to standard output before it can be told not
to.  The worker does what it is told and connects nothing by itself.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from twisted.internet import reactor as _reactor
from twisted.internet import stdio
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.protocol import connectionDone
from twisted.internet.task import LoopingCall
from twisted.protocols.amp import AMP, AmpBox, Command
from twisted.python.failure import Failure

from gateway.errors import MediaFailed, SdpUnusable
from gateway.media import commands as c
from gateway.media.accounts import Account
from gateway.media.bridge import Bridge
from gateway.media.endpoint import LEG_MARK, Endpoint
from gateway.media.farewells import Farewells
from gateway.media.figures import figures_of
from gateway.media.leg import Leg
from gateway.media.loopback_ua import LoopbackUa
from gateway.media.options import LEGS_A_SECOND_AT_MOST, Options, Pace
from gateway.media.peer_sdp import unusable
from gateway.media.sip_socket import SipSocket
from gateway.values import EXPECTED, LegEnd, LegMedia, LegProfile, LegStats

reactor: Any = _reactor

TICK_S: Final = 0.05
"""With legs: PJSIP's timers, and events that its media threads have left."""
IDLE_TICK_S: Final = 0.5
STALLED_S: Final = 10
"""A worker whose loop stands still so long is ended by the kernel, daemon or no daemon."""
FAREWELL_S: Final = 1.4
DIGIT_GAP_MS: Final = 100
PAUSE_S: Final = 0.5
ROOM_S: Final = 2.0
"""For the BYE of a leg to be answered whose place another is to have."""
DTMF_DIGITS: Final = frozenset("0123456789ABCD*#")

_MARK: Final = re.compile(rf"^{LEG_MARK}:\s*(\S+)\s*$", re.I | re.M)


class Worker(AMP):
    """The channel to the daemon, and all legs; implements ``leg.LegReports``."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self._options = options
        self._legs: dict[str, Leg] = {}
        self._expected: dict[str, str] = {}  # each with the address its INVITE comes from
        self._bridge = Bridge(self._legs)
        self._farewells = Farewells(reactor)
        self._begun = Pace(LEGS_A_SECOND_AT_MOST)
        self._draining = self._alone = self._poll_due = False
        self._places = 0
        self._parted: list[Deferred[None]] = []
        self._endpoint = Endpoint(options, self._incoming, self._rejected, self._account_for)
        self._ua = LoopbackUa(reactor, self._endpoint.sip_port, LEG_MARK)
        self._answers: dict[str, Deferred[LegMedia]] = {}
        reactor.addReader(SipSocket(self._endpoint.sip_descriptor, self._endpoint.poll))
        self._ticking = LoopingCall(self._endpoint.poll)
        self._ticking.start(IDLE_TICK_S)
        self._fast = False

    # -- the channel

    def connectionMade(self) -> None:
        super().connectionMade()
        self.callRemote(c.Ready, sip_port=self._endpoint.sip_port, legs=self._options.legs)
        LoopingCall(self._beat).start(c.BEAT_S)
        LoopingCall(self._measure).start(self._options.stats_interval_s, now=False)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The daemon is gone: say what it would have said, and leave."""
        super().connectionLost(reason)
        self._alone = True
        reactor.callLater(FAREWELL_S, os._exit, 0)
        self._farewells.send().addBoth(lambda _: os._exit(0))

    def ampBoxReceived(self, box: AmpBox) -> None:
        super().ampBoxReceived(box)
        if not self._poll_due:  # what the command set going is not left to the next tick
            self._poll_due = True
            reactor.callLater(0, self._poll_now)

    def _poll_now(self) -> None:
        self._poll_due = False
        self._endpoint.poll()

    def _tell(self, event: type[Command], **values: Any) -> None:
        if not self._alone:
            self.callRemote(event, **values)

    def _beat(self) -> None:
        signal.alarm(STALLED_S)
        self._tell(c.Beat, legs=len(self._legs))

    def _pace(self) -> None:
        fast = self._places > 0
        if fast != self._fast:
            self._fast = fast
            self._ticking.stop()
            self._ticking.start(TICK_S if fast else IDLE_TICK_S, now=False)

    def later(self, delay_s: float, func: Callable[[], None]) -> Any:
        return reactor.callLater(delay_s, func)

    # -- INVITEs that reach the endpoint

    def _expected_leg(self, message: str, source: str) -> str | None:
        """The leg whose INVITE this is: from the edge (SIP) or from our own agent (app)."""
        match = _MARK.search(message.partition("\r\n\r\n")[0])
        name = match[1] if match else ""
        return name if name and self._expected.get(name) == source else None

    def _account_for(self, message: str, source: str) -> Account | None:
        name = self._expected_leg(message, source)
        if name is None:
            return None
        # from our own agent, or from another worker: on loopback both
        return self._legs[name].account or self._endpoint.accounts.local

    def _incoming(self, account: Account, call_id: int, message: str, source: str) -> None:
        name = self._expected_leg(message, source)
        if name is None:
            stray = Leg("", self._endpoint, self)
            stray.take(account, call_id, message)
            stray.answer(403)
            return
        self._expected.pop(name, None)
        leg = self._legs[name]
        leg.take(account, call_id, message)
        if name in self._answers:
            try:
                leg.answer(200)
            except ValueError:
                leg.close(488, "Not Acceptable Here")
            return
        if unusable(message) or not leg.takes(message):
            leg.close(488, "Not Acceptable Here")
        else:
            self.leg_state(name, "incoming", 0)

    def _rejected(self, code: int, reason: str, message: str, source: str) -> None:
        """PJSIP has refused an INVITE by itself: no codec in common, an extension it lacks."""
        name = self._expected_leg(message, source)
        if name is None:
            return
        self._expected.pop(name, None)
        if name not in self._answers:
            self._legs[name].refused(code, reason)

    def _leg(self, name: str) -> Leg:
        leg = self._legs.get(name)
        if leg is None:
            raise MediaFailed(f"no leg {name}")
        return leg

    def _new(self, name: str, profile: LegProfile = EXPECTED) -> Leg:
        if name in self._legs:
            raise MediaFailed(f"leg {name} is there already")
        if len(self._legs) >= self._options.legs:
            raise MediaFailed("this worker is full")
        now = time.monotonic()
        if not self._begun.room(now):
            raise MediaFailed("too many legs in one second")
        self._begun.begin(now)
        leg = self._legs[name] = Leg(name, self._endpoint, self, profile)
        self._places += 1
        self._pace()
        return leg

    async def _room(self) -> None:
        """Wait for a place that a leg which is over has not yet left: one takes another's."""
        until = time.monotonic() + ROOM_S
        while self._places >= self._options.legs > len(self._legs) and time.monotonic() < until:
            self._parted.append(left := Deferred[None]())
            left.addTimeout(ROOM_S, reactor)
            try:
                await left
            except DeferredTimeout:
                return

    # -- commands

    @c.OpenLeg.responder
    def open_leg(self, **request: Any) -> Deferred[dict[str, Any]]:
        return Deferred.fromCoroutine(self._open_leg(**request))

    async def _open_leg(
        self,
        leg: str,
        uri: str,
        to: str,
        from_uri: str,
        from_name: str,
        flow: str,
        joins: str,
        headers: list[dict[str, str]],
        **profile: Any,
    ) -> dict[str, Any]:
        await self._room()
        marks = [(LEG_MARK, joins or leg)]
        if flow:
            marks.append(("X-DMGW-Flow", flow))
        marks += [(h["name"], h["value"]) for h in headers]
        made = self._new(leg, c.profile_of(profile))
        try:
            made.dial(uri, to, from_uri, from_name, marks, local=bool(joins))
        except ValueError as e:
            self._forget(leg)
            self.leg_parted(leg)
            raise MediaFailed(str(e)) from None
        return {}

    @c.ExpectLeg.responder
    def expect_leg(self, leg: str, source: str, **profile: Any) -> Deferred[dict[str, Any]]:
        return Deferred.fromCoroutine(self._expect_leg(leg, source, c.profile_of(profile)))

    async def _expect_leg(self, leg: str, source: str, profile: LegProfile) -> dict[str, Any]:
        await self._room()
        made = self._new(leg, profile)
        try:
            if not source:
                made.expect()
        except ValueError as e:
            self._forget(leg)
            self.leg_parted(leg)
            raise MediaFailed(str(e)) from None
        self._expected[leg] = source or self._options.proxy
        return {}

    @c.Answer.responder
    def answer(self, leg: str, code: int, text: str) -> dict[str, Any]:
        self._try(lambda: self._leg(leg).answer(code, text))
        return {}

    @c.Offer.responder
    def offer(self, leg: str, sdp: str, again: bool) -> Deferred[dict[str, Any]]:
        return Deferred.fromCoroutine(self._offer(leg, sdp, again))

    async def _offer(self, leg: str, sdp: str, again: bool) -> dict[str, Any]:
        if again:
            self._leg(leg)
        else:
            self._new(leg)
            self._expected[leg] = self._ua.at
        answered: Deferred[LegMedia] = Deferred()
        self._answers[leg] = answered
        try:
            text = await self._ua.offer(leg, sdp)
            if leg in self._legs and self._legs[leg].media is not None:
                media = self._legs[leg].media
            else:
                answered.addTimeout(2, reactor)
                media = await answered
        except BaseException as e:
            self._expected.pop(leg, None)
            if not again:
                self._drop(leg)
            if isinstance(e, SdpUnusable):
                raise
            raise MediaFailed("the media session did not come up") from e
        finally:
            self._answers.pop(leg, None)
        if media is None:
            raise MediaFailed("the media session did not come up")
        return {
            "sdp": text,
            "codec": media.codec,
            "clock_hz": media.clock_hz,
            "secure": media.secure,
        }

    @c.Connect.responder
    def connect(self, a: str, b: str) -> dict[str, Any]:
        self._leg(a), self._leg(b)
        self._bridge.connect(a, b)
        return {}

    @c.Disconnect.responder
    def disconnect(self, a: str, b: str) -> dict[str, Any]:
        self._bridge.disconnect(a, b)
        return {}

    @c.Listen.responder
    def listen(self, source: str, sink: str) -> dict[str, Any]:
        self._leg(source), self._leg(sink)
        self._bridge.listen(source, sink)
        return {}

    @c.Unlisten.responder
    def unlisten(self, source: str, sink: str) -> dict[str, Any]:
        self._bridge.unlisten(source, sink)
        return {}

    @c.Mute.responder
    def mute(self, leg: str, muted: bool) -> dict[str, Any]:
        self._leg(leg)
        self._bridge.mute(leg, muted)
        return {}

    @c.Hold.responder
    def hold(self, leg: str, held: bool) -> dict[str, Any]:
        self._try(lambda: self._leg(leg).hold(held))
        return {}

    @c.SendDtmf.responder
    def send_dtmf(self, leg: str, digits: str, duration_ms: int) -> Deferred[dict[str, Any]]:
        return Deferred.fromCoroutine(self._send_dtmf(leg, digits, duration_ms))

    async def _send_dtmf(self, leg: str, digits: str, duration_ms: int) -> dict[str, Any]:
        inband = self._leg(leg).tones_inband
        try:
            for digit in digits.upper():
                if digit in DTMF_DIGITS:
                    self._bridge.hush(leg, inband)
                    self._try(partial(self._leg(leg).send_digit, digit, duration_ms))
                    await _wait((duration_ms + DIGIT_GAP_MS) / 1000)
                else:
                    self._bridge.hush(leg, False)
                    await _wait(PAUSE_S)
        finally:
            self._bridge.hush(leg, False)
        return {}

    @c.Notify.responder
    def notify(self, leg: str, code: int, text: str, final: bool) -> dict[str, Any]:
        self._try(lambda: self._leg(leg).notify(code, text, final=final))
        return {}

    @c.Play.responder
    def play(self, leg: str, sound: str) -> dict[str, Any]:
        self._try(lambda: self._leg(leg).play(sound))
        return {}

    @c.Stop.responder
    def stop(self, leg: str) -> dict[str, Any]:
        self._try(self._leg(leg).stop_playing)
        return {}

    @c.CloseLeg.responder
    def close_leg(
        self, leg: str, code: int, text: str, why: str, retry_after_s: int
    ) -> dict[str, Any]:
        self._expected.pop(leg, None)
        if leg in self._legs:
            self._legs[leg].close(code, text, why, retry_after_s)
        return {}

    @c.Will.responder
    def will(
        self,
        dialog: str,
        transport: str,
        source: str,
        source_port: int,
        host: str,
        port: int,
        payload: bytes,
    ) -> dict[str, Any]:
        self._farewells.keep(dialog, transport, (source, source_port), (host, port), payload)
        return {}

    @c.Drain.responder
    def drain(self) -> dict[str, Any]:
        self._draining = True
        self._leave_if_idle()
        return {}

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except ValueError as e:
            raise MediaFailed(str(e)) from None

    # -- leg.LegReports

    def leg_state(self, leg: str, state: str, code: int) -> None:
        self._tell(c.LegState, leg=leg, state=state, code=code)

    def leg_media(self, leg: str, media: LegMedia) -> None:
        self._bridge.changed(leg)
        waiting = self._answers.get(leg)
        if waiting is not None and not waiting.called:
            waiting.callback(media)
        self._tell(
            c.LegMediaUp,
            leg=leg,
            codec=media.codec,
            clock_hz=media.clock_hz,
            secure=media.secure,
            remote_held=media.remote_held,
        )

    def leg_dtmf(self, leg: str, digit: str, duration_ms: int) -> None:
        self._tell(c.HeardDtmf, leg=leg, digit=digit, duration_ms=duration_ms)

    def leg_played(self, leg: str, sound: str) -> None:
        self._tell(c.Played, leg=leg, sound=sound)

    def leg_closed(self, leg: str, end: LegEnd) -> None:
        if leg not in self._legs:
            return
        self._forget(leg)
        stats = end.stats or LegStats()
        self._tell(
            c.LegClosed,
            leg=leg,
            code=end.code,
            text=end.text,
            remote=end.remote,
            cause=end.cause or 0,
            contacts="\n".join(end.contacts),
            retry_after_s=-1 if end.retry_after_s is None else end.retry_after_s,
            why=end.why,
            has_stats=end.stats is not None,
            **figures_of(stats),
        )

    def leg_parted(self, leg: str) -> None:
        if leg:  # one that nobody expected has no name
            self._places -= 1
            self._pace()
            self._tell(c.LegParted, leg=leg)
            waiting, self._parted = self._parted, []
            for left in waiting:
                if not left.called:
                    left.callback(None)
            self._leave_if_idle()

    def _drop(self, name: str) -> None:
        leg = self._legs.get(name)
        if leg is not None:
            self._forget(name)
            leg.close(488, "Not Acceptable Here")

    def _forget(self, name: str) -> None:
        self._legs.pop(name, None)
        self._expected.pop(name, None)
        self._bridge.forget(name)
        self._ua.forget(name)

    def _leave_if_idle(self) -> None:
        if self._draining and not self._places:
            reactor.callLater(0, lambda: os._exit(0))

    # -- figures

    def _measure(self) -> None:
        for name, leg in tuple(self._legs.items()):
            before = leg.last_received
            stats = leg.stats()
            if stats is None or leg.media is None:
                continue
            self._tell(c.Stats, leg=name, **figures_of(stats))
            heard = stats.received.packets != before
            if heard or not leg.expects_rtp():
                leg.silent_s = 0.0
                continue
            leg.silent_s += self._options.stats_interval_s
            if leg.silent_s >= self._options.rtp_timeout_s:
                leg.close(408, "No RTP", "SIP;cause=488")


def _wait(delay_s: float) -> Deferred[None]:
    done: Deferred[None] = Deferred()
    reactor.callLater(delay_s, done.callback, None)
    return done


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the daemon decides when workers go
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    fields = json.loads(sys.argv[1])
    fields["codecs"] = tuple(fields["codecs"])
    worker = Worker(Options(**fields))
    channel: Any = stdio.StandardIO  # its stubs forget the descriptors
    channel(worker, stdin=3, stdout=4)
    reactor.run(installSignalHandlers=False)
