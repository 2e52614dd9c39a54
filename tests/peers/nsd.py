"""NSD, a real authoritative DNS server, on loopback as an ordinary user's process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dns.asyncresolver
import dns.message
import dns.query

from tests.peers.ports import free_ports
from tests.peers.programs import Program
from tests.peers.waiting import NotSeen, until

_CONFIG = """\
server:
  ip-address: 127.0.0.1@{port}
  port: {port}
  username: ""
  chroot: ""
  zonesdir: "{directory}"
  database: ""
  xfrdfile: "{directory}/xfrd.state"
  pidfile: ""
  zonelistfile: "{directory}/zone.list"
  xfrdir: "{directory}"
  server-count: 1
  rrl-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: "{zone}"
  zonefile: "zone"
"""


class Nsd:
    """Serves one zone; ``at`` is its HOST:PORT."""

    def __init__(self, directory: Path, zone: str, records: str) -> None:
        self.port = free_ports()
        self.at = f"127.0.0.1:{self.port}"
        (directory / "zone").write_text(records)
        config = directory / "nsd.conf"
        config.write_text(_CONFIG.format(port=self.port, directory=directory, zone=zone))
        self._zone = zone
        self._program = Program(["nsd", "-d", "-c", str(config)], cwd=directory, name="nsd")

    async def up(self) -> None:
        question = dns.message.make_query(self._zone, "SOA")

        def answers() -> Any:
            if self._program.exit_code is not None:
                raise NotSeen("nsd ended: " + "\n".join(self._program.stderr.seen[-10:]))
            try:
                return dns.query.udp(question, "127.0.0.1", 0.2, self.port).answer
            except (OSError, dns.exception.Timeout):
                return False

        await until(answers, "an answer of nsd", 5, 0.1)

    async def end(self) -> None:
        await self._program.stop()
