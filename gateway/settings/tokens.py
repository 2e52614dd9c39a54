"""Who signs the tokens of app clients, and how far they are believed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from gateway.settings.api import safe_url
from gateway.settings.kinds import Section, at_key, at_least

Algorithm = Literal["HS256", "RS256", "ES256"]

_ALONE: Final = ("secret", "secret_file", "key_file", "jwks_url", "jwks_file")
_SETS: Final = ("jwks_url", "jwks_file")


def _url(text: str | None) -> str | None:
    return None if text is None else safe_url(text)


class TokenSection(Section):
    """One of secret, secret_file (HS256), key_file (RS256, ES256), jwks_url, jwks_file."""

    algorithm: Algorithm = "HS256"
    secret: Annotated[SecretStr | None, at_least(32, " (RFC 7518 §3.2)")] = None
    secret_file: Path | None = None
    key_file: Path | None = Field(None, description="PEM public key, for RS256 and ES256")
    jwks_url: Annotated[str | None, AfterValidator(_url)] = Field(
        None, description="JWK Set, whose keys say their algorithms themselves"
    )
    jwks_file: Path | None = None
    jwks_ca_file: Path | None = Field(None, description="authorities of its host, PEM")
    jwks_fetch_s: Annotated[float, Field(ge=0.1, le=4)] = 3
    jwks_refresh_min_s: Annotated[float, Field(ge=10, le=86_400)] = 60
    jwks_refresh_max_s: Annotated[float, Field(ge=60, le=604_800)] = 3600
    jwks_keep_s: Annotated[float, Field(ge=60, le=2_592_000)] = Field(
        86_400, description="for which the last keys are good while no newer can be read"
    )
    issuer: str | None = None
    leeway_s: Annotated[float, Field(ge=0, le=300)] = 30

    @property
    def refreshed(self) -> bool:
        """Whether the keys are a set that is read again and again."""
        return self.jwks_url is not None or self.jwks_file is not None

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        given = [k for k in _ALONE if getattr(self, k) is not None]
        named = "algorithm" in self.model_fields_set
        if any(k in _SETS for k in given):
            if named:
                problem = f"is nothing that {given[-1]} uses: each key says its own algorithm"
                raise at_key("algorithm", problem)
        else:
            self._fits_algorithm(given)
        if len(given) > 1:
            raise at_key(given[1], f"is there beside {given[0]}; keep one")
        if self.jwks_ca_file is not None and self.jwks_url is None:
            raise at_key("jwks_ca_file", "is there without jwks_url")
        if self.jwks_refresh_min_s > self.jwks_refresh_max_s:
            problem = f"is above jwks_refresh_max_s, {self.jwks_refresh_max_s:g}"
            raise at_key("jwks_refresh_min_s", problem)
        return self

    def _fits_algorithm(self, given: list[str]) -> None:
        wanted = ("secret", "secret_file") if self.algorithm == "HS256" else ("key_file",)
        choice = " or ".join(wanted)
        for key in given:
            if key not in wanted:
                raise at_key(key, f"is nothing that {self.algorithm} uses; it needs {choice}")
        if not given:
            raise ValueError(f"{self.algorithm} needs {choice}")
