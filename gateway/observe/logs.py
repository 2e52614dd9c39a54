"""Structured logs: one event a line on standard error, secrets struck out."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogBeginner
from twisted.python.failure import Failure

from gateway.observe.lines import Lines
from gateway.observe.redaction import struck

Style = Literal["json", "text"]

_listening: list[Callable[[EventDict], None]] = []


def listen(to: Callable[[EventDict], None]) -> Callable[[], None]:
    """Hear every event from now on, its secrets struck out; what is returned ends it."""
    _listening.append(to)
    return lambda: _listening.remove(to)


def _told(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for to in _listening:
        to(event)
    return event


_CONTROLS = {c: repr(chr(c))[1:-1] for c in (*range(32), 127, *range(128, 160), 0x2028, 0x2029)}


def strike(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {name: struck(value, "" if name == "event" else name) for name, value in event.items()}


def _traceback(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """As a field like any other: the console would print it over many lines."""
    if "exception" in event:
        event["traceback"] = event.pop("exception")
    return event


def _one_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """No text from outside breaks a line or moves a terminal's cursor."""
    return {
        name: value.translate(_CONTROLS) if isinstance(value, str) else value
        for name, value in event.items()
    }


def _lost(style: Style) -> Any:
    def line(count: int) -> str:
        event = {"event": "log_lines_lost", "level": "warning", "count": count}
        if style == "json":
            return json.dumps(event) + "\n"
        return f"[warning  ] log_lines_lost count={count}\n"

    return line


def _twisted_event(event: LogEvent) -> None:
    """Twisted's own events, as ours: information as debug, failures with their traceback."""
    log = structlog.get_logger()
    level = event.get("log_level", LogLevel.info)
    text = formatEvent(event)
    failure = event.get("log_failure")
    if isinstance(failure, Failure):
        log.error("unhandled", text=text, traceback=failure.getTraceback())
    elif level in (LogLevel.warn, LogLevel.error, LogLevel.critical):
        log.warning("twisted", text=text)
    else:
        log.debug("twisted", text=text)


class _Libraries(logging.Handler):
    """What libraries tell Python's own logging, asyncio's complaints above all."""

    def emit(self, record: logging.LogRecord) -> None:
        tell = structlog.get_logger().error
        if record.levelno < logging.ERROR:
            tell = structlog.get_logger().warning
        tell("library", name=record.name, text=record.getMessage(), exc_info=record.exc_info)


def begin(
    level: Literal["debug", "info", "warning", "error"],
    style: Style,
    stream: TextIO | None = None,
    *,
    twisted: bool = True,
) -> None:
    """Set up logging for this process.

    To standard error by a thread; to ``stream`` at once.  With ``twisted`` the logs of Twisted and
    of libraries go there too.
    """
    out: Any = Lines(sys.stderr, _lost(style)) if stream is None else stream
    last: list[Any] = [structlog.processors.JSONRenderer(default=str)]
    if style == "text":
        last = [_one_line, structlog.dev.ConsoleRenderer(colors=out.isatty())]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _traceback,
            strike,
            _told,
            *last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=True,
    )
    if twisted:
        observer: Any = _twisted_event  # any callable observes
        globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
        logging.basicConfig(handlers=[_Libraries()], level=logging.WARNING, force=True)
        logging.captureWarnings(True)
