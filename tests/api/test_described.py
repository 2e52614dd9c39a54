"""The documents that programs read are those of the code, and the example client calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.describe import described

TOP = Path(__file__).parents[2]


@pytest.mark.parametrize("document", ["openapi", "openrpc"])
def test_the_documents_are_up_to_date(document: str) -> None:
    there = (TOP / "docs" / f"{document}.json").read_text(encoding="utf-8")
    assert there == described(document), "make describe writes it anew"
