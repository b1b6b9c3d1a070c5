"""Page or fragment: what a request wants to see."""

from __future__ import annotations

from htmx_flask import request


def wants_fragment() -> bool:
    """Whether htmx asks for a piece of the page it shows; a history restore wants the whole (S9)."""
    return bool(request.htmx) and not request.htmx.history_restore_request
