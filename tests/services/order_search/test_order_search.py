"""Searching orders: every condition, every page, and sums that are true (R32-R37, S20)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine

from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.errors import CursorInvalid
from sgpshop.domain.order_rules import Refusal
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import Attempt, CardTransaction, Delivery, Operation, Order, OrderKind, utc_now
from sgpshop.models.attempt import ActorKind, AttemptState
from sgpshop.services.bulk import actions
from sgpshop.services.bulk.selection import weigh
from sgpshop.services.order_search import search as searching
from sgpshop.services.order_search.criteria import (
    DateField,
    KeywordField,
    Method,
    SearchCriteria,
    made_once,
)
from sgpshop.services.order_search.search import PageRequest, SortKey, ids_of, matching_ids, search
from sgpshop.services.order_search.totals import Total, questions_ahead, status_totals, total
from sgpshop.services.orders import facts, history
from sgpshop.services.orders.history import Actor
from sgpshop.storage import questions
from sgpshop.storage.database import writing
from sgpshop.storage.questions import answers
from tests.factories import days_ago, make_order
from tests.gateway_world import World

#: What it asks of the database, both answer differently or in another order.
pytestmark = [pytest.mark.postgresql, pytest.mark.usefixtures("shop")]

ALL = SearchCriteria()
S = PaymentStatus


def numbers(criteria: SearchCriteria, page: PageRequest | None = None) -> list[str]:
    return [order.order_no for order in search(criteria, page or PageRequest()).rows]


def change(order: Order, **values: Any) -> None:
    with writing() as session:
        session.execute(sa.update(Order).where(Order.id == order.id).values(**values))


def change_parcel(order: Order, **values: Any) -> None:
    with writing() as session:
        session.execute(sa.update(Delivery).where(Delivery.order_id == order.id).values(**values))


def change_transaction(order: Order, **values: Any) -> None:
    with writing() as session:
        session.execute(
            sa.update(CardTransaction).where(CardTransaction.order_id == order.id).values(**values)
        )


def test_the_newest_order_comes_first() -> None:
    old, new = make_order(ordered_at=days_ago(2)), make_order(ordered_at=days_ago(1))
    assert numbers(ALL) == [new.order_no, old.order_no]  # R36


def test_a_period_is_made_of_japanese_days_both_ends_included() -> None:
    # 23 November in Japan lasts from 22 November 15:00 to 23 November 15:00 UTC (P28).
    moments = [
        datetime(2026, 11, 22, 14, 59, 59, tzinfo=UTC),
        datetime(2026, 11, 22, 15, 0, tzinfo=UTC),
        datetime(2026, 11, 23, 14, 59, 59, tzinfo=UTC),
        datetime(2026, 11, 23, 15, 0, tzinfo=UTC),
    ]
    orders = [make_order(ordered_at=moment) for moment in moments]
    day = date(2026, 11, 23)
    found = numbers(SearchCriteria(day_from=day, day_to=day))
    assert found == [orders[2].order_no, orders[1].order_no]


def test_the_period_may_be_about_the_wished_delivery_date() -> None:
    wished, _other = make_order(), make_order()
    change_parcel(wished, wish_date=date(2026, 12, 24))
    criteria = SearchCriteria(
        date_field=DateField.WISH_DATE, day_from=date(2026, 12, 24), day_to=date(2026, 12, 24)
    )
    assert numbers(criteria) == [wished.order_no]  # R33


def test_one_order_number_is_a_beginning_and_several_are_exact() -> None:
    first, second = make_order(order_no="P261123000000000001"), make_order(order_no="P261124")
    make_order(order_no="Q261123")
    assert set(numbers(SearchCriteria(order_numbers=("P2611",)))) == {
        first.order_no,
        second.order_no,
    }
    assert numbers(SearchCriteria(order_numbers=("P26",))) == []  # R35: a beginning has 4
    assert numbers(SearchCriteria(order_numbers=("P261124", "Q2"))) == ["P261124"]


def test_a_beginning_in_a_database_of_whatever_language() -> None:
    """As PostgreSQL is usually set up `~` sorts before digits; and what LIKE takes for signs is none."""
    if db.engine.dialect.name == "postgresql":
        with db.engine.begin() as connection:
            connection.execute(sa.text("DROP TRIGGER orders_text_update ON orders"))
            column = 'ALTER TABLE orders ALTER COLUMN order_no TYPE varchar(28) COLLATE "ja-x-icu"'
            connection.execute(sa.text(column))
    order = make_order(order_no="P261123000000000001")
    make_order(order_no="P261223")
    for beginning in ("P2611", "p261123"):
        assert numbers(SearchCriteria(order_numbers=(beginning,))) == [order.order_no]
    assert numbers(SearchCriteria(order_numbers=("P26_1",))) == []


CONDITIONS: list[tuple[str, SearchCriteria, Callable[[Order], None]]] = [
    (
        "processing class",
        SearchCriteria(processing=(ProcessingClass.DELIVERED,)),
        lambda order: change(order, processing_class=ProcessingClass.DELIVERED),
    ),
    (
        "status",
        SearchCriteria(statuses=(S.CAPTURE_FAILED, S.NEEDS_REVIEW)),
        lambda order: change(order, payment_status=S.CAPTURE_FAILED),
    ),
    ("member", SearchCriteria(is_member=True), lambda order: change(order, member_id="m1")),
    ("kind", SearchCriteria(kinds=(OrderKind.PREORDER,)), lambda o: change(o, kind="preorder")),
    ("amount", SearchCriteria(amount_min=7000, amount_max=7000), lambda o: change(o, total=7000)),
    (
        "slip",
        SearchCriteria(slip="1234-5678"),
        lambda order: change_parcel(order, slip_no="912345678"),
    ),
    ("with slip", SearchCriteria(has_slip=True), lambda o: change_parcel(o, slip_no="1")),
    (
        "tel",
        SearchCriteria(keywords=((KeywordField.TEL, "０３-1234"),)),
        lambda order: change(order, tel_search="0312345678"),
    ),
    (
        "email",
        SearchCriteria(keywords=((KeywordField.EMAIL, "HANA@"),)),
        lambda order: change(order, buyer_email="Hana@example.jp"),
    ),
    (
        "buyer",
        SearchCriteria(keywords=((KeywordField.BUYER, "スズキ"),)),
        lambda order: change(order, buyer_search="鈴木\nすずきいちろう"),
    ),
    (
        "recipient",
        SearchCriteria(keywords=((KeywordField.RECIPIENT, "ヤマダ 商店"),)),
        lambda order: change_parcel(order, name_search="やまだ商店"),
    ),
    (
        "amount as keyword",
        SearchCriteria(keywords=((KeywordField.AMOUNT, "¥12,345"),)),
        lambda order: change(order, total=12345),
    ),
    (
        "deadline",
        SearchCriteria(auth_days_left=3),
        lambda o: change_transaction(o, auth_expires_at=utc_now() + timedelta(days=3)),
    ),
    (
        "unsent amount",
        SearchCriteria(unsent=True),
        lambda order: change_transaction(order, gateway_amount=1),
    ),
    (
        "returned, not cancelled",
        SearchCriteria(returned_open=True),
        lambda order: change(order, processing_class=ProcessingClass.RETURNED),
    ),
    (
        "waiting for review",
        SearchCriteria(waiting_hours=24),
        lambda o: change(o, payment_status=S.NEEDS_REVIEW, ordered_at=days_ago(1.01)),
    ),
]


@pytest.mark.parametrize(
    ("criteria", "fit"), [pytest.param(c, f, id=name) for name, c, f in CONDITIONS]
)
def test_a_condition_finds_the_orders_that_fit(
    criteria: SearchCriteria, fit: Callable[[Order], None]
) -> None:
    fits, _other = make_order(buyer="田中"), make_order(buyer="田中")
    fit(fits)
    assert numbers(criteria) == [fits.order_no]  # R34, R35
    assert matching_ids(criteria, 10) == [fits.id]
    assert total(criteria).count == 1


def test_orders_of_other_payment_methods_can_be_told_apart() -> None:
    card, cash = make_order(), make_order(method="代金引換")
    assert numbers(SearchCriteria(method=Method.SGP)) == [card.order_no]
    assert numbers(SearchCriteria(method=Method.OTHER)) == [cash.order_no]


def test_an_item_is_found_by_its_name_in_any_width() -> None:
    order = make_order()  # 煎茶
    assert numbers(SearchCriteria(item="煎　茶")) == [order.order_no]
    assert numbers(SearchCriteria(item="玉露")) == []


def test_an_error_code_finds_the_orders_whose_attempts_got_it() -> None:
    order, _other = make_order(), make_order()
    with writing() as session:
        transaction = session.scalars(
            sa.select(CardTransaction).where(CardTransaction.order_id == order.id)
        ).one()
        session.add(
            Attempt(
                order_id=order.id,
                transaction_id=transaction.id,
                operation=Operation.CAPTURE,
                state=AttemptState.REJECTED,
                amount=order.total,
                gateway_order_id=order.order_no,
                actor_kind=ActorKind.PERSON,
                actor="田中",
                error_codes="E01|42G020000",
            )
        )
    assert numbers(SearchCriteria(error="42G02")) == [order.order_no]


@pytest.mark.parametrize("word", ["%", "_", "\\"])
def test_wildcards_are_letters_like_any_other(word: str) -> None:
    make_order(buyer="佐藤")
    assert numbers(SearchCriteria(keywords=((KeywordField.BUYER, word),))) == []  # S20


@pytest.mark.parametrize("sort", list(SortKey))
@pytest.mark.parametrize("descending", [True, False])
def test_pages_hold_every_order_once_forwards_and_backwards(
    sort: SortKey, descending: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "PAGE_SIZES", (3, 20))
    for number in range(7):  # equal amounts and moments: the id decides
        order = make_order(total=1000 + number // 3, ordered_at=days_ago(1 + number // 3))
        if number % 2:
            change_transaction(order, auth_expires_at=utc_now() + timedelta(days=number // 4))
    first = PageRequest(sort=sort, descending=descending, size=3)
    everything = numbers(ALL, replace(first, size=20))
    assert len(set(everything)) == 7
    pages = [search(ALL, first)]
    while pages[-1].next_cursor:
        pages.append(search(ALL, replace(first, cursor=pages[-1].next_cursor)))
    assert [order.order_no for page in pages for order in page.rows] == everything
    back = search(ALL, replace(first, cursor=pages[2].previous_cursor))
    assert back.rows == pages[1].rows
    start = search(ALL, replace(first, cursor=back.previous_cursor))
    assert start.rows == pages[0].rows
    assert (start.previous_cursor, start.next_cursor) == ("", pages[0].next_cursor)


def test_orders_without_a_deadline_come_last_in_both_directions() -> None:
    captured, held = make_order(status=S.CAPTURED), make_order()
    for order in (captured, held):
        change_transaction(order, auth_expires_at=utc_now() + timedelta(days=5))
    for descending in (True, False):
        page = PageRequest(sort=SortKey.DEADLINE, descending=descending)
        assert numbers(ALL, page) == [held.order_no, captured.order_no]  # R111


@pytest.mark.parametrize("descending", [True, False])
def test_every_order_comes_once_by_deadline_page_by_page(descending: bool) -> None:
    for n in range(9):
        order = make_order(status=S.CAPTURED if n % 3 == 0 else S.AUTHORIZED)
        if n % 4:
            change_transaction(order, auth_expires_at=utc_now() + timedelta(days=n % 5))
    wanted = PageRequest(sort=SortKey.DEADLINE, descending=descending, size=2)
    everything = numbers(ALL, replace(wanted, size=20))
    assert len(everything) == 9
    pages = [search(ALL, wanted)]
    while cursor := pages[-1].next_cursor:
        pages.append(search(ALL, replace(wanted, cursor=cursor)))
    assert [row.order_no for page in pages for row in page.rows] == everything
    back = pages[-1]
    for page in reversed(pages[:-1]):
        back = search(ALL, replace(wanted, cursor=back.previous_cursor))
        assert back.rows == page.rows


@pytest.mark.parametrize("cursor", ["x", "…", "bnVsbA", "W10", "WyJ0b3RhbCIsdHJ1ZSw1LDEsMF0"])
def test_a_cursor_that_is_not_ours_is_refused(cursor: str) -> None:
    with pytest.raises(CursorInvalid):
        search(ALL, PageRequest(cursor=cursor))


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+09:00", "9999-12-31T23:59:59-09:00"])
def test_a_cursor_at_the_end_of_time_is_refused(moment: str) -> None:
    parts = ["ordered_at", True, moment, 1, False]
    cursor = base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")
    with pytest.raises(CursorInvalid):
        search(ALL, PageRequest(cursor=cursor))


def test_a_row_knows_its_parcels_transaction_and_open_operation() -> None:
    order = make_order(buyer="佐藤 花子")
    with writing() as session:
        session.add(Delivery(order_id=order.id, number=1, name="鈴木", slip_no="9"))
    [row] = search(ALL, PageRequest()).rows
    assert (row.recipient, row.slip_no, row.parcels) == ("佐藤 花子", "", 2)
    assert row.transaction is not None
    assert not row.transaction.is_linked
    assert row.open_attempt is None


def test_all_hits_are_ids_oldest_first_up_to_the_limit() -> None:
    new, old = make_order(ordered_at=days_ago(1)), make_order(ordered_at=days_ago(2))
    assert matching_ids(ALL, 10) == [old.id, new.id]  # R48
    assert matching_ids(ALL, 1) == [old.id]
    assert ids_of([new.order_no, "P0"]) == [new.id]


def test_the_tabs_count_every_status_and_ignore_the_chosen_one() -> None:
    make_order(total=1000)
    make_order(total=2000)
    make_order(total=500, status=S.CAPTURED)
    make_order(total=70, method="代金引換")
    expected = {S.AUTHORIZED: Total(2, 3000), S.CAPTURED: Total(1, 500), None: Total(1, 70)}
    assert status_totals(ALL) == expected  # R37
    assert status_totals(SearchCriteria(statuses=(S.CAPTURED,))) == expected
    assert total(SearchCriteria(statuses=(S.CAPTURED,))) == Total(1, 500)


def test_kept_sums_are_made_again_as_soon_as_an_order_changed() -> None:
    order = make_order(total=1000)
    assert status_totals(ALL) == {S.AUTHORIZED: Total(1, 1000)}
    with writing() as session:
        session.execute(
            sa.update(Order).where(Order.id == order.id).values(payment_status=S.CAPTURED)
        )
        history.record(
            order.id,
            "capture_done",
            Actor.person("田中"),
            before=S.AUTHORIZED,
            after=S.CAPTURED,
            total=1000,
            version=2,
        )
    assert status_totals(ALL) == {S.CAPTURED: Total(1, 1000)}


def test_what_typed_words_are_in_is_made_anew_and_pushes_nothing_out_of_what_is_kept() -> None:
    made: list[SearchCriteria] = []

    @made_once
    def make(criteria: SearchCriteria, _now: datetime) -> None:
        made.append(criteria)

    now = utc_now()
    waiting, typed = SearchCriteria(waiting_hours=1), SearchCriteria(word="鈴木")
    for criteria in (ALL, waiting, typed, ALL):
        for times in range(100):
            make(criteria, now + timedelta(microseconds=times))
    assert (made.count(ALL), made.count(waiting), made.count(typed)) == (1, 1, 100)


def test_hours_are_counted_when_it_is_asked_and_not_when_the_statement_was_made() -> None:
    make_order(status=S.NEEDS_REVIEW, ordered_at=utc_now() - timedelta(minutes=58))
    waiting, now = SearchCriteria(waiting_hours=1), utc_now()
    for minutes, count in ((0, 0), (1, 0), (3, 1)):
        with time_machine.travel(now + timedelta(minutes=minutes), tick=False):
            assert total(waiting).count == len(numbers(waiting)) == count  # R20


def test_what_is_kept_of_a_question_holds_no_typed_word(database_kind: str) -> None:
    make_order(told=True, buyer="鈴木 一郎")
    questions._together.cache_clear()
    words = SearchCriteria(word="鈴木"), SearchCriteria(word="一郎")
    with_word = 2 if database_kind == "sqlite" else 1  # by itself: planned anew with each word
    for criteria, kept in ((ALL, 1), (words[0], with_word), (words[1], with_word)):
        answers(*questions_ahead(criteria))
        assert questions._together.cache_info().currsize == kept
        assert sum(one.count for one in status_totals(criteria).values()) == 1
        db.session.rollback()


def test_unchanged_sums_are_not_added_up_again() -> None:
    make_order()
    status_totals(ALL)
    statements: list[str] = []
    listen = lambda *args: statements.append(args[2])  # noqa: E731 - needed twice, to listen and to stop
    sa.event.listen(db.engine, "before_cursor_execute", listen)
    status_totals(ALL)
    sa.event.remove(db.engine, "before_cursor_execute", listen)
    assert not any("orders" in statement for statement in statements)


def test_a_selection_counts_what_can_be_captured_and_why_the_rest_cannot(shop: World) -> None:
    good = make_order(total=1000, access=shop.authorize("P-1", 1000))
    done = make_order(status=S.CAPTURED)
    cash = make_order(method="代金引換")
    selection = weigh([good.id, done.id, cash.id], actions.find("sgp_capture"))
    assert (selection.count, selection.yen, selection.left_out_count) == (3, 1000, 2)
    assert set(selection.left_out) == {(Refusal.CAPTURED, 1), (Refusal.OTHER_METHOD, 1)}  # R42


def test_today_means_the_japanese_day() -> None:
    order = make_order(ordered_at=utc_now())
    day = jst_day(utc_now())
    assert numbers(SearchCriteria(day_from=day, day_to=day)) == [order.order_no]


def test_a_list_looks_up_its_own_orders_alone(database_kind: str) -> None:
    """No planner reads a whole table once, however few rows it takes the page to have."""
    if database_kind == "sqlite":
        pytest.skip("it never does")
    make_order()
    page = facts.ROWS.order_by(Order.ordered_at.desc()).limit(41)
    words = page.compile(db.engine, compile_kwargs={"literal_binds": True})
    connection = db.session.connection()
    for way in (
        "indexscan",
        "indexonlyscan",
        "bitmapscan",
    ):  # as if there were many rows to look up
        connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
    plan = str(connection.exec_driver_sql(f"EXPLAIN VERBOSE {words}").all())
    assert "SubPlan" in plan
    assert "hashed" not in plan
