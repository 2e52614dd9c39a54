"""Structured logs: one event a line on standard error, secrets struck out."""

from __future__ import annotations

import logging
import re
import sys
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogBeginner
from twisted.python.failure import Failure

STRUCK = "[struck out]"
_SECRET_KEYS = re.compile(
    r"password|passwd|secret|token|authorization|credential|cookie|jwt|sdp|crypto|ice-pwd", re.I
)
_SECRET_TEXT = re.compile(
    r"(eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*)"  # a JWT
    r"|(?<=inline:)[A-Za-z0-9+/=|:]+"  # an SDES key (RFC 4568)
    r"|(?<=response=\")[0-9a-f]+"  # a digest
    r"|(?<=ice-pwd:)\S+"
)


def strike(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """By the name of a field, and by what secrets look like."""
    for key, value in event.items():
        if key != "event" and _SECRET_KEYS.search(key):
            event[key] = STRUCK
        elif isinstance(value, str):
            event[key] = _SECRET_TEXT.sub(STRUCK, value)
    return event


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


def begin(
    level: Literal["debug", "info", "warning", "error"],
    style: Literal["json", "text"],
    stream: TextIO | None = None,
    *,
    twisted: bool = True,
) -> None:
    """Set up logging for this process."""
    out = stream or sys.stderr
    last: Any = (
        structlog.processors.JSONRenderer(default=str)
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=out.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            strike,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=True,
    )
    if twisted:
        observer: Any = _twisted_event  # any callable observes
        globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
