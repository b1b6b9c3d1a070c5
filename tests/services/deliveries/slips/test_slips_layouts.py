"""Each carrier's and cart's file gives what the catalogue of layouts says (layouts b01–b21)."""

from __future__ import annotations

import csv
import io
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from flask import Flask

from sgpshop.domain.carriers import carrier_called
from sgpshop.domain.payment_calendar import JST
from sgpshop.domain.row_files import FileRefused, heading_key
from sgpshop.extensions import db
from sgpshop.gateway import TradeAccess
from sgpshop.models import CardTransaction, Delivery, ItemResult, Order, SlipRow, utc_now
from sgpshop.services import settings
from sgpshop.services.deliveries import labels, slips
from sgpshop.services.deliveries.labels import LabelJob
from sgpshop.services.files.layout import Purpose, layouts
from sgpshop.storage.database import writing
from tests.factories import fresh, make_order
from tests.services.deliveries.test_labels import SENDER, to
from tests.services.slip_files import CAPTURE, NO_CAPTURE, carry_out, prepare, results

DONE = (ItemResult.SUCCEEDED, "")
SAMPLES = Path(__file__).parents[3] / "data" / "slips"
DAY = date(2026, 11, 28)


@pytest.fixture(autouse=True)
def _evening(app: Flask) -> Any:
    with time_machine.travel(datetime(2026, 11, 28, 18, tzinfo=JST), tick=False), app.app_context():
        yield


def order(ending: int | str, **more: Any) -> Order:
    return make_order(
        order_no=f"P176430120000000{ending}",
        method="銀行振込",
        ordered_at=datetime(2026, 11, 27, 12, tzinfo=JST),
        **more,
    )


def sample(layout: str) -> bytes:
    [path] = SAMPLES.glob(f"{layout}-*.csv")
    return path.read_bytes()


def carrier(*lines: str) -> bytes:
    """A carrier's file with these rows."""
    return "\n".join(["お客様管理番号,お問い合せ送り状No.", *lines, ""]).encode("utf-8-sig")


def rows(run_id: str) -> list[SlipRow]:
    db.session.rollback()
    return sorted(db.session.query(SlipRow).filter_by(run_id=run_id), key=lambda row: row.line)


def planned(content: bytes) -> list[tuple[str, str, str, date | None]]:
    """Order, number, carrier and day of each row that will be carried out."""
    return [
        (row.order_no[-3:], row.slip_no, row.carrier_code, row.ship_date)
        for row in rows(prepare(content, NO_CAPTURE))
        if row.result == "pending"
    ]


def words(content: bytes, result: str) -> list[str]:
    return [row.message for row in rows(prepare(content, NO_CAPTURE)) if row.result == result]


def remarks(content: bytes) -> str:
    return " ".join(row.remark for row in rows(prepare(content, NO_CAPTURE)))


WANTED = {
    "b03": [(n, f"4000000{n2}", "003", DAY) for n, n2 in (("111", "01111"), ("112", "01122"), ("113", "01133"))],
    "b05": [("121", "400000001214", "003", DAY), ("122", "400000001225", "003", DAY)],
    "b06": [
        ("131", "400000001310", "003", DAY), ("132", "400000001321", "003", DAY),
        ("133", "400000001332", "003", DAY),
    ],
    "b08": [("141", "193715301415", "001", DAY), ("142", "193715301426", "001", DAY)],
    "b09": [
        ("151", "193715301511", "001", DAY), ("152", "193715301522", "001", DAY),
        ("153", "193715301533", "001", DAY),
    ],
    "b10": [("161", "193715301614", "001", None), ("162", "193715301625", "001", None)],
    "b12": [(f"18{n}", f"01234567018{n}", "007", DAY) for n in (1, 2, 3)],
    "b13": [(f"19{n}", f"123456019{n}", "006", DAY) for n in (1, 2, 3)],
    "b15": [
        ("201", "490714957014", "002", DAY), ("202", "490714957025", "002", DAY),
        ("203", "490714957036", "003", DAY),
    ],
    "b16": [("211", "490714957110", "002", None), ("212", "490714957121", "002", None)],
    "b17": [
        ("221", "490714957213", "002", DAY), ("222", "490714957224", "003", DAY),
        ("223", "490714957235", "", DAY),
    ],
    "b19": [("231", "490714957316", "", None), ("232", "490714957320", "", None)],
    "b20": [("251", "490714957515", "002", None), ("252", "490714957526", "002", None)],
    "b21": [("261", "490714957611", "002", DAY), ("262", "490714957622", "002", DAY)],
}  # fmt: skip


