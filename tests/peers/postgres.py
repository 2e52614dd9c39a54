"""A real PostgreSQL: a private cluster on loopback, gone with the tests."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from tests.peers.ports import free_ports

_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "60",
    "shared_buffers": "16MB",
    "timezone": "UTC",
}


class Cluster:
    """``start`` blocks until it serves; ``stop`` until nothing of it is left."""

    def __init__(self, directory: Path) -> None:
        binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        assert binaries, "PostgreSQL is not installed; make setup-test does it"
        self._bin = binaries[-1]
        # the server refuses to run as root, and its user has to get at its directory
        self._as = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self.port = free_ports()
        name = f"dmgw-pg-{os.getpid()}-{self.port}"
        self._data = Path("/var/tmp" if self._as else str(directory)) / name
        self._server: subprocess.Popen[bytes] | None = None
        self._made = 0

    def start(self) -> None:
        shutil.rmtree(self._data, ignore_errors=True)
        self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", "gateway", "-E", "UTF8")
        self._serve()

    def restart(self) -> None:
        """Every connection ends."""
        self._end()
        self._serve()

    def _serve(self) -> None:
        command = [*self._as, str(self._bin / "postgres"), "-D", str(self._data)]
        command += ["-h", "127.0.0.1", "-p", str(self.port), "-k", ""]
        for name, value in _SETTINGS.items():
            command += ["-c", f"{name}={value}"]
        log = (self._data.with_suffix(".log")).open("wb")
        self._server = subprocess.Popen(command, stdout=log, stderr=log, cwd="/")
        end = time.monotonic() + 20
        while not self._up():
            said = self._data.with_suffix(".log").read_text()
            assert time.monotonic() < end and self._server.poll() is None, said
            time.sleep(0.05)

    def _up(self) -> bool:
        command = [str(self._bin / "pg_isready"), "-h", "127.0.0.1", "-p", str(self.port), "-q"]
        return subprocess.run(command, check=False).returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as, str(self._bin / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        assert done.returncode == 0, done.stderr

    def database(self) -> str:
        """A new, empty one; its URL."""
        self._made += 1
        name = f"d{self._made}"
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "gateway", name)
        return f"postgresql+psycopg://gateway@127.0.0.1:{self.port}/{name}"

    def _end(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            self._signal(signal.SIGINT)  # the fast shutdown
            server.wait(20)

    def stop(self) -> None:
        self._end()
        shutil.rmtree(self._data, ignore_errors=True)
        self._data.with_suffix(".log").unlink(missing_ok=True)

    def _signal(self, number: signal.Signals) -> None:
        pid = int((self._data / "postmaster.pid").read_text().split()[0])
        os.kill(pid, number)
