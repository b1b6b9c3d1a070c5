"""Card numbers are found in any dress, ordinary numbers are left alone (S11)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgpshop.domain import card_data
from sgpshop.domain.card_data import contains_card_number, mask_card_numbers

FULL_WIDTH = {ord(narrow): ord(narrow) + 0xFEE0 for narrow in "0123456789-"}


def with_check_digit(digits: str) -> str:
    """`digits` with the last one replaced so that the Luhn check passes."""
    for last in "0123456789":
        number = digits[:-1] + last
        doubled = [int(d) * 2 for d in number[-2::-2]]
        if (sum(map(int, number[::-2])) + sum(d // 10 + d % 10 for d in doubled)) % 10 == 0:
            return number
    raise AssertionError(digits)


BRANDS = [
    ("4111111111111111", "Visa"),
    ("4000000000000000006", "Visa of 19 digits"),
    ("5555555555554444", "Mastercard 51-55"),
    ("2221000000000009", "Mastercard, first of the second range"),
    ("2720999999999996", "Mastercard, last of the second range"),
    ("3528000000000007", "JCB, first"),
    ("3589999999999993", "JCB, last"),
    ("340000000000009", "American Express 34"),
    ("378282246310005", "American Express 37"),
    ("30569309025904", "Diners 305"),
    ("30950000000000", "Diners 3095"),
    ("36227206271667", "Diners 36"),
    ("38520000023237", "Diners 38"),
    ("6011111111111117", "Discover 6011"),
    ("6440000000000005", "Discover 644"),
    ("6500000000000002", "Discover 65"),
    ("6221260000000000", "Discover and UnionPay"),
    ("6200000000000005", "UnionPay"),
    ("8100000000000005", "UnionPay 81"),
]


@pytest.mark.parametrize("number", [with_check_digit(number) for number, _ in BRANDS])
def test_every_brand_is_found(number: str) -> None:
    assert contains_card_number(number)
    assert mask_card_numbers(number) == "*" * (len(number) - 4) + number[-4:]


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4111-1111 1111-1111",  # mixed
        "4111 - 1111 - 1111 - 1111",
        "4111‐1111−1111ー1111",  # what is typed for a hyphen
        "4111\u30001111\u00a01111\u200b1111",
        "4111111111111111".translate(FULL_WIDTH),
        "4111-1111-1111-1111".translate(FULL_WIDTH),
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "41111111 11111111",
        "4111-111111-111111",
        "3782 822463 10005",
        "カード番号は4111111111111111です。",
        "card4111111111111111exp1225",
        "f" * 17 + "4111111111111111",  # 33 of them
        "f4111111111111111f",
        "df8d41111111111111113315f508e919 4111111111111111",
        "4111-1111-1111-1111 12/28 123",
        "4111 1111 1111 1111 1228 123",
        "電話 03-1234-5678 カード 4111-1111-1111-1111",
        "03-1234-5678 4111-1111-1111-1111",
        "注文P261123101500000001\n4111111111111111",
    ],
)
def test_a_card_number_is_found_in_any_dress(text: str) -> None:
    assert contains_card_number(text)
    masked = mask_card_numbers(text)
    assert not contains_card_number(masked)
    assert len(masked) == len(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4111111111111112",  # the check digit is wrong
        with_check_digit("4000000000000"),  # 13 digits: what a JAN code has
        with_check_digit("9999999999999999"),  # nobody's prefix
        with_check_digit("2720999999999999").replace("2720", "2721"),
        "0" * 16,
        "4901234567894",  # JAN
        "4901234567894 45012345678907",
        "P261123101500000001",  # an order number: date, time, count
        "20261123101500",
        "2026-11-23 10:15:00",
        "4012-3456-7890",  # slip number
        "4012-3456-7890 4012-3456-7891",
        "03-1234-5678 090-1234-5678",
        "〒620-0000 0773-22-1234",
        "09012345678 4012345678",
        "¥4,111,111 ¥1,111,111",
        "4111\n1111\n1111\n1111",
        "df8d41111111111111113315f508e919",  # a run of ours, an AccessID
        "failed_of=df8d41111111111111113315f508e919&page=2",
    ],
)
def test_ordinary_numbers_pass(text: str) -> None:
    assert not contains_card_number(text)
    assert mask_card_numbers(text) == text


@given(st.from_regex(r"P2[0-9](0[1-9]|1[0-2])[0-3][0-9][0-2][0-9][0-5][0-9]{9}", fullmatch=True))
def test_no_order_number_is_taken_for_a_card(order_no: str) -> None:
    assert not contains_card_number(order_no)


@pytest.mark.parametrize("dress", ["{}{}{}", "{}-{}-{}", "P{}{}{}"])
def test_a_moment_and_four_digits_are_an_order_number(dress: str) -> None:
    """One in ten of them passes the Luhn check, and all of 2026 begins like a Mastercard."""
    numbers = [dress.format("261128", "101500", f"{n:04}") for n in range(20)]
    assert not [number for number in numbers if contains_card_number(number)]
    assert contains_card_number(with_check_digit("2613281015000000"))  # a month 13


@given(
    st.from_regex(
        r"0[5789]0-[0-9]{4}-[0-9]{4}|[0-9]{12}|[0-9]{4}-[0-9]{4}-[0-9]{4}|4[59][0-9]{11}",
        fullmatch=True,
    )
)
def test_no_phone_slip_or_jan_number_is_taken_for_a_card(number: str) -> None:
    assert not contains_card_number(number)


@given(st.from_regex(r"4[0-9]{15}", fullmatch=True), st.sampled_from(["", " ", "-", "ー", " - "]))
def test_every_visa_number_is_found_and_masked(digits: str, separator: str) -> None:
    number = with_check_digit(digits)
    text = separator.join(number[at : at + 4] for at in range(0, 16, 4))
    assert contains_card_number(f"備考{text}よろしく")
    assert not contains_card_number(mask_card_numbers(text))


@given(st.text())
def test_any_text_is_taken(text: str) -> None:
    assert (mask_card_numbers(text) != text) == contains_card_number(text)


@pytest.mark.parametrize(
    "piece", ["4-", "4444-", "1   ", "40-", "4444444444444444 ", "4" * 14 + "    ", "４－"]
)
def test_looking_for_card_numbers_costs_little_whatever_the_text(
    piece: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    is_card_number = card_data._is_card_number

    def counted(digits: str) -> bool:
        checked.append(digits)
        return is_card_number(digits)

    monkeypatch.setattr(card_data, "_is_card_number", counted)
    text = piece * (60_000 // len(piece))
    mask_card_numbers(text)
    assert sum(map(len, checked)) <= 8 * len(text)  # each sign is looked at a few times at most
