"""Calls somebody for five seconds: python3 call.py ws://127.0.0.1:8080/v1/dm TOKEN service:echo

Needs autobahn and twisted, and a gateway with app.plain_rtp (an app would speak WebRTC instead).
"""

import json
import sys

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol, connectWS
from twisted.internet import protocol, reactor

URL, TOKEN, CALLEE = sys.argv[1:4]
SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
SDP += "m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n"


class Rtp(protocol.DatagramProtocol):
    """Packets of silence (RFC 3550), 20 ms each, to wherever the answer says."""

    packets = heard = 0

    def datagramReceived(self, data, address):
        self.heard += 1

    def send(self, place):
        self.packets = n = self.packets + 1
        head = b"\x80\x00" + n.to_bytes(2, "big") + (160 * n).to_bytes(4, "big") + b"CALL"
        self.transport.write(head + b"\xff" * 160, place)
        reactor.callLater(0.02, self.send, place)


class Client(WebSocketClientProtocol):
    def request(self, number, method, **params):
        said = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        self.sendMessage(json.dumps(said).encode())

    def onOpen(self):
        self.request(1, "session.open", token=TOKEN)

    def onMessage(self, payload, *_):
        said = json.loads(payload)
        print(said.get("method") or said.get("error") or "ok", flush=True)
        if said.get("id") == 1 and "result" in said:
            self.rtp = Rtp()
            port = reactor.listenUDP(0, self.rtp, interface="127.0.0.1").getHost().port
            self.request(2, "call.invite", to=CALLEE, sdp=SDP.format(port=port))
        elif said.get("method") == "call.media":
            audio = next(ln for ln in said["params"]["sdp"].splitlines() if ln[:7] == "m=audio")
            self.rtp.send(("127.0.0.1", int(audio.split()[1])))
        elif said.get("method") == "call.connected":
            reactor.callLater(5, self.request, 3, "call.hangup", call=said["params"]["call"])
        elif said.get("method") == "call.ended" or "error" in said:
            print("packets heard:", self.rtp.heard if hasattr(self, "rtp") else 0, flush=True)
            reactor.stop()


factory = WebSocketClientFactory(URL, protocols=["dm-call.v1"])
factory.protocol = Client
connectWS(factory)
reactor.run()
