"""Kamailio as a carrier's registrar and proxy: digest for REGISTER and INVITE, no media."""

from __future__ import annotations

from pathlib import Path

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
{transports}
listen=udp:127.0.0.1:{port}
alias="carrier.example"
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/"
loadmodule "kex.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "auth.so"
{tls}
modparam("auth", "algorithm", "{algorithm}")
modparam("tm", "fr_inv_timer", 60000)
request_route {{
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
    if (is_method("OPTIONS")) {{ sl_send_reply("200", "OK"); exit; }}
    if (has_totag()) {{
        if (loose_route()) {{ t_relay(); exit; }}
        if (is_method("ACK")) {{ if (t_check_trans()) t_relay(); exit; }}
        sl_send_reply("404", "Not Here");
        exit;
    }}
    if (is_method("REGISTER")) {{
        if ($tU != "{telephone}") {{
            if (!pv_www_authenticate("carrier.example", "{password}", "0")) {{
                www_challenge("carrier.example", "1");
                exit;
            }}
            consume_credentials();
        }}
        save("location");
        exit;
    }}
    if (!is_method("INVITE")) {{ sl_send_reply("405", "Method Not Allowed"); exit; }}
    record_route();
    if ($rU == "{telephone}") {{
        if (!pv_proxy_authenticate("carrier.example", "{password}", "0")) {{
            proxy_challenge("carrier.example", "1");
            exit;
        }}
        consume_credentials();
    }} else {{
        $rU = "{username}";  # a number of the gateway's, which is registered by name
    }}
    $var(number) = $tU;
    if (!lookup("location")) {{ sl_send_reply("404", "Not Found"); exit; }}
    if ($rU == "{username}") {{ $rU = $var(number); }}
    t_relay();
}}
"""


_TLS = """\
loadmodule "tls.so"
modparam("tls", "tls_method", "TLSv1.2+")
modparam("tls", "certificate", "{certificate}")
modparam("tls", "private_key", "{key}")
modparam("tls", "ca_list", "{ca}")
modparam("tls", "verify_certificate", 1)
modparam("tls", "require_certificate", 1)
"""


class Carrier:
    """``telephone`` is the number of the phone that is registered there without a password.

    ``papers`` are its certificate, its key, and the authority whose certificates it takes: with
    them it is at ``tls_at`` as well, for those alone who show one.
    """

    def __init__(
        self,
        directory: Path,
        username: str,
        password: str,
        telephone: str,
        algorithm: str = "MD5",
        papers: tuple[Path, Path, Path] | None = None,
    ) -> None:
        self.port = free_ports()
        self.at = f"127.0.0.1:{self.port}"
        tls_port = free_ports()
        self.tls_at = f"127.0.0.1:{tls_port}"
        transports, tls = "disable_tcp=yes", ""
        if papers is not None:
            transports = f"enable_tls=yes\ntcp_children=1\nlisten=tls:{self.tls_at}"
            certificate, key, ca = papers
            tls = _TLS.format(certificate=certificate, key=key, ca=ca)
        config = directory / "kamailio.cfg"
        config.write_text(
            _CONFIG.format(
                port=self.port,
                username=username,
                password=password,
                telephone=telephone,
                algorithm=algorithm,
                transports=transports,
                tls=tls,
            )
        )
        command = ["kamailio", "-f", str(config), "-DD", "-E", "-m", "64", "-M", "8"]
        command += ["-w", str(directory), "-Y", str(directory), "-P", str(directory / "pid")]
        self.program = Program(command, cwd=directory, name="kamailio")

    async def up(self) -> None:
        wanted = f":{self.port:04X} "
        await until(lambda: wanted in Path("/proc/net/udp").read_text(), "Kamailio listens", 10)

    async def end(self) -> None:
        await self.program.stop()
