"""No page and no API call on a database that is not ours, or not of our version any more (P36).

Also where a WSGI server loads `app`, and while another process migrates the database.
"""

from __future__ import annotations

import logging

from flask import Flask, request
from sqlalchemy.exc import SQLAlchemyError

from sgpshop import logs
from sgpshop.domain.errors import EnvironmentUnusable
from sgpshop.extensions import db
from sgpshop.services import installation
from sgpshop.storage import schema

#: What needs no database.
_WITHOUT = frozenset({"static", "health.healthz"})
#: Pages are shown for so many seconds without asking anew; before anything is written it is asked.
_READERS_ASK_EVERY = 1.0
_READERS = frozenset({"GET", "HEAD", "OPTIONS"})


def init_app(app: Flask) -> None:
    """Ask before requests; whose the database is only until the answer was good."""
    app.before_request(_require_ours)


class WrongDatabase(Exception):
    """Nothing can be done here until the person who runs the program has acted."""


class WrongVersion(WrongDatabase):
    """The database is of another version: it is being renewed, or this program is to be."""


def _require_ours() -> None:
    if request.endpoint in _WITHOUT:
        return
    try:
        is_reader = request.method in _READERS and request.endpoint != "health.readyz"
        is_asked = schema.require_unchanged(every=_READERS_ASK_EVERY if is_reader else 0.0)
        installation.require_ours(again=is_asked)
    except (schema.NewerSchema, schema.OtherSchema) as problem:
        logs.event("wrong_version", level=logging.ERROR, detail=str(problem))
        raise WrongVersion from None
    except EnvironmentUnusable as problem:
        logs.event("wrong_database", level=logging.ERROR, detail=str(problem))
        raise WrongDatabase from None
    except SQLAlchemyError:  # away or without tables: whoever needs it says so
        db.session.rollback()
