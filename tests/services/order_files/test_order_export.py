"""Orders as files: CSV that goes in again without change, and Excel for a person (§14.3, S18)."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.domain.csv_writing import Encoding
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.row_files import Limits
from sgpshop.extensions import db
from sgpshop.models import ImportRun, Operation, Order, OrderKind
from sgpshop.services.demo.sample import SAMPLE
from sgpshop.services.order_files import exporting, importing
from sgpshop.services.order_files.exporting import Source
from sgpshop.services.order_search.criteria import SearchCriteria
from tests.factories import authorized_order, make_order
from tests.gateway_world import World
from tests.services.acting import correct, press
from tests.services.order_csv import csv_file
from tests.services.order_csv import row as row_

EVERYTHING = SearchCriteria()
BOTH = pytest.mark.parametrize("database_kind", ["sqlite", "postgresql"])


@pytest.fixture
def database_kind() -> str:
    """How a file looks does not depend on the database; what is read from it is marked BOTH."""
    return "sqlite"


def take_in(content: bytes) -> ImportRun:
    stream = io.BytesIO(content)
    run, survey = importing.begin(importing.new_run_id(), "test", [stream], Limits())
    assert survey is not None
    importing.carry_out(run.id, [stream], Limits(), survey)
    done = importing.find(run.id)
    assert done is not None
    return done


def ids() -> list[int]:
    return list(db.session.scalars(sa.select(Order.id)))


def written(source: Source, encoding: Encoding = Encoding.UTF_8) -> bytes:
    return b"".join(exporting.as_csv(source, encoding))


def table(source: Source, encoding: Encoding = Encoding.UTF_8) -> list[dict[str, str]]:
    words = {Encoding.UTF_8: "utf-8-sig", Encoding.CP932: "cp932"}[encoding]
    return list(csv.DictReader(io.StringIO(written(source, encoding).decode(words), newline="")))


def row(order: Order) -> dict[str, str]:
    [found] = table(exporting.chosen([order.id]))
    return found


class Sheet:
    """What a spreadsheet program finds in a workbook, read from its parts."""

    _NS = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"

    def __init__(self, content: bytes, number: int = 1) -> None:
        with zipfile.ZipFile(io.BytesIO(content)) as parts:
            self.names = parts.namelist()
            self.xml = parts.read(f"xl/worksheets/sheet{number}.xml").decode()
            self.styles = parts.read("xl/styles.xml").decode()
            self._root = ET.fromstring(self.xml)
        self._titles = [value for _, _, value in self._cells(next(self._rows()))]

    def _rows(self) -> Iterator[ET.Element]:
        return self._root.iter(f"{self._NS}row")

    def _cells(self, row: ET.Element) -> Iterator[tuple[str, str, str]]:
        for cell in row.iter(f"{self._NS}c"):
            letters = re.sub(r"\d", "", cell.get("r", ""))
            text = "".join(cell.itertext())
            yield letters, cell.get("t", "n"), text

    def lines(self) -> list[dict[str, tuple[str, str]]]:
        """Each row: title -> (kind of cell, text or number)."""
        found = []
        for row in list(self._rows())[1:]:
            cells = {}
            for letters, kind, text in self._cells(row):
                at = 0
                for letter in letters:
                    at = at * 26 + ord(letter) - 64
                cells[self._titles[at - 1]] = (kind, text)
            found.append(cells)
        return found


def workbook(source: Source, **more: Any) -> bytes:
    out = io.BytesIO()
    exporting.write_excel(source, out, **more)
    return out.getvalue()


def test_the_whole_sample_goes_out_and_in_again_without_change(app: Flask) -> None:
    with app.app_context():
        take_in(SAMPLE.read_bytes())
        for source in (exporting.found(EVERYTHING), exporting.chosen(ids())):
            again = take_in(written(source))
            assert (again.orders, again.left_out, again.added) == (300, 0, 0)
            assert again.updated == 0
            assert again.unchanged == 300


@pytest.mark.postgresql
@BOTH
def test_what_is_hard_to_write_goes_in_again_without_change(app: Flask) -> None:
    """Quotes, line breaks, apostrophes, formulas, zeros and several parcels survive the way."""
    hard = {
        "注文者": '「佐藤, "花子"」',
        "備考": "一行目\n=2行目,\n三行目",
        "電話番号": "+81-3-1234-5678",
        "郵便番号": "0010001",
        "会員ID": "''=1+1",
        "配送会社": "002",
        "伝票番号": "0012-3456-7890",
        "配送希望日": "2026/12/01",
    }
    parcels = [
        {"配送先番号": "1", "お届け先氏名": "＝鈴木", "商品コード": "-001"},
        {"配送先番号": "2", "お届け先氏名": "𠮷田", "JAN": "0490000000001"},
    ]
    total = {"合計金額": "4500", "税率": "8", "使用ポイント": "100", "手数料": "100"}
    with app.app_context():
        first = take_in(
            csv_file(*(row_(**total, **hard, **one) for one in parcels), encoding="utf-8")
        )
        assert (first.added, first.left_out) == (1, 0)
        again = take_in(written(exporting.found(EVERYTHING)))
        assert (again.unchanged, again.updated, again.left_out) == (1, 0, 0)
        one, two = table(exporting.found(EVERYTHING))
    assert one["備考"] == "一行目\n=2行目,\n三行目"
    assert (one["配送会社"], one["伝票番号"]) == ("002", "0012-3456-7890")
    assert (one["電話番号"], one["会員ID"]) == ("'+81-3-1234-5678", "''=1+1")  # S18
    assert (one["お届け先氏名"], one["商品コード"]) == ("'＝鈴木", "'-001")
    assert (two["お届け先氏名"], two["JAN"]) == ("𠮷田", "0490000000001")


@BOTH
def test_what_happened_since_stands_in_columns_of_its_own(shop: World) -> None:
    order = authorized_order(shop, total=10_000)
    before = row(order)
    assert (before["修正額"], before["金額送信日時"], before["売上日時"]) == ("", "", "")
    assert re.fullmatch(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d", before["オーソリ期限"])
    correct(order, 9500)
    unsent = row(order)
    assert (unsent["合計金額"], unsent["修正額"], unsent["SMBC-GP側金額"]) == (
        "9500",
        "9500",
        "10000",
    )
    press(order, Operation.CHANGE_AMOUNT)
    press(order, Operation.CAPTURE)
    captured = row(order)
    assert captured["決済方法ステータス"] == "決済完了"
    assert (captured["SMBC-GP側金額"], captured["オーソリ期限"]) == ("9500", "")
    assert captured["金額送信日時"]
    assert captured["売上日時"]


@BOTH
def test_the_error_content_is_that_of_the_detail_screen(shop: World) -> None:
    order = authorized_order(shop)
    shop.fault("error:42G020000", order_id=order.order_no)
    press(order, Operation.CAPTURE)
    failed = row(order)
    assert (failed["エラーコード"], failed["決済方法ステータス"]) == ("42G020000", "売上失敗")
    assert "残高" in failed["エラー内容"]  # R16
    press(order, Operation.CAPTURE)
    assert (row(order)["エラーコード"], row(order)["エラー内容"]) == ("", "")


def test_neither_secrets_nor_formulas_go_out(shop: World) -> None:
    order = authorized_order(shop, buyer="=HYPERLINK(1)")
    assert order.transaction is not None
    found = row(order)
    assert "取引パスワード" not in found  # S10
    assert found["取引ID"] == order.transaction.access_id
    assert found["注文者"] == "'=HYPERLINK(1)"  # S18
    assert (found["合計金額"], found["決済方法ステータス"]) == ("3000", "仮売上")
    assert order.transaction.access_pass_sealed
    assert order.transaction.access_pass_sealed.encode() not in written(exporting.found(EVERYTHING))


def test_orders_of_other_methods_and_nothing_at_all(shop: World) -> None:
    order = make_order(method="代金引換", status=PaymentStatus.AUTHORIZED)
    found = row(order)
    assert (found["決済方法"], found["決済方法ステータス"], found["取引ID"]) == ("代金引換", "", "")
    nothing = written(exporting.chosen([]))
    assert nothing.startswith(b"\xef\xbb\xbf")
    assert nothing.count(b"\r\n") == 1


@BOTH
def test_a_long_search_comes_in_pieces_newest_first_and_none_twice(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = datetime(2026, 11, 1, tzinfo=UTC)
    orders = [make_order(ordered_at=moment) for _ in range(5)]  # all in the same second
    orders += [make_order(ordered_at=datetime(2026, 11, 2 + n, tzinfo=UTC)) for n in range(3)]
    monkeypatch.setattr(exporting.reading, "_CHUNK", 2)
    pieces = [
        [number for number, *_ in exporting.columns.rows(piece)]
        for piece in exporting.found(EVERYTHING)()
    ]
    assert [len(piece) for piece in pieces] == [2, 2, 2, 2]
    wanted = [order.order_no for order in reversed(orders)]
    assert [number for piece in pieces for number in piece] == wanted
    chosen = [one["注文番号"] for one in table(exporting.chosen([o.id for o in orders] * 2))]
    assert chosen == wanted


def test_cells_are_the_same_in_whatever_pieces_they_are_made(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["佐藤", "=1+1", "鈴木, 一郎", "", "'@x", '"引用"', "佐藤", "-", "改\n行", "田中"]
    for name in names:
        make_order(buyer=name)
    at_once = written(exporting.found(EVERYTHING))
    told = [one["注文者"] for one in reversed(table(exporting.found(EVERYTHING)))]
    assert told == [
        "佐藤",
        "'=1+1",
        "鈴木, 一郎",
        "",
        "''@x",
        '"引用"',
        "佐藤",
        "'-",
        "改\n行",
        "田中",
    ]
    for size in (1, 3):
        monkeypatch.setattr(exporting.reading, "_CHUNK", size)
        assert written(exporting.found(EVERYTHING)) == at_once


def test_only_what_was_searched_for(shop: World) -> None:
    captured = make_order(status=PaymentStatus.CAPTURED)
    make_order()
    only = SearchCriteria(statuses=(PaymentStatus.CAPTURED,))
    assert [one["注文番号"] for one in table(exporting.found(only))] == [captured.order_no]


def test_no_transaction_stays_open_between_two_pieces(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow download must not keep the database from tidying up, or others from writing (P23)."""
    for _ in range(3):
        make_order()
    monkeypatch.setattr(exporting.reading, "_CHUNK", 1)
    for _ in exporting.found(EVERYTHING)():
        assert not db.session().in_transaction()


