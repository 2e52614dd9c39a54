"""SIP over TLS and WebSockets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gateway.settings.kinds import Host, Port, Section, at_key


class Certificate(Section):
    """For clients that ask for ``name`` (SNI, RFC 6066 §3)."""

    name: Host
    certificate_file: Path
    key_file: Path


class TlsSection(Section):
    """TLS 1.2 and 1.3.  Files that change are read anew within seconds."""

    port: Port | None = Field(None, description="of SIP over TLS; none: there is none")
    certificate_file: Path | None = Field(None, description="PEM, the whole chain, ours first")
    key_file: Path | None = Field(None, description="PEM")
    certificates: Annotated[tuple[Certificate, ...], Field(max_length=100)] = ()
    clients: Literal["none", "optional", "required"] = Field(
        "none", description="whether they are asked for a certificate"
    )
    client_ca_file: Path | None = Field(None, description="PEM authorities of theirs")

    @property
    def wanted(self) -> bool:
        return self.certificate_file is not None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            missing = "key_file" if self.key_file is None else "certificate_file"
            raise at_key(missing, "is missing: a certificate and its key go together")
        if self.port is not None and self.certificate_file is None:
            raise at_key("port", "needs certificate_file and key_file")
        if self.clients != "none" and self.client_ca_file is None:
            raise at_key("clients", f"cannot be {self.clients} without client_ca_file")
        return self


class WebSocketSection(Section):
    """SIP over WebSockets (RFC 7118)."""

    port: Port | None = Field(None, description="without TLS, for a web server in front")
    secure_port: Port | None = Field(None, description="with the certificates of sip.tls")
    allowed_origins: tuple[str, ...] = Field(
        (), description="pages that may connect; a client that is no browser names none"
    )
