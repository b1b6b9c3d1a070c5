"""One word finds an order by any of its fields, at once, and however its text came to be (R35a)."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, current_app
from sqlalchemy.orm import Session

from sgpshop.domain.text import asked_keys, search_key
from sgpshop.extensions import db
from sgpshop.models import Delivery, Order, OrderLine, OrderText, OrderTextDue, utc_now
from sgpshop.services.order_search import index, search, texts
from sgpshop.services.order_search.criteria import KeywordField, SearchCriteria
from sgpshop.services.order_search.search import PageRequest, SortKey, the_one
from sgpshop.services.order_search.totals import status_totals, total
from sgpshop.storage.database import short_write, writing
from sgpshop.storage.questions import answer
from sgpshop.worker.engine import Worker
from tests.factories import make_order

pytestmark = [pytest.mark.postgresql, pytest.mark.usefixtures("shop")]


def found(word: str, **more: Any) -> list[str]:
    criteria = SearchCriteria(word=word, **more)
    return [order.order_no for order in search.search(criteria, PageRequest()).rows]


def renew_all() -> None:
    while texts.renew():
        pass
    assert db.session.scalar(sa.select(sa.func.count(OrderTextDue.id))) == 0


def customer(**more: Any) -> Order:
    """髙﨑 邉子 of P2026-Ab1001, with everything by which somebody may ask for her."""
    order = make_order(
        order_no="P2026-Ab1001",
        buyer="髙﨑 邉子",
        buyer_kana="タカサキ ヘンコ",
        buyer_company="株式会社 嶋嶌商店",
        buyer_tel="+81 90-1234-5678",
        tel_search="09012345678",
        buyer_email="Hen-ko@Example.jp",
        **more,
    )
    with writing() as session:
        names = search_key("髙﨑 邉子", "タカサキ ヘンコ", "株式会社 嶋嶌商店")
        session.execute(sa.update(Order).where(Order.id == order.id).values(buyer_search=names))
        session.execute(
            sa.update(Delivery)
            .where(Delivery.order_id == order.id)
            .values(
                name="渡邊 𠮷男",
                name_search="渡辺吉男",
                slip_no="440012345678",
                more_slips="440099990000",
            )
        )
        session.execute(
            sa.update(OrderLine)
            .where(OrderLine.order_id == order.id)
            .values(name="ほうじ茶 大袋", code="HOJI-100", item_search="ほうじ茶大袋\nhoji100")
        )
    return order


def steps_of(criteria: SearchCriteria) -> int:
    """What SQLite does to count what this search finds, in hundreds of its machine's steps."""
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1

    raw = db.session.connection().connection.driver_connection
    assert raw is not None
    raw.set_progress_handler(step, 100)
    try:
        assert sum(one.count for one in status_totals(criteria).values()) in (150, 300)
    finally:
        raw.set_progress_handler(None, 0)
        db.session.rollback()
    return steps


@pytest.mark.long
def test_one_more_condition_costs_no_square(database_kind: str) -> None:
    if database_kind != "sqlite":
        pytest.skip("PostgreSQL plans by its own figures")
    asked = SearchCriteria(
        word="山田",
        item="煎茶",
        keywords=((KeywordField.BUYER, "山田"), (KeywordField.TEL, "0900")),
    )
    steps = []
    for start in (0, 150):
        for n in range(start, start + 150):
            make_order(order_no=f"Q{n}", buyer=f"山田 {n}", buyer_tel=f"0900{n:06d}")
        with writing() as session:
            session.execute(sa.update(Order).values(tel_search=Order.buyer_tel))
            session.execute(sa.update(OrderLine).values(name="煎茶", item_search="煎茶"))
        renew_all()
        steps.append(steps_of(asked))
    assert steps[1] < 3 * steps[0]


WORDS = [
    "高崎", "髙﨑 辺子", "ﾀｶｻｷ", "たかさきへんこ", "島島商店", "090-1234-5678", "０９０ー１２３４ー５６７８",
    "+819012345678",
    "5678", "hen-ko@EXAMPLE", "p2026-ab1001", "1001", "渡辺", "渡邉 吉男", "4400-1234-5678", "440099990000",
    "ホウジ茶", "hoji-100", "HOJI100", "高崎 ほうじ茶", "茶大",
]  # fmt: skip