def test_cp932_replaces_what_it_has_not_and_tells_where(shop: World) -> None:
    fine = make_order(buyer="髙橋 〜 −")  # NEC's 髙 is there, and the twins of 〜 and −
    lossy = make_order(buyer="𠮷田 é", note="😀😀")
    loss = exporting.look_for_loss(exporting.found(EVERYTHING))
    assert (loss.characters, loss.orders) == (6, 1)
    assert loss.places == [
        (lossy.order_no, "注文者", "𠮷é"),
        (lossy.order_no, "備考", "😀😀"),
        (lossy.order_no, "お届け先氏名", "𠮷é"),
    ]
    found = {one["注文番号"]: one for one in table(exporting.found(EVERYTHING), Encoding.CP932)}
    assert found[lossy.order_no]["注文者"] == "〓田 〓"
    assert found[lossy.order_no]["備考"] == "〓〓"
    assert found[fine.order_no]["注文者"] == "髙橋 ～ －"
    assert not exporting.look_for_loss(exporting.chosen([fine.id]))


def test_a_minus_that_cp932_makes_full_width_is_guarded_too(shop: World) -> None:
    order = make_order(buyer="−1+1")
    [found] = table(exporting.chosen([order.id]), Encoding.CP932)
    assert found["注文者"] == "'－1+1"


