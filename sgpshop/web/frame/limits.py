"""Views that one person may call only so often (S23)."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from flask_login import current_user

from sgpshop.services.access import rate_limits
from sgpshop.services.access.rate_limits import Use

_P = ParamSpec("_P")
_R = TypeVar("_R")


def limited(use: Use) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Count each call of the view against the person's limit of `use`, before anything is read.

    The view raises TooOften (429).  Goes below `@requires`: strangers count nowhere.
    """

    def around(view: Callable[_P, _R]) -> Callable[_P, _R]:
        @wraps(view)
        def counted(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            rate_limits.count_use(use, current_user.id)
            return view(*args, **kwargs)

        return counted

    return around
