"""Commands about the monthly registration of subscription sales (R102, R105)."""

from __future__ import annotations

import sys
from datetime import date

import click

from sgpshop.cli.days import parsed_month
from sgpshop.cli.shop import with_shop
from sgpshop.domain.billing_calendar import month_of, written
from sgpshop.models import utc_now
from sgpshop.services import subscriptions
from sgpshop.services.payments import gateway_access
from sgpshop.services.subscriptions import billing


@click.command("report-subscriptions")
@click.option(
    "--month", "text", required=True, metavar="YYYY-MM", help="the month of 配送完了, which is over"
)
@with_shop
def report_subscriptions(text: str) -> None:
    """Register the sales of all orders 配送完了 in that month or before, and wait for the end.

    What is registered already is left alone.  Prints counts and a line for each refused order.
    Exit code 0: all are registered, or there was nothing to do; 1: some were refused, put off or
    are still under way; 2: wrong use, nothing was done; 3: SMBC-GP gives no answer.
    """
    month = _finished_month(text)
    began = utc_now()
    done = billing.report(month)
    for order_no, why in subscriptions.refused_since(began):
        click.echo(f"{order_no}: 登録不可: {why}")
    click.echo(
        f"{written(month)} 分の売上報告: 新規 {done.planned:,}件; 登録 {done.registered:,}, "
        f"登録不可 {done.refused:,}, 未登録 {done.postponed:,}, 登録中 {done.under_way:,}"
    )
    if done.postponed:
        click.echo(
            "登録できなかった注文は決済待ちのままです。理由は定期購入の画面の「要対応」にあります。",
            err=True,
        )
    if done.under_way:
        click.echo("登録中の分は、ワーカーが続きを処理します。", err=True)
    if done.postponed or done.under_way:
        gateway_access.require_answers()
    sys.exit(1 if done.refused or done.postponed or done.under_way else 0)


@click.command("close-results")
@click.option(
    "--month", "text", required=True, metavar="YYYY-MM", help="the month in which files were sent"
)
@with_shop
def close_results(text: str) -> None:
    """Say, after asking SMBC-GP, that it charges nothing more of the monthly files of that month.

    Lines that wait for a result are looked up: what was not charged is 売上失敗, to be registered anew, and
    what a file that the books do not know may have registered is registered anew.  Exit code 1: results may still come.
    """
    month = parsed_month(text)
    billing.give_up(month)
    click.echo(f"{written(month)} の結果を待たないことにしました。")


def _finished_month(text: str) -> date:
    month = parsed_month(text)
    if month >= month_of(utc_now()):
        raise click.UsageError(f"{written(month)} はまだ終わっていないため、売上報告できません。")
    return month
