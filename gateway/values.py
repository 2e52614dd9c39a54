"""Frozen values that every room shares: ids, addresses, reasons, legs.

Nothing here does I/O or reads a clock.  Times are seconds since the epoch
(``float``, UTC) unless a name says otherwise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal, NewType

from gateway.errors import BadAddress

CallId = NewType("CallId", str)
LegId = NewType("LegId", str)
ClientId = NewType("ClientId", str)
"""One app client (one ``session.open``); it survives a resumed socket."""
WorkerId = NewType("WorkerId", int)

Transport = Literal["udp", "tcp", "tls", "ws", "wss"]
AgeBand = Literal["13-15", "16-17", "18+"]
Attestation = Literal["A", "B", "C"]
"""Full, partial, gateway (RFC 8588 §4): how well a signer knows its caller."""

HANDLE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
E164: Final = re.compile(r"\+[1-9][0-9]{1,14}")
_SIP_USER: Final = re.compile(r"[A-Za-z0-9\-_.!~*'()&=+$,;?/%]{1,128}")
_SIP_HOST: Final = re.compile(r"[A-Za-z0-9.\-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]")
_SERVICES: Final = frozenset({"echo", "dial-in"})


@dataclass(frozen=True, slots=True)
class HostPort:
    """A transport address; ``host`` is a numeric IP address or a host name."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UserAddress:
    """``user:alice``: a person in the app, by handle."""

    handle: str

    def __str__(self) -> str:
        return f"user:{self.handle}"


@dataclass(frozen=True, slots=True)
class TelAddress:
    """``tel:+14155550123``: an E.164 number with its plus sign (RFC 3966 §5.1.4)."""

    number: str

    def __str__(self) -> str:
        return f"tel:{self.number}"


@dataclass(frozen=True, slots=True)
class SipAddress:
    """``sip:1001@example.org``: an address of record (RFC 3261 §10); host in lower case."""

    user: str
    host: str

    def __str__(self) -> str:
        return f"sip:{self.user}@{self.host}"


@dataclass(frozen=True, slots=True)
class ServiceAddress:
    """``service:echo``: something the gateway itself answers."""

    name: str

    def __str__(self) -> str:
        return f"service:{self.name}"


Address = UserAddress | TelAddress | SipAddress | ServiceAddress


def parse_address(text: str) -> Address:
    """Read the string form of an address; ``BadAddress`` says what would be right."""
    scheme, colon, rest = text.partition(":")
    if colon and len(text) <= 400:
        match scheme:
            case "user" if HANDLE.fullmatch(rest):
                return UserAddress(rest)
            case "tel" if E164.fullmatch(rest):
                return TelAddress(rest)
            case "sip":
                user, at, host = rest.rpartition("@")
                if at and _SIP_USER.fullmatch(user) and _SIP_HOST.fullmatch(host):
                    return SipAddress(user, host.lower())
            case "service" if rest in _SERVICES:
                return ServiceAddress(rest)
    raise BadAddress(text)


class Reason(StrEnum):
    """Why a call ended, as app clients are told."""

    COMPLETED = "completed"
    DECLINED = "declined"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    CANCELLED = "cancelled"
    UNREACHABLE = "unreachable"
    NOT_ALLOWED = "not_allowed"
    UNAVAILABLE = "unavailable"
    RATE_LIMITED = "rate_limited"
    MEDIA_FAILED = "media_failed"
    NETWORK_LOST = "network_lost"
    LIMIT_REACHED = "limit_reached"
    MODERATED = "moderated"
    GATEWAY_ERROR = "gateway_error"
    ANSWERED_ELSEWHERE = "answered_elsewhere"


class Party(StrEnum):
    """Who ended a call."""

    CALLER = "caller"
    CALLEE = "callee"
    GATEWAY = "gateway"


class Direction(StrEnum):
    """From where to where a call goes: the bounded label of the metrics."""

    APP_TO_APP = "app_to_app"
    APP_TO_SIP = "app_to_sip"
    SIP_TO_APP = "sip_to_app"
    SIP_TO_SIP = "sip_to_sip"
    APP_TO_PHONE = "app_to_phone"
    PHONE_TO_APP = "phone_to_app"
    SIP_TO_PHONE = "sip_to_phone"
    PHONE_TO_SIP = "phone_to_sip"
    PHONE_TO_PHONE = "phone_to_phone"
    APP_TO_SERVICE = "app_to_service"
    SIP_TO_SERVICE = "sip_to_service"
    PHONE_TO_SERVICE = "phone_to_service"


class NumberClass(StrEnum):
    """What kind of telephone number it is, as metadata of its country knows."""

    FIXED_LINE = "fixed_line"
    MOBILE = "mobile"
    TOLL_FREE = "toll_free"
    PREMIUM_RATE = "premium_rate"
    SHARED_COST = "shared_cost"
    VOIP = "voip"
    PERSONAL = "personal"
    PAGER = "pager"
    UAN = "uan"
    VOICEMAIL = "voicemail"
    UNKNOWN = "unknown"
    SHORT = "short"
    EMERGENCY = "emergency"


