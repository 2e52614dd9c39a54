"""What is asked of the dial plan and what it answers: values alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.routing.numbers import Spelling
from gateway.settings.routing import Attestation, InsideAddress, Order
from gateway.values import NumberClass, Reason, SipAddress, UserAddress


@dataclass(frozen=True, slots=True)
class TrunkCaller:
    """A call that came in by a trunk; it may go to numbers of ours and nowhere else."""

    trunk: str

    def __str__(self) -> str:
        return f"trunk:{self.trunk}"


@dataclass(frozen=True, slots=True)
class Dialled:
    """A number that somebody dials.

    ``region`` (ISO 3166 alpha-2) and ``groups`` are the token's claims; with no region the
    caller is where ``routing.home_country`` says.
    """

    spelling: Spelling
    caller: UserAddress | SipAddress | TrunkCaller
    region: str | None = None
    groups: frozenset[str] = frozenset()


Stage = Literal["number", "emergency", "ours", "route", "caller id", "trunks", "enum"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was looked at; ``matched`` when it had a say in the decision."""

    stage: Stage
    matched: bool
    text: str


@dataclass(frozen=True, slots=True)
class TrunkChoice:
    """One trunk to try.  ``caller_id`` is E.164; ``None``: the caller stays anonymous.

    ``early_media`` ``None``: as the trunk's own setting says.
    """

    trunk: str
    caller_id: str | None
    attestation: Attestation
    confirm: Literal["press-1"] | None = None
    early_media: Literal["off", "pass"] | None = None


@dataclass(frozen=True, slots=True)
class Outward:
    """By trunks, the first one first; ``route`` is ``None`` for an emergency number."""

    route: str | None
    choices: tuple[TrunkChoice, ...]


@dataclass(frozen=True, slots=True)
class Inside:
    """A number of ours: whom it rings."""

    to: tuple[InsideAddress, ...]
    order: Order = "together"


@dataclass(frozen=True, slots=True)
class Refusal:
    """``text`` may be told to the caller."""

    reason: Reason
    text: str


Outcome = Outward | Inside | Refusal


@dataclass(frozen=True, slots=True)
class Plan:
    """``number`` is E.164, or a short number without plus; what was dialled where it is neither."""

    number: str
    classes: tuple[NumberClass, ...]
    outcome: Outcome
    steps: tuple[Step, ...]

    @property
    def choices(self) -> tuple[TrunkChoice, ...]:
        return self.outcome.choices if isinstance(self.outcome, Outward) else ()
