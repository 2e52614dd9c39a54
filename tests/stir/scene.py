"""A repository with a good chain in it, and what asks for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.calls.identity_ports import StirResult
from gateway.settings import StirSection
from gateway.sip.passport import Passport, identity_value, party
from gateway.stir.verifier import Verifier
from gateway.values import Attestation, Verification
from tests.peers.waiting import reactor
from tests.stir.authority import NOW, Issued, issue
from tests.stir.repository import Repository, says

ORIG, DEST = "+12155551212", "sip:+12155550131@dm.example;user=phone"
ORIGID = "123e4567-e89b-12d3-a456-426655440000"

PASSED = Verification("passed", attest="A", origid=ORIGID)


def failed(found: Verification) -> tuple[str, int, str]:
    assert found.attest is None
    return found.status, found.code, found.text


STALE = ("failed", 403, "Stale Date")
BAD_INFO = ("failed", 436, "Bad Identity Info")
UNSUPPORTED = ("failed", 437, "Unsupported Credential")
INVALID = ("failed", 438, "Invalid Identity Header")


@dataclass
class Meters:
    results: list[StirResult] = field(default_factory=list)
    levels: list[Attestation] = field(default_factory=list)

    def verified(self, result: StirResult) -> None:
        self.results.append(result)

    def signed(self, level: Attestation) -> None:
        self.levels.append(level)


class Scene:
    """``signer`` is below ``middle`` below ``root``; ``root`` is what verifiers believe."""

    def __init__(self, directory: Path, repository: Repository) -> None:
        self.directory = directory
        self.repository = repository
        self.meters = Meters()
        self.root = issue("Root", ca=True)
        self.middle = issue("Middle", self.root, ca=True, path_length=0)
        self.signer = issue("Signer", self.middle)
        self.anchors = directory / "anchors.pem"
        self.anchors.write_bytes(self.root.pem)
        self.url = repository.url("/good.pem")
        repository.answers["/good.pem"] = says(self.chain(self.signer))
        self.made: list[Verifier] = []

    def chain(self, *issued: Issued) -> bytes:
        return b"".join(i.pem for i in (*issued, self.middle))

    def section(self, **other: Any) -> StirSection:
        return StirSection.model_validate(
            {
                "verify": True,
                "trust_anchors": self.anchors,
                "ca_file": self.repository.write_ca(self.directory),
                "allow_hosts": [self.repository.host],
                **other,
            }
        )

    def verifier(
        self, resolve: Callable[[str], Any] | None = None, clock: Any = reactor, **other: Any
    ) -> Verifier:
        made = Verifier(self.section(**other), clock, self.meters, resolve)
        self.made.append(made)
        return made

    def identity(self, issued: Issued | None = None, compact: bool = False, **other: Any) -> str:
        claims: dict[str, Any] = {
            "x5u": self.url,
            "iat": int(NOW),
            "orig": party(ORIG),
            "dest": (party(DEST),),
            "ppt": "shaken",
            "attest": "A",
            "origid": ORIGID,
            **other,
        }
        return identity_value(Passport(**claims), (issued or self.signer).key, compact=compact)

    async def told(
        self, identity: str | Sequence[str], verifier: Verifier | None = None, **other: Any
    ) -> Any:
        values = [identity] if isinstance(identity, str) else identity
        asked = {"orig": ORIG, "dest": DEST, "now": NOW, **other}
        return await (verifier or self.verifier()).verify(values, **asked)

    async def close(self) -> None:
        for verifier in self.made:
            await verifier.stop()
        await self.repository.stop()
        await self.repository.all_closed()
