"""How templates know what every template may use: as plain names, looked up once."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from flask.sansio.app import App
from flask.templating import Environment


class PlainEnvironment(Environment):
    """Each template has its own dictionary of the names known to all, as they are when it is loaded.

    Jinja would look each name up through two, in Python, and compare all of them anew whenever a template
    imports a macro: a tenth of a page that has many parts.  Nobody adds a name once pages are shown.
    """

    def __init__(self, app: App, **options: Any) -> None:
        # All that were loaded stay loaded, there are as many as files: to note down each time which was used
        # last takes longer than a small one does, and a page has forty.
        super().__init__(app, cache_size=-1, **options)

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        """The names known to all, and `d` of this template."""
        return {**self.globals, **(d or {})}
