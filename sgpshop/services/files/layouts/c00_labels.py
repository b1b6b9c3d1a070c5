"""Files from which carriers' programs make labels, ours among them: no slip number is in them yet.

B2クラウド, e飛伝Ⅲ, e飛伝Pro and カンガルー・マジック2 write with the headings that they read; there the
slips' import sees that no row has a number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from sgpshop.services.files.layout import Layout, Purpose

_DAY = re.compile(r"\d{8}")


def _of(
    id_: str,
    program: str,
    *signature: str,
    without: tuple[str, ...] = (),
    shape: Callable[[Sequence[str]], bool] | None = None,
) -> Layout:
    return Layout(
        id=id_,
        program=f"{program}の送り状データ",
        purpose=Purpose.NONE,
        signature=signature,
        without=without,
        columns={},
        refusal=(
            "送り状を発行する前のファイルで、伝票番号が入っていません。送り状のソフトで発行したあとに、"
            "そのソフトから出力したファイルを「伝票番号一括ステータス変更機能」の「ファイル・貼り付け」で選んでください。"
        ),
        shape=shape,
    )


YUPRI_R = _of(
    "c03",
    "ゆうパックプリントR",
    shape=lambda cells: len(cells) == 117 and _DAY.fullmatch(cells[1]) is not None,
)
YUPRI_CLOUD = _of(
    "c04", "ゆうプリクラウド", "送り状種別", "荷物商品名", "お客さま管理番号（受注番号等）"
)
CLICKPOST = _of(
    "c05", "クリックポスト", "お届け先郵便番号", "お届け先敬称", "お届け先住所1行目", "内容品"
)
ISTAR = _of("c06", "福山通運 iSTAR-2", "荷受人コード", "品名記事１", without=("送り状番号",))
EHIDEN2 = _of("c08", "e飛伝Ⅱ", "住所録コード", "お客様管理ナンバー", without=("お問合せ送り状№",))
