"""Days and months on the command line."""

from __future__ import annotations

from datetime import date

import click

from sgpshop.domain.billing_calendar import parse_month
from sgpshop.domain.bounds import DAYS_WORDS, is_usable


def parsed_month(text: str) -> date:
    """The first day of the month `text` of a --month.  Raises UsageError."""
    try:
        month = parse_month(text)
        if not is_usable(month):
            raise ValueError(text)
    except ValueError:
        raise click.UsageError(f"--month は 2026-11 のように指定してください: {text}") from None
    return month


class Day(click.ParamType[date]):
    """`2026-11-23`; anything else, and a day nobody can mean, is wrong use."""

    name = "YYYY-MM-DD"

    def convert(
        self, value: str | date, param: click.Parameter | None, ctx: click.Context | None
    ) -> date:
        """The day."""
        if isinstance(value, date):
            return value
        try:
            day = date.fromisoformat(value)
        except ValueError:
            self.fail(f"日付は 2026-11-23 のように指定してください: {value[:40]}", param, ctx)
        if not is_usable(day):
            self.fail(f"日付は{DAYS_WORDS}で指定してください: {value[:40]}", param, ctx)
        return day
