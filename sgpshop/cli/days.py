"""A day on the command line."""

from __future__ import annotations

from datetime import date

import click

from sgpshop.domain.bounds import DAYS_WORDS, is_usable


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
