"""What all console pages share: headers, words, and the page for what is not there."""

from flask import Blueprint, Response, render_template

from .clock import at
from .endpoint import Endpoint
from .labels import RESULT_LABELS, STATUS_LABELS, THREE_DS_LABELS, explain, label

#: No script at all, one style sheet of our own; no word on where forms may go.
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def secured(response: Response, more: str = "", referrer: str = "same-origin") -> Response:
    """A page with the headers that all have; `more`: what its content security policy says besides."""
    response.headers["Content-Security-Policy"] = f"{_POLICY}; {more}" if more else _POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = referrer
    response.headers["Cache-Control"] = "no-store"
    return response


def dress(bp: Blueprint, endpoint: Endpoint) -> None:
    """Give the pages of `bp` what console pages have."""

    @bp.after_request
    def secure(response: Response) -> Response:
        return secured(response, "form-action 'self'")

    @bp.context_processor
    def words() -> dict[str, object]:
        return {
            "contract": endpoint.context.contract,
            "statuses": STATUS_LABELS,
            "results": RESULT_LABELS,
            "three_ds_labels": THREE_DS_LABELS,
            "label": label,
            "at": at,
            "explain": explain,
            "now": endpoint.context.clock.now(),
        }

    @bp.errorhandler(404)
    def missing(_error: Exception) -> tuple[str, int]:
        return render_template("missing.html"), 404
