"""The kinds of values that settings are made of, and what every section has in common."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]

AT_KEY: Final = "at_key"
"""The type of an error that a whole section finds, and that one of its keys is at fault for."""

_STORE = re.compile(
    r"sqlite(\+pysqlite)?:///(?!:memory:)[^?]+(\?.*)?|postgresql(\+[a-z0-9]+)?://.+"
)
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?"
_HOST_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[A-Za-z0-9.\-]+(:[0-9]{1,5})?")
NG_ADDRESS = re.compile(r"[A-Za-z0-9.\-]{1,253}:[0-9]{1,5}")
_ICE_URL = re.compile(r"(stun|stuns|turn|turns):\S+")


def at_key(key: str, problem: str) -> PydanticCustomError:
    """A fault of the section that is told with the line of ``key``."""
    return PydanticCustomError(AT_KEY, "{problem}", {"key": key, "problem": problem})


def _known_host(text: str) -> str:
    if text.replace(".", "").isdigit() or ":" in text:
        return _numeric(text)
    if len(text) > 253 or not _HOST_NAME.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is neither a host name nor an IP address")
    return text


def _numeric(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(f"{text[:80]!r} is not an IP address") from None


def known_store(text: str) -> str:
    if not _STORE.fullmatch(text):
        raise ValueError(
            "is not the URL of a database that is known; right are sqlite:///relative/file, "
            "sqlite:////absolute/file, postgresql+DRIVER://USER:PASSWORD@HOST/NAME"
        )
    return text


def _known_origin(text: str) -> str:
    if not _ORIGIN.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is not an origin; right is https://app.example.org")
    return text


def _known_ice_server(server: Mapping[str, Any]) -> Mapping[str, Any]:
    urls = server.get("urls")
    listed = [urls] if isinstance(urls, str) else urls
    if not isinstance(listed, list) or not listed:
        raise ValueError("needs urls: one, or a list")
    for url in listed:
        if not isinstance(url, str) or not _ICE_URL.fullmatch(url):
            raise ValueError("urls begin with stun:, stuns:, turn: or turns:")
    if strange := sorted(set(server) - {"urls", "username", "credential"}):
        raise ValueError(f"{strange[0]!r} is none of urls, username, credential")
    return server


def at_least(characters: int, source: str = "") -> AfterValidator:
    def check(value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < characters:
            raise ValueError(f"has fewer than {characters} characters{source}")
        return value

    return AfterValidator(check)


def wide(ports: tuple[int, int]) -> tuple[int, int]:
    first, last = ports
    if last - first < 400 or first < 1024:
        raise ValueError("needs the first and the last of at least 400 ports, all above 1023")
    return ports


Host = Annotated[str, AfterValidator(_known_host)]
Address = Annotated[str, AfterValidator(_numeric)]
Origin = Annotated[str, AfterValidator(_known_origin)]
IceServer = Annotated[Mapping[str, Any], AfterValidator(_known_ice_server)]
DigestAlgorithm = Literal["MD5", "SHA-256"]
PjsipCodec = Literal["G722", "PCMU", "PCMA", "iLBC", "GSM", "speex"]
WebRtcCodec = Literal["opus", "G722", "PCMU", "PCMA"]


def _has_off(kind: Any) -> bool:
    """Whether a bare ``off``, which YAML reads as false, is one of the words that are meant."""
    return kind == "off" or any(map(_has_off, get_args(kind)))


class Section(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        """YAML reads ``on`` and ``no`` as truth values, which would be taken for 1 and 0."""
        name = info.field_name
        if not isinstance(value, bool) or not name:
            return value
        kind = cls.model_fields[name].annotation
        if kind in (int, float):
            raise ValueError("should be a number, not true or false")
        return "off" if value is False and _has_off(kind) else value


def _known_network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as e:
        raise ValueError(f"{text[:80]!r} is no network; right is 203.0.113.0/24: {e}") from None


def _known_place(text: str) -> str:
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.\-]{1,253})(?::([0-9]{1,5}))?", text)
    if match is None or (match[2] and not 0 < int(match[2]) < 65_536):
        raise ValueError(
            f"{text[:80]!r} is no address; right are sip.example.org, 203.0.113.5:5070, "
            "[2001:db8::1]:5061"
        )
    _known_host(match[1].strip("[]"))
    return text.lower()


Network = Annotated[str, AfterValidator(_known_network)]
Place = Annotated[str, AfterValidator(_known_place)]
"""A host, with a port where it is not to be found by DNS."""
