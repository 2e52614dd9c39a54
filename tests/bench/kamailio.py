"""Kamailio as the peer to compare with: a registrar and stateful proxy with one worker."""

from __future__ import annotations

from pathlib import Path

import psutil

from gateway.values import HostPort
from tests.peers.ports import free_ports
from tests.peers.programs import Program
from tests.peers.waiting import until

_CONFIG = """\
#!KAMAILIO
debug=1
log_stderror=yes
fork=yes
children=1
auto_aliases=no
disable_tcp=yes
listen=udp:127.0.0.1:{port}
alias="dm.localhost"
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/"
loadmodule "kex.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "siputils.so"
loadmodule "textops.so"
request_route {{
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
    if (has_totag()) {{
        if (loose_route()) {{ t_relay(); exit; }}
        if (is_method("ACK")) {{ if (t_check_trans()) t_relay(); exit; }}
        sl_send_reply("404", "Not Here");
        exit;
    }}
    if (is_method("REGISTER")) {{ save("location"); exit; }}
    if (!is_method("INVITE")) {{ sl_send_reply("405", "Method Not Allowed"); exit; }}
    record_route();
    if (!lookup("location")) {{ sl_send_reply("404", "Not Found"); exit; }}
    t_relay();
}}
"""


class Kamailio:
    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        self.sip = HostPort("127.0.0.1", free_ports())
        config = directory / "kamailio.cfg"
        config.write_text(_CONFIG.format(port=self.sip.port))
        command = ["kamailio", "-f", str(config), "-DD", "-E", "-m", "64", "-M", "8"]
        command += ["-w", str(directory), "-Y", str(directory), "-P", str(directory / "pid")]
        self.program = Program(command, name="kamailio")

    async def up(self) -> None:
        wanted = f":{self.sip.port:04X} "
        await until(lambda: wanted in Path("/proc/net/udp").read_text(), "Kamailio listens", 10)

    def cpu_s(self) -> float:
        main = psutil.Process(self.program.pid)
        family = [main, *main.children(recursive=True)]
        return sum(sum(p.cpu_times()[:2]) for p in family)

    async def end(self) -> None:
        await self.program.stop()
