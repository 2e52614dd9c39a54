"""What is handed on of a Reason header (RFC 3326)."""

from __future__ import annotations

import pytest

from gateway.media.dialog import reason_of


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (['Reason: Q.850;cause=17;text="busy"'], 'Q.850;cause=17;text="busy"'),
        (['Reason: SIP ;cause=200 ;text="Call completed elsewhere"'], None),
        (["Reason: Q.850;cause=16", "Reason: SIP;cause=600"], "Q.850;cause=16, SIP;cause=600"),
        (["reason:Q.850; cause = 16"], "Q.850; cause = 16"),
        (['Reason: Q.850;cause=16;text="a\\"b"'], "Q.850;cause=16"),
        (['Reason: Q.850;cause=16;text="' + "x" * 81 + '"'], "Q.850;cause=16"),
        (["Reason: nonsense"], ""),
        (["Reason: Q.850;cause=16777"], "Q.850;cause=167"),
        (["X-Reason: Q.850;cause=16"], ""),
        (["Reason: Q.850;cause=1"] * 9, "Q.850;cause=1, Q.850;cause=1, Q.850;cause=1"),
    ],
)
def test_reason(lines: list[str], said: str | None) -> None:
    message = "BYE sip:a@b SIP/2.0\r\n" + "\r\n".join(lines) + "\r\n\r\nReason: SIP;cause=1"
    expected = lines[0].partition(": ")[2] if said is None else said
    assert reason_of(message) == expected
