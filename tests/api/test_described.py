"""The documents that programs read are those of the code, and the example client calls."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import pytest_twisted

from gateway.app.methods import Methods
from gateway.app.openrpc import REQUESTS
from gateway.app.pass_methods import PassMethods
from gateway.app.people_methods import PeopleMethods
from gateway.describe import described
from tests.peers.gateway import Gateway
from tests.peers.programs import Program

TOP = Path(__file__).parents[2]


@pytest.mark.parametrize("document", ["openapi", "openrpc"])
def test_the_documents_are_up_to_date(document: str) -> None:
    there = (TOP / "docs" / f"{document}.json").read_text(encoding="utf-8")
    assert there == described(document), "make describe writes it anew"


def test_every_request_of_the_protocol_is_described() -> None:
    nobody: Any = MagicMock()
    people: Any = MagicMock(readers=lambda: PeopleMethods.readers(nobody))
    passes: Any = MagicMock(readers=lambda: PassMethods.readers(nobody))
    methods = Methods(nobody, nobody, nobody, nobody, nobody, people, passes)
    assert set(REQUESTS) == {"session.open", *methods._readers}


@pytest_twisted.ensureDeferred
async def test_the_example_client_makes_a_call(gateway: Gateway) -> None:
    example = str(TOP / "docs/examples/call.py")
    url = f"ws://{gateway.http}/v1/dm"
    command = [sys.executable, example, url, gateway.token("alice"), "service:echo"]
    client = Program(command, cwd=TOP, name="call.py")
    try:
        await client.stdout.expect(lambda line: line.startswith("packets heard"), "the end", 15)
    finally:
        await client.stop()
    said = client.stdout.seen
    assert {"call.media", "call.connected", "call.ended"} <= set(said), said
    assert int(said[-1].rpartition(" ")[2]) > 100, said


def test_the_example_client_is_short() -> None:
    text = (TOP / "docs/examples/call.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
