"""One leg: a PJSIP call, and what the worker is told of it.

A ``Leg`` lives until PJSIP has said DISCONNECTED, and its call object until the main loop
has come round once more: an object that is collected inside its own callback aborts the
process.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from random import randint
from typing import Any, Final, Protocol

import pjsua2 as pj

from gateway.media.accounts import Account
from gateway.media.dialog import Dialog, end_of, header, message_of, source_of
from gateway.media.endpoint import Endpoint
from gateway.media.far_end import FarEnd
from gateway.media.leg_sdp import has_codec, rtp_port, srtp_fits, with_codecs, with_packet_time
from gateway.media.playing import Playing
from gateway.media.presses import Presses
from gateway.values import EXPECTED, LegEnd, LegMedia, LegProfile, LegStats, StreamStats

_NAMES: Final = {"speex": "speex", "ilbc": "iLBC", "gsm": "GSM"}
_PARTING_S: Final = 0.1
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]+")
"""In a header they would begin another one."""
_UNANSWERED: Final = {pj.PJSIP_INV_STATE_INCOMING, pj.PJSIP_INV_STATE_EARLY}
_BUSY: Final = 70013
"""PJ_EINVALIDOP: another offer is not answered yet."""
_SRTP_ACTIVE: Final = re.compile(r"SRTP status: Active\b")


class LegReports(Protocol):
    """What a leg tells its worker."""

    def leg_state(self, leg: str, state: str, code: int) -> None: ...
    def leg_media(self, leg: str, media: LegMedia) -> None: ...
    def leg_dtmf(self, leg: str, digit: str, duration_ms: int) -> None: ...
    def leg_played(self, leg: str, sound: str) -> None: ...
    def leg_closed(self, leg: str, end: LegEnd) -> None: ...
    def leg_parted(self, leg: str) -> None: ...
    def later(self, delay_s: float, func: Callable[[], None]) -> Any: ...


class Leg:
    def __init__(
        self,
        name: str,
        endpoint: Endpoint,
        reports: LegReports,
        profile: LegProfile = EXPECTED,
    ) -> None:
        self.name = name
        self._profile = profile
        self.account: Account | None = None
        self._endpoint = endpoint
        self._reports = reports
        self._call: Dialog | None = None
        self._asked: LegEnd | None = None
        self._closed = self._parted = False
        self._sip_call_id = ""
        self._look_again_s = 0.005
        self._incoming = self._answered = False
        self._stream: int | None = None
        self._far_end = FarEnd(reports.later)
        self._playing = Playing(
            endpoint.options,
            endpoint.clock_hz,
            lambda sound: reports.leg_played(name, sound),
            reports.later,
        )
        self.presses = Presses(lambda d, ms: reports.leg_dtmf(name, d, ms), reports.later)
        self._held = self._busy = False
        self._retry: Any = None
        self._stats: LegStats | None = None
        self._before = LegStats()
        self.media: LegMedia | None = None
        self.silent_s = 0.0

    # -- beginning

    def dial(
        self,
        uri: str,
        to: str,
        from_uri: str,
        from_name: str,
        headers: list[tuple[str, str]],
        *,
        local: bool = False,
    ) -> None:
        """Send the INVITE; ``pj.Error`` becomes ``ValueError`` with PJSIP's word for it."""
        if not local:
            self.expect()
        account = self._endpoint.accounts.local if local else self.account
        if account is None:
            raise ValueError("the leg is closed")
        self._endpoint.accounts.turn(account)
        self._call = Dialog(account, self)
        self._endpoint.alive.add(self)
        prm = pj.CallOpParam(True)
        prm.opt.audioCount = 1
        prm.opt.videoCount = 0
        name = _CONTROLS.sub(" ", from_name)
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        prm.txOption.localUri = f'"{quoted}" <{from_uri}>' if name else f"<{from_uri}>"
        prm.txOption.targetUri = uri
        for given, value in headers:
            prm.txOption.headers.append(header(given, _CONTROLS.sub(" ", value)))
        try:
            self._call.makeCall(f"<{to}>", prm)
        except pj.Error as e:
            self._drop_call()
            raise ValueError(e.reason) from None

    def expect(self) -> None:
        """Take an account for the call to come; ``ValueError`` where there is none for it."""
        codecs = self._codecs
        if not self._endpoint.codecs & {name.lower() for name in codecs}:
            raise ValueError(f"this PJSIP has none of the codecs {', '.join(codecs)}")
        self.account = self._endpoint.accounts.take(self._profile)

    @property
    def _codecs(self) -> tuple[str, ...]:
        return self._profile.codecs or self._endpoint.options.codecs

    def take(self, account: Account, call_id: int, message: str) -> None:
        """An INVITE that has come in; PJSIP holds it until ``answer``."""
        self._call = Dialog(account, self, call_id)
        self._endpoint.alive.add(self)
        self._incoming = True
        self._far_end.source = source_of(message)

    def answer(self, code: int, text: str = "") -> None:
        """A response to the INVITE; ``ValueError`` where none is due any more."""
        if not 100 <= code <= 699:
            raise ValueError(f"no SIP status {code}")
        if not self._incoming or self._state() not in _UNANSWERED:
            raise ValueError("the leg has no INVITE to answer")
        prm = pj.CallOpParam(True)
        prm.statusCode = code
        prm.reason = text
        self._do(lambda call: call.answer(prm))

    # -- while it lasts

    def audio(self) -> Any:
        """The leg's port on the conference bridge, while its media is active; else ``None``."""
        if self._call is None or self.media is None or self._closed:
            return None
        try:
            return self._call.getAudioMedia(-1)
        except pj.Error:
            return None

    def nobody(self) -> Any:
        """The bridge's own clock, which hears and drops."""
        return self._endpoint.nobody()

    def hold(self, held: bool) -> None:
        """Re-INVITE with ``sendonly``, or ``sendrecv`` again."""
        if held == self._held:
            return
        if self._state() != pj.PJSIP_INV_STATE_CONFIRMED:
            raise ValueError("a leg that is not answered cannot be held")
        self._held = held
        try:
            self._do(self._reinvite)
        except ValueError:
            if not self._busy:
                self._held = not held
                raise
            self._again_later()

    def _reinvite(self, call: Any) -> None:
        prm = pj.CallOpParam(True)
        self._busy = False
        try:
            if self._held:
                call.setHold(prm)
            else:
                prm.opt.flag = pj.PJSUA_CALL_UNHOLD
                call.reinvite(prm)
        except pj.Error as e:
            self._busy = e.status == _BUSY
            raise

    def _again_later(self) -> None:
        """An offer of the far end's was in our way (RFC 3261 §14.1)."""
        if self._retry is not None and self._retry.active():
            return
        lowest, highest = (0, 200) if self._incoming else (210, 400)
        self._retry = self._reports.later(
            randint(lowest, highest) / 100,  # noqa: S311  # no secret
            self._offer_again,
        )

    def _offer_again(self) -> None:
        if self._closed or self._asked is not None:
            return
        try:
            self._do(self._reinvite)
        except ValueError:
            if self._busy:
                self._again_later()

    def send_digit(self, digit: str, duration_ms: int) -> None:
        """As the profile says; by SIP INFO, too, where the far end takes no telephone-event."""
        if self.media is None or self._state() != pj.PJSIP_INV_STATE_CONFIRMED:
            raise ValueError("a leg that is not answered takes no digits")
        if self.tones_inband:
            self._playing.press(digit, duration_ms, self.audio())
            return
        prm = pj.CallSendDtmfParam()
        prm.digits = digit
        prm.duration = duration_ms
        if self._profile.dtmf == "rfc4733":
            prm.method = pj.PJSUA_DTMF_METHOD_RFC2833
            with suppress(ValueError):  # where it has announced none
                self._do(lambda call: call.sendDtmf(prm))
                return
        prm.method = pj.PJSUA_DTMF_METHOD_SIP_INFO
        self._do(lambda call: call.sendDtmf(prm))

    @property
    def tones_inband(self) -> bool:
        return self._profile.dtmf == "inband"

    def notify(self, code: int, text: str, *, final: bool) -> None:
        """RFC 3515 §2.4.4: the state of a REFER as a piece of a SIP response."""
        prm = pj.CallSendRequestParam()
        prm.method = "NOTIFY"
        state = "terminated;reason=noresource" if final else "active;expires=180"
        for name, value in (("Event", "refer"), ("Subscription-State", state)):
            prm.txOption.headers.append(header(name, value))
        prm.txOption.contentType = "message/sipfrag;version=2.0"
        prm.txOption.msgBody = f"SIP/2.0 {code} {_CONTROLS.sub(' ', text)}\r\n"
        self._do(lambda call: call.sendRequest(prm))

    def play(self, sound: str) -> None:
        """``ValueError`` for what cannot be played."""
        if self._closed or self._asked is not None:
            raise ValueError("the leg is closed")
        self._playing.play(sound, self.audio())

    def stop_playing(self) -> None:
        self._playing.stop(self.audio())

    def stats(self) -> LegStats | None:
        """Figures since the leg began; the last ones once its stream is gone."""
        if self._call is None or self.media is None or self._stream is None:
            return self._stats
        try:
            whole = self._call.getStreamStat(self._stream)
        except pj.Error:
            return self._stats
        stat = whole.rtcp  # a part of it: it must not be collected first
        rtt = stat.rttUsec.last / 1000 if stat.rttUsec.n else None
        self._stats = LegStats(
            received=_direction(stat.rxStat, self._before.received),
            sent=_direction(stat.txStat, self._before.sent),
            rtt_ms=rtt,
            codec=self.media.codec,
        )
        return self._stats

    @property
    def last_received(self) -> int:
        """Packets that the far end had sent when ``stats`` was last asked for."""
        return 0 if self._stats is None else self._stats.received.packets

    def expects_rtp(self) -> bool:
        """Whether silence on the wire would be a fault: not while either side holds."""
        return self.media is not None and not self._held and not self.media.remote_held

    # -- the end

    def close(self, code: int, text: str, why: str = "", retry_after_s: int = 0) -> None:
        """BYE, CANCEL or a final refusal, as the call's state needs.  Idempotent."""
        if self._asked is not None or self._closed:
            return
        self._asked = LegEnd(code, text, remote=False, why=why)
        self.stats()
        self.stop_playing()
        if self._call is None:
            self._finish(self._asked)
            return
        prm = pj.CallOpParam(True)
        if self._incoming and self._state() in _UNANSWERED:
            prm.statusCode = code if 300 <= code <= 699 else 480  # a 2xx would be an acceptance
            prm.reason = text
            if retry_after_s:
                prm.txOption.headers.append(header("Retry-After", str(retry_after_s)))
        # a BYE or CANCEL gets no reason text: PJSIP would add a Reason header of its own
        if why:
            prm.txOption.headers.append(header("Reason", why))
        try:
            self._call.hangup(prm)
        except pj.Error:
            self._finish(self._asked)

    def refused(self, code: int, text: str) -> None:
        """PJSIP has refused its INVITE by itself."""
        self._finish(LegEnd(code, text, remote=False))

    def _finish(self, end: LegEnd) -> None:
        if self._closed:
            return
        self._closed = True
        self._far_end.gone()
        self.presses.over()
        self.stop_playing()
        self.media = None
        self._endpoint.media_wanted(self.name, False)
        self._sip_call_id = self._call_id_of_place()
        self._reports.later(0, self._part)
        stats = self._stats
        self._reports.leg_closed(self.name, replace(end, stats=stats))

    def _call_id_of_place(self) -> str:
        """Call-ID of what is in our place in PJSIP's table; empty: it is free."""
        if self._call is None:
            return ""
        try:
            return str(self._call.getInfo().callIdString)
        except pj.Error:
            return ""

    def _part(self) -> None:
        """Let go of the call object when PJSIP has let go of the call.

        PJSIP says DISCONNECTED when it sends BYE, but the place in its small table is free only
        when that is answered, or given up after 32 s.  By then another call may be in it, which
        the end of our object would hang up: so that has to wait again.
        """
        found = self._call_id_of_place()
        if found != self._sip_call_id or not found:
            self._tell_parted()
        if found:
            self._reports.later(self._look_again_s, self._part)
            self._look_again_s = min(2 * self._look_again_s, _PARTING_S)
        else:
            self._drop_call()

    def _tell_parted(self) -> None:
        if not self._parted:
            self._parted = True
            self._reports.leg_parted(self.name)

    def _drop_call(self) -> None:
        self._endpoint.alive.discard(self)
        call, self._call = self._call, None
        if call is not None:
            call.forget()
        del call
        account, self.account = self.account, None
        if account is not None:
            self._endpoint.accounts.let_go(account)

    def _do(self, act: Callable[[Any], object]) -> None:
        if self._call is None or self._closed or self._asked is not None:
            raise ValueError("the leg is closed")
        try:
            act(self._call)
        except pj.Error as e:
            raise ValueError(e.reason) from None

    def _state(self) -> Any:
        return None if self._call is None else self._call.getInfo().state

    # -- PJSIP's callbacks

    def on_state(self, prm: Any) -> None:
        if self._call is None or self._closed:
            return
        info = self._call.getInfo()
        if info.state == pj.PJSIP_INV_STATE_EARLY and info.role == pj.PJSIP_ROLE_UAC:
            self._reports.leg_state(self.name, "ringing", info.lastStatusCode)
        elif info.state == pj.PJSIP_INV_STATE_CONFIRMED:
            self._answered = True
            self._look_where_it_is()  # who played early media may be another than who answered
            self._reports.leg_state(self.name, "answered", info.lastStatusCode)
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.stats()
            said = message_of(prm)
            remote = not self._answered or said.startswith("BYE ")
            self._finish(self._asked or end_of(info, said, remote=remote))

    def on_media(self) -> None:
        if self._call is None or self._closed:
            return
        info = self._call.getInfo()  # its parts are gone when it is
        found = [m for m in info.media if m.type == pj.PJMEDIA_TYPE_AUDIO]
        if not found:
            return
        # of several audio lines PJSIP takes one; the others are answered with port 0
        chosen = next((m for m in found if m.status != pj.PJSUA_CALL_MEDIA_NONE), found[0])
        status = chosen.status
        if status == pj.PJSUA_CALL_MEDIA_ERROR:
            self._reports.later(0, lambda: self.close(488, "Not Acceptable Here", "SIP;cause=488"))
            return
        if status == pj.PJSUA_CALL_MEDIA_NONE:
            return
        self.media = self._session(
            self._call, chosen.index, held=status == pj.PJSUA_CALL_MEDIA_REMOTE_HOLD
        )
        self.silent_s = 0.0
        self._look_where_it_is()
        self._endpoint.media_wanted(self.name, True)
        self._playing.renew(self.audio())
        self._reports.leg_media(self.name, self.media)

    def _session(self, call: Dialog, index: int, *, held: bool) -> LegMedia:
        """What has been negotiated.  Held at 0.0.0.0 (RFC 2543) there is no stream at all."""
        try:
            stream = call.getStreamInfo(index)
        except pj.Error:
            return replace(self.media or LegMedia("", 8000, False), remote_held=True)
        self._stream = index
        return LegMedia(
            codec=_NAMES.get(stream.codecName.lower(), stream.codecName),
            clock_hz=stream.codecClockRate,
            secure=_SRTP_ACTIVE.search(call.dump(True, "")) is not None,
            remote_held=held,
        )

    def on_source(self, host: str, said_by: str) -> None:
        """The address that the far end's SIP comes from; only the edge knows it."""
        if host == self._far_end.source or said_by != self._endpoint.options.proxy:
            return
        self._far_end.source = host
        self._look_where_it_is()

    def _look_where_it_is(self) -> None:
        if self._call is not None and self._stream is not None and not self._closed:
            self._far_end.moved(self._call, self._stream)

    def takes(self, offer: str) -> bool:
        return srtp_fits(offer, self._profile.srtp) and has_codec(offer, self._codecs)

    def fitted(self, sdp: str) -> str:
        """SDP that PJSIP has made for this leg, with sockets that are open to all as yet."""
        port = rtp_port(sdp)
        if self._far_end.has_port(port):
            self._endpoint.accounts.taken(port)
        return with_packet_time(with_codecs(sdp, self._codecs), self._endpoint.options.ptime_ms)

    def on_glare(self) -> None:
        self._again_later()

    def on_stream_over(self) -> None:
        """Before a re-INVITE's new stream, and at the end: its figures count on from these."""
        self._before = self.stats() or self._before
        self._stream = None


def _direction(stat: Any, before: StreamStats) -> StreamStats:
    return StreamStats(
        packets=before.packets + stat.pkt,
        lost=before.lost + stat.loss,
        jitter_ms=stat.jitterUsec.last / 1000,
    )


def transmit(source: Leg, sink: Leg) -> bool:
    """Let ``sink`` hear ``source``; whether both have media."""
    return _bridged(source, sink, on=True)


def silence(source: Leg, sink: Leg) -> None:
    _bridged(source, sink, on=False)


def drain(leg: Leg, on: bool) -> bool:
    """Read what comes from a leg, for nobody.

    PJSIP reads a jitter buffer for listeners alone: one that nobody hears would fill up, and be
    half a second late from when somebody does.
    """
    return _joined(leg.audio(), leg.nobody(), on)


def _bridged(source: Leg, sink: Leg, *, on: bool) -> bool:
    return _joined(source.audio(), sink.audio(), on)


def _joined(a: Any, b: Any, on: bool) -> bool:
    if a is None or b is None:
        return False
    try:
        (a.startTransmit if on else a.stopTransmit)(b)
    except pj.Error:
        return False
    return True
