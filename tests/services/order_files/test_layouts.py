"""Order files of other programs, unedited: what each sample must give, and other versions of them."""

from __future__ import annotations

import csv
import io
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from sgpshop.domain.amounts import TAX_INCLUDED
from sgpshop.domain.payment_calendar import JST
from sgpshop.domain.payment_methods import KnownMethods
from sgpshop.domain.row_files import FileRefused, Limits
from sgpshop.models import SGP_METHOD, IssueLevel, utc_now
from sgpshop.services.order_files.importing.content import Content, merge
from sgpshop.services.order_files.reading import FileOrder, read_orders, survey

SAMPLES = Path(__file__).parents[2] / "data" / "layouts"
SCREEN = Limits(max_bytes=5_242_880, max_lines=20_000, max_cell=1_000)
#: what the shop said of names that are not clearly ours or another's
ASKED = KnownMethods.of(
    "", ["クレジットカード", "クレジットカード決済", "STORES(決済方法の列なし)"], []
)

FILES = {
    "a01": ["a01-makeshop-order-list.csv"],
    "a04": ["a04-next-engine-hanyo-41.csv"],
    "a06": ["a06-eccube4-order.csv"],
    "a07": ["a07-colorme-order-62.csv"],
    "a08": ["a08-futureshop-order-known-columns.csv"],
    "a09": ["a09-shopify-orders.csv"],
    "a10": ["a10-base-orders.csv"],
    "a11": ["a11-stores-orders-known-columns.csv"],
    "a12": ["a12-aiship-orders-known-columns.csv"],
    "a13": ["a13-rms-orders-158.csv"],
    "a14": ["a14-yahoo-orders.csv", "a15-yahoo-items.csv"],
    "a17": ["a17-logiless-orders-80.csv"],
}
NUMBERS = {
    "a01": "P176430120000000001",
    "a06": "20261128-001",
    "a09": "#1001",
    "a13": "123456-20261128-0000000001",
    "a14": "mihon-10000001",
}


def text(name: str) -> str:
    content = (SAMPLES / name).read_bytes()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp932")


def read(contents: list[bytes], methods: KnownMethods = ASKED) -> list[FileOrder]:
    files = [io.BytesIO(content) for content in contents]
    return list(read_orders(files, SCREEN, survey(files, SCREEN), methods))


def contents(layout: str) -> list[bytes]:
    return [(SAMPLES / name).read_bytes() for name in FILES[layout]]


def new(found: FileOrder) -> Content:
    assert found.order is not None, found.issues
    return merge(found.order, None, utc_now(), TAX_INCLUDED)


def refusal(*names: str) -> str:
    with pytest.raises(FileRefused) as caught:
        read([(SAMPLES / name).read_bytes() for name in names])
    return caught.value.message


