"""The messages of RFC 4475 (SIP torture tests), by the names it gives them.

Kept in ``rfc4475.txt`` with plain line ends; ``message`` makes them CRLF.  ``{long}`` and the
like stand for the runs of repeated words that the RFC uses to make values long.
"""

from __future__ import annotations

from pathlib import Path

SDP = r"""
v=0
o=mhandley 29739 7272939 IN IP4 192.0.2.1
s=-
c=IN IP4 192.0.2.1
t=0 0
m=audio 49217 RTP/AVP 0 12
m=video 3227 RTP/AVP 31
a=rtpmap:31 LPC
"""

_LONG = {
    "{extreme}": "extreme" * 10,
    "{long}": "long" * 19,
    "{name}": "name" * 25,
    "{amazing}": "amazinglylongcallername" * 5,
    "{twelve}": "129" * 40,
    "{value}": "value" * 15,
    "{really}": "really" * 20,
}

_TEXTS = dict(
    part.split("\n", 1)
    for part in (Path(__file__).parent / "rfc4475.txt").read_text("utf-8").split("=== ")[1:]
)

_BODIES = {
    "mcl01": b"There's no way to know how many octets are supposed to be here.\r\n\r\n",
    "invut": b'<audio>\r\n <pcmu port="443"/>\r\n</audio>\r\n',
}

MULTIPART = (
    b"MESSAGE sip:kumiko@example.org SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK-d87543-4dade06d0bdb11ee-1--d87543-;rport\r\n"
    b"Max-Forwards: 70\r\n"
    b"Route: <sip:127.0.0.1:5080>\r\n"
    b"Identity: r5mwreLuyDRYBi/0TiPwEsY3rEVsk/G2WxhgTV1PF7hHuLIK0YWVKZhKv9Mj8UeXqkMVbnVq37CD"
    b"+813gvYjBUwU=\r\n"
    b"Contact: <sip:fluffy@127.0.0.1:5070>\r\n"
    b"To: <sip:kumiko@example.org>\r\n"
    b"From: <sip:fluffy@example.com>;tag=2fb0dcc9\r\n"
    b"Call-ID: 3d9485ad0c49859b@Zmx1ZmZ5LW1hYy0xNi5sb2NhbA..\r\n"
    b"CSeq: 1 MESSAGE\r\n"
    b"Content-Transfer-Encoding: binary\r\n"
    b"Content-Type: multipart/mixed;boundary=7a9cbec02ceef655\r\n"
    b"Date: Sat, 15 Oct 2005 04:44:56 GMT\r\n"
    b"User-Agent: SIPimp.org/0.2.5 (curses)\r\n"
    b"Content-Length: %d\r\n"
    b"\r\n"
)
MULTIPART_BODY = (
    b"--7a9cbec02ceef655\r\n"
    b"Content-Type: text/plain\r\n"
    b"Content-Transfer-Encoding: binary\r\n"
    b"\r\n"
    b"Hello\r\n"
    b"--7a9cbec02ceef655\r\n"
    b"Content-Type: application/octet-stream\r\n"
    b"Content-Transfer-Encoding: binary\r\n"
    b"\r\n" + bytes([0x30, 0x82, 0x01, 0x52, 0x06, 0x09, 0x00, 0x0D, 0x0A, 0xFF, 0xFE]) + b"\r\n"
    b"--7a9cbec02ceef655--"
)

NAMES = (*_TEXTS, "mpart01")


def message(name: str) -> bytes:
    """The octets of one message, body included."""
    if name == "mpart01":
        return MULTIPART % len(MULTIPART_BODY) + MULTIPART_BODY
    text = _TEXTS[name]
    body = SDP.lstrip("\n").replace("\n", "\r\n").encode() if "sdp" in text else b""
    body = _BODIES.get(name, body)
    vias = "".join(f"v: SIP/2.0/TCP sip{n}.example.com\n" for n in range(33, 0, -1))
    for mark, value in {**_LONG, "{vias}": vias}.items():
        text = text.replace(mark, value)
    text = text.replace("{zeros}", "0" * 100).replace("{sdp}", str(len(body))).replace("{end}", "")
    out = text.replace("\n", "\r\n").encode() + b"\r\n"
    for mark, octets in (
        (b"{bel}", b"\x07"),
        (b"{nul}", b"\x00"),
        (b"{del}", b"\x7f"),
        (b"{cyrillic}", "регион".encode()),
        (b"{dots}", bytes.fromhex("efbbbfe5a4a7e5819ce99bbb")),
    ):
        out = out.replace(mark, octets)
    return out + body
