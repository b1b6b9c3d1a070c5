"""What every command that works on the shop's database begins with."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask.cli import with_appcontext


def with_shop(function: Callable[..., Any]) -> Callable[..., Any]:
    """Run a command in the shop's app context, on a database of this version, key and kind.

    Raises what `require_shop` raises, before the command began.
    """

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        require_shop()
        return function(*args, **kwargs)

    return with_appcontext(run)


def require_shop() -> None:
    """Raise CouldNotAsk for another schema, EnvironmentUnusable for another key or a demo's data."""
    from sgpshop.services import installation
    from sgpshop.storage import schema

    schema.require_current()
    installation.require_ours()
