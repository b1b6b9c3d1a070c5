"""Faults of ours sent to Sentry or a like service: off unless SENTRY_DSN is set (S12).

What goes out is where the program broke off and nothing it worked on: no values, no messages with
their arguments, no request, no person.  The request's id leads to the line in our own log.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

_KEPT = ("event_id", "timestamp", "platform", "level", "logger", "release", "environment")
_OF_FRAME = ("filename", "module", "function", "lineno", "in_app")


def init(dsn: str, release: str, environment: str, transport: Any = None) -> None:
    """Send every error that is logged, scrubbed, from now on; by `transport` instead (tests)."""
    import sentry_sdk
    from sentry_sdk.integrations.logging import LoggingIntegration

    sentry_sdk.init(
        dsn,
        release=release,
        environment=environment,
        server_name="",
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[LoggingIntegration(level=None, event_level=logging.ERROR)],
        include_local_variables=False,
        include_source_context=False,
        max_breadcrumbs=0,
        before_send=scrub,
        transport=transport,
    )


def close() -> None:
    """Send no more (tests)."""
    import sentry_sdk

    sentry_sdk.get_global_scope().set_client(None)


def scrub(event: Event, hint: Hint) -> Event | None:
    """The few fields of `event` that can hold nothing personal and no secret."""
    kept = {name: event[name] for name in _KEPT if name in event}  # type: ignore[literal-required]
    record = hint.get("log_record")
    if record is not None:
        kept["logentry"] = {"message": str(record.msg)}  # without what was filled in
        kept["tags"] = _tags(record)
    faults = (event.get("exception") or {}).get("values", [])
    kept["exception"] = {"values": [_where(fault) for fault in faults]}
    return kept  # type: ignore[return-value]


def _tags(record: logging.LogRecord) -> dict[str, str]:
    from sgpshop import logs

    return {"request_id": request_id} if (request_id := logs.request_id()) else {}


def _where(fault: dict[str, object]) -> dict[str, object]:
    trace = fault.get("stacktrace")
    frames = trace.get("frames", []) if isinstance(trace, dict) else []
    return {
        "type": fault.get("type"),
        "module": fault.get("module"),
        "stacktrace": {
            "frames": [{name: frame.get(name) for name in _OF_FRAME} for frame in frames]
        },
    }
