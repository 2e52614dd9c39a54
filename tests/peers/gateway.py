"""The real daemon, started as a subprocess, watched from outside."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import jwt
import psutil
import treq
from twisted.internet.error import ConnectError
from twisted.web.client import ResponseFailed, ResponseNeverReceived

from gateway.settings import Settings, load, secret
from gateway.values import HostPort
from tests.peers.ports import free_ports
from tests.peers.programs import Program
from tests.peers.waiting import Happenings, NotSeen, pause, until

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "conf" / "dev.yaml"
DOMAIN = "dm.localhost"
_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')

Metrics = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Gateway:
    """One daemon: ``sip``, ``http``, ``metrics_at`` are its addresses, ``log`` its JSON log."""

    def __init__(self, directory: Path, *sets: str) -> None:
        first = free_ports(3, step=2)
        self.http = HostPort("127.0.0.1", first + 2)
        self.metrics_at = HostPort("127.0.0.1", first + 4)
        self.directory = directory
        self.database = directory / "gateway.db"
        self.sets = (
            f"sip.port={first}",
            f"http.port={self.http.port}",
            f"metrics.port={self.metrics_at.port}",
            f"store.url=sqlite:///{self.database}",
            *sets,
        )
        self.settings: Settings = load(CONFIG, self.sets)
        self.sip = HostPort(self.settings.sip.host, first)
        self.log: Happenings[dict[str, Any]] = Happenings("gateway log")
        self._program: Program | None = None

    @classmethod
    async def start(cls, directory: Path, *sets: str, timeout_s: float = 20) -> Gateway:
        gateway = cls(directory, *sets)
        await gateway.up(timeout_s)
        return gateway

    async def up(self, timeout_s: float = 20) -> None:
        """Start (again, on the same ports and database) and wait for ``/readyz``."""
        # before its peers, as systemd/dm-gateway.service has it (silently ignored if not root)
        command = ["nice", "-n", "-5"] if os.geteuid() == 0 else []
        command += [str(Path(sys.executable).parent / "dm-gateway"), "run", "--config", str(CONFIG)]
        for assignment in self.sets:
            command += ["--set", assignment]
        self._program = Program(command, cwd=ROOT, name="dm-gateway", on_stderr=self._stderr)
        began = time.monotonic()
        while not await self.ready():
            if self._program.exit_code is not None or time.monotonic() - began > timeout_s:
                code = self._program.exit_code
                await self.end()
                raise NotSeen(f"the daemon is not ready (exit {code}); its log:\n{self.tail()}")
            await pause(0.05)

    def _stderr(self, line: str) -> None:
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict):
            entry = {"event": "not_json", "level": "text", "text": line}
        self.log.add(entry)

    def tail(self, count: int = 40) -> str:
        return "\n".join(json.dumps(e)[:1200] for e in self.log.seen[-count:])

    def complaints(self, since: int = 0) -> list[dict[str, Any]]:
        """Log entries that mean something broke: errors, tracebacks, text that is no JSON."""
        bad = ("error", "critical", "text")
        return [e for e in self.log.seen[since:] if e.get("level") in bad or "exception" in e]

    # -- what it tells

    async def ready(self) -> bool:
        try:
            response = await treq.get(f"http://{self.http}/readyz", persistent=False, timeout=2)
            await response.content()
        except (ConnectError, ResponseFailed, ResponseNeverReceived):
            return False
        return bool(response.code == 200)

    async def metrics_text(self) -> str:
        url = f"http://{self.metrics_at}/metrics"
        response = await treq.get(url, persistent=False, timeout=5)
        text: str = await response.text()
        return text

    async def metrics(self) -> Metrics:
        found: Metrics = {}
        for line in (await self.metrics_text()).splitlines():
            match = _SAMPLE.fullmatch(line)
            if match and not line.startswith("#"):
                labels = frozenset(_LABEL.findall(match[2] or ""))
                found[match[1], labels] = float(match[3])
        return found

    async def metric(self, metric: str, **labels: str) -> float:
        """The sum over all samples of this name whose labels include these; 0 where none is."""
        wanted = set(labels.items())
        samples = await self.metrics()
        return sum(v for (n, have), v in samples.items() if n == metric and wanted <= have)

    async def at_rest(self, timeout_s: float = 6) -> None:
        """Wait until no leg, call or busy worker is left."""

        async def resting() -> bool:
            legs = await self.metric("dmgw_legs_active")
            calls = await self.metric("dmgw_calls_active")
            busy = await self.metric("dmgw_workers", state="busy")
            return legs == 0 and calls == 0 and busy == 0

        await until(resting, "no leg, call or busy worker is left", timeout_s, 0.1)

    # -- what the system tells of it

    @property
    def pid(self) -> int:
        assert self._program is not None
        return self._program.pid

    def processes(self) -> list[psutil.Process]:
        """The daemon first, then every descendant."""
        daemon = psutil.Process(self.pid)
        return [daemon, *daemon.children(recursive=True)]

    def rtpengine(self) -> list[psutil.Process]:
        return [p for p in self.processes() if "rtpengine" in p.name()]

    def workers(self) -> list[psutil.Process]:
        """Processes that hold a PJSIP endpoint: a UDP socket, no child, not rtpengine."""
        return [
            p
            for p in self.processes()[1:]
            if "rtpengine" not in p.name() and _udp_ports(p) and not p.children()
        ]

    def worker_of_rtp(self, port: int) -> psutil.Process:
        """The worker that owns this RTP port: the one that carries a given call."""
        for process in self.workers():
            if port in _udp_ports(process):
                return process
        raise LookupError(f"no worker holds UDP port {port}")

    def descriptors(self) -> dict[str, int]:
        """Open descriptors by kind, over the whole tree (database files aside: pooled)."""
        kinds: Counter[str] = Counter()
        for process in self.processes():
            for fd in Path(f"/proc/{process.pid}/fd").iterdir():
                try:
                    target = fd.readlink().as_posix()
                except OSError:
                    continue
                kind = target.partition(":")[0]
                if str(self.database) not in target:
                    kinds[kind if kind in ("socket", "pipe", "anon_inode") else "file"] += 1
        return dict(kinds)

    def cpu_s(self) -> float:
        """CPU seconds (user and system) of the whole tree up to now."""
        return sum(sum(p.cpu_times()[:2]) for p in self.processes())

    def memory(self) -> dict[str, int]:
        """Bytes in all: ``rss`` (shared pages counted again) and ``pss`` (counted once)."""
        full = [p.memory_full_info() for p in self.processes()]
        return {"rss": sum(m.rss for m in full), "pss": sum(m.pss for m in full)}

    def rtpengine_sessions(self) -> int:
        """Calls that the managed rtpengine holds now, asked over its NG port."""
        (process,) = self.rtpengine()
        arguments = " ".join(process.cmdline())
        found = re.search(r"--listen-ng[= ](\S+):(\d+)", arguments)
        assert found, arguments
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(2)
            s.sendto(b"test1 d7:command4:list5:limit3:999e", (found[1], int(found[2])))
            answer = s.recv(65_535)
        listed = re.search(rb"5:callsl(.*?)e", answer)
        assert listed, answer
        return len(re.findall(rb"\d+:", listed[1]))

    # -- who may come in

    def token(self, user: str, **claims: Any) -> str:
        """An HS256 token of the development platform; claims replace or add."""
        app = self.settings.app.token
        body = {
            "sub": user,
            "name": user.title(),
            "aud": "dm-call",
            "exp": int(time.time()) + 3600,
            **({"iss": app.issuer} if app.issuer else {}),
            **claims,
        }
        return jwt.encode(body, secret(app.secret, app.secret_file), algorithm="HS256")

    # -- how it ends

    def signal(self, number: signal.Signals) -> None:
        if self._program is not None:
            self._program.signal(number)

    async def exited(self, timeout_s: float = 10) -> int:
        assert self._program is not None
        return await self._program.exited(timeout_s)

    async def end(self) -> None:
        """However it is: end it, and see that none of its descendants stays."""
        program = self._program
        if program is None:
            return
        try:
            left = self.processes()
        except psutil.NoSuchProcess:
            left = []
        if program.exit_code is None:
            program.signal(signal.SIGTERM)
            program.signal(signal.SIGTERM)
            await program.stop(5)
        try:
            await until(lambda: not any(_alive(p) for p in left), "descendants gone", 6)
        finally:
            for process in left:
                if _alive(process):
                    process.kill()


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run (a zombie does not)."""
    return [p for p in processes if _alive(p)]


def _udp_ports(process: psutil.Process) -> set[int]:
    try:
        return {c.laddr.port for c in process.net_connections("udp4") if c.laddr}
    except psutil.NoSuchProcess:
        return set()
