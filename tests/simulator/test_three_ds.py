"""3-D Secure 2 at the gateway and in the browser: protocol.md §5, §11 and rule 37."""

from base64 import b64encode
from hashlib import md5
from html import unescape

import pytest
from werkzeug.test import TestResponse

from tests.forms import hidden_of

from .shop import Access, Shop, fields, form

RETURN = "https://shop.example/three-ds/A-1?from=bank"
CHALLENGE = "4100000000005000"
FRICTIONLESS = "4100000000000100"


def wished(shop: Shop, order_id: str = "A-1", job: str = "AUTH", **more: str) -> Access:
    """A transaction entered with the wish for 3-D Secure; it refuses cards without."""
    wish = {"TdFlag": "2", "Tds2Type": "2", **more}
    return shop.call("EntryTran", OrderID=order_id, JobCd=job, Amount="1000", **wish)


def begun(shop: Shop, number: str, access: Access | None = None, **more: str) -> dict[str, str]:
    """The answer of ExecTran with a way back."""
    access = access or wished(shop)
    body = {"OrderID": "A-1", "Method": "1", "CardNo": number, "Expire": "3012", **access}
    answer = shop.http.post(
        "/payment/ExecTran.idPass",
        data=form({"RetUrl": RETURN, **body, **more}),
        content_type="application/x-www-form-urlencoded",
    )
    head, _, url = answer.text.partition("&RedirectUrl=")  # takes the rest of the line
    return {"ACS": head.partition("=")[2], "RedirectUrl": url} if url else fields(answer.data)


def question(shop: Shop, url: str) -> TestResponse:
    return shop.http.get(url)


def answered(shop: Shop, url: str, answer: str) -> TestResponse:
    """The page after one of the three buttons."""
    hidden = hidden_of(question(shop, url))
    return shop.http.post("/three-ds/", data={**hidden, "answer": answer}, follow_redirects=True)


def secure(shop: Shop, access: Access) -> dict[str, str]:
    return shop.call("SecureTran2", **access)


def test_a_challenge_from_the_entry_to_the_authorization(shop: Shop) -> None:
    name = b64encode("お茶の練習堂".encode("euc_jp")).decode()
    access = wished(shop, TdTenantName=name)
    answer = begun(shop, CHALLENGE, access)
    assert answer["ACS"] == "2"
    assert shop.status() == "AUTHENTICATED"
    assert secure(shop, access) == {"ErrCode": "E21", "ErrInfo": "E21030007"}  # not done yet

    page = question(shop, answer["RedirectUrl"])
    assert "練習" in page.text
    assert "お茶の練習堂" in page.text
    assert "¥1,000" in page.text
    for button in ("認証する", "認証しない", "中断"):
        assert f">{button}</button>" in page.text
    back = answered(shop, answer["RedirectUrl"], "yes").text
    assert f'action="{RETURN}"' in unescape(back)
    assert f'name="AccessID" value="{access["AccessID"]}"' in back
    assert ">ショップに戻る</button>" in back  # works without the script

    done = secure(shop, access)
    assert list(done) == [
        *("OrderID", "Forward", "Method", "PayTimes", "Approve", "TranID", "TranDate"),
        "CheckString",
    ]
    signed = "".join(list(done.values())[:-1]) + "shoppass01"
    assert done["CheckString"] == md5(signed.encode()).hexdigest()
    assert shop.status() == "AUTH"
    assert secure(shop, access)["ErrInfo"] == "E11010001"
    assert [(line["api"], line["status"]) for line in shop.history()] == [
        ("EntryTran", "UNPROCESSED"),
        ("ExecTran", "AUTHENTICATED"),
        ("SecureTran2", "AUTHENTICATED"),
        ("SecureTran2", "AUTH"),
        ("SecureTran2", "AUTH"),
    ]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (FRICTIONLESS, ""),  # Y
        ("5100000000000107", ""),
        ("3528000000000106", ""),
        ("4111111111111111", ""),  # what is in no list is frictionless
        ("4100000000100009", ""),  # A
        ("5100000000100006", ""),
        ("4100000000300005", "E21030202"),  # N
        ("4100000000400003", "E21030007"),  # U
        ("4100000000500000", "E21030001"),  # R
    ],
)
def test_cards_that_ask_nothing_go_straight_through(shop: Shop, number: str, code: str) -> None:
    access = wished(shop)
    url = begun(shop, number, access)["RedirectUrl"]
    assert "ショップに戻る" in question(shop, url).text
    assert secure(shop, access).get("ErrInfo", "") == code
    assert shop.status() == ("AUTHENTICATED" if code else "AUTH")
    assert secure(shop, access)["ErrInfo"] == "E11010001"  # the second, whatever came of the first


@pytest.mark.parametrize(("answer", "code"), [("no", "E21030202"), ("break_off", "E21030001")])
def test_a_buyer_who_does_not_pass(shop: Shop, answer: str, code: str) -> None:
    access = wished(shop)
    url = begun(shop, "5100000000005007", access)["RedirectUrl"]
    assert "ショップに戻る" in answered(shop, url, answer).text
    assert secure(shop, access)["ErrInfo"] == code
    assert shop.status() == "AUTHENTICATED"


def test_the_first_answer_counts(shop: Shop) -> None:
    access = wished(shop)
    url = begun(shop, CHALLENGE, access)["RedirectUrl"]
    hidden = hidden_of(question(shop, url))
    shop.http.post("/three-ds/", data={**hidden, "answer": "no"})
    shop.http.post("/three-ds/", data={**hidden, "answer": "yes"})
    assert secure(shop, access)["ErrInfo"] == "E21030202"
    assert shop.http.post("/three-ds/", data={**hidden, "answer": "maybe"}).status_code == 400


