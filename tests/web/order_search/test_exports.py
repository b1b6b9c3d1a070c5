"""書き出し: all hits of a search or the chosen orders, as CSV and Excel (R51, §14.3, S9, S12, S23)."""

from __future__ import annotations

import io
import re
import zipfile
from datetime import UTC, datetime, timedelta
from typing import IO, Any

import pytest
import time_machine
from flask import Flask
from werkzeug.test import TestResponse

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import Job, JobKind, JobPart, Order, RecentUse, Role
from sgpshop.services.access.rate_limits import TooOften
from sgpshop.services.order_files import exporting
from sgpshop.storage import jobs, shared_clock
from sgpshop.storage.database import writing
from sgpshop.web.frame import limits
from sgpshop.worker.tasks import JOBS
from tests import own_worker
from tests.factories import make_order
from tests.gateway_world import World
from tests.web.order_search.test_bulk_runs import HTMX, Browser
from tests.web.pages import flat

FIND, CHOSEN, FILES = "/orders/export", "/orders/bulk/export", "/orders/export/files"
SHEET = "xl/worksheets/sheet1.xml"


@pytest.fixture
def operator(app: Flask, world: World) -> Browser:
    return Browser(app)


@pytest.fixture
def orders(app: Flask, world: World) -> list[Order]:
    with app.app_context():
        return [
            make_order(total=1000 * n, status=status)
            for n, status in enumerate(
                (PaymentStatus.CAPTURED, PaymentStatus.AUTHORIZED, PaymentStatus.AUTHORIZED), 1
            )
        ]


def numbers(answer: TestResponse) -> list[str]:
    assert answer.status_code == 200, flat(answer)
    return re.findall(r"^(P\d+),", answer.data.decode("utf-8-sig"), re.MULTILINE)


def status(answer: TestResponse) -> int:
    answer.close()
    return answer.status_code


def test_the_list_offers_the_files_with_their_count(operator: Browser, orders: list[Order]) -> None:
    page = flat(operator.get("/orders?from=&to=&size=20"))
    for words in ("CSV 3件", "Excel 3件", "CSV(Shift_JIS) 3件"):
        assert f'aria-label="{words}"' in page
    assert 'id="export" method="post" action="/orders/export"' in page


def test_all_hits_go_out_whatever_is_ticked_or_shown(
    operator: Browser, orders: list[Order]
) -> None:
    search = {"conditions": "from=&to=&status=authorized&size=20"}
    answer = operator.post(FIND, **search, order_no=orders[0].order_no, format="csv")
    assert answer.mimetype == "text/csv"
    assert numbers(answer) == [orders[2].order_no, orders[1].order_no]
    assert re.fullmatch(
        r'attachment; filename="orders-\d{8}-\d{4}\.csv"', answer.headers["Content-Disposition"]
    )
    assert answer.headers["Cache-Control"] == "no-store"  # S9


def test_excel(operator: Browser, orders: list[Order]) -> None:
    answer = operator.post(FIND, format="xlsx")
    assert answer.mimetype.endswith("spreadsheetml.sheet")
    with zipfile.ZipFile(io.BytesIO(answer.data)) as parts:
        sheet = parts.read("xl/worksheets/sheet1.xml").decode()
    assert all(order.order_no in sheet for order in orders)
    answer.close()


@pytest.mark.parametrize("format_", ["csv", "csv-cp932", "xlsx"])
def test_the_chosen_orders(operator: Browser, orders: list[Order], format_: str) -> None:
    answer = operator.post(CHOSEN, order_no=orders[0].order_no, format=format_)
    assert answer.status_code == 200
    if format_ == "csv":
        assert numbers(answer) == [orders[0].order_no]
    answer.close()


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain form", "htmx"])
def test_nothing_chosen_is_told(operator: Browser, headers: dict[str, str]) -> None:
    answer = operator.post(CHOSEN, headers, action="csv_download")
    assert answer.status_code == 422
    assert "注文が選択されていません" in flat(answer)


@pytest.mark.parametrize(
    ("path", "more"), [(FIND, {}), (CHOSEN, {"all_hits": "1"})], ids=["search", "chosen"]
)
def test_before_characters_are_lost_the_person_sees_which(
    app: Flask, operator: Browser, orders: list[Order], path: str, more: dict[str, Any]
) -> None:
    with app.app_context():
        order = make_order(buyer="𠮷田 花子")
    page = flat(operator.post(path, format="csv-cp932", **more))
    assert "Shift_JISにない文字が2個あります" in page  # 注文者 and お届け先
    assert "4件のうち1件の注文" in page
    assert f'href="/orders/{order.order_no}"' in page
    assert f'action="{path}"' in page
    answer = operator.post(path, format="csv-cp932", loss_seen="1", **more)
    assert "〓田 花子" in answer.data.decode("cp932")
    assert answer.headers["Content-Type"] == "text/csv; charset=Shift_JIS"


def test_without_loss_there_is_nothing_to_ask(operator: Browser, orders: list[Order]) -> None:
    answer = operator.post(FIND, format="csv-cp932")
    assert answer.data.decode("cp932").startswith("注文番号,")


