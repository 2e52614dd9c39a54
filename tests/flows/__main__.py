"""``make flows``: plays the main flows, and writes ``docs/flows.md``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

here = Path(__file__).parent
done = subprocess.run(
    [sys.executable, "-m", "pytest", "-n", "0", "-q", here / "flows.py"],
    env={**os.environ, "DMGW_FLOWS": "1"},
    check=False,
)
sys.exit(done.returncode)
