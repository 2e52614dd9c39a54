"""The call machine alone: the consent rule under every order of events."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.calls.machine import Core, Side, State, call_machine
from gateway.calls.reasons import Ending
from gateway.calls.record import Acceptance
from gateway.values import Party, Reason, UserAddress

ACCEPTANCE = Acceptance(1.0, "app_accept", UserAddress("bob"))
ENDING = Ending(Reason.COMPLETED, Party.CALLER)


class Recorder:
    def __init__(self) -> None:
        self.said: list[str] = []

    def tell_ringing(self) -> None:
        self.said.append("ringing")

    def tell_accepted(self, acceptance: Acceptance) -> None:
        self.said.append("accepted")

    def answer_caller(self) -> None:
        self.said.append("answer")

    def connect(self) -> None:
        self.said.append("connect")

    def tell_connected(self) -> None:
        self.said.append("connected")

    def close(self, ending: Ending) -> None:
        self.said.append("close")


STEPS = {
    "alerting": lambda m: m.alerting(),
    "accept": lambda m: m.accept(ACCEPTANCE),
    "caller_media": lambda m: m.media_up(Side.CALLER),
    "callee_media": lambda m: m.media_up(Side.CALLEE),
    "ready": lambda m: m.ready(),
    "bridged": lambda m: m.bridged(),
    "end": lambda m: m.end(ENDING),
}


@given(st.lists(st.sampled_from(sorted(set(STEPS) - {"ready"})), max_size=14))
def test_never_connected_without_consent_and_media_of_both(steps: list[str]) -> None:
    recorder = Recorder()
    core = Core(recorder)
    machine = call_machine(core)
    for n, step in enumerate(steps):
        STEPS[step](machine)
        done = set(steps[: n + 1])
        if "connect" in recorder.said:
            assert {"accept", "caller_media", "callee_media"} <= done
        if core.state is State.CONNECTED:
            assert "bridged" in done
    for once in ("ringing", "accepted", "answer", "connect", "connected", "close"):
        assert recorder.said.count(once) <= 1
    if "end" in steps:
        assert core.state is State.ENDED
        assert recorder.said[-1] == "close"


def test_media_that_stood_before_the_acceptance_counts() -> None:
    recorder = Recorder()
    machine = call_machine(Core(recorder))
    machine.media_up(Side.CALLEE)
    machine.media_up(Side.CALLER)
    machine.alerting()
    assert recorder.said == ["ringing"]
    machine.accept(ACCEPTANCE)
    assert recorder.said == ["ringing", "accepted", "answer", "connect"]
