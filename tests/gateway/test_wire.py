"""The text on the wire: cp932 both ways, and the splitting rules of protocol.md §1.3."""

import pytest

from sgpshop.gateway.wire import (
    MalformedAnswer,
    UnencodableValue,
    encode_form,
    parse_answer,
)


def fields(text: str) -> tuple[tuple[str, str], ...]:
    return parse_answer(text.encode("cp932")).fields


def test_a_form_is_percent_encoded_windows_31j_in_the_order_given() -> None:
    body = encode_form({"ShopID": "tshop1", "ClientField1": "表 +&=%", "Tax": ""})
    assert body == b"ShopID=tshop1&ClientField1=%95%5C%20%2B%26%3D%25&Tax="


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("〜", "～"), ("−", "－"), ("‖", "∥"), ("—", "―"), ("¢", "￠"), ("£", "￡"), ("¬", "￢")],
)
def test_look_alikes_are_mapped_before_encoding(ours: str, theirs: str) -> None:
    assert encode_form({"a": ours}) == encode_form({"a": theirs})


@pytest.mark.parametrize("text", ["😀", "𠮷", "é", "\ud800"])
def test_what_cp932_does_not_have_is_refused_by_field_name_only(text: str) -> None:
    with pytest.raises(UnencodableValue) as refusal:
        encode_form({"ClientField1": f"secret{text}"})
    assert refusal.value.field == "ClientField1"
    assert "secret" not in str(refusal.value)


def test_second_bytes_that_look_like_separators_stay_inside_their_character() -> None:
    assert "表".encode("cp932")[1:] == b"\\"
    assert "ポ".encode("cp932")[1:] == b"|"
    answer = parse_answer("CardName=表|ソポ|ポ&CardSeq=0|1|2".encode("cp932"))
    assert answer.items("CardName") == ("表", "ソポ", "ポ")
    assert answer.items("CardSeq") == ("0", "1", "2")


def test_values_are_taken_literally() -> None:
    assert fields("Approve=  12345&A=x+y&B=%41&C=a=b=") == (
        ("Approve", "  12345"),
        ("A", "x+y"),
        ("B", "%41"),
        ("C", "a=b="),
    )


def test_blank_and_absent_are_different_and_names_have_no_case() -> None:
    answer = parse_answer(b"PayTimes=&orderid=X")
    assert answer.get("PayTimes") == ""
    assert answer.get("Method") is None
    assert answer["OrderID"] == "X"
    assert "ORDERID" in answer


def test_line_ends_at_the_end_are_tolerated() -> None:
    assert fields("A=1&B=2\r\n") == (("A", "1"), ("B", "2"))


def test_redirect_url_takes_the_rest_of_the_line() -> None:
    url = "https://acs.example/3ds?transId=1&t=2&ErrCode=E01"
    answer = parse_answer(f"ACS=2&RedirectUrl={url}".encode())
    assert answer.fields == (("ACS", "2"), ("RedirectUrl", url))
    assert answer.codes == ()


def test_an_ampersand_in_free_text_is_text() -> None:
    answer = parse_answer(b"OrderID=1&ClientField1=salt & pepper&ClientField2=")
    assert answer["ClientField1"] == "salt & pepper"
    assert answer["ClientField2"] == ""


def test_the_same_key_twice_is_fine_only_with_the_same_value() -> None:
    assert parse_answer(b"A=1&a=1")["A"] == "1"
    with pytest.raises(MalformedAnswer):
        parse_answer(b"AccessID=1&accessid=2")


def test_error_codes_are_the_second_of_two_parallel_lists() -> None:
    answer = parse_answer(b"ErrCode=E01|E01&ErrInfo=E01050002|E01060006")
    assert answer.codes == ("E01050002", "E01060006")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\r\n",
        b"OK",
        b"=value",
        b"A=1&",
        b"A=1&&B=2",
        b"A=1&B",
        b"<html lang='ja'><title>503</title>",
        b"A=1\nB=2",
        b"A=\x00",
        b"A=\x83",  # half a character
        b"A=\x81\x20",
        b"ErrCode=E01",
        b"ErrInfo=E01060010",
        b"ErrCode=&ErrInfo=",
        b"ErrCode=E01&ErrInfo=E01060010|E01070005",
        b"ErrCode=E01|E01&ErrInfo=E01060010|",
        b"ErrCode=E01&ErrInfo=<b>",
    ],
)
def test_anything_else_is_no_answer(body: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        parse_answer(body)


def test_the_repr_of_an_answer_shows_no_values() -> None:
    assert repr(parse_answer(b"AccessID=1&AccessPass=geheim")) == "Answer(AccessID, AccessPass)"
