"""One PJSIP endpoint: started, steered and stopped from the main thread of a worker.

The null sound device, whose clock drives the conference bridge, runs only while a leg has
media: it is most of what an idle endpoint would cost.
"""

from __future__ import annotations

import os
import re
import socket
import time
import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

import pjsua2 as pj

from gateway.media.options import Options

ACCOUNTS: Final = ("outgoing", "incoming", "local")
"""Towards the outside: plain RTP offered, or SDES taken where offered; and legs on loopback."""
LEG_MARK: Final = "X-DMGW-Leg"

Incoming = Callable[[int, str, str], None]
Rejected = Callable[[int, str, str, str], None]

_DTLS: Final = re.compile(r"^m=\S+ \S+ \S*TLS", re.I | re.M)
LINGER_S: Final = 1.0
"""How long the bridge's clock outlives the last leg."""

_PRIORITY_FIRST: Final = 250
_WIDE: Final = {"G722", "speex"}


def contained(callback: Callable[..., None]) -> Callable[..., None]:
    """An exception that leaves a callback of PJSIP's goes through C++, and may abort all."""

    @wraps(callback)
    def guarded(self: Any, prm: Any) -> None:
        try:
            callback(self, prm)
        except Exception:  # noqa: BLE001  # whatever it is: one leg's fault, not its neighbours'
            traceback.print_exc()

    return guarded


class Account(pj.Account):  # type: ignore[misc]  # the binding has no types
    def __init__(self, incoming: Incoming) -> None:
        super().__init__()
        self._incoming = incoming

    @contained
    def onIncomingCall(self, prm: Any) -> None:
        self._incoming(prm.callId, prm.rdata.wholeMsg, prm.rdata.srcAddress)


class _Library(pj.Endpoint):  # type: ignore[misc]
    """Chooses the account of an incoming INVITE, and hears of those PJSIP refuses by itself."""

    def __init__(self, rejected: Rejected) -> None:
        super().__init__()
        self.accounts: dict[str, int] = {}
        self.local_sources: set[str] = set()
        self._rejected = rejected

    @contained
    def onSelectAccount(self, prm: Any) -> None:
        if _DTLS.search(prm.rdata.wholeMsg):
            # an account that takes SRTP crashes on a keying that this PJSIP lacks; this says 488
            name = "outgoing"
        else:
            name = "local" if prm.rdata.srcAddress in self.local_sources else "incoming"
        prm.accountIndex = self.accounts[name]

    @contained
    def onRejectedIncomingCall(self, prm: Any) -> None:
        self._rejected(prm.statusCode, prm.reason, prm.rdata.wholeMsg, prm.rdata.srcAddress)


