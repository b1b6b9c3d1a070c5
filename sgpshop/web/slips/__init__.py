"""発送, 伝票番号一括ステータス変更 (`/slips`, §9): numbers typed or scanned, a file of them, what became of both."""

from flask import Blueprint

bp = Blueprint("slips", __name__, url_prefix="/slips")

from sgpshop.web.slips import grid, runs  # noqa: E402, F401 - add theirs
