"""Work of the worker that broke off: when it is tried again, and since when it does not go through."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from sgpshop.domain.words import Labelled
from sgpshop.models.base import Base, UtcDateTime, enum_column, utc_now


class Queue(Labelled):
    """Where the worker takes its work from; what `Setback.row_id` means."""

    #: attempts.id
    ATTEMPT = "attempt", "決済の処理"
    #: card_transactions.id
    LOOK_UP = "look_up", "SMBC-GPでの確認"
    #: bulk_items.id: one line of a run, and the first line of a run that goes on as a whole
    DELIVERY = "delivery", "一括の配送完了"
    DELIVERY_RUN = "delivery_run", "一括の配送完了"
    #: slip_rows.id: the same for a slip file
    SLIP = "slip", "伝票番号の登録"
    SLIP_RUN = "slip_run", "伝票番号の登録"
    #: the step of the monthly registration (0), and orders.id that it plans;
    #: billings.id; billing_files.id; yyyymm of a window of results
    BILLING = "billing", "売上報告"
    BILLING_LINE = "billing_line", "売上報告の準備"
    BILLING_FILE = "billing_file", "売上報告の月次ファイル"
    BILLING_RESULTS = "billing_results", "売上報告の結果の受け取り"
    #: jobs.id
    JOB = "job", "ファイルの取り込み・書き出し・突き合わせ"
    #: what is done every few seconds or once a day, by its place in worker/house.py
    HOUSEKEEPING = "housekeeping", "定期的な処理(結果通知・夜間照合など)"


class Setback(Base):
    """One row of a queue whose handling broke off; gone as soon as it goes through."""

    __tablename__ = "setbacks"

    queue: Mapped[Queue] = mapped_column(enum_column(Queue, "queue"), primary_key=True)
    row_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    #: how often it broke off
    times: Mapped[int] = mapped_column(default=1)
    since: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    last_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    next_try_at: Mapped[datetime] = mapped_column(UtcDateTime)
    #: set aside: tried once a day only, and told until it goes through
    is_set_aside: Mapped[bool] = mapped_column(default=False)
    #: the kind of fault, without any data
    error: Mapped[str] = mapped_column(sa.String(120), default="")