@pytest.mark.parametrize("layout", FILES)
class TestEverySample:
    def test_is_known_by_its_headings(self, layout: str) -> None:
        files = [io.BytesIO(content) for content in contents(layout)]
        found = survey(files, SCREEN)
        assert (found.layout.id, found.orders) == (layout, 3)

    def test_gives_three_orders_with_their_items_and_totals(self, layout: str) -> None:
        orders = [new(found) for found in read(contents(layout))]
        assert [order.values["total"] for order in orders] == [5020, 1500, 3190]
        assert [len(order.lines) for order in orders] == [2, 1, 1]
        assert [line["quantity"] for order in orders for line in order.lines] == [2, 1, 1, 1]
        prices = [line["unit_price"] for order in orders for line in order.lines]
        assert prices == [1080, 2200, 1650, 2200]
        assert [line["name"] for line in orders[0].lines] == ["煎茶 100g", "急須"]

    def test_loses_no_card_order(self, layout: str) -> None:
        methods = [new(found).values["method"] for found in read(contents(layout))]
        assert methods[:2] == [SGP_METHOD] * 2
        third = SGP_METHOD if layout == "a11" else ""  # STORES does not say how it was paid
        assert (methods[2] == third) if third else (methods[2] != SGP_METHOD)

    def test_says_when_and_who_and_where_to(self, layout: str) -> None:
        first, second, third = [new(found) for found in read(contents(layout))]
        at = [order.values["ordered_at"].astimezone(JST) for order in (first, second, third)]
        assert [str(moment)[:19] for moment in at] == [
            "2026-11-28 08:33:09",
            "2026-11-28 10:05:41",
            "2026-11-09 23:59:02",
        ]
        if layout == "a12":  # the part of it that is known has no addresses
            return
        assert second.values["buyer_name"].replace(" ", "") in ("例題花子", "例題")
        assert second.deliveries[0]["name"].replace(" ", "") == "架空さくら"
        assert first.values["buyer_prefecture"] == "東京都"
        assert second.deliveries[0]["prefecture"] == "愛知県"
        assert second.deliveries[0]["address"] == "名古屋市中区三の丸３－１－１"
        assert third.values["buyer_name"].replace(" ", "").startswith("髙﨑")
        assert third.deliveries[0]["address"] == "那覇市泉崎１－１－１①号棟"

    def test_adds_up_where_the_file_says_everything(self, layout: str) -> None:
        for found in read(contents(layout)):
            order = new(found)
            if layout not in ("a11", "a12"):  # whose known columns are not all
                assert order.calculated == order.values["total"]

    def test_in_another_version_of_it(self, layout: str) -> None:
        expected = [summary(new(found)) for found in read(contents(layout))]
        for change in (shuffled, with_others, as_utf16, as_book):
            changed = [change(text(name)) for name in FILES[layout]]
            assert [summary(new(found)) for found in read(changed)] == expected, change.__name__

    def test_without_any_one_column(self, layout: str) -> None:
        """A shop chooses the columns: what one needs is named, and nothing breaks off."""
        sources = [rows_of(text(name)) for name in FILES[layout]]
        left_out = 0
        for file, rows in enumerate(sources):
            for column in range(len(rows[0])):
                less = [[*row[:column], *row[column + 1 :]] for row in rows]
                changed = [less if n == file else other for n, other in enumerate(sources)]
                with suppress(FileRefused):
                    left_out += bool(read([written(one, "utf-8") for one in changed]))
        assert left_out > 5

    def test_in_the_order_of_the_second_file_first(self, layout: str) -> None:
        orders = [found.order_no for found in read(contents(layout)[::-1])]
        assert orders == [found.order_no for found in read(contents(layout))]
        assert orders[0] == NUMBERS.get(layout, orders[0])


def summary(order: Content) -> dict[str, Any]:
    names = ("total", "method", "ordered_at", "buyer_name", "carriage", "commission", "discount")
    return {name: order.values[name] for name in names} | {
        "points": order.values["points_used"],
        "deliveries": order.deliveries,
        "lines": order.lines,
    }


def rows_of(source: str) -> list[list[str]]:
    separator = "\t" if "\t" in source.splitlines()[0] else ","
    return list(csv.reader(io.StringIO(source), delimiter=separator))


def written(rows: list[list[str]], encoding: str, **options: Any) -> bytes:
    out = io.StringIO()
    csv.writer(out, **options).writerows(rows)
    return out.getvalue().encode(encoding)


def shuffled(source: str) -> bytes:
    """Columns in another order (of a heading that stands twice the first stays first), UTF-8 with mark."""
    rows = rows_of(source)
    places = list(range(len(rows[0])))
    random.Random(7).shuffle(places)
    twice = [n for n in places if rows[0].count(rows[0][n]) > 1]
    for place, n in zip([places.index(n) for n in twice], sorted(twice), strict=True):
        places[place] = n
    return written([[row[n] for n in places] for row in rows], "utf-8-sig", lineterminator="\n")


#: no sample needs them
LEFT_OUT = {"備考", "会員ID", "PC・携帯区分", "作業者欄", "コメント", "Tags", "購入元", "デバイス"}


def with_others(source: str) -> bytes:
    """Columns added and left out, a title above, divided by tabs, with the mark of old programs."""
    rows = rows_of(source)
    kept = [n for n, name in enumerate(rows[0]) if name not in LEFT_OUT]
    changed = [["店舗メモ", *(row[n] for n in kept), "独自の列", ""] for row in rows]
    changed[1:] = [["", *row[1:-2], "x", ""] for row in changed[1:]]
    title = ["出力日 2026/11/28", *[""] * (len(changed[0]) - 1)]
    return written([title, *changed], "cp932", delimiter="\t") + b"\x1a"


def as_utf16(source: str) -> bytes:
    """As a spreadsheet saves «Unicode text»: headings with other width and blanks."""
    rows = rows_of(source)
    rows[0] = [f" *{name}（必須）".replace("(", "（").replace(")", "）") for name in rows[0]]
    return written(rows, "utf-16", delimiter="\t")