@pytest.mark.parametrize("format_", ["pdf", "xlsm", "\u202e"])
def test_an_unknown_form_is_refused(operator: Browser, format_: str) -> None:
    answer = operator.post(FIND, format=format_)
    assert answer.status_code == 422
    assert "形式を選び直してください" in flat(answer)


def test_a_bad_condition_is_left_out_as_in_the_list(operator: Browser, orders: list[Order]) -> None:
    answer = operator.post(FIND, conditions="from=nonsense&to=&amount_min=abc&status=paid")
    assert len(numbers(answer)) == 3


@pytest.mark.parametrize(
    "overrides", [{"EXPORTS_PER_PERSON": 2, "EXPORTS_PER_ADDRESS": 3}], ids=["few"]
)
def test_too_many_files_are_refused_for_a_while(
    app: Flask, operator: Browser, orders: list[Order], overrides: dict[str, Any]
) -> None:
    other = Browser(app, Role.OWNER, "店長")
    assert [status(operator.post(FIND)) for _ in range(3)] == [200, 200, 429]  # S23
    assert [status(other.post(FIND)) for _ in range(2)] == [200, 429]  # the address is full
    refused = operator.post(FIND)
    assert 0 < int(refused.headers["Retry-After"]) <= 600
    assert "一時的に受け付けていません" in flat(refused)
    with app.app_context():
        assert db.session.query(RecentUse).count() == 6  # refused uses are not counted