def test_a_stranger_finds_nothing(shop: Shop) -> None:
    url = begun(shop, CHALLENGE)["RedirectUrl"]
    assert shop.http.get(url[:-1]).status_code == 404
    assert shop.http.get("/three-ds/").status_code == 404
    assert shop.http.post("/three-ds/", data={"answer": "yes"}).status_code == 404
    assert shop.look()["Status"] == "AUTHENTICATED"


@pytest.mark.parametrize("callback_type", ["", "1"])
def test_the_browser_posts_access_id_back(shop: Shop, callback_type: str) -> None:
    answer = begun(shop, FRICTIONLESS, CallbackType=callback_type)
    page = question(shop, answer["RedirectUrl"])
    assert 'method="post"' in page.text
    # browsers would hold it against whatever the shop redirects to afterwards
    assert "form-action" not in page.headers["Content-Security-Policy"]


def test_or_it_brings_access_id_in_the_address(shop: Shop) -> None:
    access = wished(shop)
    answer = begun(shop, FRICTIONLESS, access, CallbackType="3")
    back = question(shop, answer["RedirectUrl"])
    assert back.status_code == 303
    assert back.location == f"{RETURN}&AccessID={access['AccessID']}"


def test_a_card_that_does_not_support_it(shop: Shop) -> None:  # Tds2Type
    assert begun(shop, "4100000000200007")["ErrInfo"] == "E21030201"
    assert shop.status() == "UNPROCESSED"
    access = wished(shop, "A-2", Tds2Type="3")
    answer = begun(shop, "4100000000200007", access, OrderID="A-2")
    assert answer["ACS"] == "0"
    assert shop.status("A-2") == "AUTH"


def test_without_the_wish_the_same_card_is_simply_approved(shop: Shop) -> None:
    assert shop.execute(shop.entered(), CardNo=CHALLENGE, RetUrl=RETURN)["ACS"] == "0"


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"RetUrl": ""}, "E01840010"),
        ({"RetUrl": "javascript:alert(1)"}, "E01840010"),
        ({"RetUrl": "https://shop.example/" + "x" * 2048}, "E01530005"),
        ({"CallbackType": "9"}, "E01840010"),
    ],
)
def test_a_way_back_that_is_none(shop: Shop, more: dict[str, str], code: str) -> None:
    assert begun(shop, CHALLENGE, **more)["ErrInfo"] == code
    assert shop.status() == "UNPROCESSED"


def test_a_declined_card_is_declined_after_authentication(shop: Shop) -> None:
    access = wished(shop)
    question(shop, begun(shop, "4999000000000002", access)["RedirectUrl"])
    assert secure(shop, access) == {"ErrCode": "G02", "ErrInfo": "42G020000"}
    assert shop.status() == "AUTHENTICATED"


@pytest.mark.parametrize("job", ["CAPTURE", "CHECK"])
def test_the_state_afterwards_is_that_of_the_entry(shop: Shop, job: str) -> None:
    access = wished(shop, job=job)
    question(shop, begun(shop, FRICTIONLESS, access)["RedirectUrl"])
    assert "TranID" in secure(shop, access)
    assert shop.status() == job


def test_meanwhile_nothing_else_is_possible(shop: Shop) -> None:  # §3.2
    access = wished(shop)
    begun(shop, CHALLENGE, access)
    assert begun(shop, CHALLENGE, access)["ErrInfo"] == "E11010001"
    assert shop.alter(access, "SALES", 1000)["ErrInfo"] == "E11010002"
    assert shop.change(access, "AUTH", 900)["ErrInfo"] == "E11010002"
    assert shop.look()["CardNo"] == "*" * 12 + "5000"


def test_secure_tran_of_what_never_began(shop: Shop) -> None:
    assert secure(shop, shop.entered("A-1"))["ErrInfo"] == "E11010002"
    assert secure(shop, shop.executed("A-2"))["ErrInfo"] == "E11010001"
    stranger = {"AccessID": "0" * 32, "AccessPass": "x"}
    assert secure(shop, stranger)["ErrInfo"] == "E01100008|E01110002"


@pytest.mark.parametrize(
    ("fault", "status"),
    [("drop_before", "AUTHENTICATED"), ("error:E91019999", "AUTHENTICATED"), ("truncate", "AUTH")],
)
def test_faults_reach_secure_tran_too(shop: Shop, fault: str, status: str) -> None:  # rule 32
    access = wished(shop)
    question(shop, begun(shop, FRICTIONLESS, access)["RedirectUrl"])
    shop.control("faults", {"api": "SecureTran2", "order_id": "A-1", "times": 1, "fault": fault})
    try:
        shop.send("SecureTran2", form(access))
    except ConnectionError:
        assert fault == "drop_before"
    assert shop.status() == status
    # a token or an authentication that was never used is not used up
    again = secure(shop, access)
    assert again.get("ErrInfo") == ("E11010001" if status == "AUTH" else None)


def test_the_console_shows_where_it_stands(shop: Shop) -> None:
    trade = "/mulpayconsole/shop/tshop00000001/transactions/A-1"
    access = wished(shop)
    assert "まだ始まっていません" in shop.http.get(trade).text
    url = begun(shop, CHALLENGE, access)["RedirectUrl"]
    assert "認証待ち" in shop.http.get(trade).text
    assert "未決済(3D登録済)" in shop.http.get(trade).text
    answered(shop, url, "yes")
    secure(shop, access)
    assert "認証済(Y)" in shop.http.get(trade).text
