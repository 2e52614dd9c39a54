"""Dial-in: a telephone calls, gives a PIN, and is put through to whoever made it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import structlog
from automat import TypeMachineBuilder

from gateway.calls.events import AppEvent, Connected, Dtmf
from gateway.calls.pin_ports import Pins, Redeemed
from gateway.calls.ports import DelayedCall, Sound, prompt
from gateway.calls.reasons import Ending
from gateway.calls.record import Acceptance
from gateway.calls.sides import Callee, Caller, Room
from gateway.errors import GatewayError
from gateway.settings import DialInSection
from gateway.values import LegEnd, LegId, Party, Reason, ServiceAddress

log = structlog.get_logger()

ENTER_PIN: Final = prompt("enter-pin")
UNKNOWN_PIN: Final = prompt("unknown-pin")
CANNOT_BE_REACHED: Final = prompt("cannot-be-reached")
GOODBYE: Final = prompt("goodbye")
LONGEST_PIN: Final = 16
PROMPT_S: Final = 15.0
"""A prompt that has not ended by then never will."""


class Inputs(Protocol):
    def answered(self) -> None:
        """The caller hears us."""

    def digit(self, digit: str) -> None: ...
    def played(self) -> None:
        """The prompt has ended."""

    def waited(self) -> None:
        """No further digit came in time."""

    def right(self) -> None: ...
    def wrong(self) -> None: ...
    def unreachable(self) -> None:
        """The person does not answer, or says no."""


class Outputs(Protocol):
    def say(self, sound: Sound) -> None: ...
    def hush(self) -> None: ...
    def wait_for_digits(self) -> None: ...
    def try_pin(self, digits: str) -> None: ...
    def leave(self) -> None: ...


@dataclass(slots=True)
class Core:
    outputs: Outputs
    tries: int
    digits: str = ""
    failures: int = field(default=0)


builder = TypeMachineBuilder(Inputs, Core)
arriving = builder.state("arriving")
asking = builder.state("asking")  # the caller enters a PIN
trying = builder.state("trying")  # it is looked up
through = builder.state("through")  # the person is called
leaving = builder.state("leaving")  # the last prompts
gone = builder.state("gone")


@arriving.upon(Inputs.answered).to(asking)
def _asks(_inputs: Inputs, core: Core) -> None:
    core.outputs.say(ENTER_PIN)


@asking.upon(Inputs.digit).loop()
def _digit(inputs: Inputs, core: Core, digit: str) -> None:
    core.outputs.hush()  # whoever knows what to do need not hear us out
    if digit == "*":
        core.digits = ""
    elif digit != "#":
        core.digits = (core.digits + digit)[:LONGEST_PIN]
    core.outputs.wait_for_digits()
    if digit == "#":
        inputs.waited()


@asking.upon(Inputs.played).loop()
def _heard(_inputs: Inputs, core: Core) -> None:
    core.outputs.wait_for_digits()


@asking.upon(Inputs.waited).to(trying)
def _entered(_inputs: Inputs, core: Core) -> None:
    digits, core.digits = core.digits, ""
    core.outputs.try_pin(digits)


@trying.upon(Inputs.right).to(through)
def _right(_inputs: Inputs, core: Core) -> None:
    core.outputs.say("ringback")


@trying.upon(Inputs.wrong).to(asking)
def _wrong(inputs: Inputs, core: Core) -> None:
    core.failures += 1
    core.outputs.say(UNKNOWN_PIN)
    if core.failures >= core.tries:
        inputs.unreachable()


@asking.upon(Inputs.unreachable).to(leaving)
def _no_more_tries(_inputs: Inputs, core: Core) -> None:
    """The prompt that says so is being played."""


@through.upon(Inputs.unreachable).to(leaving)
def _not_reached(_inputs: Inputs, core: Core) -> None:
    core.outputs.say(CANNOT_BE_REACHED)


@leaving.upon(Inputs.played).to(gone)
def _said(_inputs: Inputs, core: Core) -> None:
    core.outputs.say(GOODBYE)


@gone.upon(Inputs.played).loop()
def _said_goodbye(_inputs: Inputs, core: Core) -> None:
    core.outputs.leave()


@arriving.upon(Inputs.digit).loop()
@trying.upon(Inputs.digit).loop()
@through.upon(Inputs.digit).loop()
@leaving.upon(Inputs.digit).loop()
@gone.upon(Inputs.digit).loop()
def _not_asked(_inputs: Inputs, _core: Core, digit: str) -> None:
    """Nobody waits for digits."""


@arriving.upon(Inputs.played).loop()
@trying.upon(Inputs.played).loop()
@through.upon(Inputs.played).loop()
@arriving.upon(Inputs.waited).loop()
@trying.upon(Inputs.waited).loop()
@through.upon(Inputs.waited).loop()
@leaving.upon(Inputs.waited).loop()
@gone.upon(Inputs.waited).loop()
@asking.upon(Inputs.answered).loop()
@trying.upon(Inputs.answered).loop()
@through.upon(Inputs.answered).loop()
@leaving.upon(Inputs.answered).loop()
@gone.upon(Inputs.answered).loop()
@arriving.upon(Inputs.unreachable).loop()
@trying.upon(Inputs.unreachable).loop()
@leaving.upon(Inputs.unreachable).loop()
@gone.upon(Inputs.unreachable).loop()
@arriving.upon(Inputs.right).loop()
@asking.upon(Inputs.right).loop()
@through.upon(Inputs.right).loop()
@leaving.upon(Inputs.right).loop()
@gone.upon(Inputs.right).loop()
@arriving.upon(Inputs.wrong).loop()
@asking.upon(Inputs.wrong).loop()
@through.upon(Inputs.wrong).loop()
@leaving.upon(Inputs.wrong).loop()
@gone.upon(Inputs.wrong).loop()
def _late(_inputs: Inputs, _core: Core) -> None:
    """What it answers to is over."""


visit_machine = builder.build()

PutThrough = Callable[[str], Coroutine[Any, Any, None]]
"""Call a person for the caller; done when they hear each other, a ``GatewayError`` if not."""
Later = Callable[[float, Callable[[], None]], DelayedCall]


class DialInCallee(Callee):
    """``service:dial-in``: answers at once; implements ``Outputs``."""

    has_no_leg = True

    def __init__(
        self,
        room: Room,
        address: ServiceAddress,
        caller: Caller,
        settings: DialInSection,
        pins: Pins,
        put_through: PutThrough,
        later: Later,
    ) -> None:
        super().__init__(room, address)
        self._caller = caller
        self._settings = settings
        self._pins = pins
        self._put_through = put_through
        self._later = later
        self._timer: DelayedCall | None = None
        self._machine = visit_machine(Core(self, settings.tries))

    @property
    def bridge_leg(self) -> LegId | None:
        return None  # it speaks by prompts alone

    @property
    def sip_leg(self) -> LegId | None:
        return None

    def codec(self) -> str:
        return self._caller.codec()

    def secure(self) -> bool:
        return True

    def alert(self) -> None:
        self.room.alerting()
        self.room.accept(Acceptance(self.room.now(), "service", self.address))
        self.room.media_up(self.side)

    def tell(self, event: AppEvent) -> None:
        if isinstance(event, Connected):
            self._machine.answered()
        elif isinstance(event, Dtmf):
            self._machine.digit(event.digit)

    def prompt_ended(self, sound: Sound) -> None:
        self._stop_timer()
        self._machine.played()

    # -- Outputs

    def say(self, sound: Sound) -> None:
        leg = self._caller.leg
        if leg is None:
            return
        self.room.run("prompt", self.room.lease.play(leg, sound))
        if sound != "ringback":
            self._arm(PROMPT_S, self._machine.played)

    def hush(self) -> None:
        if self._caller.leg is not None:
            self.room.run("hush", self.room.lease.stop(self._caller.leg))

    def wait_for_digits(self) -> None:
        self._arm(self._settings.digit_s, self._machine.waited)

    def try_pin(self, digits: str) -> None:
        self._stop_timer()
        self.room.run("pin", self._try(digits))

    async def _try(self, digits: str) -> None:
        found = await self._pins.redeem(digits, str(self.room.caller_address), self.room.now())
        log.info("pin_tried", call=self.room.id, known=found is not None)
        if found is None:
            self._machine.wrong()
            return
        self._machine.right()
        await self._through(found)

    async def _through(self, found: Redeemed) -> None:
        try:
            await self._put_through(found.owner)
        except GatewayError as e:
            log.info("dial_in_failed", call=self.room.id, why=str(e))
            await self._pins.give_back(found.pin)
            self._machine.unreachable()
        else:
            await self._pins.used(found.pin)

    def leave(self) -> None:
        self.room.end(Ending(Reason.COMPLETED, Party.GATEWAY))

    def _arm(self, delay_s: float, due: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self._later(delay_s, due)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def on_closed(self, leg: LegId, end: LegEnd) -> None:
        raise AssertionError("dial-in has no leg of its own")

    def close(self, ending: Ending) -> None:
        self._stop_timer()

    def released(self) -> None:
        self._stop_timer()
