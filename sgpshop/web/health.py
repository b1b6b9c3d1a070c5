"""/healthz, /readyz and /metrics: for the machines that watch us (T3)."""

from __future__ import annotations

import hmac
from dataclasses import asdict

from flask import Blueprint, Response, abort, current_app, jsonify, request
from flask.typing import ResponseReturnValue

from sgpshop import metrics
from sgpshop.services.installation.health import readiness
from sgpshop.web.frame.networks import from_anywhere
from sgpshop.web.frame.security import public

bp = Blueprint("health", __name__)


@bp.get("/healthz")
@from_anywhere
@public
def healthz() -> ResponseReturnValue:
    """The process answers."""
    return jsonify(status="ok")


@bp.get("/readyz")
@from_anywhere
@public
def readyz() -> ResponseReturnValue:
    """Orders can be worked on: 200, or 503 with the same figures."""
    now = readiness.check()
    word = "ready" if now.is_ready else "not_ready"
    return jsonify(status=word, **asdict(now)), 200 if now.is_ready else 503


@bp.get("/metrics")
@from_anywhere
@public
def figures() -> ResponseReturnValue:
    """Everything counted, in Prometheus' text format: to the Bearer of METRICS_TOKEN alone."""
    token: str = current_app.config["METRICS_TOKEN"]
    if not token:
        abort(404)
    given = request.headers.get("Authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        return Response(status=401, headers={"WWW-Authenticate": "Bearer"})
    # Loaded only where it is wanted: nobody else needs prometheus-client.
    from sgpshop.services.installation.health.figures import DatabaseFigures

    content = metrics.exposition(DatabaseFigures())
    return Response(content, content_type="text/plain; version=0.0.4; charset=utf-8")