def orders_of(layout: str) -> list[Order]:
    first = {"b03": 11, "b21": 26}.get(layout, int(WANTED[layout][0][0][:2]))
    return [order(f"{first}{n}") for n in (1, 2, 3)]


@pytest.mark.parametrize("layout", WANTED)
def test_sample(layout: str) -> None:
    orders_of(layout)
    wanted = WANTED[layout]
    assert planned(sample(layout)) == wanted
    assert len(words(sample(layout), "failed")) == (layout in ("b05", "b08", "b10"))


def test_b01_yamato_b2cloud() -> None:
    """Two numbers of one order; the wished day is not the day of shipping; a row of nobody, one of another shop."""
    for ending in (101, 102, 103):
        order(ending)
    content = sample("b01")
    assert planned(content) == [
        ("101", "490714956012", "002", DAY),
        ("102", "490714956023", "002", DAY),
        ("103", "490714956034", "002", DAY),
    ]
    assert words(content, "failed") == []
    second, nobody, other = words(content, "skipped")
    assert "4行目と同じ荷物です。複数個口の伝票番号として一緒に登録します" in second
    assert "注文番号の欄が空です" in nobody
    assert "該当注文なし(「9-0001」" in other
    assert slips.get(prepare(content, NO_CAPTURE)).program == "ヤマト運輸 B2クラウド"


def test_all_numbers_of_a_parcel_are_kept_and_the_first_is_its_slip(app: Flask) -> None:
    for ending in (101, 102, 103, 211, 212):
        order(ending)
    carry_out(app, sample("b01"), NO_CAPTURE)
    carry_out(app, sample("b16"), NO_CAPTURE)
    db.session.rollback()
    kept = {
        parcel_order[-3:]: (parcel.slip_no, parcel.more_slips)
        for parcel, parcel_order in db.session.query(Delivery, Order.order_no).join(
            Order, Order.id == Delivery.order_id
        )
    }
    assert kept["103"] == ("490714956034", "490714956045")
    assert kept["212"] == ("490714957121", "490714957132")
    assert kept["101"] == ("490714956012", "")


@pytest.mark.parametrize(
    ("layout", "why"), [("b11", "クリックポスト.*注文番号の列がありません"), ("b18", "出荷ID")]
)
def test_files_without_order_numbers_are_refused_with_the_reason(layout: str, why: str) -> None:
    with pytest.raises(FileRefused, match=why):
        prepare(sample(layout), NO_CAPTURE)


@pytest.mark.parametrize(("layout", "carrier"), [("b11", "027"), ("b18", "")])
def test_they_are_read_once_somebody_added_the_column(layout: str, carrier: str) -> None:
    orders = [order(n) for n in (501, 502)]
    head, *lines = table(sample(layout))
    cells = [["注文番号", *head]]
    cells += [[one.order_no, *line] for one, line in zip(orders, lines, strict=False)]
    got = planned(written(cells, "utf-8-sig"))
    assert [(one[0], one[2], one[3]) for one in got] == [
        ("501", carrier, DAY),
        ("502", carrier, DAY),
    ]


def test_a_file_of_which_no_label_was_printed_yet(app: Flask) -> None:
    head, *lines = table(sample("b01"))
    cells = [head, *([*line[:3], "", *line[4:]] for line in lines)]
    with pytest.raises(
        FileRefused, match=r"B2クラウド.*どの行にも伝票番号がありません.*外部ファイルに出力"
    ):
        prepare(written(cells, "cp932"), NO_CAPTURE)


@pytest.mark.parametrize(
    "headings",
    ["店舗伝票番号,伝票番号,受注名,発送先名", "伝票番号,受注番号,送り先名,発送方法,出荷確定日"],
)
def test_the_numbers_of_next_engine_itself_are_no_slip_numbers(headings: str) -> None:
    row = ",".join(["10230"] * len(headings.split(",")))
    with pytest.raises(FileRefused, match="ネクストエンジンの中の番号"):
        prepare(f"{headings}\n{row}\n".encode("cp932"), NO_CAPTURE)


