"""What a check finds, and a way to ask other programs that ends."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Grade = Literal["ok", "warn", "fail"]

ANSWER_S = 20.0


@dataclass(frozen=True, slots=True)
class Finding:
    """``fail`` keeps the gateway from working; ``mend`` says what would be right."""

    what: str
    grade: Grade
    found: str
    mend: str = ""


def output_of(command: Sequence[str], timeout_s: float = ANSWER_S) -> str | None:
    """What a program writes; ``None`` where it cannot be run, fails or does not end."""
    try:
        done = subprocess.run(  # noqa: S603  # commands are ours, or the operator's own
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout + done.stderr if done.returncode == 0 else None


def file_mode(what: str, file: Path) -> Finding:
    """Whether a file that holds a secret is open to all."""
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o007:
        return Finding(what, "warn", f"{file}: mode {mode:04o}, open to all", f"chmod 600 {file}")
    return Finding(what, "ok", f"{file}: mode {mode:04o}")
