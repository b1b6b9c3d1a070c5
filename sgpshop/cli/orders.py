"""Commands that bring orders in: import-orders, seed-demo."""

from __future__ import annotations

import shutil
import sys
import tempfile
from typing import BinaryIO

import click

from sgpshop.cli.shop import with_shop
from sgpshop.domain.row_files import Limits
from sgpshop.models import ImportRun
from sgpshop.services.order_files import importing

_ACTOR = "コマンド import-orders"


@click.command("import-orders")
@click.argument("files", metavar="FILE...", type=click.File("rb"), nargs=-1, required=True)
@with_shop
def import_orders(files: tuple[BinaryIO, ...]) -> None:
    """Take in the order file FILE ("-": standard input), of any size, or files that belong together.

    Progress and columns that are not read go to standard error, the result and all problems to
    standard output.  Exit code 0: all orders are in; 1: some were left out; 2: the file cannot be
    read, nothing was written.
    """
    with tempfile.TemporaryFile() as copy:
        streams = [file if file.seekable() else _rewindable(file, copy) for file in files]
        run, survey = importing.begin(importing.new_run_id(), _ACTOR, streams, Limits())
        if survey is None:
            click.echo(run.refused, err=True)
            sys.exit(2)
        if survey.layout.program:
            click.echo(f"「{survey.layout.program}」として読みました。", err=True)
        if survey.unread:
            click.echo(f"取り込まない列: {'、'.join(survey.unread)}", err=True)
        importing.carry_out(run.id, streams, Limits(), survey, _tell)
    run = importing.find(run.id)
    _summarize(run)
    sys.exit(1 if run.left_out else 0)


@click.command("seed-demo")
@click.option("--orders", "count", type=click.IntRange(1, 1_000_000), help="made-up orders instead")
@click.option("--without-gateway", is_flag=True, help="rows alone, of all kinds and states")
@with_shop
def seed_demo(count: int | None, without_gateway: bool) -> None:
    """Bring in the shipped sample, or N made-up orders, with transactions at the simulator."""
    from sgpshop.services.demo.many import seed_many
    from sgpshop.services.demo.rows import seed_rows
    from sgpshop.services.demo.seeding import seed_sample

    if without_gateway:
        if count is None:
            raise click.UsageError("--without-gateway には --orders N が必要です。")
        click.echo(f"新規 {seed_rows(count):,}件")
        return
    run = seed_sample() if count is None else seed_many(count)
    if run is None:
        click.echo("すでに取り込み済みです。何も変更していません。")
        return
    _summarize(run)
    sys.exit(1 if run.left_out else 0)


def _rewindable(pipe: BinaryIO, copy: BinaryIO) -> BinaryIO:
    """A copy of what cannot be read twice, in a nameless file that vanishes with the process."""
    shutil.copyfileobj(pipe, copy)
    copy.seek(0)
    return copy


def _tell(run: ImportRun) -> None:
    done = run.added + run.updated + run.unchanged + run.left_out
    click.echo(f"\r{done:,} / {run.orders:,}", err=True, nl=done == run.orders)


def _summarize(run: ImportRun) -> None:
    click.echo(
        f"{run.rows:,}行 {run.orders:,}件: 新規 {run.added:,}, 更新 {run.updated:,}, "
        f"変更なし {run.unchanged:,}, エラー {run.left_out:,}"
    )
    for issue in importing.issues(run.id, limit=None):
        number = f" {issue.order_no}" if issue.order_no else ""
        click.echo(f"{issue.line}行目{number}: {issue.level.label}: {issue.message}")
