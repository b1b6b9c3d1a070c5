"""The list as a CSV file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime

from sgpshop.domain.csv_writing import Value, csv_file
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.extensions import db
from sgpshop.models import utc_now
from sgpshop.services import settings
from sgpshop.services.subscriptions import rows
from sgpshop.services.subscriptions.rows import ListedSubscription
from sgpshop.services.subscriptions.stages import SubscriptionCriteria, wanted
from sgpshop.storage import keyset

TITLES = (
    "注文番号",
    "注文日時",
    "定期購入ID",
    "定期回数",
    "注文者",
    "メールアドレス",
    "金額",
    "決済方法ステータス",
    "処理区分",
    "配送完了日",
    "登録予定日",
    "登録日",
    "登録月",
    "登録オーダーID",
    "結果",
    "エラーコード",
    "内容",
)
_CHUNK = 400


def as_csv(criteria: SubscriptionCriteria) -> Iterator[bytes]:
    """The file of a search, a few hundred orders at a time, each in a transaction of its own."""
    return csv_file(TITLES, _parts(criteria))


def _parts(criteria: SubscriptionCriteria) -> Iterator[Iterable[Iterable[Value]]]:
    now, billing_day = utc_now(), settings.load().billing_day
    for order_ids in keyset.all_ids(wanted(criteria), size=_CHUNK):
        found = rows.load(order_ids, now, billing_day)
        db.session.commit()
        yield map(_cells, found)


def _cells(row: ListedSubscription) -> tuple[Value, ...]:
    order, billing = row.order, row.billing
    return (
        order.order_no,
        order.ordered_at,
        row.subscription_id,
        row.round,
        order.buyer_name,
        row.email,
        row.yen,
        order.payment_status.label if order.payment_status else "",
        order.processing_class.label,
        _day(row.delivered_at),
        _day(row.registers_at),
        _day(row.registered_at),
        f"{billing.month:%Y-%m}" if billing else "",
        billing.gateway_order_id if billing else "",
        row.result,
        "|".join(row.codes),
        row.why,
    )


def _day(moment: datetime | None) -> date | None:
    return jst_day(moment) if moment else None
