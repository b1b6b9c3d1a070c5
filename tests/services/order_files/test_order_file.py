"""Reading an order file: what is accepted, what is refused, and in which words (§14.2)."""

from __future__ import annotations

import io
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgpshop.domain.delivery_status import DeliveryStatus
from sgpshop.domain.payment_methods import KnownMethods
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.row_files import FileRefused, Limits, heading_key
from sgpshop.models import IssueLevel, OrderKind
from sgpshop.services.files.layouts import a00_own
from sgpshop.services.files.reading import read_rows
from sgpshop.services.order_files.reading import (
    FileOrder,
    ParsedOrder,
    PaymentClaim,
    read_orders,
    survey,
)
from tests.seeds import is_thorough
from tests.services.order_csv import ROW, csv_file, number, row

SCREEN = Limits(max_bytes=5_242_880, max_lines=20_000, max_cell=1_000)  # S17


def read(content: bytes, limits: Limits = SCREEN) -> list[FileOrder]:
    stream = io.BytesIO(content)
    return list(read_orders([stream], limits, survey([stream], limits), KnownMethods()))


def read_one(**cells: str) -> ParsedOrder:
    (found,) = read(csv_file(row(**cells)))
    assert found.order is not None, found.issues
    return found.order


def problems(content: bytes) -> list[tuple[int, str]]:
    return [(i.line, i.message) for o in read(content) for i in o.issues]


def refusal(content: bytes, limits: Limits = SCREEN) -> str:
    with pytest.raises(FileRefused) as caught:
        read(content, limits)
    return caught.value.message


def test_a_member_under_which_we_keep_cards_is_nobody_s() -> None:
    [(line, message)] = problems(csv_file(row(会員ID="SGPSHOP.tshop00000001.A1")))
    assert line == 2
    assert "「会員ID」に「sgpshop.」で始まる会員IDは使えません" in message


class TestEncodings:
    """UTF-8 with or without mark, CP932; all else by content (S17)."""

    @pytest.mark.parametrize("encoding", ["cp932", "utf-8", "utf-8-sig", "utf-16"])
    def test_names_outside_jis_x_0208_survive(self, encoding: str) -> None:
        content = csv_file(row(注文者="髙﨑 〜ﾃｽﾄ".replace("〜", "～")), encoding=encoding)
        assert read(content)[0].order is not None
        (found,) = read(content)
        assert found.order.values["buyer_name"] == "髙﨑 ～ﾃｽﾄ"  # type: ignore[union-attr]

    def test_utf8_holds_what_cp932_cannot(self) -> None:
        (found,) = read(csv_file(row(注文者="𠮷田 é"), encoding="utf-8"))
        assert found.order is not None
        assert found.order.values["buyer_name"] == "𠮷田 é"

    def test_line_ends_may_be_lf(self) -> None:
        assert read(csv_file(row(), lineterminator="\n"))[0].order is not None

    @pytest.mark.parametrize(
        ("start", "words"),
        [
            (b"PK\x03\x04rest", "Excel"),
            (b"\xd0\xcf\x11\xe0\xa1\xb1", "Excel"),
            (b"\x1f\x8b\x08", "圧縮"),
            (b"%PDF-1.7", "PDF"),
            (csv_file(row(), encoding="utf-16-le"), "1行目にテキストではない"),
        ],
    )
    def test_other_kinds_of_file_are_refused(self, start: bytes, words: str) -> None:
        assert words in refusal(start)

    def test_undecodable_bytes_name_the_line(self) -> None:
        content = csv_file(row(), row(注文番号=number(2)), encoding="utf-8") + b"\x83\xff,x\r\n"
        assert "4行目の文字を読み取れません" in refusal(content)

    def test_a_cut_cp932_character_names_the_line(self) -> None:
        assert "2行目" in refusal(csv_file(ROW).replace("煎茶".encode("cp932"), b"\x90"))

    def test_zero_bytes_name_the_line(self) -> None:
        assert "2行目" in refusal(csv_file(row(備考="x\0y")))


