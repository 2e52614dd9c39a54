"""The page's files: package data, read once, each with its entity tag (RFC 9110 §8.8.3)."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from twisted.web.server import Request

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "media-src 'self' blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class Asset:
    content_type: str
    content: bytes
    zipped: bytes
    etag: str


def load_assets(place: str = "static") -> Mapping[str, Asset]:
    """Every file of this directory by its name; those of no known type are left out."""
    assets: dict[str, Asset] = {}
    for file in files("gateway.web").joinpath(place).iterdir():
        kind = _TYPES.get(file.name[file.name.rfind(".") :])
        if kind is not None:
            content = file.read_bytes()
            tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            assets[file.name] = Asset(kind, content, gzip.compress(content, mtime=0), tag)
    return assets


def serve(request: Request, asset: Asset, microphone: str = "(self)") -> bytes:
    """``microphone``: which origins the page may give it to (Permissions Policy)."""
    set_header = request.setHeader
    set_header(b"Content-Security-Policy", POLICY.encode())
    allowed = f"microphone={microphone}, camera=(), geolocation=()"
    set_header(b"Permissions-Policy", allowed.encode())
    set_header(b"Cross-Origin-Opener-Policy", b"same-origin")
    set_header(b"Cross-Origin-Resource-Policy", b"same-origin")
    set_header(b"Cache-Control", b"no-cache")
    set_header(b"Content-Type", asset.content_type.encode())
    set_header(b"Vary", b"Accept-Encoding")
    if request.setETag(asset.etag.encode()):
        return b""  # 304: the browser has this one
    content = asset.content
    if _takes_gzip(request.getHeader("accept-encoding") or ""):
        content = asset.zipped
        set_header(b"Content-Encoding", b"gzip")
    set_header(b"Content-Length", str(len(content)).encode())
    return b"" if request.method == b"HEAD" else content


def _takes_gzip(accepted: str) -> bool:
    """RFC 9110 §12.5.3; a quality of 0 is a no."""
    for part in accepted.lower().split(","):
        name, _, quality = part.strip().partition(";")
        if name.strip() == "gzip":
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
