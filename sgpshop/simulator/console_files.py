"""The console's pages on monthly subscription files."""

from flask import Blueprint, abort, render_template

from . import monthly_files, monthly_records
from .endpoint import Endpoint
from .page_helpers import dress


def blueprint(endpoint: Endpoint) -> Blueprint:
    """The pages of one gateway."""
    bp = Blueprint("console_files", __name__, url_prefix="/mulpayconsole/shop/<shop_id>/files")
    context = endpoint.context
    dress(bp, endpoint)

    @bp.get("/")
    def every(shop_id: str) -> str:
        require_shop(shop_id)
        monthly_files.settle_due(context)
        with context.ledger.reading() as db:
            files = [(file, monthly_records.lines(db, file)) for file in monthly_records.files(db)]
        return render_template("files.html", files=files)

    @bp.get("/<receipt_no>")
    def one(shop_id: str, receipt_no: str) -> str:
        require_shop(shop_id)
        monthly_files.settle_due(context)
        with context.ledger.reading() as db:
            file = monthly_records.by_receipt(db, receipt_no) or abort(404)
            lines = monthly_records.lines(db, file)
        return render_template("file.html", file=file, lines=lines)

    def require_shop(shop_id: str) -> None:
        if shop_id != context.contract.shop_id:
            abort(404)

    return bp
