"""No page and no API call on a database that is not ours: also where a WSGI server loads `app`."""

from __future__ import annotations

import logging

from flask import Flask, request
from sqlalchemy.exc import SQLAlchemyError

from sgpshop import logs
from sgpshop.domain.errors import EnvironmentUnusable
from sgpshop.extensions import db
from sgpshop.services import installation

#: What needs no database.
_WITHOUT = frozenset({"static", "health.healthz"})


def init_app(app: Flask) -> None:
    """Ask before the first request, and before each until the answer was good."""
    app.before_request(_require_ours)


class WrongDatabase(Exception):
    """Nothing can be done here until the person who runs the program has acted."""


def _require_ours() -> None:
    if request.endpoint in _WITHOUT:
        return
    try:
        installation.require_ours()
    except EnvironmentUnusable as problem:
        logs.event("wrong_database", level=logging.ERROR, detail=str(problem))
        raise WrongDatabase from None
    except SQLAlchemyError:  # away or without tables: whoever needs it says so
        db.session.rollback()
