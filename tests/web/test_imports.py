"""注文ファイル取込: the sample through the screen, progress, problems, refusals, rights."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sgpshop.domain.row_files import Limits
from sgpshop.extensions import db
from sgpshop.models import ImportFile, ImportRun, Job, JobKind, Order, Role, utc_now
from sgpshop.services import settings
from sgpshop.services.demo.sample import SAMPLE
from sgpshop.services.order_files import importing
from sgpshop.services.order_files.importing import batches, kept
from sgpshop.storage import jobs, shared_clock, stopping
from sgpshop.storage.database import writing
from sgpshop.worker.tasks import JOBS
from tests import own_worker
from tests.forms import hidden_of
from tests.gateway_world import World
from tests.services.order_csv import ROW, csv_file, number, row
from tests.signing_in import signed_in
from tests.waiting import wait_until, working

LAYOUTS = Path(__file__).parent.parent / "data" / "layouts"
NO_LIMITS = Limits()
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
    own_worker.finish(app)


def token(client: FlaskClient) -> str:
    return hidden_of(client.get("/orders/imports"))["request_token"]


def upload(client: FlaskClient, content: bytes, request_token: str | None = None) -> TestResponse:
    """Send `content` as a browser does, and press 取り込む; the run's page, once the writing has ended."""
    page = shown(client, content, request_token=request_token)
    if 'data-run-state="prepared"' not in page.text:
        return page
    answer = press_start(client, page.request.path)
    assert answer.status_code == 303
    own_worker.finish(client.application)
    return client.get(answer.location)


def press_start(client: FlaskClient, path: str) -> TestResponse:
    """Press 取り込む as the preview stands now."""
    return client.post(f"{path}/start", data=hidden_of(client.get(path)))


def shown(client: FlaskClient, *contents: bytes, request_token: str | None = None) -> TestResponse:
    """Send files; their preview, or what else is said."""
    answer = client.post(
        "/orders/imports",
        data={
            "file": [(io.BytesIO(content), "../../etc/注文.csv") for content in contents],
            "request_token": request_token or token(client),
        },
    )
    return client.get(answer.location) if answer.status_code == 303 else answer


def pull_the_plug(_claim: jobs.Claim, done: int, _total: int) -> None:
    """What is called instead of `go_on`: the process dies when something is done."""
    if done:
        raise KeyboardInterrupt


def gave_no_sign(job_id: int) -> None:
    """Whoever works on it is behind its lease, and the file has not got on for a minute."""
    with writing() as session:
        session.get_one(Job, job_id).due_at = shared_clock.now()
        long_ago = utc_now() - timedelta(minutes=1)
        session.execute(sa.update(ImportRun).values(progress_at=long_ago))


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
    assert "最近の一括処理" not in operator.get("/").text  # told already, and nothing was done
    assert "1件も取り込んでいません" in page.text
    assert 'name="file"' in page.text  # to try again at once
    assert count(app) == 0


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04zip", b"\xff\xfea", b"\0" * 100])
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
            session.add(
                ImportRun(
                    id="a" * 32, actor="田中", rows=900, orders=600, added=200, started_at=utc_now()
                )
            )
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
        assert f'hx-get="/orders/imports/{run_id}' not in page.text

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
    assert "オーナーまたは担当者が利用できます" in page.text
    assert viewer.post("/orders/imports").status_code == 403


def test_the_sample_can_be_fetched(operator: FlaskClient) -> None:
    answer = operator.get("/orders/imports/sample.csv", buffered=True)
    assert answer.data == SAMPLE.read_bytes()
    assert "attachment" in answer.headers["Content-Disposition"]


