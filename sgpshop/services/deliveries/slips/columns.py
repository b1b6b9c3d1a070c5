"""The columns of a slip file: heading, other names, and what a cell may say (rules.md §9.1).

Headings are compared without regard to width, case and blanks; columns not named here are ignored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sgpshop.domain.delivery_status import DeliveryStatus
from sgpshop.domain.row_files import heading_key
from sgpshop.domain.text import nfkc
from sgpshop.services.order_files.reading import cells
from sgpshop.services.order_files.reading.cells import CellProblem

#: Heading of the column that the error file adds, and that is passed over when it comes back (R81).
ERROR_TITLE = "エラー"


@dataclass(frozen=True)
class SlipColumn:
    """One column; `label` begins the sentence about a cell that cannot be used (§9.1)."""

    field: str
    title: str
    parse: Callable[[str], Any]
    label: str
    other_titles: tuple[str, ...] = ()
    required: bool = False
    empty: Any = ""
    #: begins the sentence about an empty cell of a required column
    missing_label: str = ""

    @property
    def heading_keys(self) -> list[str]:
        """All headings that name this column, in the form of `heading_key`."""
        return [heading_key(title) for title in (self.title, *self.other_titles)]


def _half_width(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Full-width digits, letters and signs count as half-width ones; not in order numbers (S25)."""
    return lambda value: parse(nfkc(value))


_STATUSES = {
    "1": DeliveryStatus.INSTRUCTED,
    "2": DeliveryStatus.PREPARING,
    "3": DeliveryStatus.DELIVERED,
    "9": DeliveryStatus.RETURNED,
}
_status = cells.one_of(
    _STATUSES | {status.label: status for status in _STATUSES.values()},
    "1 配送指示済・2 配送準備中・3 配送完了・9 返送",
)


def _carrier(value: str) -> str:
    if len(value) > 20:  # no code or name is longer
        raise CellProblem(cells.NO_CARRIER)
    return cells.carrier(value)


def _slip(value: str) -> str:
    if not any(map(str.isdigit, value)):  # `-` or `none` would be taken for a parcel that left
        raise CellProblem("に数字がありません。まだ発送していない注文の行は除いてください。")
    return cells.slip_number(value)


#: In the order of §9.1, which is the order of lines that come without a heading.
COLUMNS = (
    SlipColumn(
        "order_no",
        "注文番号",
        cells.order_number,
        "注文番号の形式",
        ("ordernum", "displayOrderNumber"),
        required=True,
        missing_label="注文番号なし",
    ),
    SlipColumn(
        "delivery_number",
        "配送先番号",
        _half_width(cells.whole(0, 999)),
        "配送先番号が不正",
        empty=0,
    ),
    SlipColumn(
        "carrier_code",
        "配送会社コード",
        _half_width(_carrier),
        "配送会社コードが不正",
        ("配送会社", "carrier"),
    ),
    SlipColumn(
        "slip_no",
        "伝票番号",
        _half_width(_slip),
        "伝票番号の形式",
        ("送り状番号", "deliverynum"),
        required=True,
        missing_label="伝票番号の形式",
    ),
    SlipColumn(
        "status",
        "配送ステータス",
        _status,
        "配送ステータスが不正",
        empty=DeliveryStatus.DELIVERED,
    ),
    SlipColumn("ship_date", "出荷日", cells.calendar_day, "出荷日が不正", ("発送日",), empty=None),
    SlipColumn("mail", "メール送信", cells.flag, "メール送信が不正", empty=False),
)
TITLES = [column.title for column in COLUMNS]
