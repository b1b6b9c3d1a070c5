"""Our own files that are no order files: lists to be read, and the file of slip numbers."""

from __future__ import annotations

from sgpshop.services.files.layout import BELONGS, Layout, Purpose


def _of(
    id_: str,
    program: str,
    *signature: str,
    words: str = "この管理画面から保存した一覧で、見るためのものです。",
) -> Layout:
    return Layout(
        id=id_,
        program=program,
        purpose=Purpose.NONE,
        signature=signature,
        columns={},
        refusal=words,
    )


PROBLEMS = _of("z01", "注文ファイル取込の問題の一覧", "行", "注文番号", "区分", "内容")
BULK = _of("z02", "一括処理の結果", "注文番号", "結果", "次の操作")
SUBSCRIPTIONS = _of("z03", "定期購入の一覧", "注文番号", "配送完了日", "登録予定日")
SALES = _of("z04", "売上集計", "日付", "実売上件数", "差引")
#: for its own import it is no layout of another program: there every word of it counts (§9.1)
SLIPS = _of(
    "z05",
    "SGP Shop の伝票番号ファイル",
    "注文番号",
    "配送会社コード",
    "伝票番号",
    words=BELONGS[Purpose.SLIPS],
)