class TestThePreview:
    def test_says_what_is_new_changed_and_refused_before_anything_goes_in(
        self, app: Flask, operator: FlaskClient
    ) -> None:
        upload(operator, csv_file(row(注文者="佐藤"), row(注文番号=number(2))))
        rows = [
            row(注文者="鈴木"),
            row(注文番号=number(2)),
            row(注文番号=number(3)),
            row(注文番号="?"),
        ]
        page = shown(operator, csv_file(*rows))
        assert [
            attribute(page, f"data-{n}") for n in ("new", "changed", "unchanged", "left-out")
        ] == ["1"] * 4
        assert "SGP Shop の注文ファイル" in page.text
        assert "佐藤" in page.text
        assert "鈴木" in page.text
        assert 'data-line="5"' in page.text
        assert count(app) == 2
        page = press_start(operator, page.request.path)
        own_worker.finish(app)
        page = operator.get(page.location)
        assert attribute(page, "data-updated") == "1"
        assert count(app) == 3

    def test_names_the_columns_that_are_not_read_and_sums_that_differ(
        self, operator: FlaskClient
    ) -> None:
        page = shown(operator, csv_file(row(店舗メモ="x", 合計金額="2400")))
        assert "取り込まない列 1個" in page.text
        assert "店舗メモ" in page.text
        assert "合計金額が明細の計算と合わない注文が1件" in page.text

    @pytest.mark.parametrize(("answer", "status"), [("yes", "needs_review"), ("no", None)])
    def test_asks_once_whether_a_method_is_ours(
        self, app: Flask, operator: FlaskClient, answer: str, status: str | None
    ) -> None:
        content = csv_file(row(決済方法="クレジットカード"))
        page = shown(operator, content)
        assert "この決済方法はSGPカードですか?" in page.text
        assert "取り込める注文がありません" in page.text
        path = page.request.path
        form = {"method": "クレジットカード", "is_sgp": answer}
        assert operator.post(f"{path}/method", data=form).status_code == 303
        page = operator.get(path)
        assert "この決済方法はSGPカードですか?" not in page.text
        assert attribute(page, "data-new") == "1"
        press_start(operator, path)
        own_worker.finish(app)
        with app.app_context():
            order = db.session.scalars(sa.select(Order)).one()
            assert (order.payment_status and order.payment_status.value) == status
        assert "この決済方法はSGPカードですか?" not in shown(operator, content).text

    def test_what_another_person_answered_meanwhile_is_seen_first(
        self, app: Flask, operator: FlaskClient
    ) -> None:
        content = csv_file(row(), row(注文番号=number(2), 決済方法="カードX"))
        path = shown(operator, content).request.path
        form = hidden_of(operator.get(path))
        operator.post(f"{path}/method", data={"method": "カードX", "is_sgp": "yes"})
        page = operator.post(f"{path}/start", data=form)
        assert page.status_code == 422
        assert "もう一度確認してください" in page.text
        assert count(app) == 0

    def test_goes_in_as_it_was_shown_whatever_the_settings_say_by_then(
        self, app: Flask, operator: FlaskClient
    ) -> None:
        content = csv_file(row(), row(注文番号=number(2), 決済方法="カードX"))
        path = shown(operator, content).request.path
        with app.app_context():
            settings.save("鈴木", sgp_methods="カードX")
        press_start(operator, path)
        own_worker.finish(app)
        page = operator.get(path)
        assert (attribute(page, "data-added"), count(app)) == ("1", 1)

    def test_answers_only_what_was_asked(self, operator: FlaskClient) -> None:
        path = shown(operator, csv_file(row())).request.path
        form = {"method": "代金引換", "is_sgp": "yes"}
        assert operator.post(f"{path}/method", data=form).status_code == 422

    def test_two_files_that_belong_together(self, app: Flask, operator: FlaskClient) -> None:
        files = [
            (LAYOUTS / name).read_bytes()
            for name in ("a14-yahoo-orders.csv", "a15-yahoo-items.csv")
        ]
        page = shown(operator, *files)
        assert "Yahoo!ショッピング" in page.text
        assert "もう1つのファイルも一緒に" in shown(operator, files[0]).text

    def test_a_second_press_takes_nothing_in_twice(self, app: Flask, operator: FlaskClient) -> None:
        path = shown(operator, csv_file(row())).request.path
        form = hidden_of(operator.get(path))
        for _ in range(2):
            assert operator.post(f"{path}/start", data=form).status_code == 303
        own_worker.finish(app)
        assert count(app) == 1

    def test_a_file_that_somebody_else_only_looks_at_is_nobody_elses(
        self, app: Flask, operator: FlaskClient
    ) -> None:  # R82a
        path = shown(operator, csv_file(row())).request.path
        form = hidden_of(operator.get(path))
        other = signed_in(app, Role.OPERATOR, name="鈴木")
        for part in ("", "/progress", "/problems.csv"):
            answer = other.get(f"{path}{part}", headers={"HX-Request": "true"})
            assert answer.status_code == 404, part
        for part in ("/start", "/mapping", "/method"):
            answer = other.post(f"{path}{part}", data=form | {"is_sgp": "yes", "method": "x"})
            assert answer.status_code == 404, part
        assert path not in other.get("/orders/imports").text
        assert path in operator.get("/orders/imports").text
        viewer = signed_in(app, Role.VIEWER, name="閲覧")
        assert viewer.get(path).status_code == 404
        assert viewer.post(f"{path}/start").status_code == 403
        assert count(app) == 0

    def test_only_the_newest_of_a_person_are_kept(self, app: Flask, operator: FlaskClient) -> None:
        """Their files lie in the database."""
        paths = [shown(operator, csv_file(row(備考=str(n)))).request.path for n in range(6)]
        gone, *kept_paths = [operator.get(path) for path in paths]
        assert gone.status_code == 404
        assert "新しい5件まで" in gone.text
        assert {page.status_code for page in kept_paths} == {200}
        with app.app_context():
            assert db.session.query(ImportFile).count() == 5
        assert count(app) == 0
        press_start(operator, paths[1])
        shown(operator, csv_file(row(備考="7")))
        assert operator.get(paths[1]).status_code == 200  # it was started: that stays

    def test_once_it_is_started_everybody_may_follow_it(
        self, app: Flask, operator: FlaskClient
    ) -> None:
        path = upload(operator, csv_file(row())).request.path
        viewer = signed_in(app, Role.VIEWER, name="閲覧")
        assert "1件すべてを取り込みました" in viewer.get(path).text
        assert path in viewer.get("/orders/imports").text


