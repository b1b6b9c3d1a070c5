"""The history of an order as sentences a merchant understands (P5, R53 (8))."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: event -> sentence; fields come from the entry's detail, `who` is the actor as people say it.
SENTENCES = {
    "imported": "注文ファイルから取り込みました({line}行目)",
    "import_updated": "注文ファイルの内容で更新しました({line}行目)",
    "linked": "SMBC-GPの取引を照会し、{found}を確認しました",
    "look_up_differs": "SMBC-GPの取引を照会し、{found}だったため表示を合わせました",
    "look_up_unfinished": "SMBC-GPの取引を照会しましたが、支払いは完了していません({found})",
    "capture_done": "{who}の実売上処理が完了しました",
    "capture_rejected": "{who}の実売上処理は失敗しました",
    "capture_unreachable": "{who}の実売上処理は、SMBC-GPに接続できず失敗しました(送信していません)",
    "capture_unknown": "{who}の実売上処理の結果が受け取れませんでした。SMBC-GPへの照会を始めました",
    "capture_found_done": "照会により、{who}の実売上処理がSMBC-GPで完了していたことを確認しました",
    "capture_found_already": "照会により、SMBC-GPですでに実売上になっていることを確認しました。二重の売上はありません",
    "capture_found_not_done": "照会により、{who}の実売上処理がSMBC-GPで行われていないことを確認しました",
    "capture_resent": "照会により実売上処理が未実行と確認できたため、受け付けた処理を続けます",
}


def sentence(event: str, who: str, detail: Mapping[str, Any]) -> str:
    """One plain sentence for a history entry; unknown fields show as 「-」, never as an error."""
    template = SENTENCES.get(event, event)
    return template.format_map(_Fields(detail, who=who))


class _Fields(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "-"
