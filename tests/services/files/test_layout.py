"""Which program a file is from, by its headings, and what its cells mean here."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from sgpshop.domain.row_files import FileRefused, Limits, Record
from sgpshop.services.files import layout as layouts
from sgpshop.services.files.layout import Layout, Purpose, add, always, first, join, recognise, say
from sgpshop.services.files.reading import read_rows

SHOP = Layout(
    "x1",
    "見本カート",
    Purpose.ORDERS,
    ("受注番号", "お名前(姓)"),
    {
        "order_no": "受注番号",
        "name": join("お名前(姓)", "お名前(名)", by=" "),
        "code": first("枝番", "品番"),
        "fees": add("手数料", "包装料"),
        "state": say("状態", {"9": "取消"}),
        "carrier": always("003"),
    },
)
LONGER = Layout("x2", "見本カート改", Purpose.ORDERS, (*SHOP.signature, "改"), {"order_no": "改"})
REFUSED = Layout("x3", "金額なし", Purpose.ORDERS, ("no-amount",), {}, refusal="金額がありません。")
BARE = Layout(
    "x4",
    "見出しなし",
    Purpose.SLIPS,
    (),
    {"slip_no": first(), "carrier": always("006")},
    shape=lambda cells: len(cells) == 3 and cells[1].isdigit(),
    positions={"order_no": 0, "slip_no": 1},
)
KNOWN = [LONGER, SHOP, REFUSED, BARE]
OTHERWISE = Layout("", "その他", Purpose.ORDERS, (), {"order_no": first("注文番号", "番号")})


def records(text: str) -> Iterator[Record]:
    return read_rows(io.BytesIO(text.encode()), Limits())


def table(text: str) -> layouts.Table:
    return recognise(records(text), KNOWN, OTHERWISE)


def test_fields_are_where_the_layout_says() -> None:
    found = table(
        "受注番号,お名前（姓）,お名前(名),枝番,品番,手数料,包装料,状態,電話\n"
        'A1,見本,太郎,,B-2,"1,000",50.00,9,03\n'
    )
    assert found.layout is SHOP
    assert [found.texts(row) for row in found.rows] == [
        {
            "order_no": "A1",
            "name": "見本 太郎",
            "code": "B-2",
            "fees": "1050",
            "state": "取消",
            "carrier": "003",
        }
    ]
    assert found.unread == ["電話"]


def test_what_a_file_does_not_have_it_does_not_say() -> None:
    assert table("お名前(姓),受注番号\n見本,A1\n").fields == {"order_no", "name", "carrier"}


@pytest.mark.parametrize(
    "heading",
    ["*受注番号,お名前(姓)（必須）", "受注 番号,お名前（姓）", '"受注番号\n(半角)",お名前(姓)'],
)
def test_headings_may_be_written_in_other_ways(heading: str) -> None:
    assert table(f"{heading}\nA1,x\n").layout is SHOP


def test_the_most_special_layout_wins_and_titles_above_are_passed_over() -> None:
    found = table("売上一覧\n2026/11/28 出力\n\n改,受注番号,お名前(姓)\nA9,A1,x\n")
    assert found.layout is LONGER
    assert [(row.line, found.texts(row)["order_no"]) for row in found.rows] == [(5, "A9")]


def test_of_a_heading_that_stands_twice_the_first_counts() -> None:
    found = table("受注番号,お名前(姓),手数料,手数料\nA1,x,10,99\n")
    assert next(iter(map(found.texts, found.rows)))["fees"] == "10"


def test_a_file_that_cannot_be_taken_says_which_it_is() -> None:
    with pytest.raises(FileRefused, match="「金額なし」のファイルです。金額がありません。"):
        table("no-amount\n1\n")


def test_without_headings_by_shape_of_every_row() -> None:
    found = table("A1,123,x\nA2,456,y\n")
    assert (found.layout, found.has_headings) == (BARE, False)
    assert [found.texts(row) for row in found.rows] == [
        {"order_no": "A1", "slip_no": "123", "carrier": "006"},
        {"order_no": "A2", "slip_no": "456", "carrier": "006"},
    ]
    with pytest.raises(FileRefused, match=r"見出しなし.*2行目の形が違います"):
        list(table("A1,123,x\nA2,b,y\n").rows)


def test_a_file_of_no_known_layout_is_read_by_the_words_it_has() -> None:
    found = table("表題\n氏名,番号\n見本,A1\n")
    assert found.layout is OTHERWISE
    assert next(iter(map(found.texts, found.rows))) == {"order_no": "A1"}


def test_amounts_that_are_none_are_left_as_they_stand() -> None:
    found = table("受注番号,お名前(姓),手数料,包装料\nA1,x,10,五十\n")
    assert next(iter(map(found.texts, found.rows)))["fees"] == "五十"


def test_every_layout_says_which_it_is_and_stands_alone() -> None:
    known = layouts.layouts()
    assert len({layout.id for layout in known}) == len(known)
    for one in known:
        assert one.program
        assert one.export or one.refusal, "says how to get the right file"
        assert one.signature or one.shape
        keys = frozenset(map(layouts.heading_key, one.signature))
        winner = next(other for other in known if other.purpose is one.purpose and other.fits(keys))
        assert winner is one or not one.signature
