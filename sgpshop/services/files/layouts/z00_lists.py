"""Our own files that are no order files: lists to be read, and the file of slip numbers."""

from __future__ import annotations

from sgpshop.services.files.layout import BELONGS, Purpose, unread

_TO_BE_SEEN = "この管理画面から保存した一覧で、見るためのものです。"

PROBLEMS = unread(
    "z01", "注文ファイル取込の問題の一覧", "行", "注文番号", "区分", "内容", refusal=_TO_BE_SEEN
)
BULK = unread("z02", "一括処理の結果", "注文番号", "結果", "次の操作", refusal=_TO_BE_SEEN)
SUBSCRIPTIONS = unread(
    "z03", "定期購入の一覧", "注文番号", "配送完了日", "登録予定日", refusal=_TO_BE_SEEN
)
SALES = unread("z04", "売上集計", "日付", "実売上件数", "差引", refusal=_TO_BE_SEEN)
#: for its own import it is no layout of another program: there every word of it counts (§9.1)
SLIPS = unread(
    "z05",
    "SGP Shop の伝票番号ファイル",
    "注文番号",
    "配送会社コード",
    "伝票番号",
    refusal=BELONGS[Purpose.SLIPS],
)
