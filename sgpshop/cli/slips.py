"""The command import-slips: a slip file as the screen does it (interfaces.md §2)."""

from __future__ import annotations

import sys
import time
from typing import BinaryIO

import click
from flask import current_app

from sgpshop.cli.shop import with_shop
from sgpshop.domain.order_rules import is_big
from sgpshop.domain.row_files import FileRefused
from sgpshop.extensions import db
from sgpshop.models import ItemResult, SlipRun
from sgpshop.services.deliveries import slips
from sgpshop.services.deliveries.slips import ReportedRow, SlipProgress, SlipTerms, Uploaded
from sgpshop.services.payments import gateway_access
from sgpshop.services.payments.second_look import ApprovalNeeded

_ACTOR = "コマンド import-slips"
#: So long nothing may move before the rest is left to a worker.
_PATIENCE = 60.0


@click.command("import-slips")
@click.argument("file", type=click.File("rb"))
@click.option("--capture", is_flag=True, help="実売り同時処理, whatever the settings say")
@click.option(
    "--confirm-large-amount",
    "sum_confirmed",
    is_flag=True,
    help="capture also what the screen asks about a second time",
)
@with_shop
def import_slips(file: BinaryIO, capture: bool, sum_confirmed: bool) -> None:
    """Register the slip numbers of FILE ("-": standard input) and capture, if it is set to.

    Problems found beforehand go to standard error, the result to standard output.  Without a
    worker it does the work itself.  Exit code 0: every row is done; 1: some are not; 2: the file
    cannot be read, or its captures have to be confirmed (S21) or agreed to (R157): nothing was done; 3: SMBC-GP gives
    no answer to the captures.
    """
    usual = slips.usual_terms()
    content = file.read((slips.limits().max_bytes or 0) + 1)
    try:
        run_id = slips.prepare(
            Uploaded(content),
            SlipTerms(usual.capture or capture, usual.on_failure),
            person_id=None,
            actor=_ACTOR,
        )
    except FileRefused as refusal:
        click.echo(refusal.message, err=True)
        sys.exit(2)
    if slips.get(run_id).started_at is None:
        run_id = _begin(run_id, sum_confirmed=sum_confirmed)
    else:
        click.echo("同じ内容のファイルは処理済みです。そのときの結果を表示します。", err=True)
    done = _finish(run_id)
    _summarize(done)
    is_complete = not (done.failed or done.uncertain or done.unattempted)
    if done.run.capture and not is_complete:
        gateway_access.require_answers()
    sys.exit(0 if is_complete else 1)


def _begin(run_id: str, *, sum_confirmed: bool) -> str:
    """Tell what the preview shows, and start the run; the id of the run that counts (R82a)."""
    preview = slips.preview(slips.get(run_id))
    if preview.run.program:
        click.echo(f"「{preview.run.program}」のファイルとして読みました。", err=True)
    for result in (ItemResult.FAILED, ItemResult.SKIPPED):
        for line in slips.failed_lines(run_id, result):
            click.echo(_told(line), err=True)
    if preview.expired:
        click.echo(
            f"オーソリ期限が切れた注文を含みます({preview.expired:,}件)。カード会社に断られることがあります。",
            err=True,
        )
    click.echo(
        f"{preview.rows:,}行: 処理 {preview.to_do:,}, 問題 {preview.bad:,}, "
        f"対象外 {preview.left_out:,}, 実売上 {preview.captures:,}件 {preview.capture_yen:,}円",
        err=True,
    )
    if preview.nothing_to_do:
        sys.exit(1 if preview.bad else 0)
    if is_big(preview.captures, preview.capture_yen) and not sum_confirmed:
        click.echo(
            "実売上の件数か合計金額が大きいため、何も処理していません。上の件数と金額を確認のうえ、"
            "--confirm-large-amount を付けて、もう一度実行してください。",
            err=True,
        )
        sys.exit(2)
    try:
        return slips.start(run_id, person_id=None, sum_confirmed=sum_confirmed)
    except ApprovalNeeded as refusal:
        click.echo(f"{refusal.message}何も処理していません。", err=True)
        sys.exit(2)


def _finish(run_id: str) -> SlipProgress:
    """Work until every row is worked off, by a worker's hands or our own."""
    from sgpshop.worker.engine import Worker

    app = current_app._get_current_object()  # type: ignore[attr-defined]
    until = time.monotonic() + _PATIENCE
    left = -1
    while (now := _progress(run_id)).is_running and time.monotonic() < until:
        if now.unattempted != left:
            left, until = now.unattempted, time.monotonic() + _PATIENCE
        Worker(app).run(until_idle=True)
        time.sleep(0.2)
    return now


def _progress(run_id: str) -> SlipProgress:
    db.session.rollback()
    run: SlipRun = slips.get(run_id)
    return slips.progress(run)


def _summarize(done: SlipProgress) -> None:
    click.echo(
        f"{done.total:,}行: 成功 {done.succeeded:,}, 失敗 {done.failed:,}, "
        f"確認中 {done.uncertain:,}, 対象外 {done.skipped:,}, 未実行 {done.unattempted:,}; "
        f"実売上 {done.captured:,}件 {done.captured_yen:,}円"
    )
    for line in slips.failed_lines(done.run.id):
        click.echo(_told(line))


def _told(line: ReportedRow) -> str:
    row = line.row
    number = f" {row.order_no}" if row.order_no else ""
    problem = line.problem.removeprefix(f"{row.result.label}:")
    words = " ".join(filter(None, (problem, *line.codes, row.remark)))
    return f"{row.line}行目{number}: {row.result.label}: {words}"
