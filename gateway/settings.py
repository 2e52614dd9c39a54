"""Frozen settings, one class a section, read from YAML with every fault told at once.

``load(path, overrides)`` is the one door.  Units are in the names: ``_s`` seconds,
``_ms`` milliseconds, ``_bytes`` bytes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from gateway.errors import SettingsError, SettingsFault
from gateway.values import HANDLE

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]


def _known_host(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.\-:]{1,253}", text):
        raise ValueError(f"{text!r} is neither a host name nor an IP address")
    return text


Host = Annotated[str, AfterValidator(_known_host)]
PjsipCodec = Literal["G722", "PCMU", "PCMA", "iLBC", "GSM", "speex"]
WebRtcCodec = Literal["opus", "G722", "PCMU", "PCMA"]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class Account(Section):
    """A softphone's account: its user part, its digest password, the name shown to callees."""

    user: Annotated[str, Field(pattern=HANDLE.pattern)]
    password: SecretStr | None = None
    password_file: Path | None = None
    name: Annotated[str, Field(max_length=100)] = ""

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if (self.password is None) == (self.password_file is None):
            raise ValueError("needs exactly one of password and password_file")
        if self.password is not None and len(self.password.get_secret_value()) < 8:
            raise ValueError("password has fewer than 8 characters")
        return self


class TrustedSource(Section):
    """A peer whose requests need no digest: its numeric address, and what it is called in logs."""

    name: Annotated[str, Field(pattern=r"[a-z0-9-]{1,32}")]
    address: Host


class SipSection(Section):
    """The edge's SIP address and its bounds."""

    host: Host = "127.0.0.1"
    port: Port = 5060
    domain: Host = "dm.localhost"
    public_host: Host | None = Field(
        None, description="address written into Via and Contact, where it is not host (1:1 NAT)"
    )
    accounts: tuple[Account, ...] = ()
    trusted: tuple[TrustedSource, ...] = ()
    digest_algorithms: tuple[Literal["MD5", "SHA-256"], ...] = ("SHA-256", "MD5")
    nonce_lifetime_s: Seconds = 300
    registration_min_s: Annotated[int, Field(ge=1, le=3600)] = 30
    registration_max_s: Annotated[int, Field(ge=60, le=86_400)] = 3600
    contacts_per_account: Annotated[int, Field(ge=1, le=20)] = 5
    max_message_bytes: Annotated[int, Field(ge=1500, le=65_535)] = 65_535
    tcp_connections: Annotated[int, Field(ge=1, le=100_000)] = 1000
    tcp_idle_s: Seconds = 300
    requests_per_s: Annotated[float, Field(gt=0)] = Field(
        200, description="requests a second taken from one address, in the long run"
    )
    requests_burst: Annotated[int, Field(ge=1)] = 400
    dialogs: Annotated[int, Field(ge=10, le=1_000_000)] = 20_000

    @field_validator("accounts")
    @classmethod
    def _distinct(cls, accounts: tuple[Account, ...]) -> tuple[Account, ...]:
        seen: set[str] = set()
        for account in accounts:
            if account.user in seen:
                raise ValueError(f"account {account.user!r} is there twice")
            seen.add(account.user)
        return accounts

    @model_validator(mode="after")
    def _expiry_order(self) -> Self:
        if self.registration_min_s > self.registration_max_s:
            raise ValueError("registration_min_s is above registration_max_s")
        if not self.digest_algorithms:
            raise ValueError("digest_algorithms is empty: nobody could sign in")
        return self


class HttpSection(Section):
    host: Host = "127.0.0.1"
    port: Port = 8080
    allowed_origins: tuple[str, ...] = Field(
        (), description="origins besides our own whose pages may open /v1/dm"
    )


class MetricsSection(Section):
    host: Host = "127.0.0.1"
    port: Port = 9478