def as_book(source: str) -> bytes:
    """As an Excel book, numbers as numbers where they stay what they are."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        sheet = book.add_worksheet("注文")
        for n, row in enumerate(rows_of(source)):
            for m, cell in enumerate(row):
                is_number = cell.isdigit() and len(cell) < 10 and not cell.startswith("0")
                sheet.write(n, m, int(cell) if is_number else cell)
    return out.getvalue()


class TestWhatCannotBeTaken:
    def test_a_list_without_amounts_says_what_is_missing_and_where_to_get_it(self) -> None:
        words = refusal("a02-makeshop-shipping-template.csv")
        assert "GMO MakeShop" in words
        assert "決済方法、合計金額、単価" in words
        assert "注文出力用テンプレート" in words
        assert "合計金額、単価" in refusal("a03-makeshop-sales-template.csv")

    def test_amazon_has_no_amounts(self) -> None:
        assert "Amazon" in refusal("a16-amazon-shipping-report.txt")

    @pytest.mark.parametrize("name", FILES["a14"])
    def test_half_of_yahoo_asks_for_the_other(self, name: str) -> None:
        assert "もう1つのファイルも一緒に" in refusal(name)

    def test_two_rows_of_one_order_that_say_different_things(self) -> None:
        orders, items = contents("a14")
        head, first, *others = rows_of(text(FILES["a14"][0]))
        total = head.index("TotalPrice")
        other = [cell if n != total else "95000" for n, cell in enumerate(first)]
        twice = written([head, first, other, *others], "cp932")
        found = read([twice, items])[0]
        assert found.order is None
        assert "2行目と3行目の内容が違います" in found.issues[0].message
        same = written([head, first, first, *others], "cp932")
        assert read([same, items])[0].order == read([orders, items])[0].order

    def test_files_that_do_not_belong_together(self) -> None:
        words = refusal(*FILES["a01"], *FILES["a04"])
        assert "「GMO MakeShop 注文データ」と「ネクストエンジン 受注(汎用)」" in words
        assert "一緒に取り込めません" in words

    def test_other_money_than_yen(self) -> None:
        content = text(FILES["a09"][0]).replace(",JPY,", ",USD,", 1).encode()
        first, second, _ = read([content])
        assert "USD" in first.issues[0].message
        assert second.order is not None


class TestMakeShop:
    def test_the_recipients_address_where_a_recipient_is_named(self) -> None:
        rows = rows_of(text("a02-makeshop-shipping-template.csv"))
        rows = [[*row, *more] for row, more in zip(rows, MONEY, strict=True)]
        order = new(read([written(rows, "cp932")])[2])
        assert order.deliveries[0]["postal_code"] == "900-0021"
        assert order.deliveries[0]["address"] == "沖縄県那覇市泉崎１－１－１①号棟"
        assert order.values["buyer_address"] == ""

    def test_method_and_state_in_one_column(self) -> None:
        rows = rows_of(text("a03-makeshop-sales-template.csv"))
        rows = [[*row, *more[1:]] for row, more in zip(rows, MONEY, strict=True)]
        first, second, third = read([written(rows, "cp932")])
        assert new(first).values["method"] == new(second).values["method"] == SGP_METHOD
        assert second.order is not None
        assert second.order.claim is not None
        assert second.order.claim.status is not None
        assert second.order.claim.status.label == "注文キャンセル"
        assert new(third).values["method"] == "代金引換"

    @pytest.mark.parametrize("heads", ["", "処理状況", "OPTION+商品別特殊表示", "受取人"])
    @pytest.mark.parametrize(
        ("said", "method", "state"),
        [
            ("SGP:クレジットカード決済 キャンセル", SGP_METHOD, "注文キャンセル"),
            ("SGPカード決済・注文ｷｬﾝｾﾙ済", SGP_METHOD, "注文キャンセル"),
            ("SGP（キャンセル）", SGP_METHOD, "注文キャンセル"),
            ("SGP:クレジットカード決済(入金確認)", SGP_METHOD, ""),
            ("代金引換 キャンセル", "代金引換", "注文キャンセル"),
            ("後払い(キャンセル不可)", "後払い", ""),
        ],
    )
    def test_called_off_in_the_column_of_the_method(
        self, heads: str, said: str, method: str, state: str
    ) -> None:
        cells = {
            "注文番号": "P176042883989536493", "日付": "2026/11/28", "注文者": "例題 花子",
            "決済方法(ステータス)": said, "商品名": "煎茶", "単価": "1500", "数量": "1",
            "合計金額": "1500", heads: "",
        }  # fmt: skip
        cells.pop("", None)
        [found] = read([written([list(cells), list(cells.values())], "cp932")])
        order = new(found)
        assert order.values["method"] == method
        assert found.is_cancelled is (True if state else None)
        assert order.deliveries[0]["status"].label == (state or "未処理")

    def test_a_way_of_payment_that_speaks_of_cancelling_is_no_cancel(self) -> None:
        [found] = read(
            [
                written(
                    [
                        ["注文番号", "日付", "処理状況", "決済方法", "商品名", "単価", "数量", "合計金額"],
                        ["P1", "2026/11/28", "", "後払い(キャンセル料あり)", "煎茶", "1500", "1", "1500"],
                    ],
                    "cp932",
                )
            ]
        )  # fmt: skip
        assert found.is_cancelled is None
        assert new(found).values["method"] == "後払い(キャンセル料あり)"

    def test_a_template_without_state_and_day_is_known_by_its_option(self) -> None:
        rows = rows_of(text("a01-makeshop-order-list.csv"))
        names = {
            "処理状況": "店舗メモ", "備考": "OPTION+商品別特殊表示", "単価": "商品価格",
            "数量": "個数", "合計金額": "合計",
        }  # fmt: skip
        rows[0] = [names.get(name, name) for name in rows[0]]
        orders = [new(found) for found in read([written(rows, "cp932")])]
        assert [order.values["total"] for order in orders] == [5020, 1500, 3190]

    def test_no_wish_and_a_time_in_one_form(self) -> None:
        first, second, third = [new(found).deliveries[0] for found in read(contents("a01"))]
        assert (first["wish_date"], first["wish_time"]) == (None, "")
        assert (str(second["wish_date"]), second["wish_time"]) == ("2026-12-05", "午前中")
        assert third["wish_time"] == "14時～16時"


MONEY = [
    ["決済方法", "合計金額", "単価"],
    ["SGP", "5020", "1080"],
    ["SGP", "5020", "2200"],
    ["SGP", "1500", "1650"],
    ["代金引換", "3190", "2200"],
]


def test_a_cart_nobody_knows_by_words_that_others_use() -> None:
    head = "OrderId,OrderTime,支払方法(名称),Total,ShipCharge,PayCharge,調整金額,Title,UnitPrice,Quantity,ItemTaxRatio"
    row = "A-1,2026-11-28T08:33:09+09:00,SGP,1550,500,100,-50,煎茶,1000,1,8"
    order = new(read([f"{head}\n{row}\n".encode()])[0])
    assert order.values["total"] == order.calculated == 1550
    assert (order.values["discount"], order.lines[0]["tax_rate"]) == (50, 8)


class TestAwkwardPoints:
    def test_an_option_of_base_belongs_to_the_item_above_and_costs_more(self) -> None:
        content = text(FILES["a10"][0]).replace('"なし","0"', '"あり","300"')
        order = new(read([content.encode("cp932")])[2])
        assert [(line["option"], line["unit_price"]) for line in order.lines] == [
            ("ギフトラッピング:あり", 2500)
        ]
        assert order.values["total"] == order.calculated == 3490

    def test_fees_of_eccube_are_rows_and_go_to_the_order(self) -> None:
        orders = [new(found) for found in read(contents("a06"))]
        assert [order.values["commission"] for order in orders] == [0, 0, 330]
        assert [order.values["points_used"] for order in orders] == [0, 150, 0]

    def test_shopify_says_the_order_on_its_first_row_only(self) -> None:
        first = new(read(contents("a09"))[0])
        assert first.deliveries[0]["tel"] == "03-0000-0001"
        assert first.values["buyer_postal_code"] == "100-0001"

    @pytest.mark.parametrize(
        ("layout", "file", "carrier", "number", "said"),
        [
            ("a06", 0, "配送業者(名称)", "出荷伝票番号", "ヤマト運輸"),
            ("a14", 0, "ShipCompanyCode", "ShipInvoiceNumber1", "1001"),
        ],
    )
    def test_the_label_of_a_cart_fills_what_is_empty_here(
        self, layout: str, file: int, carrier: str, number: str, said: str
    ) -> None:
        def labelled(slip: str, company: str) -> list[FileOrder]:
            files = [rows_of(text(name)) for name in FILES[layout]]
            places = [files[file][0].index(name) for name in (carrier, number)]
            for row in files[file][1:]:
                row[places[0]], row[places[1]] = company, slip
            return read([written(rows, "utf-8") for rows in files])

        def label(content: Content) -> tuple[str, str, str]:
            [parcel] = content.deliveries
            return parcel["carrier_code"], parcel["slip_no"], parcel["status"].label

        first = labelled("490714956012", said)[0]
        assert label(new(first)) == ("002", "490714956012", "未処理")
        other = labelled("490714956023", "佐川急便")[0]
        assert other.order is not None
        again = merge(other.order, new(first), utc_now(), TAX_INCLUDED)
        assert label(again) == ("002", "490714956012", "未処理")
        later = merge(other.order, new(labelled("", said)[0]), utc_now(), TAX_INCLUDED)
        assert label(later) == ("003", "490714956023", "未処理")
        wrong = labelled("4.90715E+11", "謎の運送")[0]
        assert label(new(wrong)) == ("", "", "未処理")
        assert [issue.level for issue in wrong.issues] == [IssueLevel.WARNING] * len(wrong.issues)
        assert any("Excel" in issue.message for issue in wrong.issues)
        assert any(f"「{carrier}」" in issue.message for issue in wrong.issues)

    def test_several_deliveries_by_the_ids_of_the_program(self) -> None:
        content = text(FILES["a07"][0]).replace('"8001"', '"8009"', 1)
        order = new(read([content.encode("cp932")])[0])
        assert [delivery["number"] for delivery in order.deliveries] == [1, 2]
        assert [line["delivery_number"] for line in order.lines] == [1, 2]

    @pytest.mark.parametrize(
        ("layout", "before", "after"),
        [
            ("a06", "新規受付", "注文取消し"),
            ("a07", "未発送", "キャンセル"),
            ("a10", "未対応", "キャンセル"),
            ("a13", '"300"', '"900"'),
            ("a17", "処理中", "キャンセル"),
        ],
    )
    def test_what_was_cancelled_there(self, layout: str, before: str, after: str) -> None:
        content = text(FILES[layout][0]).replace(before, after)
        first = read([content.encode("cp932")])[0]
        assert first.order is not None
        assert first.order.claim is not None
        assert first.order.claim.status is not None
        assert first.order.claim.status.label == "注文キャンセル"

    def test_a_name_that_nobody_knows_keeps_its_orders_out_and_is_told(self) -> None:
        found = read(contents("a04"), KnownMethods())
        assert [one.unknown_method for one in found] == ["クレジットカード", "クレジットカード", ""]
        assert [one.order is None for one in found] == [True, True, False]
        assert "SGPカード決済かどうか" in found[0].issues[0].message

    @pytest.mark.parametrize(
        ("cell", "kind"),
        [("0", 0), ("非課税", 0), ("5", 10), ("10%", 10), ("0.08", 8), ("8.0", 8)],
    )
    def test_a_tax_rate_that_is_none_is_a_warning(self, cell: str, kind: int) -> None:
        content = text(FILES["a04"][0]).replace('"8","","",""', f'"{cell}","","",""')
        first = read([content.encode("cp932")])[0]
        assert new(first).lines[0]["tax_rate"] == kind
        assert [i.level for i in first.issues] == [IssueLevel.WARNING] * (cell == "5")

    @pytest.mark.parametrize(
        ("cell", "day"),
        [
            ("2026/12/5", "2026-12-05"),
            ("20261205", "2026-12-05"),
            ("46361", "2026-12-05"),
            ("2026-12-05 00:00:00", "2026-12-05"),
            ("指定なし", "None"),
            ("来週", "None"),
        ],
    )
    def test_wish_dates_in_every_form(self, cell: str, day: str) -> None:
        content = text(FILES["a04"][0]).replace("2026/12/05", cell)
        second = read([content.encode("cp932")])[1]
        assert str(new(second).deliveries[0]["wish_date"]) == day

    def test_numbers_that_excel_damaged_are_refused_by_name(self) -> None:
        content = text(FILES["a11"][0]).replace("2176468842", "4.90715E+11")
        _, second, _ = read([content.encode("cp932")])
        assert "Excel" in second.issues[0].message

    def test_zeros_that_excel_dropped_come_back(self) -> None:
        source = text(FILES["a04"][0])
        for whole, cut in (("0600000002", "600000002"), ("06-0000-0002", "600000002")):
            source = source.replace(whole, cut)
        order = new(read([source.replace("9000021", "600021").encode("cp932")])[1])
        assert order.values["buyer_tel"] == "0600000002"
