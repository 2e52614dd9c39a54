"""What a line of docs/flows.md says of a message; the flows themselves are played by make flows."""

from __future__ import annotations

import pytest

from tests.flows.tape import sip_line
from tests.peers.sip_message import SipMessage

CASES = [
    ("INVITE sip:1001@127.0.0.1:5070 SIP/2.0", "INVITE", {}, "", "INVITE 1001"),
    ("INVITE sip:g0123456789abcdef0123@127.0.0.1 SIP/2.0", "INVITE", {}, "", "INVITE"),
    (
        "INVITE sip:+14155552671@127.0.0.1;user=phone SIP/2.0",
        "INVITE",
        {"content-type": "application/sdp", "proxy-authorization": 'Digest response="secret"'},
        "v=0\r\na=sendonly\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:secret\r\n",
        "INVITE +14155552671 [SDP sendonly, digest]",
    ),
    ("SIP/2.0 180 Said So", "INVITE", {}, "", "180 Ringing"),
    ("SIP/2.0 200 OK", "BYE", {}, "", "200 OK (BYE)"),
    ("SIP/2.0 407 x", "INVITE", {"proxy-authenticate": "Digest nonce=1"}, "", "407 Proxy"),
    ("BYE sip:x@y SIP/2.0", "BYE", {"reason": "SIP;cause=480"}, "", "BYE [Reason 480]"),
    (
        "NOTIFY sip:x@y SIP/2.0",
        "NOTIFY",
        {"content-type": "message/sipfrag;version=2.0"},
        "SIP/2.0 180 Ringing\r\n",
        "NOTIFY [180 Ringing]",
    ),
]


@pytest.mark.parametrize(("first", "method", "headers", "body", "line"), CASES)
def test_a_line(first: str, method: str, headers: dict[str, str], body: str, line: str) -> None:
    message = SipMessage(first, [("cseq", f"1 {method}"), *headers.items()], body)
    said = sip_line(message)
    assert said.startswith(line)
    assert "secret" not in said
