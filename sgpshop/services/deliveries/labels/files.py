"""The label file of chosen orders, and what is wrong with those that cannot be in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa
from sqlalchemy.orm import selectinload

from sgpshop.domain.amounts import AMOUNT_COLUMNS, break_down_order
from sgpshop.domain.csv_writing import Encoding, Value, csv_file
from sgpshop.domain.delivery_rules import DeliveryRefusal
from sgpshop.domain.delivery_status import OPEN_STATUSES
from sgpshop.domain.errors import ShopError
from sgpshop.domain.label_text import divided, phone, postal_code
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.text import nfkc
from sgpshop.extensions import db
from sgpshop.models import Delivery, Order
from sgpshop.services import settings
from sgpshop.services.deliveries.labels.job import Label, LabelJob, Sender
from sgpshop.services.deliveries.labels.layouts.layout import LabelLayout, LabelRow
from sgpshop.services.deliveries.slips import matching
from sgpshop.services.orders.reading import called_off_among
from sgpshop.services.settings import ShopSettings, rules
from sgpshop.storage.among import among
from sgpshop.storage.database import chunks

#: 決済方法 that the carrier collects
_CASH_WORDS = ("代引", "代金引換", "コレクト")


@dataclass(frozen=True)
class Problem:
    """What is wrong with one order."""

    order_no: str
    words: str
    #: it is in the file all the same
    is_warning: bool = False


@dataclass(frozen=True)
class LabelFile:
    """What came of chosen orders."""

    content: bytes
    labels: int
    orders: int
    #: orders that were left out, with their reason, and what to know of the others
    problems: list[Problem]

    @property
    def refused(self) -> int:
        """How many orders are not in the file."""
        return len({problem.order_no for problem in self.problems if not problem.is_warning})


class SettingsMissing(ShopError):
    """Nothing can be made before the shop has entered who it is, and its contract."""


def made(layout: LabelLayout, order_ids: Sequence[int], job: LabelJob) -> LabelFile:
    """The file for these orders, oldest first; an order with any problem is left out whole.

    Raises SettingsMissing.
    """
    shop = settings.load()
    sender = Sender.of(shop)
    _require_settings(layout, sender, shop)
    problems: list[Problem] = []
    called_off = called_off_among(order_ids)
    chosen = [
        (order, _labels(order, shop, problems, is_called_off=order.id in called_off))
        for order in _orders(order_ids)
    ]
    numbers = _numbers(layout, [label for _, labels in chosen for label in labels])
    rows: list[list[Value]] = []
    orders = 0
    for order, labels in chosen:
        filled = [_row(layout, label, numbers, sender, job, shop) for label in labels]
        wrong = dict.fromkeys(words for row in filled for words in row.problems)
        known = dict.fromkeys(words for row in filled for words in row.warnings)
        problems += [Problem(order.order_no, words) for words in wrong]
        problems += [Problem(order.order_no, words, is_warning=True) for words in known]
        if filled and not wrong:
            width = len(layout.headings)
            rows += [[row.cells.get(n) for n in range(1, width + 1)] for row in filled]
            orders += 1
    content = csv_file(
        layout.headings if layout.has_headings else None,
        [rows],
        layout.encoding,
        is_quoted=layout.is_quoted,
    )
    return LabelFile(b"".join(content), len(rows), orders, problems)


def named(numbers: Sequence[str]) -> dict[str, int]:
    """The ids of the orders with these numbers; unknown ones are missing."""
    return {
        row.order_no: row.id
        for some in chunks(numbers)
        for row in db.session.execute(
            sa.select(Order.id, Order.order_no).where(among(Order.order_no, some))
        )
    }


def _require_settings(layout: LabelLayout, sender: Sender, shop: ShopSettings) -> None:
    wanted = {name: getattr(shop, name) for name in layout.needs}
    if layout.has_sender:
        wanted |= {
            "label_sender_name": sender.name,
            "label_sender_postal_code": sender.postal_code,
            "label_sender_address": "".join(sender.address),
            "label_sender_tel": sender.tel,
        }
    missing = [rules.label(name) for name, value in wanted.items() if not value]
    if missing:
        raise SettingsMissing(
            f"送り状の設定が足りません:{'、'.join(missing)}。"
            "「設定」の「送り状」で登録してから、もう一度作ってください。"
        )


def _orders(order_ids: Sequence[int]) -> list[Order]:
    found: list[Order] = []
    for some in chunks(order_ids):
        found += db.session.scalars(
            sa.select(Order)
            .where(among(Order.id, some))
            .options(selectinload(Order.lines), selectinload(Order.deliveries))
        )
    return sorted(found, key=lambda order: (order.ordered_at, order.id))


def _labels(
    order: Order, shop: ShopSettings, problems: list[Problem], *, is_called_off: bool
) -> list[Label]:
    """The parcels of an order that are still to go out."""
    parcels = [parcel for parcel in order.deliveries if parcel.status in OPEN_STATUSES]
    if order.payment_status is PaymentStatus.CANCELLED:
        problems.append(Problem(order.order_no, "注文キャンセル済みの注文です。"))
        return []
    if is_called_off:
        problems.append(Problem(order.order_no, DeliveryRefusal.CALLED_OFF.sentence))
        return []
    if not parcels:
        problems.append(Problem(order.order_no, "これから発送するお届け先がありません。"))
        return []
    if order.payment_status is PaymentStatus.NEEDS_REVIEW:
        words = "要確認の注文です。決済の状態を確認してから発送してください。"
        problems.append(Problem(order.order_no, words, is_warning=True))
    is_cash = any(word in nfkc(order.method) for word in _CASH_WORDS)
    if is_cash and len(order.deliveries) > 1:
        problems.append(
            Problem(
                order.order_no,
                "代引の注文で、お届け先が複数あります。送り状を個別に作ってください。",
            )
        )
        return []
    return [_label(order, parcel, shop, is_cash=is_cash) for parcel in parcels]


def _label(order: Order, parcel: Delivery, shop: ShopSettings, *, is_cash: bool) -> Label:
    contents = shop.label_contents or next(
        (line.name for line in order.lines if line.delivery_number == parcel.number),
        order.lines[0].name if order.lines else "",
    )
    has_own = bool(parcel.address or parcel.prefecture)
    label = Label(
        order_no=order.order_no,
        parcel=parcel.number if len(order.deliveries) > 1 else None,
        name=_one_line(parcel.name or order.buyer_name),
        # What is empty is as the buyer's: so the order is shown everywhere.
        postal_code=postal_code(parcel.postal_code if has_own else order.buyer_postal_code),
        address=divided(
            parcel.prefecture if has_own else order.buyer_prefecture,
            _one_line(parcel.address if has_own else order.buyer_address),
        ),
        tel=phone(parcel.tel or order.buyer_tel),
        wish_date=parcel.wish_date,
        wish_time=parcel.wish_time,
        contents=_one_line(contents),
    )
    if not is_cash:
        return label
    columns = {name: getattr(order, name) for name in AMOUNT_COLUMNS}
    shares = break_down_order(columns, order.lines, total=order.total).shares
    return replace(label, cash=order.total, cash_tax=sum(share.tax for share in shares))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _numbers(layout: LabelLayout, labels: Sequence[Label]) -> dict[Label, str]:
    """What stands for each label in the file: what will be read as that parcel when it comes back.

    A label for which nothing will is missing.
    """
    most = layout.longest_number
    if most is None:
        return dict.fromkeys(labels, "")
    wanted = {label: label.numbers(most) for label in labels}
    found = matching.meant(number for numbers in wanted.values() for number in numbers)
    found = matching.without_zeros(found)
    chosen: dict[Label, str] = {}
    for label, numbers in wanted.items():
        for number in numbers:
            match = found[number]
            if (match.order_no, match.delivery_number) == (label.order_no, label.parcel):
                chosen.setdefault(label, number)
    return chosen


def _row(
    layout: LabelLayout,
    label: Label,
    numbers: dict[Label, str],
    sender: Sender,
    job: LabelJob,
    shop: ShopSettings,
) -> LabelRow:
    row = LabelRow(layout.measure)
    number = numbers.get(label)
    if number is None:
        row.problems.append(
            f"注文番号の末尾{layout.longest_number}文字が、ほかの注文と同じです。"
            "戻ったファイルで注文を見分けられないため、送り状を個別に作ってください。"
        )
    layout.fill(row, label, number or "", sender, job, shop)
    if layout.encoding is Encoding.CP932:
        row.look_for_lost()
    return row