@pytest.mark.parametrize("layout", ["b05", "b08", "b10"])
def test_a_number_that_lost_its_end_is_never_guessed(layout: str) -> None:
    orders_of(layout)
    [failed] = words(sample(layout), "failed")
    assert "注文番号が途中で切れています" in failed


def test_b17_a_company_that_we_have_not_is_told_and_the_number_kept() -> None:
    orders_of("b17")
    assert "「1000」は登録できる会社にない" in remarks(sample("b17"))


def test_b05_a_label_that_was_taken_back() -> None:
    orders_of("b05")
    content = sample("b05").replace(b'"1","0"\r\n', b'"1","1"\r\n', 1)
    assert "対象外:取り消された送り状です。" in words(content, "skipped")


def test_b15_without_the_order_number_names_the_program() -> None:
    content = sample("b15").replace("受注番号".encode("cp932"), "受注コメント".encode("cp932"))
    with pytest.raises(FileRefused, match=r"ネクストエンジン.*注文番号の列がありません"):
        prepare(content, NO_CAPTURE)


def table(content: bytes) -> list[list[str]]:
    for encoding in ("utf-8-sig", "cp932"):
        try:
            return list(csv.reader(io.StringIO(content.decode(encoding))))
        except UnicodeDecodeError:
            continue
    raise AssertionError


def written(cells: list[list[str]], encoding: str, delimiter: str = ",") -> bytes:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(cells)
    return out.getvalue().encode(encoding)


#: b13 has no headings, b21 is our own
WITH_HEADINGS = [layout for layout in WANTED if layout not in ("b13", "b21")]


def read_headings(layout: str) -> set[str]:
    """What the layout is known by, and what is read of it."""
    [found] = [one for one in layouts(Purpose.SLIPS) if one.id == layout]
    names = [*found.signature, *(n for one in found.sources().values() for n in one.headings)]
    return set(map(heading_key, names))