class TestAfterARestart:
    def test_the_worker_goes_on_where_it_stopped(self, app: Flask, operator: FlaskClient) -> None:
        content = csv_file(*(row(注文番号=number(n)) for n in range(450)))
        path = shown(operator, content).request.path
        run_id = path.rpartition("/")[2]
        with own_worker.working_by(app, "off"):
            press_start(operator, path)

        with app.app_context():
            [job_id] = jobs.due(9)
            with pytest.MonkeyPatch.context() as plug:
                plug.setattr(jobs.Claim, "go_on", pull_the_plug)
                with pytest.raises(KeyboardInterrupt):
                    jobs.work(job_id, JOBS)
            assert importing.progress(run_id).done == batches.SIZE
            assert jobs.due(9) == []  # it may be running still
            jobs.work(job_id, JOBS)
            assert importing.progress(run_id).done == batches.SIZE
            gave_no_sign(job_id)
        page = operator.get(path)
        assert "続きは自動で再開します" in page.text
        with app.app_context():
            assert jobs.due(9) == [job_id]
            jobs.work(job_id, JOBS)
            run = importing.find(run_id)
            assert (run.added, run.unchanged, run.left_out) == (450, 0, 0)
            assert kept.files(run_id) == []  # nothing of the file stays
            assert jobs.due(9) == []
        assert attribute(operator.get(path), "data-run-state") == "finished"

    def test_one_that_comes_back_after_its_lease_writes_nothing_more(
        self, app: Flask, operator: FlaskClient
    ) -> None:
        path = shown(
            operator, csv_file(*(row(注文番号=number(n)) for n in range(450)))
        ).request.path
        run_id = path.rpartition("/")[2]
        with own_worker.working_by(app, "off"):
            press_start(operator, path)
        with app.app_context():
            [job_id] = jobs.due(9)
            go_on, is_frozen = jobs.Claim.go_on, False

            def another_goes_on(claim: jobs.Claim, done: int, total: int) -> None:
                nonlocal is_frozen
                if done and not is_frozen:
                    is_frozen = True
                    gave_no_sign(job_id)
                    jobs.work(job_id, JOBS)
                go_on(claim, done, total)

            with pytest.MonkeyPatch.context() as frozen:
                frozen.setattr(jobs.Claim, "go_on", another_goes_on)
                jobs.work(job_id, JOBS)
            run = importing.find(run_id)
            assert (run.added, run.unchanged) == (450, 0)

    @pytest.mark.postgresql
    def test_one_that_comes_back_in_a_batch_leaves_the_run_to_the_other(
        self, app: Flask, operator: FlaskClient
    ) -> None:
        """The other has read by then how far the run is."""
        content = csv_file(*(row(注文番号=number(n)) for n in range(450)))
        path = shown(operator, content).request.path
        run_id = path.rpartition("/")[2]
        with own_worker.working_by(app, "off"):
            press_start(operator, path)
        with app.app_context():
            [job_id] = jobs.due(9)
            take_in, begun = batches.take_in, []

            def frozen(*args: Any) -> None:
                begun.append(args)
                if len(begun) == 1:
                    gave_no_sign(job_id)
                    jobs.work(job_id, JOBS)
                elif len(begun) == 2:
                    with suppress(jobs.Interrupted):
                        take_in(*begun[0])
                take_in(*args)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(batches, "take_in", frozen)
                jobs.work(job_id, JOBS)
            run = importing.find(run_id)
            assert (run.added, run.unchanged, run.left_out) == (450, 0, 0)
            assert kept.files(run_id) == []
            assert jobs.find(JobKind.IMPORT, run_id).finished_at is not None

    def test_reading_the_file_gives_signs(self, app: Flask, operator: FlaskClient) -> None:
        """Both times: a long file takes longer than a lease before the first order is in."""
        content = csv_file(*(row(注文番号=number(n)) for n in range(150)))
        path = shown(operator, content).request.path
        with own_worker.working_by(app, "off"):
            press_start(operator, path)
        with app.app_context(), pytest.MonkeyPatch.context() as patch:
            signs: list[int] = []
            patch.setattr(jobs.Claim, "go_on", lambda _claim, done, _total: signs.append(done))
            jobs.work(jobs.due(9)[0], JOBS)
            assert count(app) == 150
            assert signs.count(0) > 2 * 150

    def test_a_worker_that_ends_leaves_the_rest_to_another_at_once(
        self, app: Flask, operator: FlaskClient
    ) -> None:
        path = shown(
            operator, csv_file(*(row(注文番号=number(n)) for n in range(450)))
        ).request.path
        with own_worker.working_by(app, "off"):
            press_start(operator, path)
        with app.app_context():
            [job_id] = jobs.due(9)
            stopping.stop_soon(app)
            jobs.work(job_id, JOBS)
            stopping.stopped(app)
            assert jobs.due(9) == [job_id]
            assert "まで取り込みました" in operator.get(path).text
            with working(app):
                wait_until(lambda: count(app) == 450)

    def test_a_run_that_cannot_go_on_is_let_go(self, app: Flask, operator: FlaskClient) -> None:
        content = csv_file(row(), row(注文番号=number(2)))
        for cause in ("limits", "a day"):
            path = shown(operator, content).request.path
            run_id = path.rpartition("/")[2]
            with own_worker.working_by(app, "off"):
                press_start(operator, path)
            with app.app_context():
                [job_id] = jobs.due(9)
                long_ago = utc_now() - timedelta(hours=25)
                with writing() as session:
                    times = {"started_at": long_ago, "progress_at": long_ago}
                    session.execute(sa.update(ImportRun).values(times))
                if cause == "a day":
                    kept.tidy()
                app.config["UPLOAD_MAX_LINES"], before = 1, app.config["UPLOAD_MAX_LINES"]
                jobs.work(job_id, JOBS)
                app.config["UPLOAD_MAX_LINES"] = before
                assert kept.files(run_id) == []
                assert jobs.due(9) == []
            page = operator.get(path)
            assert "同じファイルをもう一度取り込んでください" in page.text

    def test_a_preview_that_nobody_carried_out_is_forgotten(
        self, app: Flask, operator: FlaskClient
    ) -> None:
        run_id = shown(operator, csv_file(row())).request.path.rpartition("/")[2]
        with app.app_context():
            kept.tidy()
            assert kept.files(run_id)
            with writing() as session:
                old = utc_now() - timedelta(hours=25)
                session.execute(sa.update(ImportRun).values(created_at=old))
            kept.tidy()
            assert kept.files(run_id) == []
        assert operator.get(f"/orders/imports/{run_id}").status_code == 404

    def test_the_file_is_not_readable_in_the_database(
        self, app: Flask, operator: FlaskClient
    ) -> None:
        shown(operator, csv_file(row(取引ID="a" * 32, 取引パスワード="secretpass")))
        with app.app_context():
            sealed = db.session.scalars(sa.select(ImportFile.content_sealed)).one()
        assert sealed.startswith("v1.")


