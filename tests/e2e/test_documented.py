"""What docs/api.md tells people to type does what it says."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest_twisted

from tests.peers.ports import free_ports
from tests.peers.programs import Program

TOP = Path(__file__).resolve().parents[2]
READY = "until curl -fs http://127.0.0.1:8080/readyz >/dev/null; do sleep 0.1; done"


@pytest_twisted.ensureDeferred
async def test_the_first_words_to_the_api(tmp_path: Path) -> None:
    """As printed, but for the ports, the database, and the wait until it is up."""
    page = (TOP / "docs/api.md").read_text(encoding="utf-8")
    script = re.findall(r"```sh\n(.*?)```", page, re.S)[0]
    started = re.search(r"^\S*dm-gateway run .*&$", script, re.M)
    assert started is not None
    sip, http, metrics = free_ports(), free_ports(), free_ports()
    sets = f"--set sip.port={sip} --set http.port={http} --set metrics.port={metrics} "
    sets += f"--set store.url=sqlite:///{tmp_path}/api.db --set media.warm_workers=1"
    command = started[0].replace(
        ".venv/bin/dm-gateway", str(Path(sys.executable).parent / "dm-gateway")
    )
    run = command.removesuffix("&") + f" {sets} >{tmp_path}/log 2>&1 &\ntrap 'kill %1; wait' EXIT"
    script = script.replace(started[0], f"{run}\n{READY}").replace("curl ", "curl -sS ")
    script = script.replace("127.0.0.1:8080/v1/calls\n", "127.0.0.1:8080/v1/calls; echo\n")
    script = script.replace("127.0.0.1:8080", f"127.0.0.1:{http}")
    program = Program(["bash", "-eu", "-c", script], cwd=TOP)
    assert await program.exited(40) in (0, 143), "\n".join(program.stderr.seen)
    listed, placed = (json.loads(line) for line in program.stdout.seen if line.startswith("{"))
    assert listed == {"calls": []}
    assert placed["caller"]["address"] == "user:alice" and placed["reason"] == "unreachable"
