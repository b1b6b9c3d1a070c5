"""The history of an order as sentences a merchant understands (P5, R53 (8))."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: event -> sentence; fields come from the entry's detail, plus `actor`.
SENTENCES = {
    "imported": "注文ファイルから取り込みました({line}行目)",
    "import_updated": "注文ファイルの内容で更新しました({line}行目)",
    "linked": "SMBC-GPの取引を照会し、{found}を確認しました",
    "look_up_differs": "SMBC-GPの取引を照会し、{found}だったため表示を合わせました",
    "look_up_unfinished": "SMBC-GPの取引を照会しましたが、支払いは完了していません({found})",
    "capture_queued": "{actor}さんが実売上処理を受け付けました",
    "capture_done": "{actor}さんの実売上処理が完了しました",
    "capture_rejected": "{actor}さんの実売上処理は失敗しました",
    "capture_unreachable": "{actor}さんの実売上処理は、SMBC-GPに接続できず失敗しました(送信していません)",
    "capture_unknown": "{actor}さんの実売上処理の結果が受け取れませんでした。SMBC-GPへの照会を始めました",
    "capture_found_done": "照会により、{actor}さんの実売上処理がSMBC-GPで完了していたことを確認しました",
    "capture_found_not_done": "照会により、{actor}さんの実売上処理がSMBC-GPで行われていないことを確認しました",
    "capture_resent": "照会により実売上処理が未実行と確認できたため、受け付けた処理を続けます",
    "capture_unclear": "照会しましたが、実売上処理の結果を判断できません({found})。担当者の確認が必要です",
}


def sentence(event: str, actor: str, detail: Mapping[str, Any]) -> str:
    """One plain sentence for a history entry; unknown fields show as 「-」, never as an error."""
    template = SENTENCES.get(event, event)
    return template.format_map(_Fields(detail, actor=actor))


class _Fields(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "-"
