"""Rule 1 and protocol.md §1: what travels in either direction."""

import hashlib

import pytest
from flask import Flask

from .shop import FORM, SHOP, SITE, VISA, Shop, fields, form


def test_answers_are_one_line_of_windows_31j(app: Flask) -> None:
    answer = app.test_client().post(
        "/payment/SearchTrade.idPass", data=form({**SHOP, "OrderID": "none"}), content_type=FORM
    )
    assert answer.status_code == 200
    assert answer.content_type == "text/plain;charset=Windows-31J"
    assert answer.data == b"ErrCode=E01&ErrInfo=E01110002"


@pytest.mark.parametrize(
    ("method", "content_type", "body", "expected"),
    [
        ("GET", None, None, b"ErrCode=E31&ErrInfo=E31500014"),
        ("PUT", FORM, b"a=b", b"ErrCode=E00&ErrInfo=E00000001"),
        ("POST", "application/json", b"{}", b"ErrCode=E00&ErrInfo=E00000003"),
        ("POST", FORM, b"", b"ErrCode=E00&ErrInfo=E00000010"),
        ("POST", FORM, b"nothing like a form", b"ErrCode=E00&ErrInfo=E00000010"),
        ("POST", FORM, b"OrderID=%81", b"ErrCode=E00&ErrInfo=E00000010"),
    ],
)
def test_what_is_no_form_post_is_refused_with_200(
    app: Flask, method: str, content_type: str | None, body: bytes | None, expected: bytes
) -> None:  # rule 1
    answer = app.test_client().open(
        "/payment/SearchTrade.idPass", method=method, data=body, content_type=content_type
    )
    assert (answer.status_code, answer.data) == (200, expected)


def test_a_form_may_name_its_charset(app: Flask) -> None:
    answer = app.test_client().post(
        "/payment/SearchTrade.idPass", data=form(SHOP), content_type=f"{FORM}; charset=Windows-31J"
    )
    assert fields(answer.data)["ErrInfo"] == "E01040001|E01110002"


def test_an_unknown_api_is_refused(shop: Shop) -> None:  # rule 1
    assert shop.codes("SecureTran") == ["E91099997"]


@pytest.mark.parametrize(
    "text", ["表示〜ソ能", "アA|", "a+b %41 @", "髙﨑①㈱"]
)  # second bytes 0x5C and 0x7C, NEC and IBM characters
def test_japanese_comes_back_raw_and_unescaped(shop: Shop, text: str) -> None:
    shop.site_call("SaveMember", MemberID="m", MemberName=text.replace("〜", "～"))
    raw = shop.send("SearchMember", form({**SITE, "MemberID": "m"}))
    assert text.replace("〜", "～").encode("cp932") in raw
    assert not raw.endswith(b"\n")


def test_plus_is_a_space_and_unknown_parameters_do_not_matter(shop: Shop) -> None:
    body = form({**SITE, "MemberID": "m"}) + b"&MemberName=John+Smith%2B&User=lib&Version=1"
    assert shop.send("SaveMember", body) == b"MemberID=m"
    assert shop.site_call("SearchMember", MemberID="m")["MemberName"] == "John Smith+"


def test_the_class_of_a_card_company_error_is_inside_its_code(shop: Shop) -> None:  # §1.4
    access = shop.entered()
    answer = shop.execute(access, CardNo="4999000000000002")
    assert answer == {"ErrCode": "G02", "ErrInfo": "42G020000"}


def test_the_check_string_is_the_md5_of_the_answer(shop: Shop) -> None:  # §2.2
    answer = shop.execute(shop.entered())
    keys = ("OrderID", "Forward", "Method", "PayTimes", "Approve", "TranID", "TranDate")
    text = "".join(answer[key] for key in keys) + SHOP["ShopPass"]
    assert answer["CheckString"] == hashlib.md5(text.encode()).hexdigest()


def test_client_fields_are_echoed_on_request_and_kept_always(shop: Shop) -> None:  # rule 27
    echoed = shop.execute(shop.entered("A-1"), "A-1", ClientField1="備考", ClientFieldFlag="1")
    silent = shop.execute(shop.entered("A-2"), "A-2", ClientField2="x", ClientFieldFlag="0")
    assert list(echoed)[-3:] == ["ClientField1", "ClientField2", "ClientField3"]
    assert "ClientField2" not in silent
    assert shop.look("A-1")["ClientField1"] == "備考"
    assert shop.look("A-2")["ClientField2"] == "x"


def test_raw_cp932_bytes_are_read_like_escaped_ones(shop: Shop) -> None:
    body = form({**SHOP, **shop.entered(), "OrderID": "A-1", "Method": "1", **VISA})
    shop.send("ExecTran", body + "&ClientField1=能登".encode("cp932"))
    assert shop.look()["ClientField1"] == "能登"
