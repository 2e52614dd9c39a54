"""``dm-gateway describe``: what programs read of the API and of the DM call protocol."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from gateway.api import openapi
from gateway.api.resources import Ports, operations
from gateway.app import openrpc


def described(document: str) -> str:
    """``openapi`` or ``openrpc``, as JSON."""
    nobody: Any = None  # nothing is asked of them
    if document == "openapi":
        ports = Ports(*(nobody for _ in fields(Ports)))
        made = openapi.document(operations(ports))
    else:
        made = openrpc.document()
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"