class TestOtherVersions:
    """Of the important layouts: other order of columns, some added, some left out, other encodings."""

    @pytest.mark.parametrize("layout", WITH_HEADINGS)
    def test_columns_in_another_order_as_utf_16_with_tabs(self, layout: str) -> None:
        orders_of(layout)
        mirrored = [row[::-1] for row in table(sample(layout))]
        assert planned(written(mirrored, "utf-16", "\t")) == WANTED[layout]

    @pytest.mark.parametrize("layout", WITH_HEADINGS)
    def test_columns_and_a_title_added(self, layout: str) -> None:
        orders_of(layout)
        more = [["社内メモ", *row, "担当"] for row in table(sample(layout))]
        assert planned(written([["出荷データ一覧"], *more], "utf-8")) == WANTED[layout]

    @pytest.mark.parametrize("layout", WITH_HEADINGS)
    def test_all_columns_left_out_that_are_not_read(self, layout: str) -> None:
        orders_of(layout)
        cells = table(sample(layout))
        read = read_headings(layout)
        places = [n for n, name in enumerate(cells[0]) if heading_key(name) in read]
        fewer = [[row[n] for n in places] for row in cells]
        assert planned(written(fewer, "cp932")) == WANTED[layout]

    def test_b01_with_the_columns_that_the_shop_chose(self) -> None:
        for ending in (101, 102, 103):
            order(ending)
        cells = table(sample("b01"))
        places = [cells[0].index(name) for name in ("伝票番号", "お客様管理番号", "送り状種類")]
        got = planned(written([[row[n] for n in places] for row in cells], "utf-8-sig"))
        assert [one[:2] for one in got] == [
            ("101", "490714956012"), ("102", "490714956023"), ("103", "490714956034")
        ]  # fmt: skip

    @pytest.mark.parametrize(("layout", "first"), [("b01", 10), ("b09", 15)])
    def test_without_headings(self, layout: str, first: int) -> None:
        for n in (1, 2, 3):
            order(f"{first}{n}")
        assert len(planned(written(table(sample(layout))[1:], "cp932"))) == 3

    def test_without_headings_says_so_and_its_error_file_can_be_mended(self, app: Flask) -> None:
        for n in (101, 102, 103):
            order(n)
        cells = table(sample("b01"))[1:4]
        cells[1][0] = cells[1][0][:12]  # cut
        run = carry_out(app, written(cells, "cp932"), NO_CAPTURE)
        assert run.program == "ヤマト運輸 B2クラウド(見出しなし)"
        failed = table(slips.errors_csv(run))
        assert failed[0][:5] == ["注文番号", "", "", "伝票番号", "出荷日"]
        failed[1][0] = "P176430120000000102"
        assert planned(written(failed, "utf-8-sig")) == [("102", "490714956023", "", DAY)]

    @pytest.mark.parametrize(
        ("kind", "freight", "carrier"),
        [
            ("0", "0", "001"), ("0", "1", "001"), ("0", "2", "009"), ("9", "0", "025"),
            ("5", "0", "026"), ("2", "0", "015"), ("0", "", "001"), ("", "", "001"),
        ],
    )  # fmt: skip
    def test_cash_on_delivery_of_yupri_r_is_a_service_of_its_own(
        self, kind: str, freight: str, carrier: str
    ) -> None:
        orders_of("b09")
        cells = table(sample("b09"))
        places = [cells[0].index(name) for name in ("郵便種別", "元／着払／代引")]
        for row in cells[1:]:
            row[places[0]], row[places[1]] = kind, freight
        assert {of for _, _, of, _ in planned(written(cells, "cp932"))} == {carrier}
        assert {of for _, _, of, _ in planned(written(cells[1:], "cp932"))} == {carrier}
        chosen = [[row[0], row[1], *(row[n] for n in places)] for row in cells]
        for ending, row in zip((151, 152, 153), chosen[1:], strict=True):
            row[0] = f"430120000000{ending}"
        assert {of for _, _, of, _ in planned(written(chosen, "cp932"))} == {carrier}

    def test_four_columns_of_yupri_r_without_headings(self) -> None:
        orders_of("b08")
        content = b"430120000000141,193715301415,20261205,51\n430120000000142,193715301426,,\n"
        assert planned(content) == [
            ("141", "193715301415", "001", None), ("142", "193715301426", "001", None)
        ]  # fmt: skip

    def test_a_second_line_of_headings(self) -> None:
        order(601)
        content = (
            "発行種別,受託日,お問い合わせ番号,お客様番号\n,,(12桁),(お客様記入)\n区分,年月日,番号,番号\n"
            "1,20261128,490714957014,P176430120000000601\n"
        ).encode("cp932")
        assert [one[:2] for one in planned(content)] == [("601", "490714957014")]
        assert "対象外:見出しの行です。" in words(content, "skipped")

    @pytest.mark.parametrize("day", ["--", "//", "設定なし", ""])
    def test_no_day_in_the_words_of_programs(self, day: str) -> None:
        order(201)
        content = f"受注番号,発送伝票番号,出荷確定日\nP176430120000000201,490714957014,{day}\n"
        assert planned(content.encode("cp932")) == [("201", "490714957014", "", None)]

    def test_a_row_of_another_shape_in_a_file_without_headings(self) -> None:
        cells = [*table(sample("b13")), ["合計", "3"]]
        with pytest.raises(FileRefused, match=r"カンガルー・マジック2.*4行目の形が違います"):
            prepare(written(cells, "cp932"), NO_CAPTURE)


