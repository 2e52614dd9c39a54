"""baresip 1.0 as an awaitable softphone: speaks a WAV file, records what it hears."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectError
from twisted.protocols.basic import NetstringReceiver

from gateway.values import HostPort
from tests.audio import Signal, read_wav, tone, write_wav
from tests.peers.ports import free_ports
from tests.peers.programs import Program
from tests.peers.waiting import Happenings, NotSeen, reactor, until

Event = dict[str, Any]

_CODECS = {
    "PCMU": "pcmu/8000/1",
    "PCMA": "pcma/8000/1",
    "G722": "g722/16000/1",
    "opus": "opus/48000/2",
}
_RATES = {"G722": 16_000, "opus": 48_000}

_ENCRYPTION = {
    "srtp": "srtp.so",
    "srtp-mand": "srtp.so",
    "dtls_srtp": "dtls_srtp.so",
}

_CONFIG = """\
poll_method epoll
net_interface {interface}
sip_listen {interface}:{sip}
call_local_timeout 120
call_max_calls {max_calls}
audio_player aubridge,ear{sip}
audio_source aufile,{speech}
audio_alert aubridge,bell{sip}
audio_level no
ausrc_format s16
auplay_format s16
auenc_format s16
audec_format s16
audio_txmode thread
audio_buffer 20-160
rtp_ports {rtp}-{rtp_last}
rtcp_mux no
jitter_buffer_delay 5-10
rtp_stats no
module_path /usr/lib/baresip/modules
{modules}
module_tmp uuid.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen {interface}:{control}
statmode_default off
snd_path {recordings}
{more}
"""


class _Control(NetstringReceiver):
    MAX_LENGTH = 1_000_000

    def __init__(self, heard: Callable[[Event], None]) -> None:
        self._heard = heard

    def stringReceived(self, string: bytes) -> None:
        self._heard(json.loads(string))

    def say(self, command: str, params: str, token: str) -> None:
        message = {"command": command, "params": params, "token": token}
        self.sendString(json.dumps(message).encode())


class Baresip:
    """One baresip process with one account, on loopback.

    ``registrar`` is HOST:PORT of where it registers (none: a bare endpoint); ``hz`` is the
    tone it speaks (``None``: silence).  It never answers by itself unless ``auto_answer``.
    ``ca_file`` verifies a registrar over TLS.  In another network ``namespace`` it has an address
    of its own, ``interface``, and its control channel is reached at ``control``.
    """

    def __init__(
        self,
        directory: Path,
        *,
        user: str = "1001",
        password: str | None = None,
        domain: str = "dm.localhost",
        registrar: str | None = None,
        transport: str = "udp",
        codecs: Sequence[str] = ("PCMU", "PCMA"),
        hz: float | None = 440,
        speech: Path | None = None,
        auto_answer: bool = False,
        media: str | None = None,
        max_calls: int = 4,
        dtmf: str = "",
        ca_file: Path | None = None,
        interface: str = "127.0.0.1",
        namespace: str | None = None,
        control: HostPort | None = None,
    ) -> None:
        self.user, self.domain = user, domain
        self.directory = directory
        self.sip_port = free_ports(2, step=1)  # baresip takes the next port for TLS
        self.events: Happenings[Event] = Happenings(f"baresip {user}")
        self._control_at = control or HostPort(interface, free_ports())
        self._replies: dict[str, Deferred[Event]] = {}
        self._tokens = 0
        self._recordings = directory / "recordings"
        self._recordings.mkdir(parents=True)
        rate = _RATES.get(codecs[0], 8_000)
        if speech is None:
            samples = tone(hz or 440, 300, rate, 0.3 if hz else 0.0)
            channels = 2 if codecs[0] == "opus" else 1
            speech = write_wav(directory / "speech.wav", samples, rate, channels)
        rtp = free_ports(20, step=2)
        modules = ["g711.so", "g722.so", "aufile.so", "aubridge.so", "sndfile.so"]
        modules += [_ENCRYPTION[media]] if media else []
        modules += ["opus.so"] if "opus" in codecs else []
        config = _CONFIG.format(
            sip=self.sip_port,
            control=self._control_at.port,
            interface=interface,
            rtp=rtp,
            rtp_last=rtp + 40,
            speech=speech,
            recordings=self._recordings,
            more=f"sip_cafile {ca_file}" if ca_file else "",
            max_calls=max_calls,
            modules="\n".join(f"module {m}" for m in modules),
        )
        account = f"<sip:{user}@{domain};transport={transport}>"
        if registrar is None:
            account = f"<sip:{user}@{interface}:{self.sip_port}>;regint=0"
        else:
            account += f';outbound="sip:{registrar};transport={transport}";regint=60'
        if password is not None:
            account += f";auth_user={user};auth_pass={password}"
        account += ";audio_codecs=" + ",".join(_CODECS[c] for c in codecs)
        account += ";answermode=auto" if auto_answer else ";answermode=manual"
        account += f";mediaenc={media}" if media else ""
        account += f";dtmfmode={dtmf}" if dtmf else ""
        (directory / "config").write_text(config)
        (directory / "accounts").write_text(account + "\n")
        (directory / "contacts").write_text("")
        self._registers = registrar is not None
        there = ["ip", "netns", "exec", namespace] if namespace else []
        self.program = Program(
            [*there, "baresip", "-4", "-f", str(directory), "-s"], cwd=directory, name="baresip"
        )
        self._control: _Control | None = None

    @classmethod
    async def start(cls, directory: Path, **options: Any) -> Baresip:
        """Start, open the control channel, and, with a registrar, wait for the registration."""
        phone = cls(directory, **options)
        try:
            await phone.open()
        except BaseException:
            await phone.stop()
            raise
        return phone

    async def open(self) -> None:
        endpoint = TCP4ClientEndpoint(
            reactor, self._control_at.host, self._control_at.port, timeout=2
        )

        async def connected() -> bool:
            if self.program.exit_code is not None:
                raise NotSeen("baresip ended: " + "\n".join(self.program.stdout.seen[-20:]))
            try:
                self._control = await connectProtocol(endpoint, _Control(self._heard))
            except ConnectError:
                return False
            return True

        await until(connected, "baresip's control port", 10)
        if self._registers:
            await self.registered()

    async def registered(self, timeout_s: float = 6) -> None:
        """Wait for REGISTER_OK (asked of ``reginfo`` too: it may have come before we listened)."""

        async def is_registered() -> bool:
            if self.events.find(lambda e: e.get("type") == "REGISTER_OK") is not None:
                return True
            failed = self.events.find(lambda e: e.get("type") == "REGISTER_FAIL")
            if failed is not None:
                raise NotSeen(f"baresip {self.user}: {self.events.seen[failed]}")
            reply = await self.command("reginfo")
            return "OK" in str(reply.get("data"))

        await until(is_registered, f"baresip {self.user} registered", timeout_s, 0.1)

    def _heard(self, message: Event) -> None:
        if message.get("response"):
            waiting = self._replies.pop(str(message.get("token")), None)
            if waiting is not None:
                waiting.callback(message)
        else:
            self.events.add(message)

    async def command(self, command: str, params: str = "", timeout_s: float = 5) -> Event:
        """Say a command of baresip's menu; the reply has ``ok`` and ``data``."""
        assert self._control is not None
        self._tokens += 1
        token = str(self._tokens)
        done: Deferred[Event] = Deferred()
        self._replies[token] = done
        self._control.say(command, params, token)
        done.addTimeout(timeout_s, reactor)
        return await done

    async def event(self, kind: str, timeout_s: float = 5, since: int = 0) -> Event:
        wanted = f"event {kind}"
        return await self.events.expect(lambda e: e.get("type") == kind, wanted, timeout_s, since)

    # -- calls

    async def dial(self, to: str) -> None:
        """``to`` is a SIP URI, or a user of its own domain."""
        uri = to if to.startswith("sip:") else f"sip:{to}@{self.domain}"
        await self.command("dial", uri)

    async def incoming(self, timeout_s: float = 5, since: int = 0) -> Event:
        return await self.event("CALL_INCOMING", timeout_s, since)

    async def accept(self) -> None:
        await self.command("accept")

    async def established(self, timeout_s: float = 5, since: int = 0) -> Event:
        return await self.event("CALL_ESTABLISHED", timeout_s, since)

    async def closed(self, timeout_s: float = 5, since: int = 0) -> str:
        """Wait for the end of the call; why, in baresip's words (``486 Busy Here``)."""
        return str((await self.event("CALL_CLOSED", timeout_s, since)).get("param", ""))

    async def hangup(self) -> None:
        await self.command("hangup")

    async def hold(self) -> None:
        await self.command("hold")

    async def resume(self) -> None:
        await self.command("resume")

    async def press(self, digits: str) -> None:
        """Each a key pressed and released (RFC 4733 or INFO, as the account says)."""
        for digit in digits:
            await self.command("sndcode", digit)

    def digits(self, since: int = 0) -> str:
        """What the other end pressed."""
        pressed = [e for e in self.events.seen[since:] if e.get("type") == "CALL_DTMF_START"]
        return "".join(str(e["param"]) for e in pressed)

    async def expect_digits(self, digits: str, timeout_s: float = 10, since: int = 0) -> None:
        with suppress(NotSeen):  # the comparison tells it better
            await until(lambda: len(self.digits(since)) >= len(digits), "digits", timeout_s)
        assert self.digits(since) == digits

    # -- what it heard

    def recordings(self) -> list[Path]:
        """Files of received audio, oldest first: one a media stream (a re-INVITE may add one)."""
        found = self._recordings.glob("dump-*-dec.wav")
        return sorted(found, key=lambda p: (p.stat().st_mtime_ns, p.name))

    def heard(self, index: int = -1) -> tuple[Signal, int]:
        """Received audio of one stream and its rate; also while the call goes on."""
        files = self.recordings()
        return read_wav(files[index]) if files else (np.zeros(0), 8000)

    async def stop(self) -> None:
        if self._control is not None and self._control.transport is not None:
            self._control.transport.loseConnection()
        for waiting in self._replies.values():
            waiting.cancel()
        await self.program.stop()
