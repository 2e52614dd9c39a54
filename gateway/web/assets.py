"""The page's files: package data, read once, each with its entity tag (RFC 9110 §8.8.3)."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    content_type: str
    content: bytes
    zipped: bytes
    etag: str


def load_assets() -> Mapping[str, Asset]:
    """Every file of ``static/`` by its name; those of no known type are left out."""
    assets: dict[str, Asset] = {}
    for file in files("gateway.web").joinpath("static").iterdir():
        kind = _TYPES.get(file.name[file.name.rfind(".") :])
        if kind is not None:
            content = file.read_bytes()
            tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            assets[file.name] = Asset(kind, content, gzip.compress(content, mtime=0), tag)
    return assets
