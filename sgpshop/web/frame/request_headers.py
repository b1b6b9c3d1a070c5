"""Headers of a request as our libraries can read them, before any of them does (S22, S23).

No browser sends what is taken away here: it would break a library off, or keep it busy for the square of
its length.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.http import parse_date

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: werkzeug tries each way of dividing blanks between two parts of a cookie.
_BLANKS = re.compile(r"[ \t]{2,}")
#: What divides the parts of a form has 70 signs at most (RFC 2046).  werkzeug makes two patterns of it, and
#: Python keeps the last 512 of all patterns.
_LONGEST_TYPE = 200
#: Conditions of a file that may name a moment.
_MOMENTS = ("HTTP_IF_MODIFIED_SINCE", "HTTP_IF_UNMODIFIED_SINCE", "HTTP_IF_RANGE")


def install(app: Flask) -> None:
    """Put the middleware around `app`."""
    app.wsgi_app = _Readable(app.wsgi_app)  # type: ignore[method-assign]


class _Readable:
    """WSGI middleware: several blanks of a cookie are one, and what is no moment is not asked about.

    A kind of body that nobody can mean says nothing of how the body is divided.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if "HTTP_COOKIE" in environ:
            environ["HTTP_COOKIE"] = _BLANKS.sub(" ", environ["HTTP_COOKIE"])
        if len(kind := environ.get("CONTENT_TYPE", "")) > _LONGEST_TYPE:
            environ["CONTENT_TYPE"] = kind[:_LONGEST_TYPE].partition(";")[0]
        for name in _MOMENTS:
            if name in environ and not _can_be_read(environ[name]):
                del environ[name]
        return self._app(environ, start_response)


def _can_be_read(moment: str) -> bool:
    try:
        parse_date(moment)
    except OverflowError:  # of a year or hour beyond all counting
        return False
    return True
