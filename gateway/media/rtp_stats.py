"""rtpengine's answer to ``query`` as the figures of a browser's leg.

rtpengine counts packets itself; loss, jitter and round trips it knows from RTCP reports, listed
by the SSRC of the stream that they are about, as it came in.
"""

from __future__ import annotations

from typing import Any

from gateway.values import LegStats, StreamStats


def leg_stats(reply: dict[str, Any], browser: str, worker: str, codec: str) -> LegStats:
    """``received`` is what came from the browser; ``codec`` is what the browser hears."""
    received, to_browser = _stream(reply, browser), _stream(reply, worker)
    about_browser, about_worker = _report(reply, received), _report(reply, to_browser)
    return LegStats(
        received=_figures(received, about_browser),
        sent=_figures(to_browser, about_worker),
        rtt_ms=None if about_worker is None else about_worker.rtt_ms,
        codec=codec,
    )


class _Report:
    def __init__(self, entry: dict[str, Any], latest: dict[str, Any]) -> None:
        self.lost = _number(entry, "cumulative loss")
        self.jitter_ms = float(_number(latest, "jitter"))
        self.rtt_ms = float(_number(latest, "round-trip time leg"))


def _report(reply: dict[str, Any], stream: dict[str, Any]) -> _Report | None:
    entry = _table(_table(reply, "SSRC"), str(stream.get("SSRC")))
    if not entry:
        return None
    entries = _table(entry, "MOS progression").get("entries")
    latest = entries[-1] if isinstance(entries, list) and entries else None
    average = _table(entry, "average MOS")
    return _Report(entry, latest if isinstance(latest, dict) else average)


def _stream(reply: dict[str, Any], tag: str) -> dict[str, Any]:
    """The RTP stream that comes in from one side."""
    medias = _table(_table(reply, "tags"), tag).get("medias")
    if not isinstance(medias, list) or not medias or not isinstance(medias[0], dict):
        return {}
    streams = medias[0].get("streams")
    first = streams[0] if isinstance(streams, list) and streams else None
    return first if isinstance(first, dict) else {}


def _figures(stream: dict[str, Any], report: _Report | None) -> StreamStats:
    packets = _number(_table(stream, "stats"), "packets")
    if report is None:
        return StreamStats(packets=packets)
    return StreamStats(packets=packets, lost=max(0, report.lost), jitter_ms=report.jitter_ms)


def _table(value: dict[str, Any], key: str) -> dict[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _number(value: dict[str, Any], key: str) -> int:
    found = value.get(key)
    return found if isinstance(found, int) else 0
