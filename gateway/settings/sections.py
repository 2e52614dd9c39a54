"""The sections of a settings file: frozen, one class each, with defaults and bounds.

What one section can judge alone is judged here; ``contradictions`` has what takes two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from gateway.settings.api import ApiSection, Webhook
from gateway.settings.console import ConsoleSection
from gateway.settings.dialin import DialInSection
from gateway.settings.dns import DnsSection
from gateway.settings.kinds import (
    NG_ADDRESS,
    Address,
    DigestAlgorithm,
    Host,
    IceServer,
    Origin,
    PjsipCodec,
    Port,
    Seconds,
    Section,
    WebRtcCodec,
    at_key,
    at_least,
    known_store,
    wide,
)
from gateway.settings.limits import LimitsSection
from gateway.settings.passes import PassesSection
from gateway.settings.people import AgeSection, PeopleSection, RegionsSection, RolloutSection
from gateway.settings.routing import RoutingSection
from gateway.settings.stir import StirSection
from gateway.settings.tokens import TokenSection
from gateway.settings.transports import TlsSection, WebSocketSection
from gateway.settings.trunks import Trunk
from gateway.values import HANDLE


class Account(Section):
    """A softphone's account: its user part, its digest password, the name shown to callees."""

    user: Annotated[str, Field(pattern=f"^{HANDLE.pattern}$")]
    password: Annotated[SecretStr | None, at_least(8)] = None
    password_file: Path | None = None
    name: Annotated[str, Field(max_length=100)] = ""
    owner: Annotated[str, Field(pattern=f"^{HANDLE.pattern}$")] | None = Field(
        None, description="handle of the person whose it is"
    )

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if self.password is None and self.password_file is None:
            raise ValueError("needs password or password_file")
        if self.password is not None and self.password_file is not None:
            raise at_key("password_file", "is there beside password; keep one")
        return self


class TrustedSource(Section):
    """A peer whose requests need no digest: its numeric address, and what it is called in logs."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
    address: Address


class SipSection(Section):
    """The edge's SIP address and its bounds."""

    host: Host = "127.0.0.1"
    port: Port = 5060
    host6: Address | None = Field(None, description="IPv6 address it listens at besides")
    tls: TlsSection = TlsSection()
    websocket: WebSocketSection = WebSocketSection()
    domain: Host = "dm.localhost"
    public_host: Host | None = Field(
        None, description="address written into Via and Contact, where it is not host (1:1 NAT)"
    )
    accounts: tuple[Account, ...] = ()
    trusted: tuple[TrustedSource, ...] = ()
    digest_algorithms: Annotated[tuple[DigestAlgorithm, ...], Field(min_length=1)] = (
        "SHA-256",
        "MD5",
    )
    nonce_lifetime_s: Seconds = 300
    registration_min_s: Annotated[int, Field(ge=1, le=3600)] = 30
    registration_max_s: Annotated[int, Field(ge=60, le=86_400)] = 3600
    contacts_per_account: Annotated[int, Field(ge=1, le=20)] = 5
    max_message_bytes: Annotated[int, Field(ge=1500, le=65_535)] = 65_535
    tcp_connections: Annotated[int, Field(ge=1, le=100_000)] = 1000
    tcp_idle_s: Seconds = 300
    udp_bytes: Annotated[int, Field(ge=500, le=65_535)] = Field(
        1300, description="larger requests of ours go over TCP (RFC 3261 §18.1.1)"
    )
    requests_per_s: Annotated[float, Field(gt=0)] = Field(
        200, description="requests a second taken from one address, in the long run"
    )
    requests_burst: Annotated[int, Field(ge=1)] = 400
    dialogs: Annotated[int, Field(ge=10, le=1_000_000)] = 20_000

    @model_validator(mode="after")
    def _expiry_order(self) -> Self:
        if self.registration_min_s > self.registration_max_s:
            problem = f"is above registration_max_s, {self.registration_max_s}"
            raise at_key("registration_min_s", problem)
        return self


class HttpSection(Section):
    host: Host = "127.0.0.1"
    port: Port = 8080
    allowed_origins: tuple[Origin, ...] = Field(
        (), description="origins besides our own whose pages may open /v1/dm"
    )


class MetricsSection(Section):
    host: Host = "127.0.0.1"
    port: Port = 9478


class StoreSection(Section):
    url: Annotated[str, AfterValidator(known_store)] = "sqlite:///var/dm-gateway.db"
    calls_days: Annotated[int, Field(ge=31, le=36_500)] | None = Field(
        None, description="for which calls' records are kept; limits look 30 days back"
    )
    reports_days: Annotated[int, Field(ge=31, le=36_500)] | None = Field(
        None, description="for which settled reports are kept"
    )


class AppSection(Section):
    """In-app clients."""

    token: TokenSection
    plain_rtp: bool = False
    dev_login: bool = False
    reconnect_grace_s: Seconds = 10
    media_wait_s: Seconds = Field(10, description="for call.media, after accepting without sdp")
    clients_per_user: Annotated[int, Field(ge=1, le=100)] = 10
    max_clients: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    requests_per_s: Annotated[float, Field(gt=0)] = 20
    requests_burst: Annotated[int, Field(ge=1)] = 100
    invites_per_minute: Annotated[float, Field(gt=0)] = 30