class StoreSection(Section):
    url: Annotated[str, Field(pattern=r"^(sqlite|postgresql)")] = "sqlite:///var/dm-gateway.db"


class TokenSection(Section):
    """Who signs the tokens of app clients; one of secret, secret_file, key_file."""

    algorithm: Literal["HS256", "RS256", "ES256"] = "HS256"
    secret: SecretStr | None = None
    secret_file: Path | None = None
    key_file: Path | None = Field(None, description="PEM public key, for RS256 and ES256")
    issuer: str | None = None
    leeway_s: Annotated[float, Field(ge=0, le=300)] = 30

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        given = [k for k in ("secret", "secret_file", "key_file") if getattr(self, k) is not None]
        wanted = ("secret", "secret_file") if self.algorithm == "HS256" else ("key_file",)
        if len(given) != 1 or given[0] not in wanted:
            raise ValueError(f"{self.algorithm} needs exactly one of {' and '.join(wanted)}")
        if self.secret is not None and len(self.secret.get_secret_value()) < 32:
            raise ValueError("secret has fewer than 32 characters (RFC 7518 §3.2)")
        return self


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


class MediaSection(Section):
    """The worker pool and the RTP of SIP legs."""

    host: Host = Field("127.0.0.1", description="address that SIP legs' RTP is bound to")
    public_host: Host | None = Field(None, description="address written into SDP, if not host")
    codecs: Annotated[tuple[PjsipCodec, ...], Field(min_length=1)] = ("G722", "PCMU", "PCMA")
    legs_per_worker: Annotated[int, Field(ge=2, le=64)] = 4
    warm_workers: Annotated[int, Field(ge=1, le=64)] = 2
    max_workers: Annotated[int, Field(ge=1, le=1024)] = 64
    ptime_ms: Literal[10, 20, 30, 40, 50, 60] = 20
    rtp_ports: tuple[Port, Port] = Field(
        (30_000, 39_999), description="first and last; each worker and rtpengine takes a free block"
    )
    rtp_timeout_s: Seconds = 60
    ringback: bool = True
    stats_interval_s: Seconds = 5

    @model_validator(mode="after")
    def _sane(self) -> Self:
        first, last = self.rtp_ports
        if last - first < 400 or first < 1024:
            raise ValueError("rtp_ports needs at least 400 ports, all above 1023")
        if self.warm_workers > self.max_workers:
            raise ValueError("warm_workers is above max_workers")
        if len(set(self.codecs)) != len(self.codecs):
            raise ValueError("codecs names one twice")
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
    ice_servers: tuple[Mapping[str, Any], ...] = ()

    @field_validator("rtpengine", mode="before")
    @classmethod
    def _addresses(cls, value: object) -> object:
        entries: Iterable[object] = value if isinstance(value, list | tuple) else ()
        for entry in entries:
            if not re.fullmatch(r"[A-Za-z0-9.\-]{1,253}:[0-9]{1,5}", str(entry)):
                raise ValueError(f"{entry!r} is not HOST:PORT")
        return tuple(str(e) for e in entries) if entries else value


class DaemonSection(Section):
    drain_s: Annotated[float, Field(ge=0, le=86_400)] = 30
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"


class Settings(Section):
    """The whole settings file."""

    daemon: DaemonSection = DaemonSection()
    sip: SipSection = SipSection()
    http: HttpSection = HttpSection()
    metrics: MetricsSection = MetricsSection()
    store: StoreSection = StoreSection()
    app: AppSection
    calls: CallsSection = CallsSection()
    media: MediaSection = MediaSection()
    webrtc: WebRtcSection = WebRtcSection()


def secret(inline: SecretStr | None, file: Path | None) -> str:
    """The secret that a settings pair ``x``/``x_file`` holds; trailing newlines are not part."""
    if inline is not None:
        return inline.get_secret_value()
    if file is None:
        raise ValueError("neither a secret nor its file is set")
    return file.read_text(encoding="utf-8").rstrip("\r\n")


