"""Any file of rows: encodings, separators, line ends, damage, Excel books, limits (S17)."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from sgpshop.domain.row_files import FileRefused, Limits
from sgpshop.services.files import books
from sgpshop.services.files.reading import read_rows

SCREEN = Limits(5 * 1024 * 1024, 20_000, 1_000)
TEXT = "注文番号,氏名\r\nP1,髙﨑①\r\n"


def rows(content: bytes, limits: Limits = SCREEN) -> list[list[str]]:
    return [record.cells for record in read_rows(io.BytesIO(content), limits)]


def lines(content: bytes) -> list[int]:
    return [record.line for record in read_rows(io.BytesIO(content), SCREEN)]


def edited(content: bytes, old: str, new: str, name: str = "worksheets/sheet1.xml") -> bytes:
    """The book with other XML in its sheet, which lies elsewhere in it if `name` says so."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as was, zipfile.ZipFile(out, "w") as archive:
        for part in was.namelist():
            text = was.read(part).decode()
            if part.endswith("sheet1.xml"):
                assert old in text
                text = text.replace(old, new)
            moved = "worksheets/sheet1.xml"
            archive.writestr(part.replace(moved, name), text.replace(moved, name))
    return out.getvalue()


def book(*cells: list[object], sheets: int = 1) -> bytes:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as made:
        day = made.add_format({"num_format": "yyyy/mm/dd hh:mm:ss"})
        for _ in range(sheets - 1):
            made.add_worksheet()
        sheet = made.add_worksheet()
        for n, row in enumerate(cells):
            for m, cell in enumerate(row):
                if isinstance(cell, datetime):
                    sheet.write_datetime(n, m, cell, day)
                else:
                    sheet.write(n, m, cell)
    return out.getvalue()


class TestText:
    @pytest.mark.parametrize("encoding", ["cp932", "utf-8", "utf-8-sig", "utf-16"])
    def test_every_encoding(self, encoding: str) -> None:
        assert rows(TEXT.encode(encoding)) == [["注文番号", "氏名"], ["P1", "髙﨑①"]]

    def test_the_whole_file_decides_about_the_encoding(self) -> None:
        # the first line that is not ASCII is fine as UTF-8 too, by chance
        text = "no,name\r\n1,ﾃｽ\r\n2,髙﨑\r\n".encode("cp932")
        assert text.split(b"\r\n")[1].decode("utf-8") != "1,ﾃｽ"
        assert rows(text) == [["no", "name"], ["1", "ﾃｽ"], ["2", "髙﨑"]]

    @pytest.mark.parametrize("encoding", ["utf-8", "cp932", "utf-16"])
    def test_a_nul_is_refused_with_the_line(self, encoding: str) -> None:  # S25
        with pytest.raises(FileRefused, match="3行目にテキストではないデータ"):
            rows((TEXT + "P\0002,山田\r\n").encode(encoding))

    def test_a_file_of_two_encodings_is_refused_with_the_line(self) -> None:
        with pytest.raises(FileRefused, match="3行目の文字"):
            rows(TEXT.encode() + "P2,山田".encode("cp932"))

    @pytest.mark.parametrize("separator", [",", "\t", ";"])
    @pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
    def test_separators_and_line_ends(self, separator: str, end: str) -> None:
        text = TEXT.replace(",", separator).replace("\r\n", end)
        assert rows(text.encode()) == [["注文番号", "氏名"], ["P1", "髙﨑①"]]

    def test_a_separator_inside_quotes_does_not_count(self) -> None:
        assert rows(b'a\t"x,y,z,"\nb\t"1,2,3,"\n') == [["a", "x,y,z,"], ["b", "1,2,3,"]]

    def test_sep_names_the_separator_and_is_passed_over(self) -> None:
        assert rows(b"sep=|\r\na|b,c\r\n") == [["a", "b,c"]]
        assert lines(b"sep=;\r\na;b\r\n") == [2]

    def test_line_breaks_inside_quotes_also_in_headings(self) -> None:
        text = '"番号\r\n(半角)","備考"\r\n"1","上\n下"\r\n'
        assert rows(text.encode("cp932")) == [["番号\r\n(半角)", "備考"], ["1", "上\n下"]]
        assert lines(text.encode()) == [1, 3]

    def test_what_old_programs_leave_behind(self) -> None:
        assert rows(b"a,b,,\r\n,,,\r\n1,2,,\r\n\x1a") == [["a", "b", "", ""], ["1", "2", "", ""]]

    def test_two_hundred_columns_and_no_more(self) -> None:
        wide = ",".join(f"c{n}" for n in range(200))
        assert len(rows(wide.encode())[0]) == 200
        assert len(rows((wide + ",,,").encode())[0]) == 200  # empty ones are not there
        with pytest.raises(FileRefused, match="2行目に201列"):
            rows(f"a\n{wide},x\n".encode())

    def test_the_same_file_may_be_read_again(self) -> None:
        stream = io.BytesIO(TEXT.encode("utf-16"))
        first = list(read_rows(stream, SCREEN))
        stream.seek(0)
        assert list(read_rows(stream, SCREEN)) == first


