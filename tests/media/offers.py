"""Session descriptions as Chromium, rtpengine and an app server write them."""

from __future__ import annotations

FINGERPRINT = ":".join(["A7"] * 32)
AUDIO = f"""\
m=audio 49391 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
c=IN IP4 127.0.0.1
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:1 1 udp 2122194687 127.0.0.1 49391 typ host generation 0
a=ice-ufrag:2vwe
a=ice-pwd:H+1KNT2n2Q1UNOAa1yCAiSX1
a=ice-options:trickle
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=sendrecv
a=msid:s t
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
a=ssrc:2673910635 cname:x
"""
VIDEO = f"""\
m=video 9 UDP/TLS/RTP/SAVPF 96 97
c=IN IP4 0.0.0.0
a=ice-ufrag:2vwe
a=ice-pwd:H+1KNT2n2Q1UNOAa1yCAiSX1
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=mid:1
a=sendrecv
a=rtcp-mux
a=rtpmap:96 VP8/90000
"""
DATA = """\
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=mid:2
a=sctp-port:5000
"""
PLAIN = """\
v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio 4000 RTP/AVP 0
"""
ENGINE = """\
v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
t=0 0
a=msid-semantic: WMS
m=audio 30000 UDP/TLS/RTP/SAVPF 111
c=IN IP4 127.0.0.1
a=mid:engine
a=ssrc:77 cname:worker
a=rtpmap:111 opus/48000/2
a=fingerprint:sha-256 AA
a=setup:passive
a=sendrecv
"""


def text(*sections: str, bundle: str = "0") -> str:
    head = f"v=0\no=- 1 2 IN IP4 127.0.0.1\ns=-\nt=0 0\na=group:BUNDLE {bundle}\n"
    return (head + "".join(sections)).replace("\n", "\r\n")
