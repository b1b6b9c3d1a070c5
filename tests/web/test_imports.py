"""注文ファイル取込: the sample through the screen, progress, problems, refusals, rights."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sgpshop.extensions import db
from sgpshop.models import ImportRun, Order, Role, utc_now
from sgpshop.services.demo import SAMPLE
from sgpshop.services.order_files import background
from sgpshop.storage.database import writing
from tests.forms import hidden_of
from tests.services.order_csv import csv_file, number, row
from tests.signing_in import signed_in

MISTAKES = Path(__file__).parent.parent / "data" / "orders-with-bad-rows.csv"


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"WTF_CSRF_ENABLED": False}


@pytest.fixture
def operator(app: Flask) -> FlaskClient:
    return signed_in(app, Role.OPERATOR)


@pytest.fixture(autouse=True)
def _background_ends(app: Flask) -> Iterator[None]:
    yield
    background.finish(app)


def token(client: FlaskClient) -> str:
    return hidden_of(client.get("/orders/imports"))["request_token"]


def upload(client: FlaskClient, content: bytes, request_token: str | None = None) -> TestResponse:
    """Send `content` as a browser does; the run's page, once the writing has ended."""
    answer = client.post(
        "/orders/imports",
        data={
            "file": (io.BytesIO(content), "../../etc/注文.csv"),
            "request_token": request_token or token(client),
        },
    )
    background.finish(client.application)
    if answer.status_code != 303:
        return answer
    return client.get(answer.location)


def attribute(page: TestResponse, name: str) -> str:
    found = re.search(rf'{name}="([^"]*)"', page.text)
    assert found, page.text
    return found[1]


def count(app: Flask) -> int:
    with app.app_context():
        return db.session.scalar(sa.select(sa.func.count()).select_from(Order)) or 0


def test_the_sample_goes_in_through_the_screen(app: Flask, operator: FlaskClient) -> None:
    page = upload(operator, SAMPLE.read_bytes())
    assert attribute(page, "data-run-state") == "finished"
    assert attribute(page, "data-added") == "300"
    assert "300件すべてを取り込みました" in page.text
    assert "取り込みましたが、確認してください" in page.text  # amounts that differ
    assert "SMBC-GPへの確認待ち" in page.text
    assert count(app) == 300


def test_mistakes_are_listed_by_line_and_good_orders_kept(
    app: Flask, operator: FlaskClient
) -> None:
    page = upload(operator, MISTAKES.read_bytes())
    assert "件は取り込めませんでした" in page.text
    assert "「数量」は1〜9,999の整数で入力してください。" in page.text
    assert 'data-line="6"' in page.text
    assert "4111" not in page.text  # S11
    assert count(app) == 6


def test_all_problems_as_csv(operator: FlaskClient) -> None:
    page = upload(operator, MISTAKES.read_bytes())
    address = re.search(r'href="(/orders/imports/\w+/problems\.csv)"', page.text)
    assert address
    text = operator.get(address[1]).data.decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == ["行", "注文番号", "区分", "内容"]
    assert rows[1][0] == "3"
    assert len(rows) == 23


def test_what_a_file_says_is_never_markup(operator: FlaskClient) -> None:  # S7
    page = upload(operator, csv_file(row(決済方法ステータス="<script>alert(1)</script>")))
    assert "<script>alert" not in page.text


def test_an_unreadable_file_writes_nothing_and_says_why(app: Flask, operator: FlaskClient) -> None:
    page = upload(operator, csv_file(row()) + b"\x83\xff\r\n")
    assert attribute(page, "data-run-state") == "refused"
    assert "3行目の文字を読み取れません" in page.text
    assert "1件も取り込んでいません" in page.text
    assert 'name="file"' in page.text  # to try again at once
    assert count(app) == 0


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04zip", b"\xff\xfea\0", b"\0" * 100])
def test_other_files_are_refused(app: Flask, operator: FlaskClient, content: bytes) -> None:
    assert attribute(upload(operator, content), "data-run-state") == "refused"
    assert count(app) == 0


def test_limits_hold_on_the_screen(app: Flask, operator: FlaskClient) -> None:  # S17
    app.config["UPLOAD_MAX_LINES"] = 10
    page = upload(operator, csv_file(*(row(注文番号=number(n)) for n in range(20))))
    assert "10行まで" in page.text
    assert count(app) == 0


