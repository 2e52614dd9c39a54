"""``make bench``: measures the gateway, Kamailio beside it, and writes ``var/bench.md``.

``ARGS=calls``, ``ARGS=people`` or ``ARGS=console`` measures one part alone.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any

from twisted.internet import asyncioreactor

asyncioreactor.install()

from twisted.internet import task  # noqa: E402  the reactor has to be there first
from twisted.internet.defer import Deferred  # noqa: E402

from tests.bench.console import console_report  # noqa: E402
from tests.bench.kamailio import Kamailio  # noqa: E402
from tests.bench.machine import DISTURBED_PERCENT, described  # noqa: E402
from tests.bench.measures import Latency, Load, Rate, latency, load, rate  # noqa: E402
from tests.bench.people import people_report  # noqa: E402
from tests.peers.fixtures import SHARED, Cast  # noqa: E402
from tests.peers.gateway import ROOT, Gateway  # noqa: E402

RUNS = 3
OUT = ROOT / "var" / "bench.md"
SETS = (
    *SHARED,
    "calls.calls_per_user=1000",
    "sip.requests_per_s=100000",
    "sip.requests_burst=100000",
    "sip.trusted=[{name: bench, address: 127.0.0.1}]",
    "sip.digest_algorithms=[MD5]",
    "daemon.log_level=warning",
)


async def measured(directory: Path) -> str:
    results: dict[str, dict[str, list[Any]]] = {
        "dm-gateway": {"latency": [], "rate": [], "load": []},
        "Kamailio": {"latency": [], "rate": []},
    }
    for run in range(RUNS):
        for name, found in results.items():  # interleaved: what disturbs one disturbs the other
            cast = Cast(directory / f"{run}-{name}")
            (directory / f"{run}-{name}").mkdir()
            try:
                if name == "Kamailio":
                    server: Any = Kamailio(cast.place("server") / "run")
                    cast.ends_with(server.end)
                    await server.up()
                else:
                    server = await cast.gateway(*SETS)
                _say(f"run {run + 1} of {RUNS}, {name}: latency")
                found["latency"].append(await latency(cast, server))
                _say(f"run {run + 1} of {RUNS}, {name}: set-ups")
                found["rate"].append(
                    await rate(cast, server, 150 if name == "dm-gateway" else 1500)
                )
                if isinstance(server, Gateway):
                    _say(f"run {run + 1} of {RUNS}, {name}: 20 calls")
                    found["load"].append(await load(cast, server))
            finally:
                await cast.end()
    return report(results)


def report(results: dict[str, dict[str, list[Any]]]) -> str:
    ours, theirs = results["dm-gateway"], results["Kamailio"]
    lines = [
        "## Calls",
        "",
        "Medians of the undisturbed runs; Kamailio is a proxy with one worker and carries",
        "",
    ]
    lines[-2] += " no media, so it is a floor, not a rival."
    lines += ["| what | dm-gateway | Kamailio | ratio | aim |", "|---|---|---|---|---|"]

    def row(what: str, a: float | None, b: float | None, unit: str, aim: str = "") -> None:
        ratio = f"{a / b:.2f}" if a and b else ""
        shown = [("" if v is None else f"{v:.2f} {unit}") for v in (a, b)]
        lines.append(f"| {what} | {shown[0]} | {shown[1]} | {ratio} | {aim} |")

    def of(runs: list[Any], name: str) -> float:
        calm = [r for r in runs if r.stolen <= DISTURBED_PERCENT] or runs
        return float(median(getattr(r, name) for r in calm))

    for what, kind, name, unit, aim in (
        ("INVITE in to INVITE out, p50", "latency", "p50", "ms", "under 5 ms"),
        ("INVITE in to INVITE out, p99", "latency", "p99", "ms", ""),
        ("whole calls a second, 8 at once", "rate", "per_s", "/s", ""),
        ("CPU of the server a set-up", "rate", "cpu_ms", "ms", ""),
    ):
        row(what, of(ours[kind], name), of(theirs[kind], name), unit, aim)
    talk = ours["load"]
    calls = talk[0].calls
    percent = of(talk, "worker_percent")
    row(f"workers' CPU a bridged PCMU call, {calls} up", percent, None, "%", "0.8 %")
    row("the whole tree's CPU a call", of(talk, "tree_percent"), None, "%")
    row("memory (PSS) a call", of(talk, "pss_per_call") / 1e6, None, "MB", "8 MB")
    lines += ["", "### Runs", "", "| program | what | figures | stolen CPU |", "|---|---|---|---|"]
    for program, kinds in results.items():
        for kind, runs in kinds.items():
            for r in runs:
                mark = " **disturbed**" if r.stolen > DISTURBED_PERCENT else ""
                lines.append(f"| {program} | {kind} | {_figures(r)} | {r.stolen:.1f} %{mark} |")
    return "\n".join(lines) + "\n"


def _figures(run: Latency | Rate | Load) -> str:
    match run:
        case Latency(calls=n, p50=p50, p99=p99):
            return f"{n} calls, p50 {p50:.2f} ms, p99 {p99:.2f} ms"
        case Rate(calls=n, failed=failed, per_s=per_s, cpu_ms=cpu):
            return f"{n} calls, {failed} failed, {per_s:.1f}/s, {cpu:.2f} ms CPU each"
        case Load(calls=n, worker_percent=worker, tree_percent=tree, pss_per_call=memory):
            mb = memory / 1e6
            return f"{n} calls, workers {worker:.2f} %, tree {tree:.2f} %, {mb:.2f} MB each"


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


PARTS: dict[str, Callable[[Path], Awaitable[str]]] = {
    "calls": measured,
    "people": people_report,
    "console": console_report,
}


async def main(_reactor: Any) -> None:
    parts = sys.argv[1:] or list(PARTS)
    if unknown := set(parts) - set(PARTS):
        sys.exit(f"{', '.join(sorted(unknown))}: there are {' and '.join(PARTS)}")
    lines = [f"# Benchmark, {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}", "", *described()]
    text = "\n".join(lines) + "\n"
    for part in parts:
        with tempfile.TemporaryDirectory(prefix="dmgw-bench-") as directory:
            text += "\n" + await PARTS[part](Path(directory))
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    task.react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
