"""``python -m tests.peers.npm``: the JavaScript that tests load into browsers, off the registry.

Each package is one pinned version whose digest is checked; it is unpacked, and nothing of it run.
"""

from __future__ import annotations

import base64
import hashlib
import io
import shutil
import sys
import tarfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

REGISTRY = "https://registry.npmjs.org"
PLACE = Path(sys.prefix) / "share" / "npm"


@dataclass(frozen=True)
class Package:
    """``integrity`` is the registry's: SHA-512 of the archive, in base64."""

    name: str
    version: str
    integrity: str

    @property
    def directory(self) -> Path:
        return PLACE / f"{self.name}-{self.version}"

    def install(self) -> None:
        if self.directory.exists():
            return
        url = f"{REGISTRY}/{self.name}/-/{self.name}-{self.version}.tgz"
        with urllib.request.urlopen(url, timeout=60) as answer:  # https, above
            archive = answer.read()
        digest = base64.b64encode(hashlib.sha512(archive).digest()).decode()
        if digest != self.integrity:
            sys.exit(f"{url} is not what it was: {digest}")
        part = self.directory.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(part, filter="data")
        part.rename(self.directory)


SIP_JS = Package(
    "sip.js",
    "0.21.2",
    "tSqTcIgrOd2IhP/rd70JablvAp+fSfLSxO4hGNY6LkWRY1SKygTO7OtJEV/BQb8oIxtMRx0LE7nUF2MaqGbFzA==",
)

AXE = Package(
    "axe-core",
    "4.14.1",
    "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
)

if __name__ == "__main__":
    PLACE.mkdir(parents=True, exist_ok=True)
    for package in (SIP_JS, AXE):
        package.install()