def test_only_so_many_are_written_at_once(
    operator: Browser, orders: list[Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (operator.post(FIND, format="csv") for _ in range(2))
    assert first.status_code == second.status_code == 200
    first.close()
    second.close()
    for _ in range(limits._AT_ONCE):
        assert limits._writers.acquire(blocking=False)  # the closed ones gave theirs back
    refused = operator.post(FIND, format="csv")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "30")
    for _ in range(limits._AT_ONCE):
        limits._writers.release()


def test_exports_are_logged_without_what_was_typed(
    operator: Browser, orders: list[Order], capsys: pytest.CaptureFixture[str]
) -> None:
    search = "from=&to=&kw_field[]=buyer&kw[]=佐藤"
    numbers(operator.post(FIND, conditions=search))
    out = capsys.readouterr().out
    [line] = [one for one in out.splitlines() if '"exported"' in one]
    assert '"count": 3' in line  # S12
    assert '"conditions": ["kw[]"]' in line
    assert "佐藤" not in line
    assert '"result": "whole"' in out


class TestALongFile:
    """A worker makes it; who asked sees how far it is, and fetches it (P33)."""

    @pytest.fixture(autouse=True)
    def _few(self, monkeypatch: pytest.MonkeyPatch, orders: list[Order]) -> None:
        monkeypatch.setattr(exporting, "MOST_AT_ONCE", 2)

    def ask(self, operator: Browser, path: str = FIND, **fields: Any) -> str:
        answer = operator.post(path, **fields)
        assert (answer.status_code, answer.location) == (303, FILES)
        own_worker.finish(operator.client.application)
        return flat(operator.get(FILES))

    @pytest.mark.parametrize("format_", ["csv", "csv-cp932", "xlsx"])
    def test_is_made_by_a_worker_and_is_the_same(
        self,
        operator: Browser,
        monkeypatch: pytest.MonkeyPatch,
        format_: str,
    ) -> None:
        page = self.ask(operator, format=format_)
        assert 'data-file-state="finished"' in page
        assert "hx-trigger" not in page[page.index('id="files"') : page.index("<h2")]
        made = operator.get(link(page))
        monkeypatch.undo()
        at_once = operator.post(FIND, format=format_)
        assert made.headers["Content-Type"] == at_once.headers["Content-Type"]
        name = r'attachment; filename="orders-\d{8}-\d{4}\.' + format_[:3]
        assert re.match(name.replace("xls", "xlsx"), made.headers["Content-Disposition"])
        assert made.headers["Cache-Control"] == "no-store"  # S9
        if format_ == "xlsx":
            texts = [zipfile.ZipFile(io.BytesIO(one.data)).read(SHEET) for one in (made, at_once)]
            assert texts[0] == texts[1]
        else:
            assert made.data == at_once.data
        at_once.close()

    def test_of_the_chosen_orders(self, operator: Browser, orders: list[Order]) -> None:
        page = self.ask(operator, CHOSEN, all_hits="1", format="csv")
        assert len(numbers(operator.get(link(page)))) == 3

    def test_says_how_far_it_is_and_that_nobody_works(
        self, app: Flask, operator: Browser, orders: list[Order]
    ) -> None:
        with own_worker.working_by(app, "off"):
            page = self.ask(operator)
            again = self.ask(operator)
        assert 'data-file-state="waiting"' in page
        assert 'hx-trigger="load delay:1s"' in page
        assert again.count("data-file-state") == 1  # a second press asks for no other
        with time_machine.travel(datetime.now(UTC) + timedelta(seconds=40)):
            app.extensions.pop("sgpshop.warnings", None)
            assert "data-worker-gone" in flat(operator.get(FILES))
        with app.app_context():
            [job_id] = jobs.due(9)

            def die(claim: jobs.Claim, done: int, total: int) -> None:
                go_on(claim, done, total)
                raise KeyboardInterrupt

            go_on = jobs.Claim.go_on
            with pytest.MonkeyPatch.context() as killed:
                killed.setattr(jobs.Claim, "go_on", die)
                with pytest.raises(KeyboardInterrupt):
                    jobs.work(job_id, JOBS)
            assert "0件まで書き出しました" in flat(operator.get(FILES))
            assert jobs.due(9) == []  # it may be running still
            with writing() as session:
                session.get_one(Job, job_id).due_at = shared_clock.now()
            jobs.work(job_id, JOBS)  # begins anew
        assert len(numbers(operator.get(link(flat(operator.get(FILES)))))) == 3

    def test_says_what_shift_jis_has_not(self, app: Flask, operator: Browser) -> None:
        with app.app_context():
            make_order(buyer="𠮷田 花子")
        page = self.ask(operator, format="csv-cp932")
        assert "Shift_JISにない文字2個(1件の注文)を「〓」に置き換えました" in page
        assert "〓田 花子" in operator.get(link(page)).data.decode("cp932")

    def test_is_for_who_asked_alone_and_gone_after_a_day(
        self, app: Flask, operator: Browser
    ) -> None:
        page = self.ask(operator)
        other = Browser(app, Role.OWNER, "店長")
        assert "data-file-state" not in flat(other.get(FILES))
        assert other.get(link(page)).status_code == 404
        assert Browser(app, Role.VIEWER, "閲覧").get(link(page)).status_code == 403
        with app.app_context(), time_machine.travel(datetime.now(UTC) + timedelta(hours=25)):
            jobs.tidy()
            assert db.session.query(JobPart).count() == 0
        assert operator.get(link(page)).status_code == 404

    def test_only_the_newest_of_a_person_are_kept(self, app: Flask, operator: Browser) -> None:
        """They lie in the database; one that is being made then goes without a word of a fault."""
        page = self.ask(operator)
        first = link(page)
        with own_worker.working_by(app, "off"):
            self.ask(operator)
        with app.app_context():
            [job_id] = jobs.due(9)
            keep = jobs.Claim.keep

            def ask_for_more(claim: jobs.Claim, file: IO[bytes]) -> None:
                person = db.session.get_one(Job, job_id).person_id
                for n in range(jobs.MOST):
                    with writing() as session:
                        jobs.add(session, JobKind.EXPORT, f"{n}", person_id=person)
                keep(claim, file)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(jobs.Claim, "keep", ask_for_more)
                jobs.work(job_id, JOBS)
            db.session.rollback()
            left = db.session.query(Job.token).order_by(Job.id).all()
            assert [token for (token,) in left] == ["0", "1", "2", "3", "4"]
            assert db.session.query(JobPart).count() == 0
        assert operator.get(first).status_code == 404

    @pytest.mark.parametrize("overrides", [{"EXPORTS_PER_PERSON": 3}], ids=["few"])
    def test_each_fetching_counts_as_an_export(self, operator: Browser) -> None:
        address = link(self.ask(operator))
        assert [status(operator.get(address)) for _ in range(3)] == [200, 200, 429]  # S23

    def test_a_person_fetches_two_at_once_and_all_together_six(
        self, app: Flask, operator: Browser
    ) -> None:
        address = link(self.ask(operator))
        first, second, third = (operator.get(address, buffered=False) for _ in range(3))
        assert [one.status_code for one in (first, second, third)] == [200, 200, 429]
        assert third.headers["Retry-After"] == "30"
        assert "ほかのファイルのダウンロードが続いています" in flat(third)
        fetched = app.extensions["fetched"]
        others = [fetched.take(person_id) for person_id in (-1, -1, -2, -2)]
        with pytest.raises(TooOften):
            fetched.take(-3)
        first.close()
        others.append(fetched.take(-3))
        for give_back in others:
            give_back()
        assert status(operator.get(address)) == 200
        second.close()
        assert not fetched._by_person

    def test_cannot_be_fetched_before_it_is_whole(self, app: Flask, operator: Browser) -> None:
        with own_worker.working_by(app, "off"):
            self.ask(operator)
        with app.app_context():
            token = db.session.query(Job).one().token
        assert operator.get(f"{FILES}/{token}").location == FILES


def link(page: str) -> str:
    [found] = re.findall(rf'href="({FILES}/[0-9a-f]+)"', page)
    return str(found)


def test_a_viewer_cannot_take_orders_out(app: Flask, world: World) -> None:
    viewer = Browser(app, Role.VIEWER)
    for path in (FIND, CHOSEN, "/orders/bulk/print"):
        assert viewer.post(path).status_code == 403
    assert 'id="export"' not in flat(viewer.get("/orders?from=&to="))


def test_a_reload_leads_back_to_the_list(operator: Browser) -> None:
    for path in (FIND, CHOSEN, "/orders/bulk/print"):
        answer = operator.get(path)
        assert (answer.status_code, answer.location) == (303, "/orders")
