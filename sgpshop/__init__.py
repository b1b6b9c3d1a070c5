"""SGP Shop: a back office for orders paid by card through SMBC-GP."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask import Flask

    from sgpshop.gateway import SmbcGpGateway

__version__ = "0.1.0"

#: Connections of SQLite that a process keeps; a run of 1,000 captures over 16 connections opens seven.
_KEPT_OF_SQLITE = 6


def create_app(
    overrides: dict[str, Any] | None = None,
    *,
    gateway: SmbcGpGateway | None = None,
    with_screens: bool = True,
) -> Flask:
    """The WSGI application, configured from the environment and then from `overrides`.

    `overrides` holds parsed values under the names of sgpshop.environment (tests, `demo`).  A given
    `gateway` is used instead of the one the contract settings describe (tests).  Without screens it answers
    nobody, starts a little faster and takes 5 MB less: for a worker.
    Raises EnvironmentUnusable when a variable cannot be used.
    """
    # Imported here: the simulator lives in this package too and starts without the shop.
    from flask import Flask
    from sqlalchemy.exc import SQLAlchemyError

    from sgpshop import environment, error_sink, logs, metrics
    from sgpshop.domain.errors import EnvironmentUnusable
    from sgpshop.extensions import csrf, db, htmx, login_manager
    from sgpshop.models.base import set_clock_ahead
    from sgpshop.services.deliveries import slips
    from sgpshop.services.payments import effects, gateway_access
    from sgpshop.storage import queue
    from sgpshop.storage.database import prepare_engine
    from sgpshop.web.frame.templating import PlainEnvironment

    values = environment.load(os.environ) | (overrides or {})
    environment.complete(values)
    set_clock_ahead(values["CLOCK_AHEAD"])
    app = Flask(
        __name__,
        template_folder=str(environment.ROOT / "templates"),
        static_folder=str(environment.ROOT / "static"),
        instance_path=str(values["INSTANCE_PATH"]),
    )
    app.jinja_environment = PlainEnvironment  # before anybody asks for it
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    app.config.from_mapping(values)
    app.config["SQLALCHEMY_DATABASE_URI"] = values["DATABASE_URL"]
    # A connection for each thread that may want one: web threads, operations, sweeper.  The one that was
    # used last is used next: each keeps schema, pages and statements of its own in memory.  So of SQLite's,
    # which are opened in a few milliseconds, few are kept after many were wanted at once.
    most = values["GATEWAY_CONCURRENCY"] + 32
    kept = _KEPT_OF_SQLITE if values["DATABASE_URL"].startswith("sqlite") else most - 16
    app.config.setdefault(
        "SQLALCHEMY_ENGINE_OPTIONS",
        # What a statement was given may be personal or secret: not in errors and logs (S12).
        {
            "pool_size": kept,
            "max_overflow": most - kept,
            "pool_use_lifo": True,
            "hide_parameters": True,
        },
    )

    logs.init_app(app)  # first: every later line carries the request's id
    if values["METRICS_TOKEN"] and not metrics.init(values["INSTANCE_PATH"] / "metrics"):
        logs.event("metrics_not_counted", level=logging.ERROR, reason="no room in INSTANCE_PATH")
    if values["SENTRY_DSN"]:
        error_sink.init(
            values["SENTRY_DSN"], __version__, "test" if values["TEST_MODE"] else "live"
        )
    for sentence in environment.unknown_names(os.environ):
        logs.event("unknown_setting", level=logging.WARNING, detail=sentence)
    db.init_app(app)
    csrf.init_app(app)
    htmx.init_app(app)
    login_manager.init_app(app)

    with app.app_context():
        try:
            prepare_engine(db.engine)
        except SQLAlchemyError as problem:  # an address that is none
            raise EnvironmentUnusable(f"{environment.PREFIX}DATABASE_URL: {problem}") from None
    queue.init_app(app)
    gateway_access.init_app(app, gateway)
    effects.follow_captures(app, slips.after_capture)
    if with_screens:
        from sgpshop import web

        web.register(app)
    return app