class TestWarnings:
    def test_one_number_on_two_orders(self) -> None:
        order(201), order(202)
        content = sample("b15").replace(b"490714957025", b"490714957014")
        assert "同じ伝票番号が、別の注文の行(3行目)にもあります" in remarks(content)

    def test_what_excel_made_of_a_number(self) -> None:
        orders_of("b15")
        content = sample("b15").replace(b"490714957025", b"4.90715E+11")
        [failed] = words(content, "failed")
        assert "Excelで開いて保存したために壊れています" in failed

    def test_the_zero_that_excel_took_comes_back_where_the_last_digit_proves_it(self) -> None:
        orders_of("b15")
        whole = f"01234567890{1234567890 % 7}"
        content = sample("b15").replace(b"490714957025", whole[1:].encode())
        assert ("202", whole, "002", DAY) in planned(content)
        assert "先頭の0を補いました" in remarks(content)
        wrong = sample("b15").replace(b"490714957025", b"490714957026")
        assert "末尾の数字が合いません" in remarks(wrong)

    def test_an_ending_is_told_and_one_of_two_orders_never_chosen(self) -> None:
        order(141)
        content = sample("b08")
        assert "末尾「430120000000141」が合うただ1件の注文" in remarks(content)
        make_order(order_no="X999430120000000141", method="銀行振込")
        assert any("末尾が「430120000000141」の注文が2件" in w for w in words(content, "failed"))

    def test_an_ending_that_went_out_before_means_no_order_of_today(self, app: Flask) -> None:
        """Histories of carriers bring last month's rows again, and numbers of a month begin anew."""
        before = make_order(order_no="20261028-00001", method="銀行振込")
        history = carrier("28-00001,111122223333")
        assert results(carry_out(app, history, NO_CAPTURE)) == [DONE]
        today = make_order(order_no="20261128-00001", method="銀行振込")
        again = prepare(history + b"99990001,444444444444\n", NO_CAPTURE)
        assert [row.order_id for row in rows(again)] == [before.id, None]
        assert rows(again)[0].message == "対象外:登録済み"
        told = carrier("20261128-00001,111122223333")
        assert "この伝票番号は、注文 20261028-00001 に登録されています。" in remarks(told)
        other = carrier("28-00001,555555555555")
        assert any("末尾が「28-00001」の注文が2件" in w for w in words(other, "failed"))
        with writing() as session:
            session.get_one(Order, today.id).order_no = "20261128-99999"
        assert any("該当注文なし" in w for w in words(other, "skipped"))

    def test_a_parcel_that_reads_like_another_order_is_neither(self, app: Flask) -> None:
        of_two = make_order(order_no="55001", method="銀行振込")
        other = make_order(order_no="55001-1", method="銀行振込")
        with writing() as session:
            stored = session.get_one(Order, of_two.id)
            stored.deliveries[0].number = 1
            stored.deliveries.append(Delivery(number=2))
        content = carrier("55001-1,111122223344")
        assert any("とも読めるため、決められません" in w for w in words(content, "failed"))
        parcels = carrier("55001-01,111122223344", "55001-02,111122223355")
        assert [row.order_id for row in rows(prepare(parcels, NO_CAPTURE))] == [of_two.id] * 2
        [of_other] = rows(prepare(carrier("55001-1-01,1"), NO_CAPTURE))
        assert (of_other.order_id, of_other.result) == (other.id, ItemResult.PENDING)
        [unknown] = rows(prepare(carrier("55001-1-1,1"), NO_CAPTURE))  # may be one we do not know
        assert unknown.result == ItemResult.FAILED
        assert results(carry_out(app, parcels, NO_CAPTURE)) == [DONE] * 2
        again = carrier("55001-1,111122223344")
        assert rows(prepare(again, NO_CAPTURE))[0].message == "対象外:登録済み"

    @pytest.mark.parametrize("number", [0, 1])
    def test_a_number_with_1_behind_it_may_be_of_an_order_that_is_not_here(
        self, app: Flask, number: int
    ) -> None:
        """Of another shop, left out of the import, or not imported yet: nothing of ours goes out."""
        only = make_order(order_no="20261128-000123", method="銀行振込")
        with writing() as session:
            session.get_one(Order, only.id).deliveries[0].number = number
        whole, ending = "20261128-000123-1,111122223344", "28-000123-1,111122223344"
        for line in (whole, ending, whole.replace("-1,", "-2,")):
            [message] = words(carrier(line), "failed")
            assert "ここにない別の注文の番号とも" in message
        ours = carrier("20261128-000123-01,111122223344")
        assert results(carry_out(app, ours, NO_CAPTURE)) == [DONE]
        for line in (whole, ending):  # the slip number says whose it is
            assert words(carrier(line), "skipped") == ["対象外:登録済み"]

    def test_a_parcel_without_our_zeros_is_told(self, app: Flask) -> None:
        of_two = make_order(order_no="70001", method="銀行振込")
        with writing() as session:
            stored = session.get_one(Order, of_two.id)
            stored.deliveries[0].number = 1
            stored.deliveries.append(Delivery(number=2))
        content = carrier("70001-1,111122223344", "70001-2,111122223355")
        assert "「70001-2」を注文70001のお届け先2と読みました" in remarks(content)
        assert [row.result for row in rows(prepare(content, NO_CAPTURE))] == ["pending"] * 2
        ours = carrier("70001-01,111122223344", "70001-02,111122223355")
        assert [row.result for row in rows(prepare(ours, NO_CAPTURE))] == ["pending"] * 2
        assert "と読みました" not in remarks(ours)

        make_order(order_no="69999", method="銀行振込")  # this shop's orders are called so
        make_order(order_no="69999-1", method="銀行振込")
        assert len(words(content, "failed")) == 2

    def test_some_of_its_numbers_take_none_away_and_another_is_told(self, app: Flask) -> None:
        """A carrier's history has last week's parcels again, and not always all of one order."""
        sent = make_order(order_no="71001", method="銀行振込")
        first = carrier("71001,400000000011", "71001,400000000022")
        assert results(carry_out(app, first, NO_CAPTURE))[0] == DONE
        for line in ("71001,400000000022", "71001,400000000011"):
            assert words(carrier(line), "skipped") == ["対象外:登録済み"]
        again = carrier("71001,400000000022", "71001,400000000011")
        assert words(again, "skipped")[0] == "対象外:登録済み"
        told = "配送完了のお届け先の伝票番号「400000000011」を、この番号に置き換えます。"
        assert remarks(carrier("71001,400000000033")).count(told) == 1
        beside = "複数個口の伝票番号「400000000022」は、このお届け先から外れます。"
        assert remarks(carrier("71001,400000000033")).count(beside) == 1
        assert beside not in remarks(first)
        assert told not in remarks(first)
        assert fresh(sent).deliveries[0].more_slips == "400000000022"

    @pytest.mark.parametrize("cell", ["-", "/", "；", "N/A", "none", "なし"])
    def test_what_stands_for_no_number_is_no_parcel_that_left(self, cell: str) -> None:
        """It would be 配送完了, and captured with it; or spoil the whole file."""
        for number in ("72001", "72002"):
            make_order(order_no=number, method="銀行振込")
        content = carrier(f"72001,{cell}", "72002,400000000011")
        assert words(content, "skipped") == ["対象外:伝票番号がまだありません(未発送)。"]
        assert planned(content) == [("002", "400000000011", "003", None)]

    def test_a_word_in_a_file_of_ours_is_told(self) -> None:
        make_order(order_no="72003", method="銀行振込")
        for cell in ("-", "none"):
            [problem] = words(f"注文番号,伝票番号\n72003,{cell}\n".encode(), "failed")
            assert "「伝票番号」に数字がありません" in problem

    def test_more_numbers_than_a_parcel_can_have(self) -> None:
        """PostgreSQL would refuse the row, and with it the whole file."""
        make_order(order_no="72004", method="銀行振込")
        many = "/".join(str(400000000000 + n) for n in range(40))
        [problem] = words(carrier(f"72004,{many}"), "failed")
        assert problem == "伝票番号の形式：1つの荷物の伝票番号が多すぎます。"

    def test_two_columns_that_claim_to_be_the_number(self) -> None:
        content = "注文ID,送り状番号,追跡番号\nP1,1,2\n".encode()
        with pytest.raises(FileRefused, match="伝票番号と思われる列が複数あります"):
            prepare(content, NO_CAPTURE)

    def test_an_unknown_program_may_say_which_parcel(self) -> None:
        of_two = order(202)
        with writing() as session:
            stored = session.get_one(Order, of_two.id)
            stored.deliveries[0].number = 1
            stored.deliveries.append(Delivery(number=2))
        head = "注文番号,配送先番号,お問い合わせ番号,配送業者(名称)\n"
        content = head + f"{of_two.order_no},2,490714957014,飛脚宅配便\n"
        assert planned(content.encode("cp932")) == [("202", "490714957014", "003", None)]
        [wrong] = words(content.replace(",2,", ",二,").encode("cp932"), "failed")
        assert "配送先番号が不正" in wrong

    def test_an_unknown_program_by_its_words(self) -> None:
        order(201)
        content = (
            "店舗伝票番号,追跡番号,発送方法,出荷日\nP176430120000000201,490714957014,クロネコヤマト宅急便,2026/11/28\n"
        ).encode("cp932")
        assert planned(content) == [("201", "490714957014", "002", DAY)]


