"""The call machine: which state a call is in, and what follows from what happens to it.

It does nothing itself; what is to be done goes to ``Outputs``.  The consent rule is
here and nowhere else: ``Outputs.connect`` is called by one transition only, the one out of
``accepted``, in which both sides have accepted, taken once the media of both stands.  Before that
``Outputs.announce`` may let the caller hear what comes from the callee's side, one way only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from automat import TypeMachineBuilder

from gateway.calls.reasons import Ending
from gateway.calls.record import Acceptance


class State(StrEnum):
    INVITING = "inviting"
    RINGING = "ringing"
    ACCEPTED = "accepted"
    CONNECTED = "connected"
    ENDED = "ended"


class Side(StrEnum):
    CALLER = "caller"
    CALLEE = "callee"

    @property
    def other(self) -> Side:
        return Side.CALLEE if self is Side.CALLER else Side.CALLER


class Inputs(Protocol):
    def alerting(self) -> None:
        """A callee's device rings."""

    def accept(self, acceptance: Acceptance) -> None:
        """The callee accepted; the caller has by calling."""

    def media_up(self, side: Side) -> None:
        """A side's media session stands; may be told again."""

    def announcing(self) -> None:
        """The callee's side plays something before anybody has answered (early media)."""

    def ready(self) -> None:
        """Both have accepted and both have media (the machine tells itself)."""

    def bridged(self) -> None:
        """The worker has connected the two legs."""

    def end(self, ending: Ending) -> None: ...


class Outputs(Protocol):
    """What the machine asks for; every method returns at once."""

    def tell_ringing(self) -> None: ...
    def tell_accepted(self, acceptance: Acceptance) -> None: ...
    def answer_caller(self) -> None:
        """The callee has accepted and has media: a SIP caller gets its 200."""

    def announce(self) -> None:
        """Let the caller hear the callee's side; the callee's side hears nothing."""

    def connect(self) -> None:
        """Let the two sides hear each other, then say ``bridged``."""

    def tell_connected(self) -> None: ...
    def close(self, ending: Ending) -> None: ...


@dataclass(slots=True)
class Core:
    outputs: Outputs
    state: State = State.INVITING
    media: set[Side] = field(default_factory=set)


builder = TypeMachineBuilder(Inputs, Core)
inviting = builder.state("inviting")
ringing = builder.state("ringing")
accepted = builder.state("accepted")
connecting = builder.state("connecting")  # told to clients as accepted
connected = builder.state("connected")
ended = builder.state("ended")


@inviting.upon(Inputs.alerting).to(ringing)
def _rings(_inputs: Inputs, core: Core) -> None:
    core.state = State.RINGING
    core.outputs.tell_ringing()


@ringing.upon(Inputs.alerting).loop()
@accepted.upon(Inputs.alerting).loop()
@connecting.upon(Inputs.alerting).loop()
@connected.upon(Inputs.alerting).loop()
@ended.upon(Inputs.alerting).loop()
def _rings_again(_inputs: Inputs, _core: Core) -> None:
    """A second device rings, or one rings late: nothing new to tell."""


@inviting.upon(Inputs.accept).to(accepted)
@ringing.upon(Inputs.accept).to(accepted)
def _accepts(inputs: Inputs, core: Core, acceptance: Acceptance) -> None:
    core.state = State.ACCEPTED
    core.outputs.tell_accepted(acceptance)
    early, core.media = sorted(core.media), set()
    for side in early:
        inputs.media_up(side)


@accepted.upon(Inputs.accept).loop()
@connecting.upon(Inputs.accept).loop()
@connected.upon(Inputs.accept).loop()
@ended.upon(Inputs.accept).loop()
def _accepts_late(_inputs: Inputs, _core: Core, acceptance: Acceptance) -> None:
    """The first acceptance won."""


@inviting.upon(Inputs.media_up).loop()
@ringing.upon(Inputs.media_up).loop()
def _media_early(_inputs: Inputs, core: Core, side: Side) -> None:
    core.media.add(side)


@accepted.upon(Inputs.media_up).loop()
def _media_when_accepted(inputs: Inputs, core: Core, side: Side) -> None:
    if side in core.media:
        return
    core.media.add(side)
    if side is Side.CALLEE:
        core.outputs.answer_caller()
    if core.media == set(Side):
        inputs.ready()


@inviting.upon(Inputs.announcing).loop()
@ringing.upon(Inputs.announcing).loop()
def _announces(_inputs: Inputs, core: Core) -> None:
    core.outputs.announce()


@accepted.upon(Inputs.announcing).loop()
@connecting.upon(Inputs.announcing).loop()
@connected.upon(Inputs.announcing).loop()
@ended.upon(Inputs.announcing).loop()
def _announces_late(_inputs: Inputs, _core: Core) -> None:
    """Somebody has answered: what is to be heard comes with the connection."""


@accepted.upon(Inputs.ready).to(connecting)
def _ready(_inputs: Inputs, core: Core) -> None:
    core.outputs.connect()


@inviting.upon(Inputs.ready).loop()
@ringing.upon(Inputs.ready).loop()
@connecting.upon(Inputs.ready).loop()
@connected.upon(Inputs.ready).loop()
@ended.upon(Inputs.ready).loop()
def _not_ready(_inputs: Inputs, _core: Core) -> None:
    """Not both have accepted, or it was done already."""


@connecting.upon(Inputs.media_up).loop()
@connected.upon(Inputs.media_up).loop()
@ended.upon(Inputs.media_up).loop()
def _media_again(_inputs: Inputs, _core: Core, side: Side) -> None:
    """Renegotiated; the worker keeps connected what was connected."""


@connecting.upon(Inputs.bridged).to(connected)
def _bridged(_inputs: Inputs, core: Core) -> None:
    core.state = State.CONNECTED
    core.outputs.tell_connected()


@inviting.upon(Inputs.bridged).loop()
@ringing.upon(Inputs.bridged).loop()
@accepted.upon(Inputs.bridged).loop()
@connected.upon(Inputs.bridged).loop()
@ended.upon(Inputs.bridged).loop()
def _bridged_late(_inputs: Inputs, _core: Core) -> None:
    """The call ended while the worker was connecting; closing takes the legs down."""


@inviting.upon(Inputs.end).to(ended)
@ringing.upon(Inputs.end).to(ended)
@accepted.upon(Inputs.end).to(ended)
@connecting.upon(Inputs.end).to(ended)
@connected.upon(Inputs.end).to(ended)
def _ends(_inputs: Inputs, core: Core, ending: Ending) -> None:
    core.state = State.ENDED
    core.outputs.close(ending)


@ended.upon(Inputs.end).loop()
def _ends_again(_inputs: Inputs, _core: Core, ending: Ending) -> None:
    """Both sides hung up at once: the first one counts."""


call_machine = builder.build()
