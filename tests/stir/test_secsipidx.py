"""secsipidx, another implementation (Debian: secsipidx): each believes what the other signs."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_twisted

from gateway.settings import StirSection
from gateway.stir.signer import Signer
from gateway.values import Attestation
from tests.stir.authority import Issued, issue, pem_of_key

if TYPE_CHECKING:
    from tests.stir.scene import Meters, Scene

ORIGID = "123e4567-e89b-12d3-a456-426655440000"
FOREVER = {"begins": 0.0, "ends": 4e9}


def secsipidx(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        ["secsipidx", *arguments], capture_output=True, text=True, timeout=20, check=False
    )
    return done.returncode, done.stdout.strip()


class Authority:
    """A chain of today, in files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = issue("Root", ca=True, **FOREVER)
        self.middle = issue("Middle", self.root, ca=True, **FOREVER)
        self.signer = issue("Signer", self.middle, **FOREVER)
        self.key = self.write("key.pem", pem_of_key(self.signer.key))

    def write(self, name: str, content: bytes) -> str:
        file = self.directory / name
        file.write_bytes(content)
        return str(file)

    def sign(self, meters: Meters, level: Attestation, url: str) -> str:
        section = StirSection.model_validate(
            {"sign": True, "key_file": self.key, "certificate_url": url}
        )
        return Signer(section, meters).sign("+12155551212", "+12155550131", level, time.time())

    def theirs(self, identity: str, believed: Issued | None = None) -> tuple[int, str]:
        """What secsipidx says of it: signature, age, and the chain to ``believed``."""
        return secsipidx(
            "-check",
            *("-fidentity", self.write("identity", identity.encode())),
            *("-fpubkey", self.write("signer.pem", self.signer.pem)),
            *("-ca-file", self.write("root.pem", (believed or self.root).pem)),
            *("-ca-inter", self.write("middle.pem", self.middle.pem)),
            *("-expire", "60", "-cert-verify", "15"),
        )


@pytest.mark.parametrize("level", ["A", "B", "C"])
def test_it_believes_ours(tmp_path: Path, meters: Meters, level: Attestation) -> None:
    authority = Authority(tmp_path)
    text = authority.sign(meters, level, "https://cert.example.org/signer.pem")
    assert authority.theirs(text) == (0, "ok")


def test_it_finds_fault_where_there_is_one(tmp_path: Path, meters: Meters) -> None:
    authority = Authority(tmp_path)
    text = authority.sign(meters, "A", "https://cert.example.org/signer.pem")
    changed = authority.sign(meters, "B", "https://cert.example.org/signer.pem")
    header, _, signature = text.split(".", 2)
    code, _ = authority.theirs(".".join((header, changed.split(".")[1], signature)))
    assert code != 0
    code, _ = authority.theirs(text, issue("Root", ca=True, **FOREVER))
    assert code != 0


@pytest.mark.parametrize("level", ["A", "B", "C"])
@pytest_twisted.ensureDeferred
async def test_we_believe_its(scene: Scene, level: str) -> None:
    from tests.stir.repository import says

    authority = Authority(scene.directory)
    scene.anchors.write_bytes(authority.root.pem)
    chain = authority.signer.pem + authority.middle.pem
    scene.repository.answers["/good.pem"] = says(chain)
    code, text = secsipidx(
        "-sign-full",
        *("-orig-tn", "12155551212", "-dest-tn", "12155550131"),
        *("-attest", level, "-orig-id", ORIGID),
        *("-x5u", scene.url, "-fprvkey", authority.key),
    )
    assert code == 0
    now = time.time()
    found = await scene.told(text, now=now)
    assert (found.status, found.attest, found.origid) == ("passed", level, ORIGID)
    assert (await scene.told(text, now=now, orig="+12155551213")).code == 438
    assert (await scene.told(text, now=now + 100)).code == 403
