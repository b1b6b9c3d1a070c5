"""案内文: the HTML a shop may show its buyers, and nothing that could run or reach out (§10, S7)."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import nh3

#: Text with a little form.  No pictures, styles, frames or forms: they load or send something.
_TEXT = {"a", "b", "br", "div", "em", "hr", "i", "p", "s", "small", "span", "strong", "u"}
_FORM = {"dd", "dl", "dt", "h3", "h4", "li", "ol", "sub", "sup", "ul"}
_TABLE = {"table", "tbody", "td", "th", "thead", "tr"}
_CELL = {"colspan", "rowspan"}


@cache
def _cleaner(link_rel: str | None) -> nh3.Cleaner:
    import nh3  # few shops show any, and few requests

    return nh3.Cleaner(
        tags=_TEXT | _FORM | _TABLE,
        attributes={"a": {"href"}, "td": _CELL, "th": _CELL},
        url_schemes={"https", "http", "mailto", "tel"},
        link_rel=link_rel,
    )


def clean(html: str) -> str:
    """`html` without whatever is not allowed, tags closed; cleaning that again changes nothing."""
    return _cleaner(None).clean(html)


def shown(html: str) -> str:
    """The same for a page: safe to be put there as it is, links without a trace of where from."""
    return _cleaner("noopener noreferrer").clean(html)
