"""Other programs as awaitable peers: started, listened to, always ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from tests.peers.waiting import Happenings, NotSeen, reactor


class _Pipes(ProcessProtocol):
    def __init__(self, program: Program) -> None:
        self.program = program
        self._partial = {1: b"", 2: b""}

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        *lines, self._partial[childFD] = (self._partial[childFD] + data).split(b"\n")
        for line in lines:
            self.program.line(childFD, line)

    def processEnded(self, reason: Failure) -> None:
        for fd, rest in self._partial.items():
            if rest:
                self.program.line(fd, rest)
        status: Any = reason.value
        code = status.exitCode if status.exitCode is not None else -(status.signal or 0)
        self.program.ended(code)


class Program:
    """One child process.  It dies with this process, whatever happens (``PR_SET_PDEATHSIG``)."""

    def __init__(
        self,
        args: Sequence[str],
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        name: str | None = None,
        on_stderr: Callable[[str], None] | None = None,
    ) -> None:
        self.name = name or Path(args[0]).name
        self.stdout: Happenings[str] = Happenings(f"{self.name} stdout")
        self.stderr: Happenings[str] = Happenings(f"{self.name} stderr")
        self.exit_code: int | None = None
        self._on_stderr = on_stderr
        self._waiting: list[Deferred[int]] = []
        command = ["setpriv", "--pdeathsig", "KILL", "--", *args]
        self._process = reactor.spawnProcess(
            _Pipes(self),
            "/usr/bin/setpriv",
            command,
            env={**os.environ, **(env or {})},
            path=str(cwd) if cwd else None,
        )
        self.pid: int = self._process.pid

    def line(self, fd: int, data: bytes) -> None:
        text = data.decode("utf-8", "replace").rstrip("\r")
        (self.stdout if fd == 1 else self.stderr).add(text)
        if fd == 2 and self._on_stderr is not None:
            self._on_stderr(text)

    def ended(self, code: int) -> None:
        self.exit_code = code
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done.callback(code)

    async def exited(self, timeout_s: float = 10) -> int:
        """The exit code; minus the number of the signal that killed it."""
        if self.exit_code is not None:
            return self.exit_code
        done: Deferred[int] = Deferred()
        self._waiting.append(done)
        late = reactor.callLater(timeout_s, done.cancel)
        try:
            return await done
        except Exception as e:
            self._waiting = [d for d in self._waiting if d is not done]
            tail = "\n  ".join(self.stderr.seen[-10:])
            raise NotSeen(f"{self.name}: still runs after {timeout_s} s; stderr:\n  {tail}") from e
        finally:
            if late.active():
                late.cancel()

    def signal(self, number: signal.Signals) -> None:
        if self.exit_code is None:
            try:
                self._process.signalProcess(number)
            except ProcessExitedAlready:
                return

    def write(self, text: str) -> None:
        """To its standard input."""
        self._process.write(text.encode())

    async def stop(self, grace_s: float = 3) -> int:
        """SIGTERM, then SIGKILL; returns the exit code."""
        self.signal(signal.SIGTERM)
        try:
            return await self.exited(grace_s)
        except NotSeen:
            self.signal(signal.SIGKILL)
            return await self.exited(10)
