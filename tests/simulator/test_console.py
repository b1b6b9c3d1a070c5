"""The console pages: rule 34, and the links of interfaces.md §6."""

import csv
import io
import re
from html import unescape
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from tests.forms import hidden_of

from .shop import SITE, VISA, Shop

LIST = "/mulpayconsole/shop/tshop00000001/login/"
CSV = "/mulpayconsole/shop/tshop00000001/transactions.csv"
SITE_PAGE = "/mulpayconsole/site/tsite00000001/login/"
TRADE = "/mulpayconsole/shop/tshop00000001/transactions/A-1"
HOSTILE = "<script>alert(1)</script>"


def by_hand(shop: Shop, operation: str, amount: int | None = None) -> TestResponse:
    """Ask for an operation and confirm it, as a person does."""
    query = {} if amount is None else {"amount": str(amount)}
    page = shop.http.get(f"{TRADE}/{operation}", query_string=query)
    assert "data-confirm-yes" in page.text
    assert "data-confirm-no" in page.text
    return shop.http.post(f"{TRADE}/{operation}", data=hidden_of(page), follow_redirects=True)


def test_an_empty_list_says_so(shop: Shop) -> None:
    assert "まだ取引がありません" in shop.http.get(LIST).text
    assert "まだ会員がいません" in shop.http.get(SITE_PAGE).text


def test_every_page_is_marked_as_practice(shop: Shop) -> None:
    shop.executed()
    for path in (LIST, SITE_PAGE, TRADE, f"{TRADE}/sales", f"{TRADE}/change?amount=x"):
        assert "SMBC-GP シミュレーター(練習用)" in shop.http.get(path).text


def test_the_list_shows_status_and_amount(shop: Shop) -> None:
    shop.executed("A-1")
    shop.executed("A-2", "CAPTURE", 12_345)
    page = shop.http.get(LIST).text
    assert page.index("A-2") < page.index("A-1")  # the newest first
    assert 'data-order-id="A-2" data-status="CAPTURE" data-amount="12345"' in " ".join(page.split())
    assert "¥12,345" in page
    assert "即時売上" in page


def test_the_list_is_searched_by_order_id_and_status(shop: Shop) -> None:
    for number in (10, 11, 20):
        shop.executed(f"A-{number}", "CAPTURE" if number == 11 else "AUTH")
    assert listed(shop, order_id="A-1") == ["A-11", "A-10"]
    assert listed(shop, status="AUTH") == ["A-20", "A-10"]
    assert listed(shop, order_id="A-1", status="AUTH") == ["A-10"]
    assert listed(shop, order_id="A-_") == []
    assert "条件に合う取引はありません" in shop.http.get(LIST, query_string={"status": "VOID"}).text


def listed(shop: Shop, **query: str) -> list[str]:
    return re.findall('data-order-id="([^"]*)"', shop.http.get(LIST, query_string=query).text)


def test_the_list_is_paged(shop: Shop) -> None:
    wishes = [{"order_id": f"B-{n:03}", "amount": 1, "job_cd": "AUTH"} for n in range(120)]
    shop.control("transactions", wishes)
    seen, path = [], LIST
    for _ in range(3):
        page = shop.http.get(path).text
        seen += re.findall('data-order-id="([^"]*)"', page)
        following = re.search(r'rel="next"\s+href="([^"]*)"', page)
        path = unescape(following[1]) if following else ""
    assert seen == [f"B-{n:03}" for n in reversed(range(120))]
    assert path == ""


@pytest.mark.parametrize("before", ["x", "-1", "9" * 30, "1 OR 1"])
def test_a_page_that_is_none_is_the_first(shop: Shop, before: str) -> None:
    shop.executed()
    assert listed(shop, before=before) == ["A-1"]


@pytest.mark.parametrize(
    ("before", "operation", "amount", "status", "total"),
    [
        ("AUTH", "sales", None, "SALES", "1000"),
        ("AUTH", "cancel", None, "VOID", "1000"),
        ("SALES", "cancel", None, "VOID", "1000"),
        ("AUTH", "change", 1200, "AUTH", "1200"),
        ("SALES", "change", 800, "CAPTURE", "800"),
    ],
)
def test_a_person_works_on_a_transaction(
    shop: Shop, before: str, operation: str, amount: int | None, status: str, total: str
) -> None:  # rule 34
    shop.executed(job=before)
    page = by_hand(shop, operation, amount)
    assert page.status_code == 200
    assert "処理しました" in page.text
    assert "管理画面" in page.text
    assert (shop.look()["Status"], shop.look()["Amount"]) == (status, total)
    assert shop.history()[-1]["by"] == "console"


