"""/healthz and /readyz: for the machines that watch us (T3)."""

from __future__ import annotations

from dataclasses import asdict

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from sgpshop.services.health import readiness
from sgpshop.web.frame.security import public

bp = Blueprint("health", __name__)


@bp.get("/healthz")
@public
def healthz() -> ResponseReturnValue:
    """The process answers."""
    return jsonify(status="ok")


@bp.get("/readyz")
@public
def readyz() -> ResponseReturnValue:
    """Orders can be worked on: 200, or 503 with the same figures."""
    now = readiness.check()
    word = "ready" if now.is_ready else "not_ready"
    return jsonify(status=word, **asdict(now)), 200 if now.is_ready else 503
