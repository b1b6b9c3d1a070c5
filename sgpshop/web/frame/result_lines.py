"""Pages of the lines of a run: `?after=` so many."""

from __future__ import annotations

from flask import request

LINES_PER_PAGE = 200
#: no run and no file is longer; what asks for more is no page of ours
_FURTHEST = 1_000_000


def offset() -> int:
    """How many lines the page that is asked for leaves out before it."""
    return min(max(request.args.get("after", 0, type=int), 0), _FURTHEST)