def test_a_transaction_shows_only_what_is_possible(shop: Shop) -> None:
    shop.executed(job="CHECK")
    page = shop.http.get(TRADE).text
    assert "有効性チェック" in page
    assert "手動でできる処理はありません" in page


def test_the_date_for_the_statement_is_kept(shop: Shop) -> None:  # rule 21
    access = shop.executed()
    shop.call("AlterTran", **access, JobCd="SALES", Amount="1000", DisplayDate="261201")
    assert "261201" in shop.http.get(TRADE).text


def test_an_operation_that_is_not_possible_says_why(shop: Shop) -> None:
    shop.executed(job="VOID")
    page = shop.http.get(f"{TRADE}/sales")
    assert page.status_code == 409
    assert "いまの状態では、この処理はできません" in page.text
    assert len(shop.history()) == 3  # looking leaves no line


@pytest.mark.parametrize("amount", ["", "x", "-5", "12345678", "1,000"])
def test_an_amount_that_is_none_says_why(shop: Shop, amount: str) -> None:
    shop.executed()
    page = shop.http.get(f"{TRADE}/change", query_string={"amount": amount})
    assert page.status_code == 409
    assert "金額" in page.text
    assert shop.http.post(f"{TRADE}/change", data={"amount": amount}).status_code == 409


def test_a_declined_change_says_why(shop: Shop) -> None:
    shop.executed(CardNo="4999000000000044")
    page = by_hand(shop, "change", 5000)
    assert page.status_code == 409
    assert "限度額" in page.text
    assert shop.history()[-1]["error"] == "42G550000"


def test_a_post_from_elsewhere_does_nothing(shop: Shop) -> None:
    shop.executed()
    for seal in ({}, {"seal": ""}, {"seal": "0" * 64}, {"seal": "ä"}):
        answer = shop.http.post(f"{TRADE}/sales", data=seal)
        assert answer.status_code == 409
    assert shop.status() == "AUTH"


def test_a_confirmation_is_good_for_what_was_seen_and_once(shop: Shop) -> None:
    access = shop.executed()
    page = shop.http.get(f"{TRADE}/sales")
    shop.change(access, "AUTH", 900)  # the amount moves between looking and pressing
    answer = shop.http.post(f"{TRADE}/sales", data=hidden_of(page))
    assert answer.status_code == 409
    assert "画面が古くなっています" in answer.text
    assert shop.status() == "AUTH"

    fresh = hidden_of(shop.http.get(f"{TRADE}/sales"))
    assert shop.http.post(f"{TRADE}/sales", data=fresh).status_code == 303
    assert shop.http.post(f"{TRADE}/sales", data=fresh).status_code == 409  # a double click
    assert [line["job"] for line in shop.history()].count("SALES") == 1


def test_a_confirmed_amount_cannot_be_exchanged(shop: Shop) -> None:
    shop.executed()
    form = hidden_of(shop.http.get(f"{TRADE}/change", query_string={"amount": "900"}))
    assert shop.http.post(f"{TRADE}/change", data={**form, "amount": "1"}).status_code == 409
    assert shop.look()["Amount"] == "1000"


def test_the_site_page_lists_members_and_cards(shop: Shop) -> None:
    shop.site_call("SaveMember", MemberID="m", MemberName="佐藤 花子")
    shop.site_call("SaveCard", MemberID="m", **VISA, HolderName="H SATO")
    page = shop.http.get(SITE_PAGE).text
    for text in ("佐藤 花子", "*" * 13 + "111", "H SATO"):
        assert text in page


def test_hostile_values_are_shown_as_text(shop: Shop) -> None:
    shop.site_call("SaveMember", MemberID="m", MemberName=HOSTILE)
    shop.site_call("SaveCard", MemberID="m", **VISA, HolderName=HOSTILE, CardName=HOSTILE)
    shop.executed(HolderName=HOSTILE, ClientField1=HOSTILE)
    pages = [
        shop.http.get(TRADE),
        shop.http.get(SITE_PAGE),
        shop.http.get(LIST, query_string={"order_id": HOSTILE, "status": HOSTILE}),
        shop.http.get(f"/mulpayconsole/shop/tshop00000001/transactions/{HOSTILE}"),
        shop.http.get(f"{TRADE}/change", query_string={"amount": HOSTILE}),
    ]
    for page in pages:
        assert HOSTILE not in page.text
        assert "<script" not in page.text
    assert "&lt;script&gt;" in pages[0].text


