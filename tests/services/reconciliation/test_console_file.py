"""取引一覧と突き合わせ: the console's transaction list beside our orders; a file never sets a status (R122)."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import sqlalchemy as sa

from sgpshop.domain.order_number import at_gateway
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.row_files import FileRefused, Limits
from sgpshop.extensions import db
from sgpshop.gateway import Cancellation, Job, TradeAccess
from sgpshop.models import CardTransaction, Operation, OrderKind
from sgpshop.services.payments import transaction_lookup
from sgpshop.services.reconciliation import console_file
from sgpshop.services.reconciliation.console_file import FileComparison
from sgpshop.storage.database import writing
from tests.factories import authorized_order, fresh, make_order, order_number
from tests.gateway_world import GOOD_CARD, World
from tests.services.acting import press

S = PaymentStatus
SAMPLE = Path(__file__).parent.parent.parent / "data" / "e01-gmopg-console-list.csv"
LIMITS = Limits(max_bytes=5_242_880, max_lines=20_000, max_cell=1_000)


def console_csv(shop: World) -> bytes:
    """取引一覧CSV as the console offers it."""
    answer = shop.simulator.test_client().get("/mulpayconsole/shop/tshop00000001/transactions.csv")
    assert answer.status_code == 200
    return answer.get_data()


def compare(content: bytes, limits: Limits = LIMITS) -> FileComparison:
    return console_file.compare(io.BytesIO(content), limits)


def rows(*lines: str, heading: str = "オーダーID,状態,金額") -> bytes:
    return ("\r\n".join([heading, *lines]) + "\r\n").encode("cp932")


def planned() -> list[str]:
    db.session.rollback()
    return list(
        db.session.scalars(
            sa.select(CardTransaction.gateway_order_id).where(
                CardTransaction.next_look_at.is_not(None)
            )
        )
    )


@pytest.mark.postgresql
def test_the_consoles_own_list_of_equal_books_agrees(shop: World) -> None:
    authorized_order(shop)
    press(authorized_order(shop), Operation.CAPTURE)
    gone = authorized_order(shop)
    trade = shop.gateway.search_trade(gone.order_no)
    assert trade is not None
    shop.gateway.cancel(trade.access, Cancellation.VOID)
    with writing() as session:
        session.execute(
            sa.text("UPDATE orders SET payment_status = 'cancelled' WHERE id = :id"),
            {"id": gone.id},
        )
    number = order_number()
    access = shop.gateway.check_card(number, GOOD_CARD).access
    make_order(access=access, kind=OrderKind.PREORDER, gateway_state="CHECK")
    number = order_number()
    make_order(status=S.NEEDS_REVIEW, access=shop.enter(number, 3000))
    result = compare(console_csv(shop))
    assert (result.rows, result.agreeing) == (5, 5)
    assert result.mistakes == []
    assert planned() == []


def test_a_difference_is_looked_up_and_the_look_up_decides(shop: World) -> None:
    order = authorized_order(shop)
    trade = shop.gateway.search_trade(order.order_no)
    assert trade is not None
    shop.gateway.capture(trade.access, 3000)
    result = compare(console_csv(shop))
    [found] = result.differences
    assert (found.order_no, found.payment_status, found.listed.word) == (
        order.order_no,
        S.AUTHORIZED,
        "実売上",
    )
    assert result.planned == 1
    assert fresh(order).payment_status is S.AUTHORIZED  # P24: not by the file
    transaction = fresh(order).transaction
    assert transaction is not None
    transaction_lookup.look_up(transaction.id)
    assert fresh(order).payment_status is S.CAPTURED


def test_a_forged_file_changes_nothing(shop: World) -> None:
    order = authorized_order(shop)
    compare(rows(f"{order.order_no},実売上,3000"))
    transaction = fresh(order).transaction
    assert transaction is not None
    transaction_lookup.look_up(transaction.id)
    assert fresh(order).payment_status is S.AUTHORIZED  # P3


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("未決済", S.NEEDS_REVIEW),
        ("要求成功", S.NEEDS_REVIEW),
        ("決済失敗", S.NEEDS_REVIEW),
        ("仮売上", S.AUTHORIZED),
        ("期限切れ", S.AUTHORIZED),  # R121: an expired hold keeps 仮売上
        ("即時売上", S.CAPTURED),
        ("実売上", S.CAPTURED),
        ("仮売上取消", S.CANCELLED),
        ("キャンセル", S.CANCELLED),
        ("取消", S.CANCELLED),
        ("返品", S.CANCELLED),
        ("月跨返品", S.CANCELLED),
        ("有効性チェック", S.CANCELLED),
        ("SALES", S.CAPTURED),
    ],
)
def test_every_word_of_the_console_is_known(shop: World, word: str, status: S) -> None:  # R120
    order = make_order(status=status, access=shop.authorize(order_number(), 3000))
    result = compare(rows(f"{order.order_no},{word},3000"))
    assert (result.agreeing, result.differences, result.mistakes) == (1, [], [])


def test_another_amount_is_a_difference(shop: World) -> None:
    order = authorized_order(shop)
    result = compare(rows(f'{order.order_no},仮売上,"\uffe53,600"'))
    [found] = result.differences
    assert found.why == "金額が異なります"
    assert (found.listed.amount, found.gateway_amount) == (3600, 3000)


def test_columns_in_any_order_with_tax_apart(shop: World) -> None:
    order = authorized_order(shop)
    content = rows(
        f"2026/11/25 10:00:00,200,仮売上,2800,x,{order.order_no}",
        heading="処理日時,税送料,状態,利用金額,取引ID,オーダーID",
    )
    assert compare(content).agreeing == 1


def test_utf8_is_read_as_well(shop: World) -> None:
    order = authorized_order(shop)
    content = rows(f"{order.order_no},仮売上,3000").decode("cp932").encode("utf-8-sig")
    assert compare(content).agreeing == 1


def test_transactions_of_nobody_are_listed(shop: World) -> None:
    shop.gateway.authorize("STRANGER-1", 500, GOOD_CARD, job=Job.CAPTURE)
    [found] = compare(console_csv(shop)).gateway_only
    assert (found.order_id, found.word, found.amount) == ("STRANGER-1", "即時売上", 500)


def test_a_suffix_belongs_to_its_order(shop: World) -> None:  # R106, R141
    order = authorized_order(shop)
    result = compare(rows(f"{order.order_no},仮売上,3000", f"{order.order_no}-2,実売上,3000"))
    assert result.gateway_only == []
    [(listed, order_no)] = result.unknown_transactions
    assert (listed.order_id, order_no) == (f"{order.order_no}-2", order.order_no)


def test_a_suffix_behind_a_shortened_number_belongs_to_its_order(shop: World) -> None:  # R141
    long = "2026-1128-0000-0000-0000-12"
    order = make_order(access=shop.authorize(long, 3000), order_no=long)
    number = at_gateway(long, 2)
    result = compare(rows(f"{long},仮売上,3000", f"{number},実売上,3000"))
    assert result.gateway_only == []
    assert [one.order_id for one, order_no in result.unknown_transactions] == [number]
    kept = {number for (number,) in db.session.query(CardTransaction.gateway_order_id)}
    assert kept == {long, number}  # and acts ask for it from now on
    assert fresh(order).payment_status is PaymentStatus.AUTHORIZED


def test_an_earlier_transaction_of_an_order_does_not_count(shop: World) -> None:  # R112
    order = press(authorized_order(shop), Operation.CAPTURE)
    with writing() as session:
        session.execute(
            sa.text("UPDATE card_transactions SET is_current = :no WHERE order_id = :id"),
            {"no": False, "id": order.id},
        )
        session.add(
            CardTransaction(
                order_id=order.id,
                sequence=1,
                gateway_order_id=f"{order.order_no}-1",
                gateway_state="SALES",
                gateway_amount=3000,
            )
        )
    result = compare(rows(f"{order.order_no},未決済,0", f"{order.order_no}-1,実売上,3000"))
    assert (result.agreeing, result.differences) == (2, [])


def test_an_order_in_doubt_waits_for_its_own_look_ups(shop: World) -> None:
    order = authorized_order(shop)
    shop.fault("drop_after")
    press(order, Operation.CAPTURE)
    result = compare(console_csv(shop))
    assert [found.order_no for found in result.open] == [order.order_no]
    assert (result.differences, result.planned) == ([], 0)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("P1,売上済み,100", "「売上済み」は知らない言葉です"),
        ("P1,仮売上,-5", "0以上の整数"),
        ("P1,仮売上,x", "0以上の整数"),
        ("P1,仮売上", "項目の数が項目名の行と異なります"),
        ("P 1,仮売上,1", "半角英数字"),
        ("注文,仮売上,1", "半角英数字"),
        (f"P1,仮売上,1{'x' * 1001}", "1,000文字を超える"),
        ("4111111111111111,仮売上,1", "カード番号と思われる"),  # S11
    ],
)
def test_a_bad_line_is_reported_and_spoils_no_other(shop: World, line: str, said: str) -> None:
    order = authorized_order(shop)
    result = compare(rows(line, f"{order.order_no},仮売上,3000"))  # S17
    [(number, sentence)] = result.mistakes
    assert number == 2
    assert said in sentence
    assert "4111" not in sentence
    assert result.agreeing == 1


def test_the_same_order_id_twice_is_a_mistake(shop: World) -> None:
    order = authorized_order(shop)
    line = f"{order.order_no},仮売上,3000"
    result = compare(rows(line, line))
    assert (result.agreeing, len(result.mistakes)) == (1, 1)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "空です"),
        (b"PK\x03\x04zip", "Excel"),
        (b"a,b\r\n1,2\r\n", "オーダーID、状態、金額"),
        (rows('P1,"仮売上,3'), "引用符"),
        (b"\x83\xff" * 10, "読み取れません"),
    ],
)
def test_a_file_that_is_no_list_is_refused_whole(shop: World, content: bytes, said: str) -> None:
    with pytest.raises(FileRefused) as refusal:
        compare(content)
    assert said in refusal.value.message


def test_the_limits_hold(shop: World) -> None:  # S17
    with pytest.raises(FileRefused):
        compare(rows(*(f"P{n},仮売上,1" for n in range(20))), Limits(max_lines=10))
    with pytest.raises(FileRefused):
        compare(rows("P1,仮売上,1" * 50), Limits(max_bytes=100))
    assert planned() == []


def test_e01_the_list_as_the_console_gives_it(
    shop: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Read by its words; the third row is at SMBC-GP alone; no secret of it is kept or told."""
    secret = "0123456789abcdef0123456789abcdef"
    content = SAMPLE.read_bytes().replace(b'001","","2026', f'001","{secret}","2026'.encode())
    assert secret.encode() in content
    make_order(
        order_no="P176430120000000001",
        total=5020,
        access=TradeAccess("P176430120000000001", "a", "b"),
    )
    make_order(order_no="P176430120000000002", total=1500, status=S.CANCELLED)
    result = compare(content)
    assert (result.rows, result.agreeing, result.mistakes) == (3, 2, [])
    assert [row.order_id for row in result.gateway_only] == ["P176430120000000004"]
    assert secret not in repr(result) + caplog.text


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_e01_with_a_title_other_words_and_other_order(shop: World, encoding: str) -> None:
    make_order(total=3000, order_no="P1", access=TradeAccess("P1", "a", "b"))
    text = "取引一覧\n税/送料\t決済金額\t現状態\tOrderID\t取引パスワード\n100\t￥2,900.00\t仮売上\tP1\tx\n"
    assert compare(text.encode(encoding)).agreeing == 1


def test_an_amount_that_nobody_asked_about_is_no_difference(shop: World) -> None:
    """It is asked about now."""
    order = make_order(total=3000, order_no="P1")
    result = compare("オーダーID,状態,金額\nP1,仮売上,2500\n".encode())
    assert (result.agreeing, result.differences, result.planned) == (1, [], 1)
    assert order.transaction is not None


def test_the_orders_own_total_stands_beside_both(shop: World) -> None:
    make_order(total=3000, gateway_amount=2500, order_no="P1", access=TradeAccess("P1", "a", "b"))
    [found] = compare("オーダーID,状態,金額\nP1,仮売上,3000\n".encode()).differences
    assert (found.listed.amount, found.gateway_amount, found.total) == (3000, 2500, 3000)
