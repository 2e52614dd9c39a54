"""PJSIP and rtpengine: are they there, and do they hold what the settings ask of them?"""

from __future__ import annotations

import json
import shutil
import socket
import sys
from collections.abc import Iterator
from typing import Final

from gateway.doctor.finding import Finding, output_of
from gateway.settings import Settings

_PROBE: Final = """
import json, os
import pjsua2 as pj
ep = pj.Endpoint(); ep.libCreate()
config = pj.EpConfig(); config.logConfig.level = config.logConfig.consoleLevel = 0
config.uaConfig.threadCnt = 0
ep.libInit(config)
codecs = sorted({c.codecId.split("/")[0] for c in ep.codecEnum2()})
print("\\nFOUND " + json.dumps([ep.libVersion().full, codecs]), flush=True)
os._exit(0)
"""
_LIMIT: Final = "from gateway.media.endpoint import call_limit; call_limit({})"


def _child(code: str) -> list[str]:
    """Lines of a process of its own: a misuse of PJSIP aborts the process."""
    return (output_of([sys.executable, "-c", code]) or "").splitlines()


def pjsip(settings: Settings) -> Iterator[Finding]:
    line = next((x for x in _child(_PROBE) if x.startswith("FOUND ")), "")
    if not line:
        mend = "pip install pjsua2-python==2.15.1.post1 (Linux x86-64, Python 3.11 or 3.12)"
        yield Finding("pjsua2", "fail", "cannot be imported or started", mend)
        return
    version, codecs = json.loads(line[6:])
    yield Finding("pjsua2", "ok", f"PJSIP {version}")
    missing = [c for c in settings.media.codecs if c.lower() not in {x.lower() for x in codecs}]
    if missing:
        mend = f"remove {', '.join(missing)} from media.codecs, or use a build that has them"
        yield Finding("codecs", "fail", ", ".join(codecs), mend)
    else:
        yield Finding("codecs", "ok", ", ".join(codecs))
    wanted = settings.media.legs_per_worker
    numbers = [int(x) for x in _child(_LIMIT.format(wanted)) if x.isdecimal()]
    if not numbers:
        mend = "see what 'python -c \"import gateway.media.endpoint\"' says"
        yield Finding("calls a process", "fail", "PJSIP ended before it could be told", mend)
    elif numbers[-1] < wanted:
        mend = f"set media.legs_per_worker to {numbers[-1]}, or use a PJSIP built for more calls"
        yield Finding("calls a process", "fail", f"{numbers[-1]}, wanted {wanted}", mend)
    else:
        yield Finding("calls a process", "ok", f"at least {wanted}")


def rtpengine(settings: Settings) -> Iterator[Finding]:
    chosen = settings.webrtc.rtpengine
    if chosen == "off":
        yield Finding("rtpengine", "warn", "off: browsers cannot call", "set webrtc.rtpengine")
    elif chosen == "managed":
        yield _managed(str(settings.webrtc.program))
    else:
        for address in chosen:
            host, _, port = address.rpartition(":")
            if _answers(host, int(port)):
                yield Finding(f"rtpengine {address}", "ok", "answers")
            else:
                mend = "start it, open its NG port to this host, or take it out of webrtc.rtpengine"
                yield Finding(f"rtpengine {address}", "fail", "does not answer a ping", mend)


def _managed(name: str) -> Finding:
    program = shutil.which(name)
    if program is None:
        mend = "apt-get install rtpengine-daemon, or set webrtc.program"
        return Finding("rtpengine", "fail", f"there is no program {name}", mend)
    said = output_of([program, "--version"], 10)
    if not said or not said.strip():
        return Finding("rtpengine", "fail", f"{program} does not run", "install it again")
    version = said.strip().splitlines()[0].removeprefix("Version: ")
    return Finding("rtpengine", "ok", f"{version}, {program}")


def _answers(host: str, port: int) -> bool:
    """One ping of the NG protocol: a cookie, a space, and a bencoded dictionary."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[
            0
        ]
        with socket.socket(family, kind, protocol) as channel:
            channel.settimeout(1)
            channel.sendto(b"doctor d7:command4:pinge", address)
            return channel.recv(2048).startswith(b"doctor d6:result4:pong")
    except (OSError, OverflowError):
        return False


def digits(settings: Settings) -> Iterator[Finding]:
    """Trunks to which digits go as tones: theirs, coming in as tones, are heard by nobody."""
    for trunk in settings.trunks:
        if trunk.dtmf == "inband" and not trunk.hears_tones:
            yield Finding(
                f"digits of trunk {trunk.name}",
                "warn",
                "dtmf: inband with media: direct sends tones and hears none",
                "leave media at auto, so that rtpengine listens; or have the trunk send "
                "telephone-event (RFC 4733)",
            )