class Endpoint:
    """``incoming(call id, message, source)`` and ``rejected(code, reason, message, source)`` tell
    of INVITEs; a source is ``host:port``.
    """

    def __init__(
        self,
        options: Options,
        incoming: Incoming,
        rejected: Rejected,
    ) -> None:
        self.options = options
        self.clock_hz = 16_000 if _WIDE & set(options.codecs) else 8_000
        self._with_media: set[str] = set()
        self._clock_runs = False
        self._silent_since = 0.0
        self.alive: set[object] = set()
        """Legs whose PJSIP call is not over; a call object must not be collected before."""
        self._library = _Library(rejected)
        self._library.libCreate()
        self._library.libInit(self._config())
        transport = pj.TransportConfig()
        transport.boundAddress = "127.0.0.1"
        identity = self._library.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
        self._library.libStart()
        address = self._library.transportGetInfo(identity).localName
        self.sip_port = int(address.rpartition(":")[2])
        self.sip_descriptor = _descriptor_of(self.sip_port)
        self._library.audDevManager().setNoDev()
        self._prefer(options.codecs)
        self.accounts = {name: self._account(name, incoming) for name in ACCOUNTS}
        self._library.accounts = {n: a.getId() for n, a in self.accounts.items()}

    def _config(self) -> Any:
        config = pj.EpConfig()
        config.uaConfig.maxCalls = self.options.legs
        config.uaConfig.threadCnt = 0
        config.uaConfig.mainThreadOnly = True
        config.uaConfig.userAgent = self.options.user_agent
        config.uaConfig.mwiUnsolicitedEnabled = False
        config.logConfig.level = 1
        config.logConfig.consoleLevel = 1
        media = config.medConfig
        media.clockRate = self.clock_hz
        media.sndClockRate = self.clock_hz
        media.audioFramePtime = 20
        media.ptime = 0  # any other would overrule what the far end asks for
        media.quality = 1
        media.noVad = True
        media.ecTailLen = 0
        return config

    def _prefer(self, codecs: tuple[str, ...]) -> None:
        wanted = {name.lower(): rank for rank, name in enumerate(codecs)}
        for info in self._library.codecEnum2():
            name = info.codecId.partition("/")[0].lower()
            rank = wanted.get(name)
            priority = 0 if rank is None else _PRIORITY_FIRST - 10 * rank
            if rank is not None and name == "speex":
                # wideband first, then narrowband; the ultra-wide one is not offered
                rate = info.codecId.split("/")[1]
                priority = {"16000": priority, "8000": priority - 1}.get(rate, 0)
            self._library.codecSetPriority(info.codecId, priority)
            if priority:
                self._pack(info.codecId)

    def _pack(self, codec: str) -> None:
        """Packets of our time, where the far end asks for no other."""
        param = self._library.codecGetParam(codec)
        frame_ms = param.info.frameLen
        param.setting.frmPerPkt = max(1, self.options.ptime_ms // frame_ms)
        self._library.codecSetParam(codec, param)

    def _account(self, name: str, incoming: Incoming) -> Account:
        options = self.options
        config = pj.AccountConfig()
        config.idUri = f"sip:{name}@127.0.0.1"
        if name != "local":
            config.sipConfig.proxies.append(f"sip:{options.proxy};lr")
        config.natConfig.contactRewriteUse = 0
        config.natConfig.viaRewriteUse = 0
        config.natConfig.sdpNatRewriteUse = 0
        config.natConfig.sipOutboundUse = 0
        config.natConfig.udpKaIntervalSec = 0
        media = config.mediaConfig
        # each account goes round in a third of its own, so that ports rest before they are taken
        # again: a far end that has not noticed the end of its call may still be sending there
        third = (options.rtp_last - options.rtp_first + 1) // len(ACCOUNTS) // 2 * 2
        media.transportConfig.port = options.rtp_first + ACCOUNTS.index(name) * third
        media.transportConfig.portRange = third - 2
        host = "127.0.0.1" if name == "local" else options.media_host
        media.transportConfig.boundAddress = host
        if name != "local" and options.public_host:
            media.transportConfig.publicAddress = options.public_host
        media.srtpUse = pj.PJMEDIA_SRTP_DISABLED if name == "outgoing" else pj.PJMEDIA_SRTP_OPTIONAL
        media.srtpSecureSignaling = 0
        media.lockCodecEnabled = False
        account = Account(incoming)
        account.create(config)
        return account

    def legs_come_from(self, source: str) -> None:
        """INVITEs from this address are for the ``local`` account: its media is on loopback."""
        self._library.local_sources.add(source)

    def legs_came_from(self, source: str) -> None:
        """No more of them."""
        self._library.local_sources.discard(source)

    def poll(self) -> None:
        """Handle what is due: SIP, timers, and events that came from media threads.

        Twice, since what the first turn finds is handed to this thread's next turn: PJSIP would
        leave it there until it is asked again.
        """
        self._library.libHandleEvents(0)
        self._library.libHandleEvents(0)
        self._rest()

    def media_wanted(self, leg: str, wanted: bool) -> None:
        """Run the bridge's clock while any leg has media, and a little longer.

        Ports leave the bridge by its clock: were it stopped with the last leg, calls that last
        only a moment would fill the bridge.
        """
        (self._with_media.add if wanted else self._with_media.discard)(leg)
        if self._with_media and not self._clock_runs:
            self._clock_runs = True
            self._library.audDevManager().setNullDev()
        if not self._with_media:
            self._silent_since = time.monotonic()

    def _rest(self) -> None:
        silent_s = 0.0 if self._with_media else time.monotonic() - self._silent_since
        if self._clock_runs and silent_s > LINGER_S:
            self._clock_runs = False
            self._library.audDevManager().setNoDev()


def call_limit(upper: int) -> int:
    """How many calls this build of PJSIP holds at once, up to ``upper``.

    PJSIP clips what it is asked for without a word, so calls are begun until one is refused.
    Call it in a process of its own: it leaves PJSIP as it is.
    """
    library = pj.Endpoint()
    library.libCreate()
    config = pj.EpConfig()
    config.uaConfig.maxCalls = upper
    config.uaConfig.threadCnt = 0
    config.logConfig.level = config.logConfig.consoleLevel = 0
    library.libInit(config)
    transport = pj.TransportConfig()
    transport.boundAddress = "127.0.0.1"
    library.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
    library.libStart()
    library.audDevManager().setNoDev()
    account = pj.Account()
    settings = pj.AccountConfig()
    settings.idUri = "sip:probe@127.0.0.1"
    account.create(settings)
    calls: list[Any] = []
    while len(calls) < upper:
        call = pj.Call(account)
        calls.append(call)
        try:
            call.makeCall("sip:probe@127.0.0.1:9", pj.CallOpParam(True))
        except pj.Error:
            calls.pop()
            break
    print(len(calls), flush=True)  # noqa: T201  # the answer, for the process that asked
    os._exit(0)


def _descriptor_of(port: int) -> int:
    """PJSIP does not tell its socket's descriptor: the one of ours that is bound to this port."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  # names, not paths
        try:
            copy = os.dup(int(name))
        except OSError:  # the listing's own
            continue
        try:
            with socket.socket(fileno=copy) as found:
                udp = (found.family, found.type) == (socket.AF_INET, socket.SOCK_DGRAM)
                if udp and found.getsockname()[1] == port:
                    return int(name)
        except OSError:  # no socket
            os.close(copy)
    raise RuntimeError(f"no socket of this process is bound to port {port}")
