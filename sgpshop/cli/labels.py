"""The command export-labels: a file from which a carrier's program prints labels."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

import click

from sgpshop.cli.days import Day
from sgpshop.cli.shop import with_shop
from sgpshop.cli.writing import require_folder, write_whole
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.models import utc_now
from sgpshop.services.access import activities
from sgpshop.services.deliveries import labels, waiting
from sgpshop.services.deliveries.labels import Cool, LabelJob


@click.command("export-labels")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("order_numbers", metavar="[ORDER_NO]...", nargs=-1)
@click.option(
    "--layout",
    "word",
    type=click.Choice(list(labels.LAYOUTS)),
    required=True,
    help="the carrier's program",
)
@click.option("--ship-date", type=Day(), help="day of shipping (JST); default today")
@click.option("--cool", type=click.Choice([cool.value for cool in Cool]), default=Cool.NORMAL.value)
@with_shop
def export_labels(
    file: Path, order_numbers: tuple[str, ...], word: str, ship_date: date | None, cool: str
) -> None:
    """Write the labels of the given orders into FILE; without any, of all that are to go out.

    FILE appears when it is complete; an older one is replaced.  What cannot be in it, and why, goes
    to standard error.  Exit code 0: every order is in it; 1: some are not; 2: wrong use or settings
    that lack something, nothing was written.
    """
    require_folder(file)
    known = labels.named(sorted(set(order_numbers)))
    unknown = [number for number in order_numbers if number not in known]
    wanted = list(known.values()) if order_numbers else waiting.order_ids()
    for number in unknown:
        click.echo(f"{number}: この注文番号の注文はありません。", err=True)
    job = LabelJob(ship_date or jst_day(utc_now()), Cool(cool))
    try:
        made = labels.made(labels.LAYOUTS[word], wanted, job)
    except labels.SettingsMissing as refusal:
        click.echo(refusal.message, err=True)
        sys.exit(2)
    for problem in made.problems:
        told = "確認" if problem.is_warning else "作れません"
        click.echo(f"{problem.order_no}: {told}: {problem.words}", err=True)
    write_whole(file, lambda out: out.write(made.content))
    what = f"labels_{word}_command"
    activities.exported(what, "送り状ファイル", count=made.orders, file=file.name)
    click.echo(f"{made.orders:,}件の注文、{made.labels:,}枚の送り状を {file} に書き出しました")
    sys.exit(1 if made.refused or unknown else 0)
