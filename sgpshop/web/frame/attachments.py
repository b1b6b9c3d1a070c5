"""Files that a browser saves instead of showing."""

from __future__ import annotations

from flask import Response


def attached(content: bytes, name: str) -> Response:
    """A CSV file under that name."""
    return Response(content, mimetype="text/csv", headers=disposition(name))


def disposition(name: str) -> dict[str, str]:
    """The header under which `name` is saved."""
    return {"Content-Disposition": f'attachment; filename="{name}"'}
