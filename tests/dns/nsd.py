"""A real authoritative name server on loopback: NSD, in the foreground, with zones of ours."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

from tests.peers.ports import free_ports
from tests.peers.programs import Program

_CONFIG = """\
server:
  ip-address: 127.0.0.1@{port}
  username: ""
  chroot: ""
  pidfile: ""
  database: ""
  logfile: ""
  zonesdir: "{directory}"
  zonelistfile: "{directory}/zone.list"
  xfrdfile: "{directory}/xfrd.state"
  xfrdir: "{directory}"
  server-count: 1
  tcp-count: 20
  verbosity: 1
  rrl-ratelimit: 0
remote-control:
  control-enable: no
"""
_SOA = """\
$ORIGIN {name}.
$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 20
@ NS ns
ns A 127.0.0.1
"""


class NsdServer:
    """``zones``: a zone's name → its records besides SOA and NS; the SOA's minimum is 20 s."""

    def __init__(self, directory: Path, zones: Mapping[str, str], port: int | None = None) -> None:
        self.port = port or free_ports()
        self.address = f"127.0.0.1:{self.port}"
        self._config = directory / "nsd.conf"
        self._program: Program | None = None
        text = _CONFIG.format(port=self.port, directory=directory)
        for name, records in zones.items():
            file = directory / f"{name}.zone"
            body = _SOA.format(name=name) + textwrap.dedent(records)
            file.write_text(body, encoding="utf-8")
            text += f'zone:\n  name: "{name}"\n  zonefile: "{file}"\n'
        self._config.write_text(text, encoding="utf-8")

    async def start(self) -> None:
        self._program = Program(["/usr/sbin/nsd", "-d", "-c", str(self._config)])
        await self._program.stderr.expect(lambda line: "nsd started" in line, "nsd started", 10)
        errors = [line for line in self._program.stderr.seen if "error" in line.split("logfile")[0]]
        assert not [e for e in errors if "zone" in e], errors

    async def stop(self) -> None:
        """Idempotent."""
        program, self._program = self._program, None
        if program is not None:
            await program.stop()