@pytest.mark.parametrize("is_renewed", [False, True], ids=["just changed", "indexed"])
def test_any_field_is_found_by_what_somebody_knows_of_it(*, is_renewed: bool) -> None:
    customer()
    for _ in range(2):
        make_order(buyer="佐藤 花子", buyer_tel="03-0000-1111")
    if is_renewed:
        renew_all()
    assert {word: found(word) for word in WORDS} == {word: ["P2026-Ab1001"] for word in WORDS}
    for nothing in ("花男", "子た", "%%", "__", "7777", "---", "'\" OR 1", "高崎 花子"):
        assert found(nothing) == [], nothing
    assert total(SearchCriteria(word="高崎")).count == 1


def test_digits_beside_others_are_found_where_they_stand_and_nowhere_else() -> None:
    """Of two digits there is no gram, of three and four one says it all, of more each four of them."""
    numbers = ["A1-B12", "A12", "X120034", "X12034", "X1234567", "Y45671234"]
    for number in numbers:
        make_order(order_no=number)
    renew_all()
    stored = {number: search_key(number) for number in numbers}
    for key in ("12", "a12", "b12", "123", "2003", "1234", "12345", "34567", "671234", "x12", "34"):
        wanted = sorted(number for number, text in stored.items() if key in text)
        assert sorted(found(key)) == wanted, key


def test_what_changed_is_found_by_the_new_and_not_by_the_old_at_once() -> None:
    order = customer()
    renew_all()
    with writing() as session:
        session.execute(
            sa.update(Order).where(Order.id == order.id).values(buyer_tel="03-1", tel_search="031")
        )
        session.execute(sa.delete(OrderLine).where(OrderLine.order_id == order.id))
    for _ in range(2):
        assert (found("5678"), found("ほうじ茶"), found("高崎")) == (
            ["P2026-Ab1001"],  # by its slip number
            [],
            ["P2026-Ab1001"],
        )
        assert found("09012345678") == []
        renew_all()


def test_the_worker_renews_what_changed(app: Flask) -> None:
    customer()
    Worker(app).run(until_idle=True)
    assert db.session.scalar(sa.select(sa.func.count(OrderTextDue.id))) == 0
    assert found("高崎") == ["P2026-Ab1001"]


def test_of_rows_that_come_and_go_together_each_order_is_noted() -> None:
    ids = [make_order().id for _ in range(3)]
    for statement, rows in (
        (sa.delete(OrderLine), None),
        (sa.insert(Delivery), [{"order_id": its, "number": 1} for its in ids]),
        (sa.insert(OrderLine), [{"order_id": its} | SENCHA for its in ids]),
        (sa.delete(Order), None),
    ):
        renew_all()
        with writing() as session:
            session.execute(statement, rows)
        assert set(db.session.scalars(sa.select(OrderTextDue.order_id))) == set(ids)


SENCHA = {"position": 1, "name": "煎茶", "unit_price": 1, "quantity": 1}


def test_an_order_that_is_noted_for_each_of_its_rows_is_renewed_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    renewed: list[int] = []
    write = texts._write

    def told(session: Session, ids: Sequence[int]) -> None:
        renewed.extend(ids)
        write(session, ids)

    monkeypatch.setattr(texts, "_BATCH", 2)
    monkeypatch.setattr(texts, "_write", told)
    ids = [make_order().id for _ in range(3)]
    renew_all()
    assert sorted(renewed) == ids


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_no_grams_are_left_aside() -> None:
    left = sa.text("SELECT gin_clean_pending_list('ix_order_grams_grams')")
    customer()
    renew_all()
    assert db.session.scalar(left) == 0
    with writing() as session:  # as one row leaves them
        session.execute(sa.text("UPDATE order_grams SET grams = array_append(grams, 'x')"))
    assert db.session.scalar(left) == 1


def test_an_order_that_is_gone_is_found_no_more() -> None:
    order = customer()
    renew_all()
    with writing() as session:
        session.execute(sa.delete(Order).where(Order.id == order.id))
    assert found("高崎") == []
    renew_all()
    assert found("高崎") == []
    assert db.session.scalar(sa.select(sa.func.count(OrderText.order_id))) == 0


def test_what_is_to_be_forgotten_leaves_the_index() -> None:
    order = customer()
    renew_all()
    with writing() as session:
        texts.forget(session, [order.id])
    assert found("高崎") == []
    assert db.session.scalar(sa.select(sa.func.count(OrderText.order_id))) == 0


