"""PJSIP's accounts: it keeps SRTP, credentials, session timers and PRACK by account.

Those of SIP legs are made by profile when the first leg asks for one, and deleted after the last.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any, Final

import pjsua2 as pj

from gateway.media.options import Options
from gateway.values import LegProfile

MOST: Final = 8
"""PJSUA_MAX_ACC of a usual build; one more fails an assertion, which ends the process."""
MIN_SE_S: Final = 90
"""RFC 4028 §4; PJSIP takes no less."""
SUITES: Final = (
    "AES_CM_128_HMAC_SHA1_80",
    "AES_CM_128_HMAC_SHA1_32",
    "AES_256_CM_HMAC_SHA1_80",
    "AES_256_CM_HMAC_SHA1_32",
)
"""Of SDES (RFC 4568, RFC 6188), best known first: the first is what every far end has."""

_SRTP: Final = {
    "off": pj.PJMEDIA_SRTP_DISABLED,
    "optional": pj.PJMEDIA_SRTP_OPTIONAL,
    "mandatory": pj.PJMEDIA_SRTP_MANDATORY,
}
_RELIABLE: Final = {
    "off": pj.PJSUA_100REL_NOT_USED,
    "optional": pj.PJSUA_100REL_OPTIONAL,
    "mandatory": pj.PJSUA_100REL_MANDATORY,
}

Incoming = Callable[["Account", int, str, str], None]


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
    def __init__(self, config: Any, incoming: Incoming) -> None:
        super().__init__()
        self.config = config
        self.legs = 0
        self._incoming = incoming
        self.create(config)

    @contained
    def onIncomingCall(self, prm: Any) -> None:
        self._incoming(self, prm.callId, prm.rdata.wholeMsg, prm.rdata.srcAddress)


class Accounts:
    """``local`` is for legs on loopback; ``spare`` for INVITEs that no leg expects.

    SIP legs go round all ports but those of ``local``, whatever their account, so that a port
    rests before it is taken again: a far end that has not noticed the end of its call may still
    be sending there.
    """

    def __init__(self, options: Options, incoming: Incoming) -> None:
        self._options = options
        self._incoming = incoming
        third = (options.rtp_last - options.rtp_first + 1) // 3 // 2 * 2
        self._first, self._last = options.rtp_first + third, options.rtp_last
        self._next = self._first
        self.spare = self._made(LegProfile())
        local = self._config(LegProfile(srtp="optional"), "127.0.0.1", "local")
        local.mediaConfig.transportConfig.port = options.rtp_first
        local.mediaConfig.transportConfig.portRange = third - 2
        self.local = Account(local, incoming)
        self._by_profile: dict[LegProfile, Account] = {}

    def take(self, profile: LegProfile) -> Account:
        """The account of a new leg; ``ValueError`` when there are too many kinds of them."""
        kind = replace(profile, codecs=(), dtmf="rfc4733")  # those two are each leg's own
        account = self._by_profile.get(kind)
        if account is None:
            if len(self._by_profile) >= MOST - 2:
                raise ValueError("legs of too many kinds in one worker")
            account = self._by_profile[kind] = self._made(kind)
        account.legs += 1
        return account

    def let_go(self, account: Account) -> None:
        """The leg is over, and so is its call object."""
        account.legs -= 1
        if account.legs:
            return
        self._by_profile = {k: a for k, a in self._by_profile.items() if a is not account}
        account.shutdown()

    def turn(self, account: Account) -> None:
        """Its next media begins at the port whose turn it is."""
        if account is self.local:
            return
        ports = account.config.mediaConfig.transportConfig
        if ports.port != self._next:
            self._begin_at_turn(ports)
            account.modify(account.config)

    def taken(self, port: int) -> None:
        """A SIP leg has this port for RTP."""
        if self._first <= port <= self._last:
            self._next = port + 2 if port + 2 < self._last else self._first

    def _begin_at_turn(self, ports: Any) -> None:
        ports.port, ports.portRange = self._next, self._last - 1 - self._next

    def _made(self, profile: LegProfile) -> Account:
        config = self._config(profile, self._options.media_host, "leg")
        config.sipConfig.proxies.append(f"sip:{self._options.proxy};lr")
        self._begin_at_turn(config.mediaConfig.transportConfig)
        if self._options.public_host:
            config.mediaConfig.transportConfig.publicAddress = self._options.public_host
        call = config.callConfig
        call.prackUse = _RELIABLE[profile.reliable]
        call.timerUse = pj.PJSUA_SIP_TIMER_OPTIONAL
        call.timerMinSESec = MIN_SE_S
        call.timerSessExpiresSec = max(MIN_SE_S, profile.session_expires_s)
        if profile.username:
            credentials = pj.AuthCredInfo("digest", "*", profile.username, 0, profile.password)
            config.sipConfig.authCreds.append(credentials)
        return Account(config, self._incoming)

    def _config(self, profile: LegProfile, host: str, name: str) -> Any:
        config = pj.AccountConfig()
        config.idUri = f"sip:{name}@127.0.0.1"
        config.natConfig.contactRewriteUse = 0
        config.natConfig.viaRewriteUse = 0
        config.natConfig.sdpNatRewriteUse = 0
        config.natConfig.sipOutboundUse = 0
        config.natConfig.udpKaIntervalSec = 0
        media = config.mediaConfig
        media.transportConfig.boundAddress = host
        media.srtpUse = _SRTP[profile.srtp]
        media.srtpSecureSignaling = 0
        media.srtpOpt.keyings.append(pj.PJMEDIA_SRTP_KEYING_SDES)
        for suite in SUITES:
            crypto = pj.SrtpCrypto()
            crypto.name = suite
            media.srtpOpt.cryptos.append(crypto)
        media.lockCodecEnabled = False
        return config
