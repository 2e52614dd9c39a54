"""Takes events and checks their signatures: python3 verify_webhook.py PORT KEYFILE..."""

import hashlib
import hmac
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

FRESH_S = 300


def key_id(key: bytes) -> str:
    return hashlib.sha256(b"dm-gateway webhook key\0" + key).hexdigest()[:8]


def verify(header: str, body: bytes, keys: list[bytes], now: float) -> bool:
    """Whether one of the keys signed this body a moment ago."""
    parts = dict(part.split("=", 1) for part in header.split(",") if "=" in part)
    try:
        at = int(parts["t"])
        key = {key_id(k): k for k in keys}[parts["k"]]
    except (KeyError, ValueError):
        return False
    mac = hmac.new(key, b"%d." % at + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(mac, parts.get("v1", "")) and abs(now - at) <= FRESH_S


class Receiver(BaseHTTPRequestHandler):
    keys: ClassVar[list[bytes]] = []
    seen: ClassVar[set[str]] = set()  # events may come twice: keep their ids

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        right = verify(self.headers.get("DMGW-Signature", ""), body, self.keys, time.time())
        self.send_response(204 if right else 401)
        self.end_headers()
        event = json.loads(body) if right else {"id": None}
        if right and event["id"] not in self.seen:
            self.seen.add(event["id"])
            print(event["type"], event["call"], event["data"].get("reason", ""), flush=True)

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    Receiver.keys = [Path(name).read_bytes().strip() for name in sys.argv[2:]]
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