class LegKind(StrEnum):
    APP = "app"
    SIP = "sip"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who an app client is, as its token says (or the platform's defaults).

    ``token`` is the token's ``jti``, ``issued`` its ``iat``.
    """

    handle: str
    name: str
    region: str | None = None
    groups: frozenset[str] = frozenset()
    age: AgeBand | None = None
    expires: float | None = None
    timezone: str | None = None
    token: str | None = None
    issued: float | None = None

    @property
    def address(self) -> UserAddress:
        return UserAddress(self.handle)


@dataclass(frozen=True, slots=True)
class Client:
    """One app client of a person."""

    id: ClientId
    principal: Principal


@dataclass(frozen=True, slots=True)
class Contact:
    """Where an address of record can be reached just now (a binding, RFC 3261 §10).

    ``flow`` names the edge's flow to it (the socket it registered over, RFC 5626);
    it is opaque to everyone but the edge.
    """

    uri: str
    flow: str
    expires: float
    q: float = 1.0
    transport: Transport = "udp"


@dataclass(frozen=True, slots=True)
class Hop:
    """Where a request can be sent (RFC 3263): a numeric address, and how to speak with it.

    ``name`` is the domain that was looked up, which a TLS certificate has to bear (RFC 5922).
    """

    transport: Literal["udp", "tcp", "tls"]
    address: HostPort
    name: str = ""

    @property
    def flow(self) -> str:
        """What the edge takes for a flow to it."""
        if self.transport == "udp":
            return f"udp:{self.address.host}:{self.address.port}"
        return f"to:{self.transport}:{self.address.host}:{self.address.port}:{self.name}"


@dataclass(frozen=True, slots=True)
class Verification:
    """What became of a request's Identity headers (RFC 8224 §6.2).

    ``code`` and ``text`` are the response or Reason of §6.2.2 where the status is not ``passed``.
    ``attest`` and ``origid`` are the signer's word (RFC 8588 §4, §5), there when that passed.
    """

    status: Literal["passed", "failed", "none"]
    attest: Attestation | None = None
    origid: str = ""
    code: int = 0
    text: str = ""
    why: str = ""

    @property
    def verstat(self) -> str:
        """The value of the ``verstat`` URI parameter (3GPP TS 24.229 §7.2A.20)."""
        match self.status:
            case "passed":
                return "TN-Validation-Passed"
            case "failed":
                return "TN-Validation-Failed"
            case "none":
                return "No-TN-Validation"


@dataclass(frozen=True, slots=True)
class LegProfile:
    """What the settings ask of one SIP leg, whomever it calls.

    ``codecs`` empty: ``media.codecs``.  ``username`` and ``password`` answer 401 and 407.
    """

    codecs: tuple[str, ...] = ()
    srtp: Literal["off", "optional", "mandatory"] = "off"
    reliable: Literal["off", "optional", "mandatory"] = "off"
    session_expires_s: int = 1800
    dtmf: Literal["rfc4733", "info", "inband"] = "rfc4733"
    username: str = ""
    password: str = field(default="", repr=False)


EXPECTED: Final = LegProfile(srtp="optional")
"""Of a leg that comes in, where the settings ask nothing else: SRTP is taken where offered."""


@dataclass(frozen=True, slots=True)
class FarSide:
    """How a SIP leg's media is to look to its far end, where rtpengine stands between.

    ``profile`` is an RTP profile of SDP, ``codecs`` those to offer besides the worker's.
    ``tones``: digits are sound there, and telephone-event here.
    """

    profile: Literal["RTP/AVP", "RTP/SAVP", "UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF"] = "RTP/AVP"
    codecs: tuple[str, ...] = ()
    ice: bool = False
    family: Literal["IP4", "IP6"] = "IP4"
    tones: bool = False


@dataclass(frozen=True, slots=True)
class SipTarget:
    """To whom and as whom an outgoing SIP leg calls.

    ``uri`` is the Request-URI, ``to`` the To URI, ``flow`` the edge's flow (``None``: by URI).
    """

    uri: str
    to: str
    from_uri: str
    from_name: str
    flow: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    profile: LegProfile = LegProfile()
    joins: LegId | None = None
    """The leg of another worker that ``uri`` reaches: two calls are joined, past the edge."""


@dataclass(frozen=True, slots=True)
class LegMedia:
    """What a leg's media session is, after each negotiation (RFC 3264).

    ``remote_held``: the far end offered ``sendonly``/``inactive`` (or 0.0.0.0).
    ``secure``: SRTP between the gateway and the far end of this leg.
    """

    codec: str
    clock_hz: int
    secure: bool
    remote_held: bool = False


@dataclass(frozen=True, slots=True)
class StreamStats:
    """One direction of one leg's RTP since the leg began (RFC 3550 §6.4.1)."""

    packets: int = 0
    lost: int = 0
    jitter_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class LegStats:
    """``received`` is what the gateway got from the far end, ``sent`` what the far end reported."""

    received: StreamStats = field(default_factory=StreamStats)
    sent: StreamStats = field(default_factory=StreamStats)
    rtt_ms: float | None = None
    codec: str = ""


@dataclass(frozen=True, slots=True)
class LegEnd:
    """How a leg ended: the SIP status that closed it (200 for a BYE), and by whom.

    ``cause`` is the SIP cause of a Reason header (RFC 3326), where there was one.
    """

    code: int
    text: str
    remote: bool
    cause: int | None = None
    stats: LegStats | None = None
    contacts: tuple[str, ...] = ()
    """Where a 3xx sends its caller (RFC 3261 §8.1.3.4)."""
    retry_after_s: int | None = None
    why: str = ""
    """Its Reason header (RFC 3326), as it is to be handed on; empty: none that can be read."""
