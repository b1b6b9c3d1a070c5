"""Pieces of pages: whether one is asked for, and those that are the same everywhere, made once.

Menus and forms that nobody filled in are made once.  Their template knows nothing but what it is
given, neither the request nor the person, so that what was made for one cannot be shown to another.
What somebody typed is not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import lru_cache
from typing import Any

from flask import Flask, current_app, get_flashed_messages, render_template, session
from flask_wtf.csrf import generate_csrf
from htmx_flask import request
from jinja2 import StrictUndefined
from markupsafe import Markup

_KEY = "sgpshop.pieces"
#: so many pieces, rows of lists, and tokens of sessions
_MOST, _MOST_ROWS, _MOST_TOKENS = 256, 512, 1024
#: Signs of a piece that is kept.  Most have a few thousand; an address of 16 kB is in each link of its panel,
#: and 256 of those would take a hundred megabytes.
_LONGEST = 65_536
#: What Flask lets every template ask, and a piece may not.
_NOTHING = {
    name: StrictUndefined(name=name)
    for name in ("request", "session", "g", "current_user", "csrf_token")
}


def init_app(app: Flask) -> None:
    """Give `piece(…)` and `csrf_token()` to all templates of `app`."""
    app.extensions[_KEY] = {False: {}, True: {}}
    app.jinja_env.globals.update(csrf_token=token, piece=piece)
    app.context_processor(lambda: {"csrf_token": token})  # Flask-WTF gives its own in both ways


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


def piece(
    template: str,
    given: Mapping[str, Hashable],
    following: Callable[[], Mapping[str, Any]] = dict,
    *,
    is_typed: bool = False,
    is_row: bool = False,
) -> Markup:
    """What `template` makes of `given` and of `following`, which follows from it.

    Made anew where somebody typed what is in it.  `is_row`: of a list, with many more like it, which take no
    place from what is on every page.
    """
    kept: dict[object, Markup] = current_app.extensions[_KEY][is_row]
    key = template, request.script_root, tuple(given.values())
    found = None if is_typed else kept.get(key)
    if found is None:
        made = current_app.jinja_env.get_template(template).render(
            _NOTHING | {**given, **following()}
        )
        found = Markup(made)  # noqa: S704 - a template's own, which escapes
        if not is_typed and len(found) <= _LONGEST:
            if len(kept) >= (_MOST_ROWS if is_row else _MOST):
                kept.clear()  # they are made anew faster than anybody would notice
            kept[key] = found
    return found


def token() -> str:
    """The CSRF token of this session, signed once; it is as good as the session (S6)."""
    raw: str | None = session.get("csrf_token")
    return str(generate_csrf()) if raw is None else _signed(raw)


@lru_cache(maxsize=_MOST_TOKENS)
def _signed(_raw: str) -> str:
    return str(generate_csrf())
