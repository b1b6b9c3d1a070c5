"""Our own exports, opened and saved by a real spreadsheet program (LibreOffice), come back undamaged."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.domain.csv_writing import Encoding
from sgpshop.extensions import db
from sgpshop.models import Delivery, Order, OrderLine
from sgpshop.services.order_files import exporting
from tests.services.importing import counts, messages, take_in, take_in_file
from tests.services.order_csv import row

#: Separator, quote, encoding (UTF-8 or CP932), first line, …, Japanese, «find dates and numbers».
_CSV = "Text - txt - csv (StarCalc)"
_OPENED = _CSV + ":44,34,{encoding},1,,1041,false,{finds_dates}"
_UTF_8, _CP932 = 76, 60
_PROFILE = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry"><item oor:path="/org.openoffice.Setup/L10N">
<prop oor:name="ooSetupSystemLocale" oor:op="fuse"><value>ja-JP</value></prop></item></oor:items>
"""

pytestmark = pytest.mark.long


@pytest.fixture
def database_kind() -> str:
    """What becomes of a file does not depend on the database."""
    return "sqlite"


class Spreadsheet:
    """LibreOffice as a shop in Japan has it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        profile = folder / "profile" / "user"
        profile.mkdir(parents=True)
        (profile / "registrymodifications.xcu").write_text(_PROFILE)

    def open_and_save(self, content: bytes, kind: str, saved_as: str, opened: str = "") -> bytes:
        """The bytes of the file after it was opened and saved as a person would."""
        file = self._folder / f"orders.{kind}"
        file.write_bytes(content)
        program = shutil.which("soffice")
        assert program, "LibreOffice is missing: run tests/system-packages.sh"
        subprocess.run(
            [
                program,
                "--headless",
                "--norestore",
                f"-env:UserInstallation={(self._folder / 'profile').as_uri()}",
                *([f"--infilter={opened}"] if opened else []),
                "--convert-to",
                saved_as,
                "--outdir",
                self._folder / "saved",
                file,
            ],
            check=True,
            capture_output=True,
            timeout=300,
        )
        return (self._folder / "saved" / f"orders.{saved_as.partition(':')[0]}").read_bytes()


@pytest.fixture(autouse=True)
def context(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


@pytest.fixture
def spreadsheet(tmp_path: Path) -> Spreadsheet:
    return Spreadsheet(tmp_path)


#: Cells that look like something else to a spreadsheet program, by order.
FRAGILE = {
    "P261123101500000001": {
        "注文日時": "2026/11/23 10:15:30",
        "会員ID": "00012",
        "電話番号": "0312345678",
        "郵便番号": "0600001",
        "お届け先電話": "09012345678",
        "お届け先郵便番号": "060-0001",
        "配送希望日": "2026/11/28",
        "配送時間帯": "14時～16時",
        "商品コード": "0012",
        "JAN": "0049012345678",
        "選択肢": "10-20",
        "伝票番号": "012345678901",
        "備考": "=1+1",
    },
    "P261123101500000002": {
        "会員ID": "1e5",
        "電話番号": "+81-3-1234-5678",
        "商品コード": "12345678901234567890",
        "選択肢": "3/4",
        "商品名": "007",
        "お届け先氏名": "髙﨑 ①",
    },
    "000123": {"商品コード": "1E5"},
    "P261123101500000004": {"注文日時": "2026/11/01 00:00:00", "備考": "一行目、\"引用\"、'三'"},
}


def take_in_fragile() -> dict[str, Any]:
    run = take_in(*(row(**cells, 注文番号=number) for number, cells in FRAGILE.items()))
    assert counts(run) == {"added": len(FRAGILE)}
    return stored()


def stored() -> dict[str, Any]:
    """Every column that a file can fill, by order."""
    left_out = {"id", "order_id", "version", "updated_at", "history_state"}
    found: dict[str, Any] = {}
    for model, key in (
        (Order, Order.id),
        (Delivery, Delivery.order_id),
        (OrderLine, OrderLine.order_id),
    ):
        columns = [column for column in sa.inspect(model).columns if column.name not in left_out]
        for order_id, *values in db.session.execute(sa.select(key, *columns).order_by(key)):
            found.setdefault(f"{model.__name__} {order_id}", []).append(values)
    db.session.rollback()
    return found


def exported(encoding: Encoding = Encoding.UTF_8) -> bytes:
    ids = list(db.session.scalars(sa.select(Order.id)))
    return b"".join(exporting.as_csv(exporting.chosen(ids), encoding))


def test_csv_in_utf8_saved_with_dates_found(spreadsheet: Spreadsheet) -> None:
    before = take_in_fragile()

    opened = _OPENED.format(encoding=_UTF_8, finds_dates="true")
    saved = spreadsheet.open_and_save(exported(), "csv", f"csv:{_CSV}:44,34,{_UTF_8}", opened)
    assert "10月20日" in saved.decode()
    run = take_in_file(saved)

    assert stored() == before
    assert counts(run) == {"unchanged": 3, "left_out": 1}
    told = "\n".join(messages(run))
    assert "「会員ID」12は、登録済みの「00012」" in told
    assert "「会員ID」がExcelで開いて保存したために壊れています" in told
    assert "「商品コード」12は、登録済みの「0012」" in told
    assert "「JAN」49012345678は、登録済みの「0049012345678」" in told
    assert "「選択肢」10月20日は、登録済みの「10-20」" in told
    assert "「選択肢」3月4日は、登録済みの「3/4」" in told
    assert "「商品名」7は、登録済みの「007」" in told
    assert "「商品コード」がExcelで開いて保存したために壊れています" in told
    assert "「配送希望日」は 2026/11/23 のような日付で入力してください" in told
    assert "「伝票番号」12345678901は、登録済みの「012345678901」" in told
    assert "登録済みの注文 000123 の先頭の0がExcelなどで消えた" in told


def test_csv_in_cp932_saved_in_cp932(spreadsheet: Spreadsheet) -> None:
    before = take_in_fragile()

    opened = _OPENED.format(encoding=_CP932, finds_dates="false")
    saved = spreadsheet.open_and_save(
        exported(Encoding.CP932), "csv", f"csv:{_CSV}:44,34,{_CP932}", opened
    )
    assert "髙﨑 ①" in saved.decode("cp932")
    run = take_in_file(saved)

    assert stored() == before
    assert counts(run) == {"unchanged": 3, "left_out": 1}
    assert "登録済みの「0012」" in "\n".join(messages(run))


def test_csv_saved_as_a_book(spreadsheet: Spreadsheet) -> None:
    before = take_in_fragile()

    opened = _OPENED.format(encoding=_UTF_8, finds_dates="true")
    run = take_in_file(spreadsheet.open_and_save(exported(), "csv", "xlsx", opened))

    assert stored() == before
    assert counts(run) == {"unchanged": 3, "left_out": 1}


@pytest.mark.parametrize("saved_as", ["xlsx", "xls"])
def test_our_book_saved_as_one(spreadsheet: Spreadsheet, saved_as: str) -> None:
    before = take_in_fragile()
    book = io.BytesIO()
    exporting.write_excel(exporting.chosen(list(db.session.scalars(sa.select(Order.id)))), book)

    run = take_in_file(spreadsheet.open_and_save(book.getvalue(), "xlsx", saved_as))

    assert stored() == before
    assert counts(run) == {"unchanged": len(FRAGILE)}
    assert messages(run) == []
