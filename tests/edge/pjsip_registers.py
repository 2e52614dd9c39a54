"""A PJSIP user agent that registers once: ``pjsip_registers.py HOST:PORT USER PASSWORD``.

Prints the status of the registrar's last answer.  A process of its own: PJSIP is global.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import pjsua2 as pj

WAIT_S = 10.0


class Account(pj.Account):  # type: ignore[misc]  # the binding has no types
    def __init__(self) -> None:
        super().__init__()
        self.status = 0

    def onRegState(self, prm: Any) -> None:
        self.status = int(prm.code)


def main(server: str, user: str, password: str) -> int:
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    config = pj.EpConfig()
    config.logConfig.level = config.logConfig.consoleLevel = 0
    config.uaConfig.threadCnt = 0
    config.uaConfig.mainThreadOnly = True
    endpoint.libInit(config)
    transport = pj.TransportConfig()
    transport.boundAddress = "127.0.0.1"
    endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
    endpoint.libStart()
    wanted = pj.AccountConfig()
    wanted.idUri = f"sip:{user}@dm.localhost"
    wanted.regConfig.registrarUri = "sip:dm.localhost"
    wanted.sipConfig.proxies.append(f"sip:{server};lr")
    wanted.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", user, 0, password))
    account = Account()
    account.create(wanted)
    until = time.monotonic() + WAIT_S
    while account.status == 0 and time.monotonic() < until:
        endpoint.libHandleEvents(20)
    status = account.status
    account.shutdown()
    del account
    endpoint.libDestroy()
    return status


if __name__ == "__main__":
    sys.stderr.write(f"status {main(*sys.argv[1:])}\n")
