"""Files from which carriers' programs make labels, ours among them: no slip number is in them yet.

B2クラウド, e飛伝Ⅲ, e飛伝Pro and カンガルー・マジック2 write with the headings that they read; there the
slips' import sees that no row has a number.
"""

from __future__ import annotations

import re

from sgpshop.services.files.layout import unread

_DAY = re.compile(r"\d{8}")

_NO_NUMBER = (
    "送り状を発行する前のファイルで、伝票番号が入っていません。送り状のソフトで発行したあとに、"
    "そのソフトから出力したファイルを「伝票番号一括ステータス変更機能」の「ファイル・貼り付け」で選んでください。"
)

YUPRI_R = unread(
    "c03",
    "ゆうパックプリントRの送り状データ",
    shape=lambda cells: len(cells) == 117 and _DAY.fullmatch(cells[1]) is not None,
    refusal=_NO_NUMBER,
)
YUPRI_CLOUD = unread(
    "c04",
    "ゆうプリクラウドの送り状データ",
    "送り状種別",
    "荷物商品名",
    "お客さま管理番号（受注番号等）",
    refusal=_NO_NUMBER,
)
CLICKPOST = unread(
    "c05",
    "クリックポストの送り状データ",
    "お届け先郵便番号",
    "お届け先敬称",
    "お届け先住所1行目",
    "内容品",
    refusal=_NO_NUMBER,
)
ISTAR = unread(
    "c06",
    "福山通運 iSTAR-2の送り状データ",
    "荷受人コード",
    "品名記事１",
    without=("送り状番号",),
    refusal=_NO_NUMBER,
)
EHIDEN2 = unread(
    "c08",
    "e飛伝Ⅱの送り状データ",
    "住所録コード",
    "お客様管理ナンバー",
    without=("お問合せ送り状№",),
    refusal=_NO_NUMBER,
)
