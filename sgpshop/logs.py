"""Log lines: one JSON object each, without secrets (S12).

The web server and the worker write to stdout; commands, whose stdout is their answer, to stderr.
Every line passes `_Formatter`, the only place where secrets are taken out: by the name of a field,
by known value, by «name=value» inside a text, and card numbers by their form (S11).  There a line
is kept short too: data is cut before it is looked through, and no line is longer than 4 kB.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import islice
from secrets import token_hex
from typing import Any, Literal, TextIO
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from flask import Flask, Response, g, request

from sgpshop import metrics
from sgpshop.domain.card_data import mask_card_numbers

HIDDEN = "[hidden]"

_JST = ZoneInfo("Asia/Tokyo")
_logger = logging.getLogger("sgpshop")
#: request id and person of the request, or whatever a worker binds
_context: ContextVar[dict[str, Any]] = ContextVar("log_context")
_HIDDEN_NAME = (
    "[a-z_-]{0,30}(?:pass(?:word|wd)?|pwd|secret|token|cookie|authorization|api_?key"
    "|card_?no|security_?code|expire)"
)
_SECRET_FIELD = re.compile(_HIDDEN_NAME, re.IGNORECASE)
_SECRET_IN_TEXT = re.compile(
    rf"""(\b{_HIDDEN_NAME}["']?\s*[=:]\s*["']?)([^\s&"',;)}}\]]+)""", re.IGNORECASE
)
#: what JSON leaves as it is, yet ends a line, turns the text around or cannot be encoded
_UNPRINTABLE = re.compile(
    "[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]"
)
#: the unguessable part of the address for notifications, of an old one too (S15)
_SECRET_IN_PATH = re.compile(r"(/notify/)[^/\s?\"']+")
#: a key of the JSON API, wherever it stands; its beginning may be known (S13)
_API_KEY = re.compile(r"(sgpk_[0-9a-f]{8})_[A-Za-z0-9_-]{8,}")
_known_secrets: set[str] = set()
#: bytes of a line
_LONGEST_LINE = 4096
#: Characters of one text and entries of one list in a line; the next pair when it is too long.
_CUTS = ((1000, 50), (200, 20), (60, 5))
#: a trace ends with what failed, so its end is kept
_LONGEST_TRACE = 2400
_CUT = "…"
#: What it says about a database that went away is the same long trace for each connection.
_WITHOUT_TRACE = "sqlalchemy.pool"
#: Longer texts come once: keeping them would only fill the memory.
_LONGEST_WORD = 80
#: shorter ones would tear holes into ordinary words
_SHORTEST_SECRET = 6


def init_app(app: Flask) -> None:
    """Log each request of `app` under an id of its own, and know the secrets of its settings."""
    _install()
    set_level(app)
    for name in (
        "SECRET_KEY",
        "ENCRYPTION_KEY",
        "BACKUP_PASSPHRASE",
        "METRICS_TOKEN",
        "MAIL_PASSWORD",
        "SENTRY_DSN",
    ):
        register_secret(app.config[name])
    register_secret(urlsplit(app.config["DATABASE_URL"]).password or "")
    app.before_request(_begin)
    app.after_request(_end)


def set_level(app: Flask) -> None:
    """Write lines of LOG_LEVEL and above."""
    _logger.setLevel(app.config["LOG_LEVEL"].upper())


def write_to(stream: Literal["stdout", "stderr"] | TextIO) -> None:
    """Choose where the lines of this process go; stdout unless said otherwise."""
    _install().target = stream


def register_secret(value: str) -> None:
    """Take `value` out of every line from now on, wherever it stands."""
    if len(value) >= _SHORTEST_SECRET:
        _known_secrets.add(value)
        _clean_word.cache_clear()


def bind(**fields: Any) -> None:
    """Add `fields` (request_id, person, …) to every later line of this request or thread."""
    _context.set(_context.get({}) | fields)


def request_id() -> str:
    """The id of the request in hand, which its answer carries; "" outside one."""
    return str(_context.get({}).get("request_id", ""))


def event(what: str, /, *, level: int = logging.INFO, **fields: Any) -> None:
    """Write one line: what happened, and the fields that tell more."""
    _logger.log(level, what, extra={"fields": fields})


def failure(what: str, /, **fields: Any) -> None:
    """Write one line about the exception that is being handled, with its trace."""
    _logger.error(what, exc_info=True, extra={"fields": fields})


def _begin() -> None:
    g.request_id = token_hex(8)
    g.began_at = time.monotonic()
    _context.set({"request_id": g.request_id})


def _end(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.request_id
    seconds = time.monotonic() - g.began_at
    if request.endpoint != "static":
        metrics.count_request(
            request.blueprint or "", request.method, response.status_code, seconds
        )
        # Machines ask every few seconds how we are: at rest the log would hold nothing else.
        is_at_rest = request.blueprint == "health" and response.status_code < 400
        event(
            "request",
            level=logging.DEBUG if is_at_rest else logging.INFO,
            method=request.method,
            path=request.path,
            status=response.status_code,
            milliseconds=round(seconds * 1000),
            address=request.remote_addr,
        )
    return response


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to what sys.stdout or sys.stderr is at that moment."""

    target: Literal["stdout", "stderr"] | TextIO = "stdout"

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(_Formatter())

    def handle(self, record: logging.LogRecord) -> bool | logging.LogRecord:  # type: ignore[override]
        """Make the line before the lock is taken, so that nobody waits for the line of another."""
        if not self.filter(record):
            return False
        try:
            record.line = self.format(record)
        except Exception:
            self.handleError(record)
            return record
        self.acquire()
        try:
            self.emit(record)
        finally:
            self.release()
        return record

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line that `handle` made."""
        try:
            self.stream.write(f"{record.line}{self.terminator}")  # type: ignore[attr-defined]
            self.flush()
        except Exception:
            self.handleError(record)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return getattr(sys, self.target) if isinstance(self.target, str) else self.target


class _Formatter(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, _JST).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
            **_context.get({}),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.name.startswith(_WITHOUT_TRACE):
            line["reason"] = str(record.exc_info[1]).partition("\n")[0][:200]
        elif record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        for longest, most in _CUTS:
            text = _as_json(_Plain(longest, most).of(line))
            if len(text.encode()) <= _LONGEST_LINE:
                return text
        kept = {name: line[name] for name in ("time", "level", "event", "logger")}
        return _as_json(_Plain(*_CUTS[-1]).of(kept | {"cut": True}))


def _as_json(line: dict[str, Any]) -> str:
    text = json.dumps(line, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


@dataclass(frozen=True)
class _Plain:
    """Data as it may stand in a line: without secrets, texts and lists cut."""

    longest: int
    most: int

    def of(self, value: Any, name: str = "", depth: int = 0) -> Any:
        # Lists in lists would multiply what is looked through for a line that holds none of it.
        most = self.most if depth < 2 else self.most // 5
        if value is None or isinstance(value, bool):
            return value
        if _is_secret_name(name[:_LONGEST_WORD]):
            return HIDDEN
        if isinstance(value, dict):
            parts = islice(value.items(), most)
            return {self._text(str(key)): self.of(part, str(key), depth + 1) for key, part in parts}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.of(part, depth=depth + 1) for part in islice(value, most)]
        if isinstance(value, int | float):
            return value
        return self._trace(value) if name == "trace" else self._text(str(value))

    def _text(self, text: str) -> str:
        # Cut before cleaning, which takes time, and after it, so that no rest of a secret stays.
        cleaned = _clean(text[: 2 * self.longest])
        return cleaned if len(cleaned) <= self.longest else cleaned[: self.longest] + _CUT

    def _trace(self, text: str) -> str:
        longest = min(_LONGEST_TRACE, 4 * self.longest)
        cleaned = _clean(text[-2 * longest :])
        return cleaned if len(cleaned) <= longest else _CUT + cleaned[-longest:]


# The same names and words come with every line, and a line with every money operation.
@lru_cache(500)
def _is_secret_name(name: str) -> bool:
    return _SECRET_FIELD.fullmatch(name) is not None


def _clean(text: str) -> str:
    return _clean_word(text) if len(text) <= _LONGEST_WORD else _clean_text(text)


@lru_cache(500)
def _clean_word(text: str) -> str:
    return _clean_text(text)


def _clean_text(text: str) -> str:
    for secret in _known_secrets:
        text = text.replace(secret, HIDDEN)
    text = _API_KEY.sub(rf"\g<1>{HIDDEN}", text)
    text = _SECRET_IN_PATH.sub(rf"\g<1>{HIDDEN}", text)
    return mask_card_numbers(_SECRET_IN_TEXT.sub(rf"\g<1>{HIDDEN}", text))


def _install() -> _Handler:
    root = logging.getLogger()
    for handler in root.handlers:
        if isinstance(handler, _Handler):
            return handler
    handler = _Handler()
    root.addHandler(handler)
    _logger.setLevel(logging.INFO)
    return handler