@pytest.mark.parametrize("few", [2, 1000], ids=["in many", "in few"])  # PostgreSQL sorts the few
def test_pages_come_newest_first_and_lose_nobody(monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    monkeypatch.setattr(index, "MOST_COUNTED", few)
    start = datetime(2026, 3, 1, tzinfo=UTC)
    orders = [make_order(ordered_at=start + timedelta(seconds=n // 3)) for n in range(11)]
    renew_all()
    late = make_order(
        ordered_at=start + timedelta(seconds=2)
    )  # between the others, not renewed yet
    wanted = sorted([*orders, late], key=lambda order: (order.ordered_at, order.id), reverse=True)
    criteria = SearchCriteria(word="佐藤")
    for descending in (True, False):
        seen, cursor, back = [], "", ""
        while page := search.search(
            criteria, PageRequest(descending=descending, size=4, cursor=cursor)
        ):
            seen += [order.order_no for order in page.rows]
            back, cursor = page.previous_cursor, page.next_cursor
            if not cursor:
                break
        expected = [order.order_no for order in wanted]
        assert seen == (expected if descending else expected[::-1])
        before = search.search(criteria, PageRequest(descending=descending, size=4, cursor=back))
        assert [order.order_no for order in before.rows] == seen[4:8]
    by_total = search.search(criteria, PageRequest(sort=SortKey.TOTAL)).rows
    assert len(by_total) == len(wanted)


def test_other_conditions_narrow_a_word() -> None:
    make_order(total=1000)
    dear = make_order(total=9000)
    renew_all()
    assert found("佐藤", amount_min=5000) == [dear.order_no]
    assert found("佐藤", keywords=((KeywordField.BUYER, "花子"),), amount_min=5000) == [
        dear.order_no
    ]
    assert found("佐藤", keywords=((KeywordField.TEL, "花子"),)) == []


class TestTheOne:
    def test_a_single_hit(self) -> None:
        customer()
        make_order()
        assert the_one("髙﨑") == "P2026-Ab1001"
        assert the_one("煎茶") is not None
        make_order()
        assert the_one("煎茶") is None
        assert the_one("どこにもない") is None

    @pytest.mark.parametrize("is_renewed", [False, True])
    def test_a_whole_number_among_others_that_hold_it(self, *, is_renewed: bool) -> None:
        for number in ("10010", "1001", "21001"):
            make_order(order_no=number)
        if is_renewed:
            renew_all()
        assert the_one("1001") == "1001"
        assert the_one("001") is None

    @pytest.mark.parametrize("is_renewed", [False, True])
    def test_the_last_four_of_a_phone(self, *, is_renewed: bool) -> None:
        caller = make_order(order_no="A1", buyer_tel="090-0000-4321", tel_search="09000004321")
        make_order(order_no="A4321B", buyer_tel="090-4321-0000", tel_search="09043210000")
        if is_renewed:
            renew_all()
        assert the_one("4321") == caller.order_no
        make_order(order_no="B994321")
        assert the_one("4321") is None


class TestTheListsOwnConditions:
    def test_order_numbers_in_capitals_and_small_letters(self) -> None:
        make_order(order_no="P2026-Ab1001")
        make_order(order_no="#Xy7")
        for numbers in (("p2026-aB1001",), ("P2026-",), ("xY7",), ("XY7", "p2026-ab1001")):
            page = search.search(SearchCriteria(order_numbers=numbers), PageRequest())
            assert len(page.rows) == len(numbers), numbers


def drift(what: str) -> None:
    """What a fault, or a person with a database tool, may leave."""
    with writing() as session:
        [order_id, key] = (
            session.execute(sa.select(OrderText.order_id, OrderText.sort_key)).first() or ()
        )
        if what == "text":
            session.execute(
                sa.update(OrderText)
                .where(OrderText.order_id == order_id)
                .values(buyer="\nだれか\n")
            )
        elif what == "grams":
            row = session.execute(sa.select(texts._texts)).mappings().one()
            index.take_out(session, [(key, texts._grams(dict(row)))])
        else:
            texts.forget(session, [order_id])


@pytest.mark.parametrize("what", ["text", "grams", "all"])
def test_drift_is_found_and_mended(what: str) -> None:
    customer()
    renew_all()
    drift(what)
    assert found("高崎辺子") == []
    assert texts.compare_from(1) == (1, None)
    assert found("高崎辺子") == ["P2026-Ab1001"]
    assert found("だれか") == []
    assert texts.compare_from(1) == (0, None)


def test_begun_anew_everything_is_found_meanwhile_and_afterwards() -> None:
    customer()
    renew_all()
    texts.begin_anew()
    assert found("高崎") == ["P2026-Ab1001"]
    renew_all()
    assert found("高崎") == ["P2026-Ab1001"]


def test_killed_in_the_middle_the_note_is_still_there(monkeypatch: pytest.MonkeyPatch) -> None:
    customer()

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(index, "inserts_of", die)
        with pytest.raises(KeyboardInterrupt):
            texts.renew()
    assert found("高崎") == ["P2026-Ab1001"]
    renew_all()
    assert found("高崎") == ["P2026-Ab1001"]


def test_a_change_while_its_text_is_made_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """On PostgreSQL somebody may change an order between its reading and the end of the renewal."""
    order = customer()
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    if db.engine.dialect.name == "sqlite":
        pytest.skip("one writes at a time there")
    made = texts._made

    def meanwhile(*given: Any) -> Any:
        result = made(*given)
        thread = threading.Thread(target=_rename, args=(app, order.id))
        thread.start()
        thread.join()
        return result

    with monkeypatch.context() as patch:
        patch.setattr(texts, "_made", meanwhile)
        texts.renew()
    assert found("鈴木次郎") == ["P2026-Ab1001"]
    renew_all()
    assert found("鈴木次郎") == ["P2026-Ab1001"]
    assert found("高崎") == []


def _rename(app: Flask, order_id: int) -> None:
    with app.app_context(), writing() as session:
        renamed = {"buyer_name": "鈴木次郎", "buyer_search": "鈴木次郎"}
        session.execute(sa.update(Order).where(Order.id == order_id).values(**renamed))


def test_while_many_texts_are_made_it_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "_FEW", 2)
    monkeypatch.setattr(texts, "_BATCH", 2)
    for _ in range(4):
        make_order()
    renew_all()
    assert not answer(texts.is_being_built())
    texts.begin_anew()
    assert answer(texts.is_being_built())
    assert texts.share_built() == 0
    assert texts.renew()
    assert texts.share_built() == 0.5
    assert not answer(texts.is_being_built())  # no more than a few are left


@pytest.mark.parametrize(
    ("typed", "keys"),
    [
        ("髙橋　ハナ子", ("高橋", "はな子")),
        ("佐 藤", ("佐藤",)),
        ("（03）1234－5678", ("0312345678",)),
        ("+81 (0)90 1234 5678", ("09012345678",)),
        ("2026-11-28", ("20261128",)),
        ("コーヒー", ("こーひー",)),
        ("-", ("",)),
    ],
)
def test_what_is_typed_is_folded_as_what_is_stored(typed: str, keys: tuple[str, ...]) -> None:
    assert asked_keys(typed) == keys


def test_the_newest_key_is_the_latest_order() -> None:
    now = utc_now()
    keys: list[Callable[[], int]] = [
        lambda: index.sort_key(now - timedelta(days=9999), 2**27),
        lambda: index.sort_key(now, 1),
        lambda: index.sort_key(now, 2),
    ]
    assert [key() for key in keys] == sorted(key() for key in keys)


def test_texts_are_compared_while_somebody_writes() -> None:
    """It takes a second: on SQLite nobody could write for so long."""
    make_order(told=True, buyer="鈴木 一郎")
    while texts.renew():
        pass
    with short_write():
        assert texts.compare_from(1) == (0, None)


def test_long_lists_of_items_fill_no_memory() -> None:  # S23
    """What follows from them takes a hundred times their length, and the next order has others."""
    order = make_order()
    for kept in (texts._lines_again, index._tokens_again):
        kept.cache_clear()
    tracemalloc.start()
    try:
        for place in range(40):
            signs = [chr(0x4E00 + (place * 997 + n * n * 31) % 2_000) for n in range(5_000)]
            names = ["".join(signs[at : at + 100]) for at in range(0, 5_000, 100)]
            items = [OrderLine(name=name, code="", option="", jan="") for name in names]
            texts._grams(texts.text_of(order, [], items))
        held, _most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2_000_000