UNKNOWN = (
    "月次売上表\r\n通番,だれ,いつ,払い方,品,いくら,いくつ,ぜんぶで,メモ\r\n"
    "A1,佐藤,2026/11/23,SGP,煎茶,1000,2,2000,4111111111111111\r\n"
    "A2,鈴木,2026/11/24,代金引換,急須,2200,1,2200,\r\n"
).encode("cp932")
SAID = {0: "order_no", 1: "buyer_name", 2: "ordered_at", 3: "method", 4: "item_name"}
SAID |= {5: "unit_price", 6: "quantity", 7: "total"}


def said(chosen: dict[int, str], **more: str) -> dict[str, str]:
    return {f"column-{n}": field for n, field in chosen.items()} | more


class TestAFileOfNoProgramWeKnow:
    def test_shows_its_columns_with_values_and_asks_what_they_are(
        self, operator: FlaskClient
    ) -> None:
        page = shown(operator, UNKNOWN)
        assert attribute(page, "data-run-state") == "mapping"
        for text in ("ぜんぶで", "佐藤", "鈴木", "この対応を覚える"):
            assert text in page.text
        assert "4111111111111111" not in page.text  # S11

    def test_is_read_as_was_said_and_the_next_one_without_asking(
        self, app: Flask, operator: FlaskClient
    ) -> None:
        path = shown(operator, UNKNOWN).request.path
        answer = operator.post(f"{path}/mapping", data=said(SAID, remember="1"))
        page = operator.get(answer.location)
        # the order with a card number in a column that is not taken stays out all the same
        assert (attribute(page, "data-new"), attribute(page, "data-left-out")) == ("1", "1")
        press_start(operator, path)
        own_worker.finish(app)
        with app.app_context():
            order = db.session.scalars(sa.select(Order)).one()
            assert (order.order_no, order.total, order.buyer_name) == ("A2", 2200, "鈴木")
        other = UNKNOWN.replace(b"A1", b"B1").replace(b"4111111111111111", b"")
        assert attribute(shown(operator, other), "data-new") == "1"

    def test_without_remembering_it_asks_again(self, operator: FlaskClient) -> None:
        path = shown(operator, UNKNOWN).request.path
        operator.post(f"{path}/mapping", data=said(SAID))
        assert attribute(operator.get(path), "data-run-state") == "prepared"
        assert attribute(shown(operator, UNKNOWN), "data-run-state") == "mapping"

    @pytest.mark.parametrize(
        ("chosen", "words"),
        [
            (SAID | {7: ""}, "必須の項目に列を選んでください: 合計金額"),
            (SAID | {8: "total"}, "同じ項目を2つの列に選んでいます: 合計金額"),
            (SAID | {7: "nonsense"}, "画面を開き直してから"),
            (SAID | {99: "note"}, "画面を開き直してから"),
        ],
    )
    def test_a_choice_that_cannot_be_is_told(
        self, operator: FlaskClient, chosen: dict[int, str], words: str
    ) -> None:
        path = shown(operator, UNKNOWN).request.path
        page = operator.post(f"{path}/mapping", data=said(chosen))
        assert page.status_code == 422
        assert words in page.text
        assert 'value="order_no" selected' in page.text  # nothing is lost

    def test_nothing_is_started_before(self, app: Flask, operator: FlaskClient) -> None:
        path = shown(operator, UNKNOWN).request.path
        press_start(operator, path)
        own_worker.finish(app)
        assert attribute(operator.get(path), "data-run-state") == "mapping"

    def test_words_of_other_programs_are_proposed(self, operator: FlaskClient) -> None:
        content = UNKNOWN.replace("払い方".encode("cp932"), "お支払方法".encode("cp932"))
        page = shown(operator, content)
        assert 'value="method" selected' in page.text

    def test_words_that_no_program_has_are_proposed_by_their_parts(
        self, operator: FlaskClient
    ) -> None:
        head = "受付No,受付日,お客様,お届け先様,お支払,金額(税込),品目,点数,単価\r\n"
        page = shown(operator, f"{head}X-1,2026/11/20,佐藤,佐藤,SGP,2000,煎茶,2,1000\r\n".encode())
        assert attribute(page, "data-run-state") == "mapping"
        proposed = re.findall(r'value="(\w+)" selected', page.text)
        assert proposed == [
            *("order_no", "ordered_at", "buyer_name"),
            *("method", "total", "item_name", "quantity", "unit_price"),
        ]

    def test_a_file_with_enough_known_words_needs_no_answer(self, operator: FlaskClient) -> None:
        head = "受注番号,受注日時,お支払方法,ご請求金額,アイテム名,販売価格,個数\r\n"
        content = f"{head}A1,2026/11/23,SGP,2000,煎茶,1000,2\r\n".encode()
        page = shown(operator, content)
        assert attribute(page, "data-new") == "1"


