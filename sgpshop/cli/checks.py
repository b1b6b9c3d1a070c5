"""Commands that look after the database, uncertain outcomes and agreement with SMBC-GP."""

from __future__ import annotations

import json
import sys
from collections import Counter

import click
from flask.cli import with_appcontext

from sgpshop.cli.shop import with_shop
from sgpshop.services import installation
from sgpshop.services.order_search import holds, sums, texts, waits
from sgpshop.services.orders.history_check import Verification
from sgpshop.services.payments import attempt_lookup
from sgpshop.services.reconciliation import ledgers


@click.command("migrate")
@with_appcontext
def migrate() -> None:
    """Bring the database to this version, and say what was done."""
    before, now = installation.migrate()
    if before == now:
        click.echo(f"データベースは最新です(版 {now})。何も変更していません。")
    elif before is None:
        click.echo(f"データベースを作成しました(版 {now})。")
    else:
        click.echo(f"データベースを版 {before} から {now} に更新しました。")


@click.command("resolve")
@with_shop
def resolve() -> None:
    """Look up every uncertain outcome now; exit 1 if any stays uncertain.

    Exit code 3: SMBC-GP answered none of the look-ups, so nobody knows.
    """
    left, unanswered = attempt_lookup.resolve_all()
    click.echo(f"結果確認中: {left}件")
    if unanswered:
        click.echo(f"SMBC-GPに照会できませんでした: {unanswered}件", err=True)
    sys.exit(3 if left and left == unanswered else 1 if left else 0)


@click.command("verify-history")
@with_shop
def verify_history() -> None:
    """Replay every order's history; exit 1 if one was altered or does not explain the present.

    One line per problem on standard output, then how much was looked at.  Changes nothing.
    """
    verification = Verification()
    count = 0
    for problem in verification.problems():
        count += 1
        click.echo(f"{problem.order_no or '(全体)'}: {problem.what}")
    click.echo(f"注文 {verification.orders:,}件、履歴 {verification.entries:,}件: 問題 {count:,}件")
    sys.exit(1 if count else 0)


@click.command("check-search")
@click.option("--anew", is_flag=True, help="make the whole index anew, in the background")
@with_shop
def check_search(*, anew: bool) -> None:
    """Compare what orders are found by with the orders, and mend it; exit 1 if anything differed."""
    if anew:
        texts.begin_anew()
        click.echo("検索用の索引を作り直します。自動処理(worker)が順に進めます。")
        return
    mended = 0
    place: int | None = 1
    while place:
        wrong, place = texts.compare_from(place)
        mended += wrong
    click.echo(
        f"検索用の索引: {mended:,}件を直しました。"
        if mended
        else "検索用の索引に誤りはありません。"
    )
    sys.exit(1 if mended else 0)


@click.command("check-sums")
@with_shop
def check_sums() -> None:
    """Compare what is kept of the orders (sums, what waits, ends of holds, amounts that differ) with them, and
    mend it.

    Exit 1 if anything differed.
    """
    mended, ends, waiting = sums.compare(), holds.compare(), waits.compare()
    click.echo(
        f"注文の件数と合計: {mended:,}つの決済ステータスで直しました。"
        if mended
        else "注文の件数と合計に誤りはありません。"
    )
    click.echo(
        f"決済を待つ定期購入・予約: {waiting:,}件を直しました。"
        if waiting
        else "決済を待つ定期購入・予約に誤りはありません。"
    )
    click.echo(
        f"オーソリ期限・未送信の修正額: {ends:,}件を直しました。"
        if ends
        else "オーソリ期限・未送信の修正額に誤りはありません。"
    )
    sys.exit(1 if mended or ends or waiting else 0)


@click.command("compare-ledgers")
@click.option("--json", "as_json", is_flag=True, help="a list of objects instead of lines")
@click.option(
    "--order", "order_nos", multiple=True, metavar="NO", help="only this order; repeatable"
)
@click.option("--others", is_flag=True, help="ask about orders of other ways of payment as well")
@with_shop
def compare_ledgers(as_json: bool, order_nos: tuple[str, ...], *, others: bool) -> None:
    """Ask SMBC-GP about every order and print each difference; changes nothing.

    With --others also about the orders that we hold as another way of payment: one under whose number
    there is money is a difference.

    Exit code 0: all agree; 1: there are differences; 2: wrong use; 3: none was found, but there are
    orders that could not be asked about.  An order with an operation under way is listed as «open»
    and is no difference.
    """
    if unknown := ledgers.unknown_numbers(order_nos) if order_nos else []:
        raise click.UsageError(f"SGPカード決済の注文ではありません: {', '.join(unknown)}")
    if others and order_nos:
        raise click.UsageError("--others と --order は一緒に使えません。")
    counts: Counter[str] = Counter()
    comparisons = []
    for comparison in ledgers.compare(order_nos):
        counts[comparison.verdict] += 1
        if comparison.verdict is ledgers.Verdict.AGREES:
            continue
        if as_json:
            comparisons.append(comparison.as_json())
        else:
            click.echo(f"{comparison.verdict:<10} {comparison.as_line()}")
    for other in ledgers.compare_others() if others else ():
        result = other.as_json()["result"] if other else ledgers.Verdict.AGREES.value
        counts[result] += 1
        if other and as_json:
            comparisons.append(other.as_json())
        elif other:
            click.echo(f"{result:<10} {other.as_line()}")
    if as_json:
        click.echo(json.dumps(comparisons, ensure_ascii=False, indent=1))
    differences = counts[ledgers.Verdict.DIFFERENCE] + counts[ledgers.Verdict.OTHER_METHOD]
    unanswered = counts[ledgers.Verdict.UNANSWERED]
    click.echo(
        f"{counts.total():,}件を照合: 差異 {differences:,}, 結果待ち "
        f"{counts[ledgers.Verdict.OPEN]:,}, 照会できず {unanswered:,}",
        err=True,
    )
    sys.exit(1 if differences else 3 if unanswered else 0)