def test_in_excel_text_is_text_and_amounts_are_numbers(shop: World) -> None:
    order = authorized_order(
        shop,
        buyer='=cmd|"/c calc"!A1',
        buyer_postal_code="0010001",
        member_id="_x0041_",
        note="@x\nhttp://example.jp",
    )
    sheet = Sheet(workbook(exporting.chosen([order.id])))
    [line] = sheet.lines()
    assert line["注文者"] == ("inlineStr", '=cmd|"/c calc"!A1')
    assert line["郵便番号"] == ("inlineStr", "0010001")
    assert line["備考"][0] == "inlineStr"
    assert line["会員ID"][1] == "_x005F_x0041_"  # as Excel wants it, so that it shows _x0041_
    assert (line["合計金額"], line["単価"]) == (("n", "3000"), ("n", "3000"))
    assert "<f>" not in sheet.xml  # no formula anywhere
    assert not any("hyperlink" in name.lower() for name in sheet.names)
    assert "<hyperlink" not in sheet.xml
    assert 'state="frozen"' in sheet.xml
    assert "<autoFilter" in sheet.xml
    assert "#,##0" in sheet.styles


def test_in_excel_times_are_real_ones_in_japan(shop: World) -> None:
    order = make_order(ordered_at=datetime(2026, 11, 22, 15, 30, tzinfo=UTC))
    [line] = Sheet(workbook(exporting.chosen([order.id]))).lines()
    kind, serial = line["注文日時"]
    assert kind == "n"
    days = (datetime(2026, 11, 23, 0, 30) - datetime(1899, 12, 30)).total_seconds() / 86400  # noqa: DTZ001 - Excel's days have no zone
    assert float(serial) == pytest.approx(days, abs=1e-6)


def test_excel_goes_on_on_another_sheet_when_one_is_full(shop: World) -> None:
    orders = [make_order() for _ in range(3)]
    content = workbook(exporting.found(EVERYTHING), per_sheet=3)
    first, second = Sheet(content, 1).lines(), Sheet(content, 2).lines()
    assert (len(first), len(second)) == (2, 1)
    assert second[0]["注文番号"][1] == orders[0].order_no
    assert Sheet(workbook(exporting.chosen([]))).lines() == []


def test_nothing_is_left_in_the_temporary_folder(
    shop: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_order()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    workbook(exporting.found(EVERYTHING))

    def broken() -> Iterator[list[exporting.ExportedOrder]]:
        yield from exporting.found(EVERYTHING)()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        workbook(broken)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_preorder_has_no_deadline(shop: World) -> None:
    order = authorized_order(shop, kind=OrderKind.PREORDER)
    assert row(order)["オーソリ期限"] == ""  # R111