def test_an_order_taken_for_another_method_is_mended_on_its_screen(
    app: Flask, operator: FlaskClient, world: World
) -> None:
    upload(operator, csv_file(row(決済方法="代金引換")))
    address = f"/orders/{ROW['注文番号']}"
    assert "SGPカード決済の注文に直す" in operator.get(address).text
    assert "取引がないため" in operator.post(f"{address}/card-order").text
    world.authorize(ROW["注文番号"], 2500)
    answer = operator.post(f"{address}/card-order")
    assert answer.status_code == 303
    page = operator.get(answer.location).text
    assert "SGPカード決済の注文に直しました" in page
    assert "仮売上" in page
    assert "「代金引換」として取り込まれていた注文" in page


@pytest.mark.parametrize("order_no", ["#1001", "123456-20261128-0000000001"])
def test_orders_numbered_by_other_programs_have_their_screen(
    app: Flask, operator: FlaskClient, world: World, order_no: str
) -> None:
    world.authorize(order_no.removeprefix("#"), 2500)
    upload(operator, csv_file(row(注文番号=order_no)))
    listed = operator.get(f"/orders?order_no={quote(order_no)}&date_field=ordered_at&from=&to=")
    address = f"/orders/{quote(order_no)}"
    assert f'href="{address}"' in listed.text
    page = operator.get(address)
    assert page.status_code == 200
    assert f"注文番号 {order_no}" in page.text
    assert operator.post(f"{address}/reconcile").status_code == 303
    assert "仮売上" in operator.get(address).text