@pytest.mark.postgresql
def test_a_hold_that_has_expired_is_told_before_the_capture(app: Flask) -> None:  # R47, R130
    late = make_order(
        order_no="P176430120000000201", access=TradeAccess("P176430120000000201", "a", "b")
    )
    with writing() as session:
        session.query(CardTransaction).filter_by(order_id=late.id).update(
            {"auth_expires_at": utc_now() - timedelta(days=1)}
        )
    run_id = prepare(sample("b15"), CAPTURE)
    assert slips.preview(slips.get(run_id)).captures == 1
    assert slips.preview(slips.get(run_id)).expired == 1


@pytest.mark.parametrize(
    ("word", "code"),
    [
        ("1001", "002"), ("1003", "001"), ("1000", ""), ("001", "001"), ("2", "002"),
        *(
            (theirs, ours)
            for theirs, ours in zip(
                ("1002", "1004", "1005", "1006", "1007", "1008", "1009", "1010", "1011", "1016",
                 "1017", "1018", "1019", "1021", "1023", "1024", "1030", "1031"),
                ("003", "006", "021", "007", "013", "017", "024", "022", "", "019",
                 "008", "023", "", "", "014", "004", "002", "013"),
                strict=True,
            )
        ),
        ("JP", "001"), ("スマートレター", "028"), ("レターパックプラス", "011"), ("定形外郵便", "015"),
        ("カンガルー便", "006"), ("福通", "007"), ("飛脚宅配便", "003"), ("クロネコDM便", "031"),
        ("クロネコゆうパケット", "002"), ("ゆうパケット", "025"), ("ヤマト(発払い)B2v6", "002"),
        ("佐川急便(e飛伝2)", "003"), ("宅急便コンパクト", "029"), ("ﾈｺﾎﾟｽ", "030"), ("赤帽", ""),
    ],
)  # fmt: skip
def test_companies_as_others_call_them(word: str, code: str) -> None:
    assert carrier_called(word) == code


