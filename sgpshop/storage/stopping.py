"""That this process is about to end (P33)."""

from __future__ import annotations

from flask import Flask, current_app

_KEY = "sgpshop.stopping"


def stop_soon(app: Flask) -> None:
    """This process is to end: what is under way begins no further gateway call, and no further part."""
    app.extensions[_KEY] = True


def is_stopping() -> bool:
    """Whether the process is about to end."""
    return bool(current_app.extensions.get(_KEY))


def stopped(app: Flask) -> None:
    """Nothing is under way any more; a process that does not end after all goes on as before."""
    app.extensions.pop(_KEY, None)
