"""The shipped sample and the file of mistakes: what a merchant sees on the first day."""

from __future__ import annotations

import io
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sgpshop.domain.card_data import contains_card_number
from sgpshop.domain.payment_methods import KnownMethods
from sgpshop.domain.row_files import Limits
from sgpshop.models import IssueLevel
from sgpshop.services.demo.sample import SAMPLE, sample_orders
from sgpshop.services.order_files.reading import FileOrder, read_orders, survey

BAD_ROWS = Path(__file__).parents[2] / "data" / "orders-with-bad-rows.csv"


def read(path: Path) -> list[FileOrder]:
    with path.open("rb") as stream:
        return list(read_orders([stream], Limits(), survey([stream], Limits()), KnownMethods()))


@pytest.fixture(scope="module")
def orders() -> list[FileOrder]:
    return read(SAMPLE)


class TestTheSample:
    def test_three_hundred_orders_go_in_without_errors(self, orders: list[FileOrder]) -> None:
        assert len(orders) == 300
        assert all(found.order for found in orders)
        assert {i.level for found in orders for i in found.issues} == {IssueLevel.WARNING}

    def test_has_all_statuses_kinds_and_traps(self, orders: list[FileOrder]) -> None:
        parsed = [found.order for found in orders if found.order]
        status = Counter(order.claim.status for order in parsed if order.claim)
        assert len(status) == 7
        assert min(status.values()) >= 7
        assert any(order.values.get("subscription_id") for order in parsed)
        assert any(line["is_preorder"] for order in parsed for line in order.lines)
        assert {line["tax_rate"] for order in parsed for line in order.lines} == {8, 10}
        assert max(len(order.deliveries) for order in parsed) == 3
        assert len({order.values["method"] for order in parsed}) == 6
        names = {order.values["buyer_name"] for order in parsed}
        assert {"=1+2 企画", "<b>太字</b> 商店"} <= names
        assert any("髙" in name for name in names)
        assert any("\n" in order.values.get("note", "") for order in parsed)

    def test_holds_no_card_number_and_nobody_s_data(self) -> None:  # S11
        text = SAMPLE.read_text("cp932")
        assert not any(contains_card_number(cell) for cell in text.replace("\n", ",").split(","))
        assert "@example.jp" in text

    @pytest.mark.parametrize("hour", [0, 5, 14])
    def test_is_moved_to_end_now(self, hour: int) -> None:
        now = datetime(2027, 3, 1, hour, 30, tzinfo=UTC)
        moved = sample_orders(now)
        newest = max(order.ordered_at for order in moved)
        assert newest <= now
        assert (now - newest).days == 0

    def test_keeps_its_numbers_when_moved(self) -> None:
        # else a second seeding would double the shop
        days = [datetime(2027, 3, day, tzinfo=UTC) for day in (1, 2)]
        first, second = ({order.order_no for order in sample_orders(now)} for now in days)
        assert first == second


class TestTheFileOfMistakes:
    EXPECTED = (
        (3, "「注文日時」は"),
        (4, "「合計金額」は0〜9,999,999の整数"),
        (5, "「合計金額」は0〜9,999,999の整数"),
        (6, "「数量」は1〜9,999の整数"),
        (7, "「単価」は"),
        (8, "「決済方法」が空です"),
        (9, "「決済方法ステータス」は次のどれか"),
        (13, "「備考」にクレジットカード番号"),
        (14, "「注文者」に使えない制御文字"),
        (15, "「伝票番号」は半角"),
        (16, "「商品名」が空です"),
        (17, "「予約フラグ」は次のどれか"),
        (18, "「部署名」は200文字以内"),
        (19, "「合計金額」は1円以上"),
        (20, "「注文番号」は半角の英数字とハイフン27文字以内"),
        (22, "「注文者」が同じ注文の21行目と違います"),
        (23, "同じ「注文番号」の行が離れた場所に"),
        (25, "同じ「注文番号」の行が離れた場所に"),
        (28, "「注文番号」が空です"),
    )

    def test_each_mistake_is_named_by_line_and_column(self) -> None:
        found = {
            issue.line: issue.message
            for order in read(BAD_ROWS)
            for issue in order.issues
            if issue.level is IssueLevel.ERROR
        }
        assert sorted(found) == [line for line, _ in self.EXPECTED]
        for line, words in self.EXPECTED:
            assert words in found[line], line

    def test_what_nobody_needs_is_left_out_and_told(self) -> None:
        told = {i.line: i.message for o in read(BAD_ROWS) if o.order for i in o.issues}
        assert sorted(told) == [10, 11, 12]
        for line, name in ((10, "配送会社"), (11, "税率"), (12, "配送希望日")):
            assert told[line].startswith(f"「{name}」は")
            assert told[line].endswith("この項目は空のまま取り込みます。")

    def test_good_orders_are_kept(self) -> None:
        assert [found.line for found in read(BAD_ROWS) if found.order] == [2, 10, 11, 12, 24, 29]

    def test_the_same_mistakes_in_utf8(self) -> None:
        content = BAD_ROWS.read_bytes().decode("cp932").encode("utf-8-sig")
        stream = io.BytesIO(content)
        found = read_orders([stream], Limits(), survey([stream], Limits()), KnownMethods())
        assert [order.line for order in found if order.order] == [2, 10, 11, 12, 24, 29]