class TestBooks:
    def test_cells_as_a_csv_file_would_say_them(self) -> None:
        cells = [
            ["注文番号", "日時"],
            ["P1", datetime.fromisoformat("2026-11-08T08:33:09")],
            [1500.0, 0.08],
        ]
        assert rows(book(*cells)) == [
            ["注文番号", "日時"],
            ["P1", "2026/11/08 08:33:09"],
            ["1500", "0.08"],
        ]

    def test_a_number_that_excel_cut_is_shown_to_be_damaged(self) -> None:
        assert rows(book(["番号"], [490715123456789012])) == [["番号"], ["4.90715E+17"]]

    def test_rows_have_the_numbers_they_have_in_excel(self) -> None:
        assert lines(book([], [], ["a", "b"], [], ["1", "2"])) == [3, 5]

    def test_the_first_sheet_with_rows_is_read(self) -> None:
        assert rows(book(["a", "b"], sheets=3)) == [["a", "b"]]

    def test_limits_are_those_of_other_files(self) -> None:
        many = book(*([n] for n in range(30)))
        with pytest.raises(FileRefused, match="20行まで"):
            rows(many, Limits(max_lines=20))
        with pytest.raises(FileRefused, match="大きすぎます"):
            rows(many, Limits(max_bytes=100))

    @pytest.mark.parametrize(
        "far",
        [
            '<row r="1048576"><c r="xfd1048576"><v>1</v></c></row>',
            '<row r="1048576"><c r ="XFD1048576"><v>1</v></c></row>',
            '<row r="200000">' + "<c><v>1</v></c>" * 16384 + "</row>",
        ],
        ids=["lower", "blank", "without"],
    )
    @pytest.mark.parametrize("name", ["worksheets/sheet1.xml", "other.xml"])
    def test_a_cell_far_away_is_refused_however_it_is_written(self, far: str, name: str) -> None:
        content = edited(book(["a"]), "</sheetData>", far + "</sheetData>", name)
        with pytest.raises(FileRefused, match="大きすぎます"):
            rows(content)

    def test_a_place_that_is_none_is_refused(self) -> None:
        with pytest.raises(FileRefused, match="保存し直す"):
            rows(edited(book(["a"]), 'r="A1"', 'r="A 1"'))

    def test_a_duration_beyond_all_numbers_is_no_fault(self) -> None:
        out = io.BytesIO()
        with xlsxwriter.Workbook(out, {"in_memory": True}) as made:
            long = made.add_format({"num_format": "[h]:mm:ss"})
            made.add_worksheet().write_number(0, 0, 1e300, long)
        with pytest.raises(FileRefused, match="保存し直す"):
            rows(out.getvalue())

    def test_a_long_text_is_cut_before_it_comes_to_us(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else one text of a million characters, named by each cell of a row, would be 120 MB here."""
        read, sizes = json.loads, []

        def measured(line: bytes) -> object:
            sizes.append(len(line))
            return read(line)

        monkeypatch.setattr(json, "loads", measured)
        assert rows(book(["x" * 30_000] * 20)) == [["x" * 1_001] * 20]
        assert sizes == [len(json.dumps(["x" * 1_001] * 20)) + 1]

    def test_a_nul_that_excel_writes_in_words_is_refused(self) -> None:
        assert rows(book(["a\\u0000b"])) == [["a\\u0000b"]]
        seven, nul = '<c r="A2"><v>7</v></c>', '<c r="A2" t="str"><v>x_x0000_</v></c>'
        with pytest.raises(FileRefused, match="2行目にテキストではないデータ"):
            rows(edited(book(["a"], [7]), seven, nul))

    @pytest.mark.long
    def test_one_long_text_in_all_cells_is_refused(self) -> None:
        content = book(*(["x" * 30_000] * 40 for _ in range(1_500)))
        assert len(content) < 300_000
        with pytest.raises(FileRefused, match="中身が大きすぎます"):
            rows(content)

    def test_an_old_book_whose_last_cell_is_far_away_is_refused(self) -> None:
        """5 kB; only A1 and the 65,536th cell of the 65,536th row are there."""
        with pytest.raises(FileRefused, match="中身が大きすぎます"):
            rows((Path(__file__).parent / "far.xls").read_bytes())

    @pytest.mark.long
    def test_a_book_may_not_keep_us_busy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        memory, _, characters = books._OF_COMMAND
        monkeypatch.setattr(books, "_OF_COMMAND", (memory, 1, characters))
        nothing = "<row></row>" * 10_000_000
        with pytest.raises(FileRefused, match="中身が大きすぎます"):
            rows(edited(book(["a"]), "</sheetData>", nothing + "</sheetData>"), Limits())

    def test_a_reader_nobody_listens_to_any_more_ends(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        readers = []

        class Reader(subprocess.Popen[bytes]):
            def __init__(self, *args: Any, **more: Any) -> None:
                super().__init__(*args, **more)
                readers.append(self)

        monkeypatch.setattr(subprocess, "Popen", Reader)
        begun = read_rows(io.BytesIO(book(*([n] for n in range(15_000)))), SCREEN)
        assert next(begun).cells == ["0"]
        begun.close()  # type: ignore[attr-defined]
        assert [reader.returncode for reader in readers] == [-signal.SIGKILL]

    def test_a_cell_far_away_makes_no_room_for_all_between(self) -> None:
        out = io.BytesIO()
        with xlsxwriter.Workbook(out, {"in_memory": True}) as made:
            sheet = made.add_worksheet()
            sheet.write(0, 0, "a")
            sheet.write(1_000_000, 16_000, "far")
        with pytest.raises(FileRefused, match="中身が大きすぎます"):
            rows(out.getvalue())

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"PK\x03\x04rest", "Excelブックとして読み取れません"),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 1000, "Excelブックとして読み取れません"),
            (b"\x1f\x8b\x08", "圧縮ファイル"),
            (b"%PDF-1.7", "PDF"),
        ],
    )
    def test_what_is_no_book(self, content: bytes, words: str) -> None:
        with pytest.raises(FileRefused, match=words):
            rows(content)

    def test_a_mere_archive_says_what_to_do(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
            archive.writestr("orders.csv", TEXT)
        with pytest.raises(FileRefused, match=r"ZIP圧縮ファイル.*取り出して"):
            rows((tmp_path / "x.zip").read_bytes())
