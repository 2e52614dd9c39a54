"""A real headless Chromium, in a process of its own so that nothing blocks the reactor."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol

from tests.audio import Signal
from tests.peers.waiting import Happenings, pause, reactor

_TOP = Path(__file__).resolve().parent.parent.parent


class BrowserError(AssertionError):
    """What Chromium or the page's script said."""


class _Driver(ProcessProtocol):
    def __init__(self) -> None:
        self.ready: Deferred[None] = Deferred()
        self.ended: Deferred[None] = Deferred()
        self.answers: dict[int, Deferred[Any]] = {}
        self.told: dict[int, Page] = {}
        self.stderr = b""
        self._parts: list[bytes] = []

    def outReceived(self, data: bytes) -> None:
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._line(b"".join([*self._parts, line]))
            self._parts = []
        self._parts.append(rest)

    def errReceived(self, data: bytes) -> None:
        self.stderr = (self.stderr + data)[-4000:]

    def _line(self, line: bytes) -> None:
        message = json.loads(line)
        if "ready" in message:
            self.ready.callback(None)
        elif "id" in message:
            waiting = self.answers.pop(message["id"], None)
            if waiting is None or waiting.called:
                return
            if "error" in message:
                waiting.errback(BrowserError(message["error"]))
            else:
                waiting.callback(message["result"])
        elif message["page"] in self.told:
            self.told[message["page"]].tell(message["kind"], message["text"])

    def processEnded(self, reason: Any) -> None:
        said = self.stderr.decode("utf-8", "replace")
        gone = BrowserError(f"the browser's driver ended: {reason.value}; it said:\n{said}")
        for waiting in (self.ready, *self.answers.values()):
            if not waiting.called:
                waiting.errback(gone)
        self.ended.callback(None)


class Chromium:
    """``await Chromium.start(directory, microphone=WAV)``; then ``page()``; at last ``stop()``.

    ``microphone`` is played (in a loop) by the fake microphone of every page; ``None`` beeps.
    """

    def __init__(self, directory: Path, microphone: Path | None) -> None:
        self._directory = directory
        self._driver = _Driver()
        self._next = 0
        options = json.dumps({"microphone": str(microphone) if microphone else None})
        args = ["setpriv", "--pdeathsig", "KILL", "--"]
        args += [sys.executable, "-m", "tests.peers.chromium_driver", options]
        self._process = reactor.spawnProcess(
            self._driver, "/usr/bin/setpriv", args, env=None, path=str(_TOP)
        )

    @classmethod
    async def start(cls, directory: Path, microphone: Path | None = None) -> Chromium:
        self = cls(directory, microphone)
        late = reactor.callLater(30, self._kill)
        try:
            await self._driver.ready
        finally:
            if late.active():
                late.cancel()
        return self

    async def ask(self, do: str, timeout_s: float = 5, **args: Any) -> Any:
        """One command to the driver; ``BrowserError`` after ``timeout_s`` and a little."""
        self._next += 1
        answer: Deferred[Any] = Deferred()
        self._driver.answers[self._next] = answer
        request = {"id": self._next, "do": do, "timeout_s": timeout_s, **args}
        self._process.write(json.dumps(request).encode() + b"\n")

        def give_up() -> None:
            if not answer.called:
                answer.errback(BrowserError(f"{do}: no answer in {timeout_s + 5} s"))

        late = reactor.callLater(timeout_s + 5, give_up)
        try:
            return await answer
        finally:
            if late.active():
                late.cancel()

    async def page(
        self, url: str | None = None, bypass_csp: bool = False, any_ca: bool = False
    ) -> Page:
        """A page in a profile of its own; ``None`` opens an empty one on ``http://localhost``.

        ``any_ca`` takes certificates of authorities that it does not know.
        Recording needs ``bypass_csp`` on a page whose policy forbids foreign scripts.
        """
        number = await self.ask("page", timeout_s=10, bypass_csp=bypass_csp, any_ca=any_ca)
        page = self._driver.told[number] = Page(self, number, self._directory)
        await page.open(url)
        return page

    def _kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        try:
            self._process.signalProcess(number)
        except ProcessExitedAlready:
            return

    async def stop(self) -> None:
        """Close it with all its pages.  Idempotent."""
        if self._driver.ended.called:
            return
        self._process.closeStdin()
        late = reactor.callLater(8, self._kill)
        ended: Deferred[None] = Deferred()
        self._driver.ended.addCallback(ended.callback)
        await ended
        if late.active():
            late.cancel()


