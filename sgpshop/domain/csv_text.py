"""Text on its way into a CSV file that somebody opens in a spreadsheet program (S18)."""

from __future__ import annotations

import re

#: What a spreadsheet takes for the beginning of a formula; full-width forms too, for some convert.
_FORMULA = re.compile(r"[\s\u3000]*[=+\-@＝＋－＠]|[\t\r\n]")


def csv_guarded(text: str) -> str:
    """`text` with a leading apostrophe where a spreadsheet would run it."""
    return f"'{text}" if _FORMULA.match(text) else text


def csv_unguarded(text: str) -> str:
    """`text` without the apostrophe that `csv_guarded` put before it."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text, 1) else text
