"""One PJSIP endpoint: started, steered and stopped from the main thread of a worker.

The null sound device, whose clock drives the conference bridge, runs only while a leg has
media: it is most of what an idle endpoint would cost.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable
from typing import Any, Final

import pjsua2 as pj

from gateway.media.accounts import Account, Accounts, Incoming, contained
from gateway.media.options import Options

LEG_MARK: Final = "X-DMGW-Leg"

Choose = Callable[[str, str], Account | None]
Rejected = Callable[[int, str, str, str], None]

_DTLS: Final = re.compile(r"^m=\S+ \S+ \S*TLS", re.I | re.M)
LINGER_S: Final = 1.0
"""How long the bridge's clock outlives the last leg."""

_PRIORITY: Final = 128
_CODECS: Final = {"g722", "pcmu", "pcma", "ilbc", "gsm", "speex"}
_WIDE: Final = {"G722", "speex"}


class _Library(pj.Endpoint):  # type: ignore[misc]
    """Chooses the account of an incoming INVITE, and hears of those PJSIP refuses by itself."""

    def __init__(self, choose: Choose, rejected: Rejected) -> None:
        super().__init__()
        self.accounts: Accounts | None = None
        self._choose = choose
        self._rejected = rejected

    @contained
    def onSelectAccount(self, prm: Any) -> None:
        if self.accounts is None:
            return
        message = prm.rdata.wholeMsg
        # an account that takes SRTP crashes on a keying that this PJSIP lacks; the spare says 488
        foreign = _DTLS.search(message) is not None
        account = None if foreign else self._choose(message, prm.rdata.srcAddress)
        account = account or self.accounts.spare
        self.accounts.turn(account)
        prm.accountIndex = account.getId()

    @contained
    def onRejectedIncomingCall(self, prm: Any) -> None:
        self._rejected(prm.statusCode, prm.reason, prm.rdata.wholeMsg, prm.rdata.srcAddress)


class Endpoint:
    """``incoming(account, call id, message, source)`` and ``rejected(code, reason, message,
    source)`` tell of INVITEs, ``choose(message, source)`` gives the account of one; a source is
    ``host:port``.
    """

    def __init__(
        self,
        options: Options,
        incoming: Incoming,
        rejected: Rejected,
        choose: Choose,
    ) -> None:
        self.options = options
        self.clock_hz = 16_000 if _WIDE & set(options.codecs) else 8_000
        self._with_media: set[str] = set()
        self._clock_runs = False
        self._silent_since = 0.0
        self.alive: set[object] = set()
        """Legs whose PJSIP call is not over; a call object must not be collected before."""
        self._library = _Library(choose, rejected)
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
        self._enable()
        self.accounts = self._library.accounts = Accounts(options, incoming)

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
        media.jbInit, media.jbMax = self.options.jitter_ms_init, self.options.jitter_ms_max
        media.ecTailLen = 0
        return config

    def _enable(self) -> None:
        """All that a leg may ask for; each leg's own SDP names those that it does.

        Equal priorities: PJSIP lists what is enabled in an order of its own.
        """
        self.codecs: set[str] = set()
        for info in self._library.codecEnum2():
            name, rate = info.codecId.split("/")[:2]
            known = name.lower() in _CODECS and (name.lower(), rate) != ("speex", "32000")
            self._library.codecSetPriority(info.codecId, _PRIORITY if known else 0)
            if known:
                self.codecs.add(name.lower())
                self._pack(info.codecId)

    def _pack(self, codec: str) -> None:
        """Packets of our time, where the far end asks for no other."""
        param = self._library.codecGetParam(codec)
        frame_ms = param.info.frameLen
        param.setting.frmPerPkt = max(1, self.options.ptime_ms // frame_ms)
        self._library.codecSetParam(codec, param)

    def poll(self) -> None:
        """Handle what is due: SIP, timers, and events that came from media threads.

        Twice, since what the first turn finds is handed to this thread's next turn: PJSIP would
        leave it there until it is asked again.
        """
        self._library.libHandleEvents(0)
        self._library.libHandleEvents(0)
        self._rest()

    def nobody(self) -> Any:
        """The port of the null device."""
        return self._library.audDevManager().getPlaybackDevMedia() if self._clock_runs else None

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
