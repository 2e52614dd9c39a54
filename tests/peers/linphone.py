"""linphonec as a softphone: driven by commands, a file for a microphone, its ears recorded."""

from __future__ import annotations

from pathlib import Path

from tests import audio
from tests.audio import Signal
from tests.peers.ports import free_ports
from tests.peers.programs import Program

_CONFIG = """\
[sip]
default_proxy=0
sip_port={port}
sip_tcp_port=-1
sip_tls_port=-1
bind_address=127.0.0.1
guess_hostname=0
contact=sip:{user}@127.0.0.1:{port}
register_only_when_network_is_up=0
use_ipv6=0
media_encryption=none
keepalive_period=0

[net]
firewall_policy=0
nat_address=127.0.0.1
mtu=1300

[rtp]
audio_rtp_port={rtp}
rtcp_xr_enabled=0

[sound]
use_files=1

[video]
enabled=0

[audio_codec_0]
mime=PCMU
rate=8000
channels=1
enabled=1

[audio_codec_1]
mime=telephone-event
rate=8000
channels=1
enabled=1

[proxy_0]
reg_proxy=<sip:{registrar}>
reg_identity=sip:{user}@{domain}
reg_expires=60
reg_sendregister=1
publish=0
dial_escape_plus=0

[auth_info_0]
username={user}
passwd={password}
realm={domain}
domain={domain}
"""


class Linphone:
    """One account of a gateway's, registered; it speaks a tone of ``hz``."""

    def __init__(
        self, directory: Path, registrar: str, user: str, password: str, domain: str, hz: float
    ) -> None:
        self._recording = directory / "heard.wav"
        speech = audio.write_wav(directory / "mic.wav", audio.tone(hz, 60, 8000, 0.3), 8000)
        for place in (".local/share/linphone", ".config/linphone"):
            (directory / place).mkdir(parents=True)
        config = directory / "linphonerc"
        config.write_text(
            _CONFIG.format(
                port=free_ports(),
                rtp=free_ports(2, step=1),
                user=user,
                password=password,
                domain=domain,
                registrar=registrar,
            )
        )
        command = ["linphonec", "-c", str(config), "-d", "6", "-l", str(directory / "log")]
        self.program = Program(command, cwd=directory, env={"HOME": str(directory)})
        self.say("soundcard use files")
        self.say(f"record {self._recording}")
        self.say(f"play {speech}")

    def say(self, command: str) -> None:
        self.program.write(command + "\n")

    async def _told(self, words: str, timeout_s: float = 8, since: int = 0) -> str:
        return await self.program.stdout.expect(lambda line: words in line, words, timeout_s, since)

    async def registered(self) -> None:
        await self._told("successful")

    async def dial(self, uri: str) -> None:
        self.say(f"call {uri}")

    async def incoming(self) -> None:
        await self._told("incoming call from")

    async def accept(self) -> None:
        self.say("answer")
        await self.established()

    async def established(self) -> None:
        await self._told("Media streams established")

    async def press(self, digits: str) -> None:
        for digit in digits:
            self.say(digit)

    async def hangup(self) -> None:
        self.say("terminate")

    async def closed(self) -> None:
        await self._told("ended")

    def heard(self) -> tuple[Signal, int]:
        """What it has recorded so far."""
        return audio.read_wav(self._recording)

    async def stop(self) -> None:
        """Idempotent."""
        await self.program.stop()
