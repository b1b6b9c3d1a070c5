"""The list as a file: UTF-8 with mark, CRLF, nothing a spreadsheet would run (S18)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import datetime

from sgpshop.domain.csv_text import csv_guarded
from sgpshop.domain.payment_calendar import JST
from sgpshop.extensions import db
from sgpshop.models import utc_now
from sgpshop.services import settings
from sgpshop.services.subscriptions import rows
from sgpshop.services.subscriptions.rows import ListedSubscription
from sgpshop.services.subscriptions.searching import NEWEST_FIRST
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
    yield ("\ufeff" + _written([TITLES])).encode()
    cursor, now, billing_day = "", utc_now(), settings.load().billing_day
    while True:
        page = keyset.find(wanted(criteria), NEWEST_FIRST, size=_CHUNK, cursor=cursor)
        found = rows.load(page.rows, now, billing_day)
        db.session.commit()
        yield _written([_cells(row) for row in found]).encode()
        cursor = page.next_cursor
        if not cursor:
            return


def _cells(row: ListedSubscription) -> tuple[str | int, ...]:
    order, billing = row.order, row.billing
    return (
        order.order_no,
        _time(order.ordered_at),
        row.subscription_id,
        "" if row.round is None else row.round,
        order.buyer_name,
        row.email,
        order.total,
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


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(JST):%Y/%m/%d %H:%M:%S}"


def _day(moment: datetime | None) -> str:
    return f"{moment.astimezone(JST):%Y/%m/%d}" if moment else ""


def _written(lines: Sequence[tuple[str | int, ...]]) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerows(
        [csv_guarded(cell) if isinstance(cell, str) else cell for cell in line] for line in lines
    )
    return out.getvalue()
