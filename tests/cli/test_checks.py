"""verify-history and check-search: exit codes, and what is said (interfaces.md §2)."""

from __future__ import annotations

import sqlalchemy as sa
from click.testing import Result
from flask import Flask

from sgpshop.cli import commands
from sgpshop.services.order_search import texts
from sgpshop.storage.database import writing
from tests.factories import make_order


def verify(app: Flask) -> Result:
    return app.test_cli_runner().invoke(commands, ["verify-history"])


def test_an_empty_shop_is_fine(app: Flask) -> None:
    result = verify(app)
    assert result.exit_code == 0
    assert result.stdout == "注文 0件、履歴 0件: 問題 0件\n"


def test_a_history_that_explains_everything_ends_with_0(app: Flask) -> None:
    with app.app_context():
        make_order(told=True)
        make_order(told=True)
    result = verify(app)
    assert result.exit_code == 0
    assert result.stdout == "注文 2件、履歴 2件: 問題 0件\n"


def test_each_problem_is_a_line_and_ends_with_1(app: Flask) -> None:
    with app.app_context():
        make_order(order_no="P1", told=True)
        make_order(order_no="P2", told=True)
        with writing() as session:
            session.execute(
                sa.text("UPDATE orders SET payment_status = 'captured' WHERE order_no = 'P2'")
            )
            session.execute(sa.text("DROP TRIGGER history_no_delete"))
    result = verify(app)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "(全体): 履歴の変更・削除を拒む仕組み(トリガー)がデータベースから外されています",
        "P2: 決済ステータスは「決済完了」ですが、最後の記録では「仮売上」です",
        "注文 2件、履歴 2件: 問題 2件",
    ]


def test_the_index_of_the_search_is_compared_and_mended(app: Flask) -> None:
    def check(*options: str) -> tuple[int, str]:
        result = app.test_cli_runner().invoke(commands, ["check-search", *options])
        return result.exit_code, result.stdout

    with app.app_context():
        make_order()
        texts.renew()
    assert check() == (0, "検索用の索引に誤りはありません。\n")
    with app.app_context(), writing() as session:
        session.execute(sa.text("UPDATE order_texts SET buyer = ''"))
    assert check() == (1, "検索用の索引: 1件を直しました。\n")
    assert check()[0] == 0
    assert check("--anew")[0] == 0
    with app.app_context():
        assert texts.renew() is False
    assert check()[0] == 0
