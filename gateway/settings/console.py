"""The operator's console: who may sign in, and how much is kept for it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from gateway.settings.kinds import Network, Section, at_key

Role = Literal["viewer", "operator"]

SCRYPT: Final = re.compile(r"scrypt:(\d{1,2}):(\d{1,2}):(\d{1,2}):([0-9a-f]{32}):([0-9a-f]{64})")
"""``scrypt:LOG2N:R:P:SALT:HASH`` (RFC 7914)."""
MOST_BYTES: Final = 128 * 2**20


def costs(text: str) -> tuple[int, int, int] | None:
    """N, r and p of a hash; ``None`` for one that is none, or takes more than ``MOST_BYTES``."""
    match = SCRYPT.fullmatch(text)
    if match is None:
        return None
    log2n, r, p = (int(match[n]) for n in (1, 2, 3))
    weak_or_absurd = not (14 <= log2n <= 20 and r >= 1 and 1 <= p <= 4)
    return None if weak_or_absurd or 128 * 2**log2n * r > MOST_BYTES else (2**log2n, r, p)


class ConsoleAccount(Section):
    """One person: a viewer looks, an operator acts too."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9._-]{1,32}$")]
    role: Role = "viewer"
    password_hash: SecretStr | None = Field(
        None, description="as dm-gateway hash-password prints it"
    )
    password_hash_file: Path | None = None

    @field_validator("password_hash")
    @classmethod
    def _scrypt(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and costs(value.get_secret_value()) is None:
            raise ValueError("is no scrypt hash; dm-gateway hash-password makes one")
        return value

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if self.password_hash is None and self.password_hash_file is None:
            raise ValueError("needs password_hash or password_hash_file")
        if self.password_hash is not None and self.password_hash_file is not None:
            raise at_key("password_hash_file", "is there beside password_hash; keep one")
        return self


class ConsoleSection(Section):
    """Without accounts there is no console, and nothing is kept for it."""

    accounts: Annotated[tuple[ConsoleAccount, ...], Field(max_length=200)] = ()
    networks: tuple[Network, ...] = Field((), description="it is reached from; none: anywhere")
    session_s: Annotated[int, Field(ge=60, le=604_800)] = 28_800
    idle_s: Annotated[int, Field(ge=60, le=86_400)] = 1800
    logins_per_minute: Annotated[float, Field(gt=0, le=1000)] = Field(
        10, description="attempts for one account, and from one address"
    )
    traced_calls: Annotated[int, Field(ge=0, le=20_000)] = Field(
        500, description="newest calls whose SIP and events are kept in memory"
    )
    traced_bytes: Annotated[int, Field(ge=1_000_000, le=2_000_000_000)] = 32_000_000
    audit_days: Annotated[int, Field(ge=31, le=36_500)] | None = Field(
        None, description="for which the audit is kept"
    )