@pytest.mark.parametrize(
    "path",
    [
        "/mulpayconsole/shop/tshop00000002/login/",
        "/mulpayconsole/site/tsite00000002/login/",
        "/mulpayconsole/shop/tshop00000002/transactions/A-1",
        TRADE.replace("A-1", "A-2"),
        f"{TRADE}/destroy",
        f"{TRADE.replace('A-1', 'A-2')}/sales",
    ],
)
def test_what_is_not_there_is_a_404(shop: Shop, path: str) -> None:
    shop.executed()
    answer = shop.http.get(path)
    assert answer.status_code == 404
    assert "見つかりません" in answer.text


def test_the_pages_need_no_script_and_allow_none(shop: Shop) -> None:
    shop.executed()
    for path in (LIST, SITE_PAGE, TRADE, f"{TRADE}/sales"):
        page = shop.http.get(path)
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert not re.search(r"<script|style=|\son\w+=|javascript:", page.text)
    with shop.http.get("/mulpayconsole/static/console.css") as style:
        assert style.mimetype == "text/css"


def test_the_console_waits_for_a_request_at_work(shop: Shop) -> None:  # rule 3
    shop.executed()
    form = hidden_of(shop.http.get(f"{TRADE}/sales"))
    claims = shop.http.application.extensions["endpoint"].context.claims
    with claims.exclusively("A-1"):
        answer = shop.http.post(f"{TRADE}/sales", data=form)
    assert answer.status_code == 409
    assert "進行中" in answer.text


def test_the_practice_gateway_stands_alone() -> None:
    package = Path(__file__).parents[2] / "sgpshop" / "simulator"
    imports = [
        line
        for source in package.glob("*.py")
        for line in source.read_text(encoding="utf-8").splitlines()
        if re.match(r"\s*(from|import) sgpshop", line)
    ]
    assert imports == []
    assert SITE["SiteID"] in SITE_PAGE


def csv_rows(shop: Shop, **query: str) -> list[list[str]]:
    answer = shop.http.get(CSV, query_string=query)
    assert answer.status_code == 200
    assert answer.mimetype == "text/csv"
    return list(csv.reader(io.StringIO(answer.get_data().decode("cp932"))))


def test_the_list_as_csv(shop: Shop) -> None:
    access = shop.executed("A-1")
    shop.executed("A-2", "CAPTURE", 12_345)
    heading, newest, oldest = csv_rows(shop)
    assert heading[:5] == ["オーダーID", "状態", "金額", "処理日時", "取引ID"]
    assert newest[:3] == ["A-2", "即時売上", "12345"]
    assert oldest[0] == "A-1"
    assert oldest[4] == access["AccessID"]
    assert re.fullmatch(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d", oldest[3])
    assert oldest[6] == "*" * 12 + "1111"
    assert [row[0] for row in csv_rows(shop, order_id="A-2")[1:]] == ["A-2"]
    assert 'href="/mulpayconsole/shop/tshop00000001/transactions.csv"' in shop.http.get(LIST).text


@pytest.mark.parametrize(
    ("jobs", "word"),
    [
        (("AUTH",), "仮売上"),
        (("AUTH", "SALES"), "実売上"),
        (("CAPTURE",), "即時売上"),
        (("CHECK",), "有効性チェック"),
        (("AUTH", "VOID"), "仮売上取消"),
        (("AUTH", "SALES", "VOID"), "キャンセル"),
        (("CAPTURE", "VOID"), "キャンセル"),
    ],
)
def test_the_csv_uses_the_words_of_the_transaction_list(
    shop: Shop, jobs: tuple[str, ...], word: str
) -> None:
    access = shop.executed("A-1", jobs[0])
    for job in jobs[1:]:
        amount = {"Amount": "1000"} if job == "SALES" else {}
        shop.call("AlterTran", **access, JobCd=job, **amount)
    assert csv_rows(shop)[1][1] == word


def test_the_csv_of_another_shop_is_not_there(shop: Shop) -> None:
    assert shop.http.get(CSV.replace("0001", "0002")).status_code == 404
