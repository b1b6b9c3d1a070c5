"""ネクストエンジン without 発送伝票番号: 伝票番号 is its own number, and would be taken for the carrier's."""

from __future__ import annotations

from sgpshop.services.files.layout import Layout, Purpose


def _of(id_: str, what: str, *signature: str) -> Layout:
    return Layout(
        id=id_,
        program=f"ネクストエンジン {what}(発送伝票番号なし)",
        purpose=Purpose.SLIPS,
        signature=signature,
        without=("発送伝票番号",),
        columns={},
        refusal=(
            "「伝票番号」はネクストエンジンの中の番号で、送り状の番号ではありません。"
            "出荷確定データに「受注番号」と「発送伝票番号」の列を入れて、CSVダウンロードしてください。"
        ),
    )


ORDERS = _of("b24", "受注", "店舗伝票番号", "伝票番号")
SHIPPED = _of("b25", "出荷確定", "受注番号", "伝票番号", "出荷確定日")
