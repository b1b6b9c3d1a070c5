"""Page or fragment: what a request wants to see."""

from __future__ import annotations

from flask import request


def wants_fragment() -> bool:
    """Whether htmx asks for a piece of the page it shows; a history restore wants the whole (S9)."""
    headers = request.headers
    return "HX-Request" in headers and "HX-History-Restore-Request" not in headers