class Page:
    """One page.  ``console`` has what its scripts logged, ``requests`` every URL it asked for."""

    def __init__(self, browser: Chromium, number: int, directory: Path) -> None:
        self._browser = browser
        self._number = number
        self._directory = directory
        self._rate = 0
        self.console: Happenings[tuple[str, str]] = Happenings(f"console of page {number}")
        self.requests: Happenings[str] = Happenings(f"requests of page {number}")

    def tell(self, kind: str, text: str) -> None:
        if kind == "request":
            self.requests.add(text)
        else:
            self.console.add((kind, text))

    @property
    def errors(self) -> list[str]:
        """Console errors and uncaught exceptions."""
        kinds = ("console.error", "pageerror")
        return [text for kind, text in self.console.seen if kind in kinds]

    @property
    def origins(self) -> set[str]:
        """``scheme://host:port`` of every request; ``data:`` and ``blob:`` leave nothing."""
        split = [urlsplit(url) for url in self.requests.seen]
        return {f"{u.scheme}://{u.netloc}" for u in split if u.netloc}

    async def _ask(self, do: str, **args: Any) -> Any:
        return await self._browser.ask(do, page=self._number, **args)

    async def open(self, url: str | None = None, timeout_s: float = 15) -> None:
        await self._ask("open", url=url, timeout_s=timeout_s)

    async def evaluate(self, js: str, arg: Any = None, timeout_s: float = 15) -> Any:
        """The value of an expression, or of a function called with ``arg`` (may be async)."""
        return await self._ask("evaluate", js=js, arg=arg, timeout_s=timeout_s)

    async def click(self, selector: str, timeout_s: float = 5) -> None:
        await self._ask("click", selector=selector, timeout_s=timeout_s)

    async def fill(self, selector: str, text: str, timeout_s: float = 5) -> None:
        await self._ask("fill", selector=selector, text=text, timeout_s=timeout_s)

    async def text(self, selector: str, timeout_s: float = 5) -> str:
        return str(await self._ask("text", selector=selector, timeout_s=timeout_s))

    async def wait(self, selector: str, state: str = "visible", timeout_s: float = 5) -> None:
        """``state``: visible, hidden, attached, detached."""
        await self._ask("wait", selector=selector, state=state, timeout_s=timeout_s)

    async def until(self, js: str, arg: Any = None, timeout_s: float = 5) -> None:
        """Wait until an expression is true."""
        await self._ask("until", js=js, arg=arg, timeout_s=timeout_s)

    async def look(self, width: int, height: int, scheme: str = "light") -> None:
        """``scheme``: light or dark; motion is reduced."""
        await self._ask("look", width=width, height=height, scheme=scheme)

    async def offline(self, offline: bool) -> None:
        """Without network, as the browser tells its pages; media of WebRTC goes on."""
        await self._ask("offline", offline=offline)

    async def grant(self, permission: str) -> None:
        """What a person would be asked for: ``notifications``."""
        await self._ask("grant", permission=permission)

    async def press(self, key: str) -> None:
        """A key, as the keyboard would: ``Tab``, ``Enter``, ``a``."""
        await self._ask("press", key=key)

    async def screenshot(self, path: Path, full_page: bool = False) -> None:
        await self._ask("screenshot", path=str(path), full_page=full_page, timeout_s=15)

    async def start_recording(self, track: int = -1) -> None:
        """Record a remote audio track (of any peer connection; -1: the newest)."""
        self._rate = int(await self._ask("record", track=track, timeout_s=10))

    async def recording(self) -> tuple[Signal, int]:
        """Stop; what was heard, and its rate in Hz."""
        path = self._directory / f"page{self._number}-{reactor.seconds():.3f}.pcm"
        await self._ask("recorded", path=str(path), timeout_s=15)
        samples = np.fromfile(path, dtype="<i2").astype(np.float64) / 32768
        path.unlink()
        return samples, self._rate

    async def record(self, seconds: float, track: int = -1) -> tuple[Signal, int]:
        """Record for a while; what was heard, and its rate in Hz."""
        await self.start_recording(track)
        await pause(seconds)
        return await self.recording()

    async def close(self) -> None:
        await self._ask("close")
