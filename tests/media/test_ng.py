"""Bencode, and the NG client's cookies, repeats and bounds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gateway.media.ng import BencodeError, NgClient, NgRefused, NgSilent, decode, encode
from gateway.values import HostPort

values = st.recursive(
    st.integers(-(2**62), 2**62) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(values)
def test_what_is_encoded_is_decoded(value: object) -> None:
    assert decode(encode(value)) == value


def test_a_dictionary_is_sorted_and_counted_in_bytes() -> None:
    assert encode({"b": ["é", 1], "a": -2}) == "d1:ai-2e1:bl2:éi1eee".encode()


def test_bytes_that_are_no_utf8_survive() -> None:
    assert encode(decode(b"2:\xff\xfe")) == b"2:\xff\xfe"


@pytest.mark.parametrize("value", [True, 1.5, None])
def test_what_bencode_does_not_have_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="bencode has no"):
        encode({"x": value})


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "no value at 0"),
        (b"i12", "bad integer at 0"),
        (b"i012e", "bad integer at 0"),
        (b"i-0e", "bad integer at 0"),
        (b"5:abc", "string at 0 is cut off"),
        (b"99999999:a", "no value at 0"),
        (b"l1:a", "no value at 4"),
        (b"di1e1:ae", "no value at 1"),
        (b"1:ab", "1 bytes after the value, at 3"),
        (b"l" * 30 + b"e" * 30, "too deep or too long, at 17"),
        (b"l" + b"0:" * 20_000 + b"e", "too deep or too long, at 19999"),
    ],
)
def test_broken_bencode_says_where(data: bytes, text: str) -> None:
    with pytest.raises(BencodeError, match=text):
        decode(data)


def test_every_truncation_is_an_error() -> None:
    whole = encode({"result": "ok", "sdp": "v=0", "list": [1, {"a": "b"}]})
    for end in range(len(whole)):
        with pytest.raises(BencodeError):
            decode(whole[:end])


class Wire(Clock):
    """A reactor whose UDP keeps what was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[float, bytes]] = []
        self.connected: tuple[str, int] | None = None
        self.closed = False

    def listenUDP(self, port: int, protocol: Any, interface: str, max_packet: int) -> None:
        protocol.makeConnection(self)

    def connect(self, host: str, port: int) -> None:
        self.connected = (host, port)

    def write(self, datagram: bytes) -> None:
        self.sent.append((self.seconds(), datagram))

    def stopListening(self) -> None:
        self.closed = True


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def client(wire: Wire) -> NgClient:
    made = NgClient(HostPort("127.0.0.1", 2223), wire)  # type: ignore[arg-type]  # a test's wire
    made.open()
    return made


def asked(client: NgClient, command: str = "ping", **fields: object) -> Deferred[Any]:
    return Deferred.fromCoroutine(client.request(command, **fields))


def answer(client: NgClient, wire: Wire, reply: dict[str, Any], index: int = -1) -> None:
    cookie = wire.sent[index][1].partition(b" ")[0]
    client.datagramReceived(cookie + b" " + encode(reply), ("127.0.0.1", 2223))


def result_of(deferred: Deferred[Any]) -> Any:
    out: list[Any] = []
    deferred.addBoth(out.append)
    return out[0]


def error_of(deferred: Deferred[Any]) -> BaseException:
    return result_of(deferred).value  # type: ignore[no-any-return]


def test_a_request_and_its_answer(client: NgClient, wire: Wire) -> None:
    waiting = asked(client, "offer", call_id="c", rtcp_mux=["demux"], DTLS_reverse="passive")
    assert wire.connected == ("127.0.0.1", 2223)
    cookie, _, body = wire.sent[0][1].partition(b" ")
    assert len(cookie) == 16
    assert decode(body) == {
        "command": "offer",
        "call-id": "c",
        "rtcp-mux": ["demux"],
        "DTLS-reverse": "passive",
    }
    answer(client, wire, {"result": "ok", "sdp": "v=0"})
    assert result_of(waiting) == {"result": "ok", "sdp": "v=0"}
    wire.advance(60)
    assert len(wire.sent) == 1
    assert not wire.getDelayedCalls()


def test_an_unanswered_request_is_repeated_with_its_cookie_then_given_up(
    client: NgClient, wire: Wire
) -> None:
    waiting = asked(client)
    wire.pump([0.05] * 100)
    assert [round(at, 2) for at, _ in wire.sent] == pytest.approx([0, 0.25, 0.75, 1.75], abs=0.06)
    assert len({datagram for _, datagram in wire.sent}) == 1
    error = error_of(waiting)
    assert isinstance(error, NgSilent)
    assert str(error) == "rtpengine 127.0.0.1:2223: ping: no answer"


def test_a_second_and_a_foreign_answer_are_dropped(client: NgClient, wire: Wire) -> None:
    waiting = asked(client)
    client.datagramReceived(b"0123 d6:result4:ponge", ("127.0.0.1", 2223))
    assert not waiting.called
    answer(client, wire, {"result": "pong"})
    answer(client, wire, {"result": "other"}, 0)
    assert result_of(waiting) == {"result": "pong"}


def test_an_error_is_told_with_its_reason(client: NgClient, wire: Wire) -> None:
    waiting = asked(client, "query", call_id="x")
    answer(client, wire, {"result": "error", "error-reason": "Unknown call-id"})
    error = error_of(waiting)
    assert isinstance(error, NgRefused)
    assert error.reason == "Unknown call-id"
    assert str(error) == "rtpengine refused query: Unknown call-id"


@pytest.mark.parametrize(
    ("body", "text"),
    [(b"d6:result", "answer is not bencode"), (b"le", "answer is no dictionary")],
)
def test_a_broken_answer_fails_at_once(
    client: NgClient, wire: Wire, body: bytes, text: str
) -> None:
    waiting = asked(client)
    cookie = wire.sent[0][1].partition(b" ")[0]
    client.datagramReceived(cookie + b" " + body, ("127.0.0.1", 2223))
    assert text in str(error_of(waiting))


def test_nothing_listens_there(client: NgClient, wire: Wire) -> None:
    waiting = asked(client)
    client.connectionRefused()
    assert str(error_of(waiting)).endswith("nothing listens there")


def test_closing_fails_what_waits_and_what_comes(client: NgClient, wire: Wire) -> None:
    waiting = asked(client)
    client.close()
    client.close()
    assert wire.closed
    assert str(error_of(waiting)).endswith("the connection was closed")
    assert str(error_of(asked(client))).endswith("not connected")
    assert not wire.getDelayedCalls()


def test_a_cancelled_request_leaves_nothing(client: NgClient, wire: Wire) -> None:
    waiting = asked(client)
    waiting.cancel()
    error_of(waiting)
    assert not wire.getDelayedCalls()
    answer(client, wire, {"result": "pong"})


def test_waiting_requests_are_bounded(client: NgClient, wire: Wire) -> None:
    waiting = [asked(client) for _ in range(NgClient.MAX_PENDING)]
    assert "requests wait already" in str(error_of(asked(client)))
    client.close()
    for one in waiting:
        assert isinstance(error_of(one), NgSilent)


def test_a_request_too_big_for_a_datagram_is_refused(client: NgClient, wire: Wire) -> None:
    error = error_of(asked(client, "offer", sdp="x" * 66_000))
    assert isinstance(error, NgRefused)
    assert not wire.sent
