"""Any number of made-up authorized orders, for benchmarks and for looking at a big shop."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from sgpshop.domain.payment_calendar import JST
from sgpshop.domain.row_files import Limits
from sgpshop.gateway import TradeState
from sgpshop.models import CardTransaction, ImportRun, Order, utc_now
from sgpshop.services import installation
from sgpshop.services.demo.simulator import Simulator
from sgpshop.services.order_files import importing
from sgpshop.storage.database import read_alone, writing

_ACTOR = "見本データ"
_CHUNK = 5_000
_SPREAD = timedelta(days=365)
_NAMES = ("佐藤 花子", "鈴木 一郎", "高橋 美咲", "田中 健", "伊藤 さくら", "渡辺 隆", "山本 由美")
_GOODS = (("煎茶 100g", 1080, 8), ("湯呑", 3300, 10), ("急須", 6600, 10), ("栗羊羹", 1944, 8))


def seed_many(count: int) -> ImportRun | None:
    """Bring in `count` orders in 仮売上, ordered over the last year, authorized just now.

    Those that are there already are left as they are; None: all of them are there.  Raises
    ShopError when the shop is not connected to a simulator.
    """
    simulator = Simulator.connected()
    installation.become_demo()
    known = set(read_alone(sa.select(Order.order_no).where(Order.order_no.like("P9%"))))
    now = utc_now()
    missing = (row for row in _orders(count, now) if row["注文番号"] not in known)
    text = io.StringIO()
    writer: csv.DictWriter[str] | None = None
    while chunk := list(itertools.islice(missing, _CHUNK)):
        _authorize(simulator, chunk, now)
        if writer is None:
            writer = csv.DictWriter(text, list(chunk[0]))
            writer.writeheader()
        writer.writerows(chunk)
    if writer is None:
        return None
    stream = io.BytesIO(text.getvalue().encode())
    run, survey = importing.begin(importing.new_run_id(), _ACTOR, [stream], Limits())
    if survey is not None:
        importing.carry_out(run.id, [stream], Limits(), survey)
        _believe_answers()
    return importing.find(run.id)


def _believe_answers() -> None:
    """These transactions are not what a file claims: the simulator has just answered that it made them."""
    ours = sa.select(Order.id).where(Order.order_no.like("P9%"))
    with writing() as session:
        session.execute(
            sa.update(CardTransaction)
            .where(CardTransaction.order_id.in_(ours), CardTransaction.gateway_state.is_(None))
            .values(gateway_state=TradeState.AUTH.value, next_look_at=None)
            .execution_options(synchronize_session=False)
        )


def _orders(count: int, now: datetime) -> Iterator[dict[str, Any]]:
    """Rows of an order file, one item each, newest first; always the same numbers."""
    for n in range(count):
        goods, price, rate = _GOODS[n % len(_GOODS)]
        name = _NAMES[n % len(_NAMES)]
        quantity = 1 + n % 3
        yield {
            "注文番号": f"P9{n:017d}",
            "注文日時": f"{(now - _SPREAD * n / count).astimezone(JST):%Y/%m/%d %H:%M:%S}",
            "決済方法": "SGP:カード決済",
            "決済方法ステータス": "仮売上",
            "注文者": name,
            "電話番号": f"03-0000-{n % 10_000:04d}",
            "メールアドレス": f"buyer{n}@example.jp",
            "お届け先氏名": name,
            "商品名": goods,
            "単価": price,
            "数量": quantity,
            "税率": rate,
            "価格の税区分": "税込",
            "合計金額": price * quantity,
        }


def _authorize(simulator: Simulator, rows: list[dict[str, Any]], now: datetime) -> None:
    made = simulator.create(
        [{"order_id": row["注文番号"], "amount": row["合計金額"], "job_cd": "AUTH"} for row in rows]
    )
    for row, transaction in zip(rows, made, strict=True):
        row["取引ID"] = transaction["access_id"]
        row["取引パスワード"] = transaction["access_pass"]
        row["承認日時"] = f"{now.astimezone(JST):%Y%m%d%H%M%S}"
        row["オーソリ金額"] = row["合計金額"]
