"""Page or fragment: what a request wants to see, and what is said beside it."""

from __future__ import annotations

from flask import get_flashed_messages, render_template
from htmx_flask import request


def wants_fragment() -> bool:
    """Whether htmx asks for a piece of the page it shows; a history restore wants the whole (S9)."""
    return bool(request.htmx) and not request.htmx.history_restore_request


def with_messages(page: str) -> str:
    """`page` as it is to be sent; beside a fragment goes what was flashed.

    A piece that renews itself leaves what was said where it stands; the next act takes it away.  A
    whole page says its messages itself.
    """
    if not wants_fragment() or (request.method == "GET" and not get_flashed_messages()):
        return page
    return page + render_template("_messages.html", is_beside=True)