def test_a_file_that_is_much_too_large_is_not_even_read(app: Flask, operator: FlaskClient) -> None:
    form = token(operator)
    app.config["MAX_CONTENT_LENGTH"] = 10_000
    assert upload(operator, b"x" * 20_000, form).status_code == 413


def test_no_file_is_told_beside_the_field(operator: FlaskClient) -> None:
    page = operator.post("/orders/imports", data={"request_token": token(operator)})
    assert page.status_code == 422
    assert "取り込むファイルを選んでください" in page.text
    assert 'aria-invalid="true"' in page.text


@pytest.mark.parametrize("bad", ["", "x", "../..", "A" * 32])
def test_a_form_without_its_token_is_refused(app: Flask, operator: FlaskClient, bad: str) -> None:
    answer = operator.post(
        "/orders/imports",
        data={"file": (io.BytesIO(csv_file(row())), "a.csv"), "request_token": bad},
    )
    assert answer.status_code == 422
    assert count(app) == 0


def test_a_double_click_is_one_run(app: Flask, operator: FlaskClient) -> None:  # P19
    form = token(operator)
    first = upload(operator, csv_file(row()), form)
    second = upload(operator, csv_file(row()), form)
    assert second.request.path == first.request.path
    assert attribute(second, "data-added") == "1"
    assert count(app) == 1


def test_another_file_with_the_token_of_an_upload_is_refused_with_words(
    app: Flask, operator: FlaskClient
) -> None:
    form = token(operator)
    upload(operator, csv_file(row()), form)
    other = upload(operator, csv_file(row(), row(注文番号=number(2))), form)
    assert other.status_code == 409
    assert "すでに別の操作に使われています" in other.text
    assert count(app) == 1


class TestProgress:
    @pytest.fixture
    def run_id(self, app: Flask) -> str:
        with app.app_context(), writing() as session:
            session.add(ImportRun(id="a" * 32, actor="田中", rows=900, orders=600, added=200))
        return "a" * 32

    def test_polls_only_while_running(self, operator: FlaskClient, run_id: str) -> None:
        htmx = {"HX-Request": "true"}
        page = operator.get(f"/orders/imports/{run_id}/progress", headers=htmx)
        assert "600件中 200件まで取り込みました" in page.text
        assert 'hx-trigger="load delay:1s"' in page.text
        assert "<html" not in page.text

    def test_an_interrupted_run_says_what_to_do(
        self, app: Flask, operator: FlaskClient, run_id: str
    ) -> None:
        with app.app_context(), writing() as session:
            session.execute(
                sa.update(ImportRun).values(progress_at=utc_now() - timedelta(minutes=1))
            )
        page = operator.get(f"/orders/imports/{run_id}")
        assert "同じファイルをもう一度取り込んでください" in page.text
        assert "hx-get" not in page.text

    def test_a_fragment_opened_directly_leads_to_the_page(
        self, operator: FlaskClient, run_id: str
    ) -> None:  # S9
        answer = operator.get(f"/orders/imports/{run_id}/progress")
        assert (answer.status_code, answer.location) == (303, f"/orders/imports/{run_id}")
        restore = {"HX-Request": "true", "HX-History-Restore-Request": "true"}
        answer = operator.get(f"/orders/imports/{run_id}/progress", headers=restore)
        assert answer.location == f"/orders/imports/{run_id}"

    def test_is_in_the_list_of_runs(self, operator: FlaskClient, run_id: str) -> None:
        page = operator.get("/orders/imports").text
        assert f'href="/orders/imports/{run_id}"' in page
        assert "取込中" in page


def test_unknown_runs_are_not_found(operator: FlaskClient) -> None:
    for path in ("", "/progress", "/problems.csv"):
        headers = {"HX-Request": "true"}
        assert operator.get(f"/orders/imports/{'0' * 32}{path}", headers=headers).status_code == 404


def test_viewers_read_and_do_not_import(app: Flask) -> None:  # R150
    viewer = signed_in(app, Role.VIEWER)
    page = viewer.get("/orders/imports")
    assert page.status_code == 200
    assert 'name="file"' not in page.text
    assert viewer.post("/orders/imports").status_code == 403


def test_the_sample_can_be_fetched(operator: FlaskClient) -> None:
    answer = operator.get("/orders/imports/sample.csv", buffered=True)
    assert answer.data == SAMPLE.read_bytes()
    assert "attachment" in answer.headers["Content-Disposition"]
