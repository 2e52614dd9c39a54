"""The states of a session: ``open`` (it has a socket), ``detached`` (its client may come back),
``gone``.  A socket that has opened no session yet is waiting, and no session is there.

The machine does nothing itself; what is to be done goes to ``Outputs``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from automat import TypeMachineBuilder


class State(StrEnum):
    DETACHED = "detached"
    OPEN = "open"
    GONE = "gone"


class Link(Protocol):
    """What a session asks of its socket; every method returns at once and never raises."""

    def send(self, text: str) -> None: ...
    def ping(self, payload: bytes) -> None: ...
    def close(self, code: int, reason: str) -> None: ...


class Inputs(Protocol):
    def attach(self, link: Link, hello: str) -> None:
        """A socket opened (or resumed) the session; ``hello`` is the answer it gets first."""

    def lost(self, link: Link) -> None:
        """A socket is closed or silent."""

    def end(self) -> None:
        """The grace is over, or the daemon stops."""


class Outputs(Protocol):
    def greet(self, link: Link, hello: str) -> None:
        """Answer, then tell what was kept."""

    def displace(self, link: Link) -> None: ...
    def wait(self) -> None:
        """Start the grace."""

    def bury(self, link: Link | None) -> None: ...


@dataclass(slots=True)
class Core:
    outputs: Outputs
    state: State = State.DETACHED
    link: Link | None = None


builder = TypeMachineBuilder(Inputs, Core)
detached = builder.state("detached")
opened = builder.state("open")
gone = builder.state("gone")


@detached.upon(Inputs.attach).to(opened)
def _opens(_inputs: Inputs, core: Core, link: Link, hello: str) -> None:
    core.state = State.OPEN
    core.link = link
    core.outputs.greet(link, hello)


@opened.upon(Inputs.attach).loop()
def _moves(_inputs: Inputs, core: Core, link: Link, hello: str) -> None:
    before, core.link = core.link, link
    if before is not None and before is not link:
        core.outputs.displace(before)
    core.outputs.greet(link, hello)


@gone.upon(Inputs.attach).loop()
def _too_late(_inputs: Inputs, _core: Core, link: Link, hello: str) -> None:
    link.close(1001, "the session is over")


@opened.upon(Inputs.lost).to(detached)
def _detaches(inputs: Inputs, core: Core, link: Link) -> None:
    core.state = State.DETACHED
    core.link = None
    core.outputs.wait()


@detached.upon(Inputs.lost).loop()
@gone.upon(Inputs.lost).loop()
def _lost_already(_inputs: Inputs, _core: Core, link: Link) -> None:
    """A displaced socket closes: it is not the session's any more."""


@opened.upon(Inputs.end).to(gone)
@detached.upon(Inputs.end).to(gone)
def _ends(_inputs: Inputs, core: Core) -> None:
    core.state = State.GONE
    link, core.link = core.link, None
    core.outputs.bury(link)


@gone.upon(Inputs.end).loop()
def _ended(_inputs: Inputs, _core: Core) -> None:
    """Once is enough."""


new_machine = builder.build()
