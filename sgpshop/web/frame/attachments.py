"""Files that a browser saves instead of showing."""

from __future__ import annotations

from flask import Response, request

#: In the environment of a request to our HTTP server: what `at_readers_pace` calls.
AT_READERS_PACE = "sgpshop.at_readers_pace"


def attached(content: bytes, name: str) -> Response:
    """A CSV file under that name."""
    return Response(content, mimetype="text/csv", headers=disposition(name))


def disposition(name: str) -> dict[str, str]:
    """The header under which `name` is saved."""
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def at_readers_pace() -> None:
    """Let the answer to this request be made no faster than it is read.

    Its thread waits meanwhile: whoever asks for it bounds how many do.
    """
    request.environ.get(AT_READERS_PACE, lambda: None)()