class TestLimits:
    """S17, checked while reading, on the screen only."""

    def test_too_many_bytes(self) -> None:
        content = csv_file(row(備考="x" * 900), row(注文番号=number(2)))
        assert "1,000バイトまで" in refusal(content, Limits(max_bytes=1_000))
        assert read(content, Limits())[0].order is not None

    def test_too_many_lines(self) -> None:
        content = csv_file(*[row(注文番号=number(n)) for n in range(10)])
        assert "10行まで" in refusal(content, Limits(max_lines=10))
        assert len(read(content, Limits(max_lines=11))) == 10

    def test_reading_stops_at_the_limit(self) -> None:
        class Endless(io.RawIOBase):
            def readable(self) -> bool:
                return True

            def readinto(self, buffer: Any) -> int:
                buffer[:] = b"a,b\n" * (len(buffer) // 4) + b"\n" * (len(buffer) % 4)
                return len(buffer)

        with pytest.raises(FileRefused):
            list(read_rows(io.BufferedReader(Endless()), Limits(max_bytes=100_000)))

    def test_a_long_cell_spoils_its_own_order_only(self) -> None:
        content = csv_file(row(備考="長" * 1001), row(注文番号=number(2)))
        bad, good = read(content)
        assert bad.order is None
        assert good.order is not None
        assert "1,000文字を超える" in bad.issues[0].message

    def test_a_line_without_end_is_refused_on_the_command_too(self) -> None:
        assert "1行目が長すぎます" in refusal(b"a" * 1_000_001, Limits())


class TestShape:
    """RFC 4180 with a required heading in any order."""

    def test_an_empty_file(self) -> None:
        assert "空です" in refusal(b"")

    def test_missing_columns_are_named(self) -> None:
        message = refusal("注文番号,商品名\r\nP1,煎茶\r\n".encode("cp932"))
        assert "注文日時、決済方法、合計金額、単価、数量" in message

    def test_the_same_heading_twice_is_refused(self) -> None:
        message = refusal(csv_file(ROW).replace("送料".encode("cp932"), "数量".encode("cp932")))
        assert "数量" in message
        assert "2回" in message

    def test_column_order_extra_columns_and_width_do_not_matter(self) -> None:
        cells = {
            "店舗メモ": "無視",
            "消費税８％": "1",
            "注文者（振り仮名）": "サトウ",
            **dict(reversed(ROW.items())),
        }
        (found,) = read(csv_file(cells))
        assert found.order is not None
        assert found.order.values["tax_8"] == 1
        assert found.order.values["buyer_kana"] == "サトウ"

    def test_names_of_the_api_are_understood(self) -> None:
        content = (
            b"ordernum,date,paymethod.type,sumprice,name,price,amount,orgoptioncode,orgcode\n"
            b"P1,20261123101500,R,1000,tea,1000,1,,A-1\n"
        )
        (found,) = read(content)
        assert found.order is not None
        assert found.order.values["method"] == "代金引換"  # R144
        assert found.order.lines[0]["code"] == "A-1"  # first that is not empty

    def test_parts_of_an_address_are_joined(self) -> None:
        (found,) = read(csv_file(row(city="千代田区", street="1-1", address="ビル3階")))
        assert found.order is not None
        assert found.order.values["buyer_address"] == "千代田区1-1ビル3階"

    def test_line_breaks_and_commas_in_quotes(self) -> None:
        assert read_one(備考='一行目\n二行目, "三"').values["note"] == '一行目\n二行目, "三"'

    def test_lines_are_counted_in_the_file_not_in_rows(self) -> None:
        content = csv_file(row(備考="a\nb\nc"), row(注文番号=number(2), 数量="0"))
        assert problems(content)[0][0] == 5

    @pytest.mark.parametrize("text", ['"煎茶', '"煎"茶', '煎茶,"'])
    def test_a_broken_quote_is_refused_with_its_line(self, text: str) -> None:
        content = csv_file(row(), row(注文番号=number(2), 商品名="ABC"), row(注文番号=number(3)))
        assert "3行目から" in refusal(content.replace(b"ABC", text.encode("cp932")))

    def test_a_quote_that_swallows_rows_is_refused_not_taken_as_a_note(self) -> None:
        rows = [row(注文番号=number(n)) for n in range(1, 60)]
        rows[1]["備考"], rows[40]["備考"] = "ABC", "DEF"
        content = csv_file(*rows).replace(b"ABC", b'"ABC').replace(b"DEF", b'DEF"')
        assert "3行目から" in refusal(content)

    def test_blank_rows_are_passed_over(self) -> None:
        content = csv_file(row(), row(注文番号=number(2)))
        assert len(read(content.replace(b"\r\n", b"\r\n,,,\r\n\r\n"))) == 2

    def test_headings_are_unambiguous(self) -> None:
        sources = a00_own.LAYOUT.sources().values()
        keys = [heading_key(name) for source in sources for name in source.headings]
        assert len(keys) == len(set(keys))


class TestOrders:
    """One row per item; all of an order or nothing."""

    def test_rows_of_one_order_come_together(self) -> None:
        content = csv_file(
            row(合計金額="3000"),
            row(合計金額="3000", 商品名="湯呑", 単価="500", 数量="1"),
            row(注文番号=number(2)),
        )
        first, second = read(content)
        assert first.order is not None
        assert [line["name"] for line in first.order.lines] == ["煎茶", "湯呑"]
        assert (first.line, second.line) == (2, 4)

    def test_one_bad_row_leaves_out_its_whole_order_and_names_all_bad_lines(self) -> None:
        content = csv_file(row(数量="0"), row(), row(単価="x"), row(注文番号=number(2)))
        bad, good = read(content)
        assert bad.order is None
        assert good.order is not None
        assert [(issue.line, issue.message[:4]) for issue in bad.issues] == [
            (2, "「数量」"),
            (4, "「単価」"),
        ]

    def test_order_columns_must_agree(self) -> None:
        content = csv_file(row(注文者="佐藤"), row(注文者="鈴木"))
        assert problems(content) == [
            (3, "「注文者」が同じ注文の2行目と違います。同じ値を繰り返してください。")
        ]

    def test_rows_that_stand_apart_are_left_out_everywhere(self) -> None:
        # Two exports in one file: adding the items up would charge twice.
        content = csv_file(row(), row(注文番号=number(2)), row())
        first, other, again = read(content)
        assert first.order is None
        assert again.order is None
        assert other.order is not None
        assert "離れた場所" in first.issues[0].message

    def test_a_row_without_number_spoils_the_order_above(self) -> None:
        content = csv_file(row(), row(注文番号=""), row(注文番号=number(2)))
        bad, good = read(content)
        assert bad.order is None
        assert bad.order_no == ROW["注文番号"]
        assert good.order is not None
        assert bad.issues[0].message == "「注文番号」が空です。"

    def test_several_deliveries(self) -> None:
        content = csv_file(
            row(配送先番号="1", お届け先氏名="甲", 伝票番号="0123"),
            row(配送先番号="2", お届け先氏名="乙", 伝票番号=""),
            row(配送先番号="1", お届け先氏名="甲", 伝票番号="0123", 商品名="湯呑"),
        )
        (found,) = read(content)
        assert found.order is not None
        assert [d["name"] for d in found.order.deliveries] == ["甲", "乙"]
        assert [line["delivery_number"] for line in found.order.lines] == [1, 2, 1]
        assert found.order.deliveries[0]["slip_no"] == "0123"

    def test_one_delivery_must_agree_with_itself(self) -> None:
        content = csv_file(
            row(配送先番号="1", お届け先氏名="甲"), row(配送先番号="1", お届け先氏名="乙")
        )
        assert "「お届け先氏名」" in problems(content)[0][1]

    def test_number_zero_is_the_only_delivery(self) -> None:
        content = csv_file(row(配送先番号="0"), row(配送先番号="1"))
        assert "1から付けて" in problems(content)[0][1]

    def test_at_most_fifty_kinds(self) -> None:
        rows = [row(商品名=f"品{n}") for n in range(51)]
        assert "50種類まで" in problems(csv_file(*rows))[0][1]
        assert read(csv_file(*rows[:50]))[0].order is not None

    def test_at_most_fifty_deliveries(self) -> None:
        rows = [row(配送先番号=str(n)) for n in range(1, 52)]
        assert "50件まで" in problems(csv_file(*rows))[0][1]


class TestCells:
    """What one cell may say."""

    @pytest.mark.parametrize(
        "text",
        [
            "20261123101500",
            "2026/11/23 10:15",
            "2026/11/23 10:15:00",
            "2026-11-23 10:15:00",
            "2026-11-23T10:15:00+09:00",
            "2026-11-23T01:15:00Z",
            "2026-11-23T10:15:00",
            "２０２６／１１／２３　１０：１５",
        ],
    )
    def test_moments_are_japan_time(self, text: str) -> None:
        assert read_one(注文日時=text).values["ordered_at"] == datetime(
            2026, 11, 23, 1, 15, tzinfo=UTC
        )

    @pytest.mark.parametrize("clock", ["9:05:00", "90500", "090500", "09:05"])
    def test_date_and_time_in_two_columns(self, clock: str) -> None:
        order = read_one(注文日時="2022/8/10", 注文時間=clock)
        assert order.values["ordered_at"] == datetime(2022, 8, 10, 0, 5, tzinfo=UTC)

    @pytest.mark.parametrize(
        "text", ["2026/13/01", "2026/2/30 1:00", "きのう", "2026/11/23 25:00", "0001-01-01", "1"]
    )
    def test_impossible_moments(self, text: str) -> None:
        assert problems(csv_file(row(注文日時=text)))[0][1].startswith("「注文日時」は")

    def test_a_wish_date(self) -> None:
        assert read_one(配送希望日="2026/12/1").deliveries[0]["wish_date"] == date(2026, 12, 1)

    @pytest.mark.parametrize(
        "text", ["2,500", "２５００", "￥2,500", "\\2,500", "2500円", " 2500 "]
    )
    def test_yen(self, text: str) -> None:
        assert read_one(合計金額=text).values["total"] == 2500

    @pytest.mark.parametrize(
        "text", ["-1", "10000000", "1.5", "2,50", "1e3", "", "二千", "9" * 5000]
    )
    def test_not_yen(self, text: str) -> None:
        limits = Limits()
        (found,) = read(csv_file(row(合計金額=text)), limits)
        assert found.order is None
        assert "「合計金額」" in found.issues[0].message

    @pytest.mark.parametrize("text", ["Ｐ１２３", "P" * 28, "-1", "P#1", "P 1", "P１"])
    def test_order_numbers_are_half_width(self, text: str) -> None:  # R142, S25
        assert "英数字とハイフン27文字以内" in problems(csv_file(row(注文番号=text)))[0][1]

    @pytest.mark.parametrize("text", ["'=1+1", "=1+1"])
    def test_the_formula_guard_of_our_export_is_taken_off(self, text: str) -> None:  # §14.3
        assert read_one(注文者=text).values["buyer_name"] == "=1+1"

    def test_other_apostrophes_stay(self) -> None:
        assert read_one(注文者="'90s Club").values["buyer_name"] == "'90s Club"

    def test_text_as_excel_writes_it(self) -> None:
        assert read_one(伝票番号='="0123"').deliveries[0]["slip_no"] == "0123"

    def test_markup_is_only_text(self) -> None:
        assert read_one(商品名="<b>茶</b>").lines[0]["name"] == "<b>茶</b>"

    def test_control_characters_are_refused(self) -> None:  # S25
        assert "制御文字" in problems(csv_file(row(注文者="佐\x07藤")))[0][1]
        assert "改行" in problems(csv_file(row(注文者="佐\n藤")))[0][1]

    def test_texts_fit_their_column(self) -> None:
        assert "「注文者」は200文字以内" in problems(csv_file(row(注文者="長" * 201)))[0][1]

    @pytest.mark.parametrize(("text", "code"), [
        ("002", "002"), ("2", "002"), ("佐川急便", "003"), ("ヤマト", "002"), ("ｻｶﾞﾜ SAGAWA", "003"),
        ("ゆうパケット", "025"),
    ])  # fmt: skip
    def test_carriers(self, text: str, code: str) -> None:  # §9.2
        assert read_one(配送会社=text).deliveries[0]["carrier_code"] == code

    @pytest.mark.parametrize("text", ["005", "032", "000", "1001", "猫"])
    def test_unknown_carriers(self, text: str) -> None:
        assert "「配送会社」" in problems(csv_file(row(配送会社=text)))[0][1]

    @pytest.mark.parametrize(
        ("text", "name"),
        [("東京(23区内)", "東京都"), ("東京（23区外）", "東京都"), ("北海道", "北海道")],
    )
    def test_the_two_halves_of_tokyo(self, text: str, name: str) -> None:
        assert read_one(都道府県=text).values["buyer_prefecture"] == name

    @pytest.mark.parametrize(
        ("rate", "reduced", "expected"),
        [
            ("8", "", 8),
            ("10%", "", 10),
            ("", "1", 8),
            ("", "0", 10),
            ("", "", 10),
            ("8", "1", 8),
            ("0", "", 0),
            ("非課税", "0", 0),
        ],
    )
    def test_tax_rates(self, rate: str, reduced: str, expected: int) -> None:  # R77
        assert read_one(税率=rate, 軽減税率対象=reduced).lines[0].get("tax_rate", 10) == expected

    def test_contradicting_tax_rates(self) -> None:
        assert "合いません" in problems(csv_file(row(税率="0", 軽減税率対象="1")))[0][1]
        assert "合いません" in problems(csv_file(row(税率="10", 軽減税率対象="1")))[0][1]

    @pytest.mark.parametrize(
        "text",
        ["4111111111111111", "4111 1111 1111 1111", "４１１１－１１１１－１１１１－１１１１"],
    )
    @pytest.mark.parametrize("column", ["備考", "注文者", "店舗メモ", "注文番号"])
    def test_card_numbers_are_refused_and_not_repeated(self, text: str, column: str) -> None:  # S11
        content = csv_file(row(**{column: text}), encoding="utf-8")
        (found,) = read(content)
        assert found.order is None
        assert "カード番号" in found.issues[0].message
        assert text not in repr(found.issues)
        assert text not in found.order_no

    def test_a_card_number_spoils_its_order_not_only_its_row(self) -> None:
        content = csv_file(row(), row(備考="4111111111111111"), row(注文番号=number(2)))
        bad, good = read(content)
        assert bad.order is None
        assert good.order is not None

    def test_random_values_of_the_gateway_may_look_like_one(self) -> None:
        token = "a" * 8 + "4111111111111111" + "b" * 8
        read_one(取引ID=token, 取引パスワード=token)
        assert "カード番号" in problems(csv_file(row(取引ID="4111111111111111")))[0][1]
        assert "カード番号" in problems(csv_file(row(備考=token.replace("b", " "))))[0][1]

    def test_ordinary_numbers_pass(self) -> None:  # S11
        read_one(注文番号="P171323551145213731", 伝票番号="412345678901", JAN="4901234567894")


class TestPaymentClaims:
    """A file claims, the gateway decides (R143, P3)."""

    def shown(self, kind: OrderKind = OrderKind.NORMAL, **cells: str) -> PaymentStatus:
        return self.claim(**cells).status_until_look_up(kind)

    def claim(self, **cells: str) -> PaymentClaim:
        claim = read_one(**cells).claim
        assert claim is not None
        return claim

    @pytest.mark.parametrize(
        "method", ["SGP", "SGP:カード決済", "SGPカード決済", "SGP：カード決済"]
    )
    def test_names_of_the_method(self, method: str) -> None:
        assert read_one(決済方法=method).values["method"] == "SGP"

    def test_other_methods_have_no_payment_status(self) -> None:
        (found,) = read(csv_file(row(決済方法="銀行振込", 決済方法ステータス="決済完了")))
        assert found.order is not None
        assert found.order.claim is None
        assert found.issues[0].level is IssueLevel.WARNING

    @pytest.mark.parametrize(
        ("word", "shown"),
        [
            ("仮売上", PaymentStatus.AUTHORIZED),
            ("[仮売上]", PaymentStatus.AUTHORIZED),
            ("決済待ち", PaymentStatus.AWAITING_BILLING),
            ("売上報告済", PaymentStatus.BILLING_REPORTED),
            ("要確認", PaymentStatus.NEEDS_REVIEW),
            ("決済完了", PaymentStatus.NEEDS_REVIEW),
            ("売上失敗", PaymentStatus.NEEDS_REVIEW),
            ("注文キャンセル", PaymentStatus.NEEDS_REVIEW),
            ("", PaymentStatus.NEEDS_REVIEW),
        ],
    )
    def test_what_is_shown_before_the_look_up(self, word: str, shown: PaymentStatus) -> None:
        assert self.shown(決済方法ステータス=word) is shown

    def test_an_unknown_word_lists_the_seven(self) -> None:
        message = problems(csv_file(row(決済方法ステータス="売上")))[0][1]
        assert "仮売上・決済完了・売上失敗・注文キャンセル・要確認・決済待ち・売上報告済" in message

    def test_provisional_orders_need_review(self) -> None:
        assert self.claim(注文状態="99", 決済方法ステータス="仮売上").status is (
            PaymentStatus.NEEDS_REVIEW
        )

    def test_state_zero_claims_a_cancel(self) -> None:
        order = read_one(注文状態="0", 合計金額="0", 単価="0", 送料="0")
        assert order.claim is not None
        assert order.claim.status is PaymentStatus.CANCELLED
        assert order.claim.status_until_look_up(OrderKind.NORMAL) is PaymentStatus.NEEDS_REVIEW
        assert order.deliveries[0]["status"] is DeliveryStatus.CANCELLED

    def test_nothing_to_charge_is_no_sgp_order(self) -> None:
        assert "1円以上" in problems(csv_file(row(合計金額="0")))[0][1]

    def test_a_subscription_is_never_a_provisional_sale(self) -> None:  # R21
        assert self.shown(OrderKind.SUBSCRIPTION, 決済方法ステータス="仮売上") is (
            PaymentStatus.NEEDS_REVIEW
        )

    def test_another_authorized_amount_is_a_warning(self) -> None:
        (found,) = read(csv_file(row(決済方法ステータス="仮売上", オーソリ金額="3000")))
        assert found.order is not None
        assert "「オーソリ金額」3,000円" in found.issues[0].message


class TestDeliveryStatus:
    @pytest.mark.parametrize(
        ("cells", "expected"),
        [
            ({"配送ステータス": "配送完了"}, DeliveryStatus.DELIVERED),
            ({"配送ステータス": "3"}, DeliveryStatus.DELIVERED),
            ({"配送ステータス": "R"}, DeliveryStatus.RETURNED),
            ({"処理状況": "配送"}, DeliveryStatus.DELIVERED),
            ({"処理状況": "未処理", "配送ステータス": "2"}, DeliveryStatus.PREPARING),
        ],
    )
    def test_from_either_column(self, cells: dict[str, str], expected: DeliveryStatus) -> None:
        assert read_one(**cells).deliveries[0]["status"] is expected

    def test_a_file_that_does_not_speak_of_it_says_nothing(self) -> None:
        assert "status" not in read_one().deliveries[0]

    def test_contradiction_is_a_warning(self) -> None:
        (found,) = read(csv_file(row(処理状況="配送", 配送ステータス="未処理")))
        assert found.order is not None
        assert "「処理状況」" in found.issues[0].message


@pytest.mark.long
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    heading = ",".join(ROW).encode("cp932") + b"\r\n"
    for attempt in (content, heading + content):
        with suppress(FileRefused):
            read(attempt)


@pytest.mark.long
@hypothesis.settings(max_examples=100 if is_thorough() else 30)
@given(
    st.lists(
        st.fixed_dictionaries(
            dict.fromkeys(
                ROW, st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
            )
        ),
        max_size=6,
    )
)
def test_any_cells_give_orders_or_sentences(rows: list[dict[str, str]]) -> None:
    for found in read(csv_file(ROW, *rows, encoding="utf-8")):
        assert found.order is not None or found.issues


@pytest.mark.parametrize("heading", [",".join(f"x{n}" for n in range(30_000)), "住所," * 30_000])
def test_a_file_of_thousands_of_columns_is_refused_at_once(heading: str) -> None:
    with pytest.raises(FileRefused) as refused:
        read(heading.encode() + b"\n" + b"1,2,3\n" * 1000)
    assert "30,00" in refused.value.message
    assert "200列まで" in refused.value.message


def test_nothing_of_a_cell_is_kept_or_looked_through_behind_the_limit() -> None:
    content = f"注文番号,備考\nP1,{'あ' * 30_000}\n".encode()
    _, record = read_rows(io.BytesIO(content), SCREEN)
    assert [len(cell) for cell in record.cells] == [2, 1001]
