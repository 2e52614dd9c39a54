"""What is kept of calls: theirs alone, without secrets, and never more than there may be."""

from __future__ import annotations

from threading import Thread

import pytest
from twisted.internet.task import Clock

from gateway.calls.console_ports import Sample
from gateway.observe.traces import LOOSE, LOOSE_MESSAGES, MESSAGES, SAMPLES, Recorder
from gateway.values import CallId, HostPort, LegId

HERE, THERE = HostPort("192.0.2.1", 5060), HostPort("192.0.2.2", 5060)
A_SAMPLE = Sample(1.0, "PCMU", 0.0, 0.0, 1.0, 1.0, None, 4.4, 4.4)


def message(sip_call: str, method: str = "INVITE", more: str = "") -> bytes:
    head = f"{method} sip:a@b SIP/2.0\r\ni: {sip_call}\r\nCSeq: 1 {method}\r\n{more}\r\n"
    return head.encode()


def made(most: int = 10, most_bytes: int = 10_000_000) -> Recorder:
    return Recorder(most, most_bytes, Clock().seconds)


def saw(recorder: Recorder, data: bytes, *, outward: bool = False) -> None:
    recorder.saw(outward, "udp", HERE, THERE, data)


def test_what_came_before_the_call_was_known_is_its_too() -> None:
    recorder = made()
    saw(recorder, message("one"))
    saw(recorder, message("other"))
    recorder.joins("one", LegId("c1.2"))
    saw(recorder, message("one", "ACK"), outward=True)
    trace = recorder.trace(CallId("c1"))
    assert trace is not None
    assert [m.text.split()[0] for m in trace.messages] == [b"INVITE", b"ACK"]
    assert recorder.trace(CallId("c2")) is None


def test_the_log_is_heard() -> None:
    recorder = made()
    saw(recorder, message("one"))
    recorder.noted({"event": "invite_admitted", "call": "c1", "sip_call_id": "one", "caller": "x"})
    recorder.noted({"event": "ready"})
    trace = recorder.trace(CallId("c1"))
    assert trace is not None
    assert [dict(n) for n in trace.notes] == [
        {"at": 0.0, "event": "invite_admitted", "sip_call_id": "one", "caller": "x"}
    ]
    assert len(trace.messages) == 1


def test_other_threads_are_not_heard() -> None:
    recorder = made()
    thread = Thread(target=recorder.noted, args=({"event": "x", "call": "c1"},))
    thread.start()
    thread.join()
    assert recorder.trace(CallId("c1")) is None


@pytest.mark.parametrize("method", ["REGISTER", "OPTIONS"])
def test_what_is_of_no_call_is_not_kept(method: str) -> None:
    recorder = made()
    saw(recorder, message("one", method))
    recorder.joins("one", LegId("c1.1"))
    trace = recorder.trace(CallId("c1"))
    assert trace is not None and trace.messages == ()


def test_the_oldest_give_way() -> None:
    recorder = made(most=3)
    for n in range(5):
        recorder.joins(f"d{n}", LegId(f"c{n}.1"))
    assert [n for n in range(5) if recorder.trace(CallId(f"c{n}"))] == [2, 3, 4]
    saw(recorder, message("d0"))  # of a call that is forgotten: of none
    assert recorder.trace(CallId("c0")) is None
    assert len(recorder._call_of) == 3


def test_bytes_are_bounded() -> None:
    recorder = made(most=1000, most_bytes=50_000)
    for n in range(100):
        recorder.joins(f"d{n}", LegId(f"c{n}.1"))
        for _ in range(5):
            saw(recorder, message(f"d{n}", more=f"X: {'y' * 500}\r\n"))
        assert recorder._bytes <= 50_000
    assert recorder.trace(CallId("c99")) is not None


def test_one_call_is_bounded() -> None:
    recorder = made()
    recorder.joins("d", LegId("c.1"))
    for _ in range(MESSAGES + 7):
        saw(recorder, message("d"))
    for n in range(100):
        for _ in range(SAMPLES + 1 if n == 0 else 1):
            recorder.sampled(CallId("c"), LegId(f"c.{n}"), A_SAMPLE)
    trace = recorder.trace(CallId("c"))
    assert trace is not None
    assert len(trace.messages) == MESSAGES
    assert len(trace.samples) == 32 and len(trace.samples[LegId("c.0")]) == SAMPLES
    assert trace.dropped == 7 + 68


def test_strangers_cannot_fill_it() -> None:
    recorder = made()
    for n in range(LOOSE * 3):
        for _ in range(LOOSE_MESSAGES * 2):
            saw(recorder, message(f"scan{n}"))
    assert len(recorder._loose) == LOOSE
    assert max(map(len, recorder._loose.values())) == LOOSE_MESSAGES
    assert recorder._calls == {}


def test_secrets_are_not_kept() -> None:
    recorder = made()
    recorder.joins("one", LegId("c1.1"))
    proof = 'Authorization: Digest username="1001", response="0123456789abcdef"\r\n'
    saw(recorder, message("one", more=proof))
    trace = recorder.trace(CallId("c1"))
    assert trace is not None
    assert b"0123456789abcdef" not in trace.messages[0].text
    assert b'username="1001"' in trace.messages[0].text
