"""A worker's beginning: ``python -m gateway.media OPTIONS``, started by the pool alone."""

from __future__ import annotations

import importlib
import sys
from typing import Any

NOT_LOADED = ("OpenSSL", "ssl", "_ssl", "_hashlib")
"""A worker speaks no TLS, yet Twisted and asyncio load it where it is: 17 MB in each worker."""

if __name__ == "__main__":
    modules: dict[str, Any] = sys.modules
    modules.update(dict.fromkeys(NOT_LOADED))  # ``None``: importing it fails
    importlib.import_module("gateway.media.worker").main()