_ENV = re.compile(r"\$\{([A-Z_][A-Z0-9_]*)\}")
_Path = tuple[str | int, ...]


class _Document:
    """A YAML document as plain data, with the line of every node."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.lines: dict[_Path, int] = {(): 1}
        self.faults: list[SettingsFault] = []
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as e:
            mark = getattr(e, "problem_mark", None)
            line = mark.line + 1 if mark else 1
            problem = getattr(e, "problem", None) or str(e)
            raise SettingsError([SettingsFault(file, line, "YAML", problem)]) from e
        self._constructor = yaml.SafeLoader("")
        self.data: Any = {} if root is None else self._plain(root, ())
        if not isinstance(self.data, dict):
            fault = SettingsFault(file, 1, "top", "must be a mapping of sections")
            raise SettingsError([fault])

    def _plain(self, node: yaml.Node, path: _Path) -> Any:
        self.lines[path] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            out: dict[str, Any] = {}
            for key_node, value_node in node.value:
                key = str(key_node.value)
                at = (*path, key)
                line = key_node.start_mark.line + 1
                if key in out:
                    where = ".".join(map(str, at))
                    self.faults.append(
                        SettingsFault(self.file, line, where, "is there twice; keep one")
                    )
                    continue
                out[key] = self._plain(value_node, at)
                self.lines[at] = line
            return out
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(n, (*path, i)) for i, n in enumerate(node.value)]
        value = self._constructor.construct_object(node)
        return self._expand(value, path) if isinstance(value, str) else value

    def _expand(self, text: str, path: _Path) -> str:
        """``${NAME}`` is replaced by the environment's NAME: how secrets come in."""

        def value(match: re.Match[str]) -> str:
            found = os.environ.get(match[1])
            if found is None:
                where = ".".join(map(str, path))
                problem = f"the environment variable {match[1]} is not set"
                self.faults.append(SettingsFault(self.file, self.lines[path], where, problem))
                return "0" * 32
            return found

        return _ENV.sub(value, text)

    def line(self, path: _Path) -> int:
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]

    def override(self, assignment: str) -> None:
        """Apply ``section.key=value``; the value is YAML."""
        name, equals, text = assignment.partition("=")
        parts = tuple(name.strip().split("."))
        if not equals or len(parts) < 2 or not all(parts):
            problem = f"{assignment!r} is not section.key=value"
            self.faults.append(SettingsFault("--set", 1, name or "--set", problem))
            return
        at = self.data
        for part in parts[:-1]:
            at = at.setdefault(part, {})
            if not isinstance(at, dict):
                problem = f"{part!r} holds no keys"
                self.faults.append(SettingsFault("--set", 1, name, problem))
                return
        try:
            at[parts[-1]] = yaml.safe_load(text)
        except yaml.YAMLError:
            self.faults.append(SettingsFault("--set", 1, name, f"{text!r} is not YAML"))


def load(path: Path, overrides: Iterable[str] = ()) -> Settings:
    """Read settings; raise ``SettingsError`` with every fault and its line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        why = e.strerror if isinstance(e, OSError) else "not UTF-8"
        raise SettingsError([SettingsFault(str(path), 1, "file", f"cannot be read: {why}")]) from e
    document = _Document(str(path), text)
    for assignment in overrides:
        document.override(assignment)
    faults = document.faults
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(document.data)
    except ValidationError as e:
        for error in e.errors(include_url=False, include_input=False):
            loc = tuple(error["loc"])
            where = ".".join(map(str, loc)) or "top"
            problem = _problem(error["type"], error["msg"])
            faults.append(SettingsFault(document.file, document.line(loc), where, problem))
    if faults or settings is None:
        raise SettingsError(faults)
    return settings


def _problem(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "no such setting"
    if kind == "missing":
        return "is missing"
    return message.removeprefix("Value error, ")
