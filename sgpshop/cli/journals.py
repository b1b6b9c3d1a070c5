"""The command export-journal: captures and refunds of a month for an accounting program."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from sgpshop.cli.days import parsed_month
from sgpshop.cli.shop import with_shop
from sgpshop.cli.writing import require_folder, write_whole
from sgpshop.domain.billing_calendar import next_month
from sgpshop.services import journals, settings
from sgpshop.services.access import activities


@click.command("export-journal")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--layout",
    "word",
    type=click.Choice(list(journals.LAYOUTS)),
    required=True,
    help="the accounting program",
)
@click.option("--month", "text", required=True, metavar="YYYY-MM", help="month of SMBC-GP (JST)")
@with_shop
def export_journal(file: Path, word: str, text: str) -> None:
    """Write what was captured and given back in a month into FILE, for an accounting program.

    FILE appears when it is complete; an older one is replaced.  Prints the sums.  Exit code 0:
    written, be it with no entry; 2: wrong use, nothing was written.
    """
    month = parsed_month(text)
    require_folder(file)
    period = (month, next_month(month) - timedelta(days=1))
    content = journals.LAYOUTS[word].written(journals.movements(*period), settings.load())
    write_whole(file, lambda out: out.write(content))
    sums = journals.sums_of(*period)
    count = sums.sales + sums.refunds
    what = f"journal_{word}_command"
    activities.exported(what, "会計ソフト用ファイル", count=count, file=file.name)
    click.echo(
        f"{text}: 売上 {sums.sales:,}件 {sums.sold:,}円, 返金 {sums.refunds:,}件 "
        f"{sums.given_back:,}円; 8%対象 {sums.at_8:,}円, 10%対象 {sums.at_10:,}円"
        + (f", 0%対象 {sums.at_0:,}円" if sums.at_0 else "")
        + (f", 前回の期間にさかのぼる分 {sums.late:,}件 {sums.of_before:,}円" if sums.late else "")
        + f" → {file}"
    )
