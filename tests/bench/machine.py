"""The machine that is measured on: what it is, and what its neighbours took from it."""

from __future__ import annotations

import platform
import subprocess
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

DISTURBED_PERCENT = 5.0


@dataclass(frozen=True)
class Ticks:
    """The ``cpu`` line of /proc/stat, with the wall clock."""

    steal: int
    total: int
    at: float

    @classmethod
    def now(cls) -> Ticks:
        fields = [int(f) for f in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
        return cls(fields[7], sum(fields[:8]), time.monotonic())

    def stolen_percent(self) -> float:
        """Of all CPU time since then."""
        now = Ticks.now()
        return 100 * (now.steal - self.steal) / max(1, now.total - self.total)


def described() -> list[str]:
    """Lines that say on what, and with which programs, it was measured."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        "unknown CPU",
    )
    cores = Path("/proc/cpuinfo").read_text().count("processor\t")
    kib = int(Path("/proc/meminfo").read_text().split()[1])
    return [
        f"- {cores} cores, {cpu}; {kib / 1024 / 1024:.1f} GiB; Linux {platform.release()}",
        f"- Python {platform.python_version()}, Twisted {version('twisted')}, "
        f"pjsua2-python {version('pjsua2-python')}",
        f"- {_first_line(['kamailio', '-v'])}",
        f"- {_first_line(['sipp', '-v'])}",
    ]


def _first_line(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).split("\n")
    return next((line.strip() for line in lines if line.strip()), command[0])