class CallsSection(Section):
    ring_s: Annotated[float, Field(ge=1, le=180)] = 45
    max_duration_s: Seconds = 14_400
    max_calls: Annotated[int, Field(ge=1)] = 1000
    calls_per_user: Annotated[int, Field(ge=1)] = 4
    setup_s: Seconds = Field(10, description="for both media to stand, once both have accepted")
    transfers: bool = Field(True, description="softphones' REFER and call.transfer are taken")
    groups: bool = Field(True, description="call.add is taken, as far as a worker has legs")
    group_room: Annotated[int, Field(ge=0, le=62)] = Field(
        0, description="legs that a worker keeps free for each call that may become a group"
    )
    moderator_groups: tuple[Annotated[str, Field(min_length=1, max_length=64)], ...] = Field(
        (), description="whose members moderate groups that they are in, beside who called"
    )


class MediaSection(Section):
    """The worker pool and the RTP of SIP legs."""

    host: Host = Field("127.0.0.1", description="address that SIP legs' RTP is bound to")
    public_host: Host | None = Field(None, description="address written into SDP, if not host")
    codecs: Annotated[tuple[PjsipCodec, ...], Field(min_length=1)] = ("G722", "PCMU", "PCMA")
    legs_per_worker: Annotated[int, Field(ge=2, le=64)] = 4
    warm_workers: Annotated[int, Field(ge=1, le=64)] = 2
    max_workers: Annotated[int, Field(ge=1, le=1024)] = 64
    ptime_ms: Literal[10, 20, 30, 40, 50, 60] = 20
    rtp_ports: Annotated[tuple[Port, Port], AfterValidator(wide)] = Field(
        (30_000, 39_999), description="first and last; each worker and rtpengine takes a free block"
    )
    rtp_timeout_s: Seconds = 60
    jitter_ms_init: Annotated[int, Field(ge=0, le=500)] = 0
    jitter_ms_max: Annotated[int, Field(ge=120, le=2000)] = 500
    ringback: bool = True
    hold_sound: Literal["none", "music"] | Path = "music"
    prompts: Path | None = Field(None, description="directory of WAV files in place of ours")
    stats_interval_s: Seconds = 5

    @model_validator(mode="after")
    def _sane(self) -> Self:
        if self.warm_workers > self.max_workers:
            raise at_key("warm_workers", f"is above max_workers, {self.max_workers}")
        if self.jitter_ms_init > self.jitter_ms_max // 2:
            raise at_key("jitter_ms_init", f"is above half of jitter_ms_max, {self.jitter_ms_max}")
        return self


class WebRtcSection(Section):
    """``rtpengine``: ``managed`` (started and watched by us), ``off``, or NG addresses."""

    rtpengine: Literal["managed", "off"] | Annotated[tuple[str, ...], Field(min_length=1)] = (
        "managed"
    )
    program: Path = Path("/usr/bin/rtpengine")
    host: Host = Field("127.0.0.1", description="address a managed rtpengine gives to browsers")
    public_host: Host | None = None
    codecs: Annotated[tuple[WebRtcCodec, ...], Field(min_length=1)] = ("opus", "G722", "PCMU")
    opus_legs: Annotated[int, Field(ge=0, le=100_000)] | None = Field(
        None, description="browsers that have Opus at a time; none: 20 a core, others' engines: all"
    )
    ice_servers: tuple[IceServer, ...] = ()

    @field_validator("rtpengine", mode="before")
    @classmethod
    def _addresses(cls, value: object) -> object:
        if value is False:  # what YAML makes of a bare off
            return "off"
        if value in ("managed", "off"):
            return value
        if not isinstance(value, list | tuple) or not value:
            raise ValueError("should be managed, off, or a list of HOST:PORT")
        for entry in value:
            if not NG_ADDRESS.fullmatch(str(entry)):
                raise ValueError(f"{str(entry)[:80]!r} is not HOST:PORT")
        return tuple(str(entry) for entry in value)


class DaemonSection(Section):
    drain_s: Annotated[float, Field(ge=0, le=86_400)] = 30
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"


class Settings(Section):
    """The whole settings file."""

    daemon: DaemonSection = DaemonSection()
    sip: SipSection = SipSection()
    dns: DnsSection = DnsSection()
    trunks: tuple[Trunk, ...] = ()
    routing: RoutingSection = RoutingSection()
    stir: StirSection = StirSection()
    http: HttpSection = HttpSection()
    api: ApiSection = ApiSection()
    console: ConsoleSection = ConsoleSection()
    webhooks: Annotated[tuple[Webhook, ...], Field(max_length=20)] = ()
    metrics: MetricsSection = MetricsSection()
    store: StoreSection = StoreSection()
    app: AppSection
    calls: CallsSection = CallsSection()
    people: PeopleSection = PeopleSection()
    limits: LimitsSection = LimitsSection()
    passes: PassesSection = PassesSection()
    rollout: RolloutSection = RolloutSection()
    age: AgeSection = AgeSection()
    regions: RegionsSection = RegionsSection()
    dialin: DialInSection = DialInSection()
    media: MediaSection = MediaSection()
    webrtc: WebRtcSection = WebRtcSection()
