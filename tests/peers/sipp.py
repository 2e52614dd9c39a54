"""sipp as an awaitable peer: scenarios as templates, results from its statistics file."""

from __future__ import annotations

import csv
import io
import string
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.peers.ports import free_ports
from tests.peers.programs import Program
from tests.peers.waiting import until

SCENARIOS = Path(__file__).parent / "scenarios"


@dataclass(frozen=True)
class Result:
    """``exit_code`` 0: every call went as the scenario says (1: at least one did not)."""

    exit_code: int
    created: int
    succeeded: int
    failed: int
    retransmissions: int
    why: str

    def assert_all(self, calls: int) -> None:
        told = (self.exit_code, self.created, self.succeeded, self.failed)
        assert told == (0, calls, calls, 0), f"{self}"


class Scenario(string.Template):
    delimiter = "@"  # sipp itself uses $ and [ ]


class Sipp:
    """One run of one scenario.  ``values`` fill the ``@{NAME}`` places of its template."""

    def __init__(
        self,
        directory: Path,
        scenario: str,
        remote: str | None = None,
        *,
        service: str = "alice",
        user: str = "1001",
        password: str = "secret1001",
        domain: str = "dm.localhost",
        transport: str = "u1",
        calls: int = 1,
        rate: float = 10,
        timeout_s: int = 60,
        echo: bool = False,
        port: int | None = None,
        at_once: int | None = None,
        **values: Any,
    ) -> None:
        """``remote`` HOST:PORT (none: it waits for calls); ``transport`` u1 or t1."""
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.port = port or free_ports()
        self.media_port = free_ports(4, step=1)
        text = (SCENARIOS / f"{scenario}.xml").read_text()
        filled = Scenario(text).substitute(
            domain=domain, user=user, hold_ms=values.pop("hold_ms", 500), **values
        )
        (directory / "scenario.xml").write_text(filled)
        self._statistics = directory / "statistics.csv"
        self._errors = directory / "errors.log"
        self._timeout_s = timeout_s
        args = ["sipp", *([remote] if remote else [])]
        args += ["-sf", str(directory / "scenario.xml"), "-s", service]
        args += ["-i", "127.0.0.1", "-p", str(self.port), "-t", transport]
        args += ["-mi", "127.0.0.1", "-mp", str(self.media_port)]
        args += ["-au", user, "-ap", password, "-auth_uri", f"{service}@{domain}"]
        args += ["-m", str(calls), "-r", str(rate), "-l", str(at_once or max(calls, 10))]
        args += ["-nostdin", "-timeout", str(timeout_s), "-timeout_error"]
        args += ["-trace_stat", "-stf", str(self._statistics), "-fd", "1"]
        args += ["-trace_err", "-error_file", str(self._errors)]
        args += ["-trace_msg", "-message_file", str(directory / "messages.log")]
        args += ["-rtp_echo"] if echo else []
        self.program = Program(args, cwd=directory, name=f"sipp {scenario}")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def listening(self) -> None:
        """Wait until its UDP socket is bound (a scenario that waits for calls)."""
        wanted = f":{self.port:04X} "
        await until(lambda: wanted in Path("/proc/net/udp").read_text(), "sipp listens", 5)

    async def result(self) -> Result:
        code = await self.program.exited(self._timeout_s + 10)
        last: dict[str, str] = {}
        if self._statistics.exists():
            text = self._statistics.read_text()
            for row in csv.DictReader(io.StringIO(text), delimiter=";"):
                last = {k: v for k, v in row.items() if k is not None}

        def count(name: str) -> int:
            return int(last.get(name) or 0)

        why = self._errors.read_text()[-3000:] if self._errors.exists() else ""
        if code not in (0, 1):
            why += "\n".join(self.program.stderr.seen[-5:])
        return Result(
            code,
            count("TotalCallCreated"),
            count("SuccessfulCall(C)"),
            count("FailedCall(C)"),
            count("Retransmissions(C)"),
            why,
        )

    def messages(self) -> str:
        """Every SIP message of the run, as sipp logged them."""
        path = self.directory / "messages.log"
        return path.read_text(errors="replace") if path.exists() else ""

    async def run(self) -> Result:
        try:
            return await self.result()
        finally:
            await self.stop()

    async def stop(self) -> None:
        await self.program.stop()
