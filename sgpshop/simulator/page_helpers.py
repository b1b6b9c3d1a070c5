"""What all console pages share: headers, words, and the page for what is not there."""

from flask import Blueprint, Response, render_template

from .clock import at
from .endpoint import Endpoint
from .labels import RESULT_LABELS, STATUS_LABELS, THREE_DS_LABELS, explain, label

#: No script at all, one style sheet of our own, forms only to ourselves.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'"
)


def dress(bp: Blueprint, endpoint: Endpoint) -> None:
    """Give the pages of `bp` what console pages have."""

    @bp.after_request
    def secure(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["Cache-Control"] = "no-store"
        return response

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
