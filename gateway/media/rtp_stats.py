"""rtpengine's answer to ``query`` as the figures of a browser's leg.

rtpengine counts packets itself; loss, jitter and round trips it knows from RTCP reports, listed
by the SSRC that they are about.  Where it transcodes, it ends RTCP on both sides, and sends
under SSRCs that the answer does not tie to a side: the reports about the stream to the browser
are then those with the longer round trip, as the other side is this machine's loopback.
"""

from __future__ import annotations

from typing import Any

from gateway.values import LegStats, StreamStats


def leg_stats(reply: dict[str, Any], browser: str, worker: str, codec: str) -> LegStats:
    """``received`` is what came from the browser; ``codec`` is what the browser hears."""
    reports = sorted(_reports(reply), key=lambda r: r.rtt_ms, reverse=True)
    of_browser = reports[0] if reports else None
    of_worker = reports[1] if len(reports) > 1 else None
    return LegStats(
        received=_stream(_packets(reply, browser), of_worker),
        sent=_stream(_packets(reply, worker), of_browser),
        rtt_ms=None if of_browser is None else of_browser.rtt_ms,
        codec=codec,
    )


class _Report:
    def __init__(self, entry: dict[str, Any], latest: dict[str, Any]) -> None:
        self.lost = _number(entry, "cumulative loss")
        self.jitter_ms = float(_number(latest, "jitter"))
        self.rtt_ms = float(_number(latest, "round-trip time leg"))


def _reports(reply: dict[str, Any]) -> list[_Report]:
    found = []
    for entry in _table(reply, "SSRC").values():
        if isinstance(entry, dict):
            entries = _table(entry, "MOS progression").get("entries")
            latest = entries[-1] if isinstance(entries, list) and entries else None
            average = _table(entry, "average MOS")
            found.append(_Report(entry, latest if isinstance(latest, dict) else average))
    return found


def _packets(reply: dict[str, Any], tag: str) -> int:
    """RTP packets that came in from one side."""
    medias = _table(_table(reply, "tags"), tag).get("medias")
    if not isinstance(medias, list) or not medias or not isinstance(medias[0], dict):
        return 0
    streams = medias[0].get("streams")
    if not isinstance(streams, list) or not streams or not isinstance(streams[0], dict):
        return 0
    return _number(_table(streams[0], "stats"), "packets")


def _stream(packets: int, report: _Report | None) -> StreamStats:
    if report is None:
        return StreamStats(packets=packets)
    return StreamStats(packets=packets, lost=max(0, report.lost), jitter_ms=report.jitter_ms)


def _table(value: dict[str, Any], key: str) -> dict[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _number(value: dict[str, Any], key: str) -> int:
    found = value.get(key)
    return found if isinstance(found, int) else 0
