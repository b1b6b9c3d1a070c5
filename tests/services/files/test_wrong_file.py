"""A file that belongs elsewhere says at every entrance which it is and where it belongs."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path

import pytest
from flask import Flask

from sgpshop.domain.amounts import RateShare
from sgpshop.domain.csv_writing import csv_file
from sgpshop.domain.row_files import FileRefused, Limits
from sgpshop.services import settings
from sgpshop.services.bulk import report as bulk
from sgpshop.services.deliveries import slips
from sgpshop.services.deliveries.slips import reading
from sgpshop.services.journals import LAYOUTS, Movement
from sgpshop.services.journals.sales import files as sales
from sgpshop.services.order_files.reading import UnknownLayout, survey
from sgpshop.services.reconciliation import console_file
from sgpshop.services.subscriptions import csv_file as subscriptions

DATA = Path(__file__).parent.parent.parent / "data"
CONSOLE = DATA / "e01-gmopg-console-list.csv"
LIMITS = Limits()


def as_orders(content: bytes) -> object:
    return survey([io.BytesIO(content)], LIMITS)


def as_slips(content: bytes) -> object:
    return reading.read(content, LIMITS)


def as_console(content: bytes) -> object:
    return console_file.compare(io.BytesIO(content), LIMITS)


Entrance = Callable[[bytes], object]
ENTRANCES: dict[str, Entrance] = {"orders": as_orders, "slips": as_slips, "console": as_console}
BELONGS = {
    "orders": "「注文ファイル取込」",
    "slips": "「伝票番号一括ステータス変更機能」の「ファイル・貼り付け」",
    "console": "「取引一覧と突き合わせ」",
}


def refusal(entrance: Entrance, content: bytes) -> str:
    with pytest.raises(FileRefused) as caught:
        entrance(content)
    assert not isinstance(caught.value, UnknownLayout), "asks a person what its columns are"
    return caught.value.message


def samples(folder: str) -> dict[str, Path]:
    return {path.name[:3]: path for path in sorted((DATA / folder).iterdir())}


@pytest.mark.parametrize("entrance", ENTRANCES)
@pytest.mark.parametrize(
    ("belongs", "sample"),
    [
        *(("orders", path) for path in samples("layouts").values()),
        *(("slips", path) for path in samples("slips").values()),
        ("console", CONSOLE),
    ],
    ids=lambda one: one.name[:3] if isinstance(one, Path) else one,
)
def test_at_another_entrance(app: Flask, entrance: str, belongs: str, sample: Path) -> None:
    if entrance == belongs:
        return
    with app.app_context():
        words = refusal(ENTRANCES[entrance], sample.read_bytes())
    if sample.name.startswith("a16"):  # is of no use anywhere
        assert "Amazon" in words
    else:
        assert "」のファイルのため、ここでは読み取れません" in words
        assert BELONGS[belongs] in words


@pytest.mark.parametrize("entrance", ENTRANCES)
@pytest.mark.parametrize("sample", samples("labels").values(), ids=lambda path: path.name[:3])
def test_a_file_from_which_labels_are_made(app: Flask, entrance: str, sample: Path) -> None:
    with app.app_context():
        words = refusal(ENTRANCES[entrance], sample.read_bytes())
    if (
        sample.name[:3] in ("c01", "c02") and entrance != "slips"
    ):  # with the headings of what comes back
        assert BELONGS["slips"] in words
    else:
        assert "発行したあと" in words


@pytest.mark.parametrize("entrance", ENTRANCES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_file_for_the_books(app: Flask, entrance: str, layout: str) -> None:
    sale = Movement(date(2026, 11, 28), "P1", (RateShare(10, 1100, 100),))
    with app.app_context():
        content = LAYOUTS[layout].written([sale], settings.load())
        words = refusal(ENTRANCES[entrance], content)
    assert f"{LAYOUTS[layout].label}の仕訳" in words
    assert "会計ソフト" in words


OURS: dict[str, Sequence[str]] = {
    "一括処理の結果": bulk.HEADER,
    "定期購入の一覧": subscriptions.TITLES,
    "売上集計": sales.TITLES,
    "問題の一覧": ("行", "注文番号", "区分", "内容"),
}


@pytest.mark.parametrize("entrance", ENTRANCES)
@pytest.mark.parametrize("what", OURS)
def test_a_list_that_was_saved_here(app: Flask, entrance: str, what: str) -> None:
    content = csv([OURS[what], ["1"] * len(OURS[what])])
    with app.app_context():
        words = refusal(ENTRANCES[entrance], content)
    assert what in words
    assert "見るためのもの" in words


def csv(rows: Iterable[Sequence[str]]) -> bytes:
    return b"".join(csv_file(None, [[list(row) for row in rows]]))


@pytest.mark.parametrize("headings", [slips.TITLES, ["注文番号", "伝票番号"]])
def test_our_own_slip_file_at_the_orders(headings: list[str]) -> None:
    words = refusal(as_orders, csv([headings, ["P1"] * len(headings)]))
    assert BELONGS["slips"] in words


def test_orders_with_slip_numbers_are_a_slip_file_too() -> None:
    """The cart's own list with the number in it, as MakeShop can give it."""
    content = csv(
        [["注文番号", "処理状況", "日付", "伝票番号"], ["P1", "未処理", "2026/11/28", "1234"]]
    )
    assert [row.slips for row in reading.read(content, LIMITS).rows] == [["1234"]]


def test_a_cart_of_words_nobody_knows_is_asked_about_whatever_else_it_has() -> None:
    headings = ["ご注文No", "受注番号", "発送伝票番号", "お品", "合計金額", "単価", "お支払"]
    with pytest.raises(UnknownLayout):
        as_orders(csv([headings, ["1"] * len(headings)]))
