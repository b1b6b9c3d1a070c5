"""Slip files as bytes: what is understood, and what is refused with a plain message (§9.1, S17)."""

from __future__ import annotations

import io
import random
import zipfile
from datetime import date

import pytest

from sgpshop.domain.delivery_status import DeliveryStatus
from sgpshop.domain.row_files import FileRefused, Limits
from sgpshop.services.deliveries.slips.reading import SlipFile, read
from sgpshop.services.deliveries.slips.rows import ReadRow

LIMITS = Limits(
    max_bytes=5_242_880, max_lines=20_000, max_cell=1_000, or_else="ファイルを分けてください。"
)
HEAD = "注文番号,配送会社コード,伝票番号\n"


def taken(text: str, encoding: str = "utf-8") -> SlipFile:
    return read(text.encode(encoding), LIMITS)


def only(file: SlipFile) -> ReadRow:
    [row] = file.rows
    return row


def pasted(text: str) -> list[dict[str, object]]:
    return [row.values for row in read(text.encode(), LIMITS, is_pasted=True).rows]


@pytest.mark.parametrize("encoding", ["cp932", "utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings_and_line_ends(encoding: str, end: str) -> None:
    row = only(taken(f"注文番号,伝票番号{end}P1,0012-3{end}", encoding))
    assert (row.order_no, row.values["slip_no"]) == ("P1", "0012-3")


def test_columns_in_any_order_and_others_passed_over() -> None:
    row = only(taken("備考,伝票番号,出荷日,注文番号,配送ステータス\nx,12,2026-11-03,P1,1\n"))
    assert row.values == {
        "order_no": "P1",
        "delivery_number": 0,
        "carrier_code": "",
        "slip_no": "12",
        "status": DeliveryStatus.INSTRUCTED,
        "ship_date": date(2026, 11, 3),
        "mail": False,
    }


@pytest.mark.parametrize(
    ("cell", "slip_no"),
    [
        ('"=""0123"""', "0123"),
        ("'-123", "-123"),
        ("１２３－４", "123-4"),
        (" 00045 ", "00045"),
        ("AB-12", "AB-12"),
    ],
)
def test_slip_numbers_as_people_and_excel_write_them(cell: str, slip_no: str) -> None:
    assert only(taken(f"{HEAD}P1,002,{cell}\n")).values["slip_no"] == slip_no


@pytest.mark.parametrize("cell", ["002", "2", "００２", "クロネコヤマト"])
def test_carriers(cell: str) -> None:
    assert only(taken(f"{HEAD}P1,{cell},1\n")).values["carrier_code"] == "002"


def test_nothing_said_means_delivered_today_without_mail() -> None:
    values = only(taken(f"{HEAD}P1,,1\n")).values
    assert (values["status"], values["ship_date"]) == (DeliveryStatus.DELIVERED, None)


def test_full_width_order_numbers_are_other_numbers() -> None:  # S25
    assert only(taken(f"{HEAD}Ｐ１,,1\n")).problem.startswith("注文番号の形式")


def test_what_excel_made_of_a_number_is_no_number_but_letters_are() -> None:
    whole, broken = taken(f"{HEAD}1E23,,4E12\nP1,,4.90715E+11\n").rows
    assert (whole.order_no, whole.values["slip_no"]) == ("1E23", "4E12")
    assert "Excelで開いて保存したために壊れています" in broken.problem


def test_a_row_may_be_short_but_not_long() -> None:
    short, long = taken("注文番号,伝票番号,備考\nP1,1\nP1,1,x,東京\n").rows
    assert short.problem == ""
    assert long.problem.startswith("列の数が合わない")


def test_long_cells_and_card_numbers_spoil_their_row_alone() -> None:
    long, card, good = taken(f"{HEAD}P1,{'x' * 1001},1\nP1,4111-1111-1111-1111,1\nP1,,1\n").rows
    assert long.problem.startswith("長すぎる値")
    assert card.problem.startswith("カード番号")
    assert "4111" not in "".join(card.cells)  # S11
    assert (good.line, good.problem) == (4, "")


class TestPasted:
    def test_with_headings(self) -> None:
        assert pasted("伝票番号\t注文番号\n0012\tP1\n")[0]["slip_no"] == "0012"

    @pytest.mark.parametrize("between", [",", "\t"])
    def test_without_headings_in_the_order_of_the_table(self, between: str) -> None:
        rows = pasted("\r\n".join(between.join((f"P{n}", "", "002", f"00{n}")) for n in (1, 2)))
        assert [(row["order_no"], row["slip_no"]) for row in rows] == [("P1", "001"), ("P2", "002")]

    def test_two_columns_are_the_order_and_its_number(self) -> None:
        rows = pasted("P1\t4907-1495-7014\r\nP2\t490714957025\r\n")
        assert [(row["order_no"], row["slip_no"], row["delivery_number"]) for row in rows] == [
            ("P1", "4907-1495-7014", 0),
            ("P2", "490714957025", 0),
        ]
        for line in ("P1\t2", "P1\t490714957014\r\nP2\t"):  # a 配送先番号 alone; a row without
            file = read(line.encode(), LIMITS, is_pasted=True)
            assert "「伝票番号」が空です" in file.rows[-1].problem

    def test_a_file_is_read_so_where_every_row_can_be_nothing_else(self) -> None:
        content = "P1,,002,490714957014\nP2,1,,490714957025,3,2026/11/28\n"
        file = taken(content)
        assert [row.slips for row in file.rows] == [["490714957014"], ["490714957025"]]
        assert "見出しなし" in file.program
        with pytest.raises(FileRefused, match="必要な項目名がありません"):
            taken(content + "P3,合計,,2\n")

    def test_a_file_needs_its_headings(self) -> None:
        with pytest.raises(FileRefused, match="1行目に必要な項目名がありません"):
            taken("P1,,002,001\n")


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("slips.csv", HEAD)
    return out.getvalue()


HOSTILE = {
    "too large": ((HEAD + "P1,002,1\n" * 600_000).encode()[:5_242_881], "大きすぎます|行数が多"),
    "one byte too many": (b"a" * 5_242_881, "大きすぎます"),
    "too many lines": ((HEAD + "P1,002,1\n" * 20_001).encode(), "20,000行まで"),
    "binary": (random.Random(1).randbytes(50_000), "行目"),
    "zip renamed": (zipped(), "ZIP"),
    "unclosed quote": (f'{HEAD}P1,002,1\nP2,"002,1\nP3,002,1\n'.encode(), "3行目.*引用符"),
    "unclosed quote, long": (f'{HEAD}P1,"002,1\n{"P3,002,1" * 400}\n'.encode(), "2行目.*引用符"),
    "NUL": (f"{HEAD}P1,002,1\nP1,\0,1\n".encode(), "3行目"),
    "mixed encodings": (
        f"{HEAD}P1,002,1\n".encode() + "P1,クロネコヤマト,1\n".encode("cp932"),
        "3行目の文字を読み取れません",
    ),
    "300 columns": (",".join(f"c{n}" for n in range(300)).encode(), "1行目に300列"),
    "300 columns later": (f"{HEAD}P1,002,1\n{',' * 299}x\n".encode(), "3行目に300列"),
    "a line of 2 MiB": (HEAD.encode() + b"P1,002," + b"1" * 2**21, "2行目が長すぎます"),
    "empty": (b"", "空です"),
    "only headings": (HEAD.encode(), "データの行がありません"),
    "no headings": (b"a,b\n1,2\n", "注文番号、伝票番号"),
    "a heading twice": ("注文番号,伝票番号,伝票番号\nP1,1,2\n".encode(), "2回"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_in_plain_words(name: str) -> None:
    content, words = HOSTILE[name]
    with pytest.raises(FileRefused, match=words) as refusal:
        read(content, LIMITS)
    assert "import-orders" not in refusal.value.message
