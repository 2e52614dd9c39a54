"""The console with 500 calls and 100 changes a second: its load on the daemon, its smoothness.

The calls are not there (see ``console_server``): what shows them is the gateway's own.  What it
stands beside is the same server with nobody looking.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.bench.machine import DISTURBED_PERCENT, Ticks
from tests.peers.chromium import Chromium, Page
from tests.peers.gateway import ROOT
from tests.peers.programs import Program
from tests.peers.waiting import pause

OPEN = (0, 1, 3)
SECONDS = 20.0
PASSWORD = "a bench's own"


@dataclass(frozen=True)
class Figures:
    """Milliseconds; ``percent`` is of one core."""

    consoles: int
    percent: float
    stolen: float
    frame_p50: float = 0.0
    frame_p99: float = 0.0
    longest_task: float = 0.0
    first_view: float = 0.0


async def console_report(directory: Path) -> str:
    command = [sys.executable, "-m", "tests.bench.console_server", PASSWORD]
    server = Program(command, cwd=ROOT, name="console")
    browser: Chromium | None = None
    try:
        port = int(await server.stdout.expect(lambda _line: True, 20))
        browser = await Chromium.start(directory)
        pages: list[Page] = []
        found: list[Figures] = []
        for wanted in OPEN:
            while len(pages) < wanted:
                pages.append(await _entered(browser, port))
            sys.stderr.write(f"console: {wanted} open\n")
            found.append(await _measured(server.pid, pages))
    finally:
        if browser is not None:
            await browser.stop()
        await server.stop()
    return _report(found)


async def _entered(browser: Chromium, port: int) -> Page:
    page = await browser.page(f"http://127.0.0.1:{port}/console")
    await page.fill("[name=name]", "ana")
    await page.fill("[name=password]", PASSWORD)
    await page.click(".sign-in button")
    await page.until("document.querySelector('[aria-label=Calls] h2')?.textContent === 'Calls 500'")
    return page


async def _measured(pid: int, pages: list[Page]) -> Figures:
    process, ticks = psutil.Process(pid), Ticks.now()
    before = process.cpu_times()
    seen: dict[str, Any] = {}
    if pages:
        seen = await pages[0].evaluate(_WATCH, SECONDS, timeout_s=SECONDS + 10)
        first_view = await pages[0].evaluate(_FIRST)
    else:
        await pause(SECONDS)
        first_view = 0.0
    after = process.cpu_times()
    used = after.user + after.system - before.user - before.system
    percent = 100 * used / (Ticks.now().at - ticks.at)
    return Figures(len(pages), percent, ticks.stolen_percent(), first_view=first_view, **seen)


_WATCH = """async (seconds) => {
  const frames = [], tasks = [0];
  new PerformanceObserver(list => tasks.push(...list.getEntries().map(e => e.duration)))
    .observe({type: 'longtask'});
  const until = performance.now() + seconds * 1000;
  let last = performance.now();
  await new Promise(done => requestAnimationFrame(function frame(now) {
    frames.push(now - last);
    last = now;
    now < until ? requestAnimationFrame(frame) : done();
  }));
  frames.sort((a, b) => a - b);
  const at = share => frames[Math.floor(share * (frames.length - 1))];
  return {frame_p50: at(0.5), frame_p99: at(0.99), longest_task: Math.max(...tasks)};
}"""
_FIRST = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"


def _report(found: list[Figures]) -> str:
    nobody = found[0]
    lines = [
        "## Console",
        "",
        "500 calls, 250 workers, 100 changes a second; aim: under 2 % of a core an open console,",
        "frames under 50 ms, the first view under 1000 ms.",
        "",
        "| open | CPU of the server | an open console | beside nobody | frame p50 | frame p99 | "
        "longest task | first view |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for f in found:
        mark = " **disturbed**" if f.stolen > DISTURBED_PERCENT else ""
        cells = [f"{f.consoles}", f"{f.percent:.2f} %{mark}"]
        if f.consoles:
            each = (f.percent - nobody.percent) / f.consoles
            cells += [f"{each:.2f} %", f"{f.percent / max(nobody.percent, 0.01):.1f}"]
            cells += [f"{ms:.0f} ms" for ms in (f.frame_p50, f.frame_p99, f.longest_task)]
            cells += [f"{f.first_view:.0f} ms"]
        else:
            cells += [""] * 6
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