class TestRoundTrips:
    """A label file that we make, as the carrier gives it back with numbers, matches every row."""

    @pytest.fixture
    def orders(self) -> list[Order]:
        settings.save("山田", **SENDER)
        made = [order(n) for n in (301, 302)]
        for one in made:
            to(
                one, postal_code="100-0001", prefecture="東京都", address="千代田区千代田１－１",
                tel="03-0000-0001",
            )  # fmt: skip
        with writing() as session:  # the second goes to two places
            stored = session.get_one(Order, made[1].id)
            stored.deliveries[0].number = 1
            stored.deliveries.append(
                Delivery(
                    number=2, name="例題 花子", postal_code="530-0005", prefecture="大阪府",
                    address="大阪市北区中之島１", tel="06-0000-0002",
                )
            )  # fmt: skip
        return made

    @pytest.mark.parametrize(
        ("word", "back"),
        [
            ("b2cloud", lambda row, n: [*row[:3], f"49071495700{n}", *row[4:]]),
            ("ehiden3", lambda row, n: [*row[:61], f"40000000100{n}", *row[62:]]),
            (
                "yupri-r",
                lambda row, n: [row[0], f"19371530100{n}", "20261128", "", "10", "0A"],
            ),
        ],
    )
    def test_every_row_comes_home(
        self, app: Flask, orders: list[Order], word: str, back: Any
    ) -> None:
        ids = [one.id for one in orders]
        file = labels.made(labels.LAYOUTS[word], ids, LabelJob(DAY))
        assert (file.labels, file.problems) == (3, [])
        cells = table(file.content)
        heading = (
            [
                "お客様側管理番号",
                "お問い合わせ番号",
                "仮引受確定作業年月日",
                "配送完了作業年月日",
                "配達ステータス集約コード",
                "配達ステータス明細コード",
            ]
            if word == "yupri-r"
            else cells[0]
        )
        body = cells if word == "yupri-r" else cells[1:]
        returned = [heading, *(back(row, n) for n, row in enumerate(body, 1))]
        run = carry_out(app, written(returned, "cp932"), NO_CAPTURE)
        assert {result for result, _ in results(run)} == {"succeeded"}
        parcels = db.session.query(Delivery).order_by(Delivery.order_id, Delivery.number).all()
        assert [parcel.slip_no[-1] for parcel in parcels] == ["1", "2", "3"]
        assert {parcel.status for parcel in parcels} == {"delivered"}
