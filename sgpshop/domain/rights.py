"""Who may do what (S4, R150): the one table that every entrance for people asks.

A role names a right of its own and holds those of others; a view names the role whose right it needs.
"""

from __future__ import annotations

from sgpshop.domain.words import Labelled

#: The account of the demo, of no use outside test mode.
DEMO_NAME = "demo"


class Role(Labelled):
    """What a person may do (R150)."""

    OWNER = "owner", "オーナー"
    OPERATOR = "operator", "担当者"
    SHIPPER = "shipper", "発送担当"
    ACCOUNTANT = "accountant", "経理担当"
    VIEWER = "viewer", "閲覧者"


#: Whose rights each role has, its own among them.
HOLDS = {
    Role.VIEWER: frozenset({Role.VIEWER}),
    Role.SHIPPER: frozenset({Role.VIEWER, Role.SHIPPER}),
    Role.ACCOUNTANT: frozenset({Role.VIEWER, Role.ACCOUNTANT}),
    Role.OPERATOR: frozenset({Role.VIEWER, Role.SHIPPER, Role.ACCOUNTANT, Role.OPERATOR}),
    Role.OWNER: frozenset(Role),
}

#: What the right of each role is for, as people read it.
MAY = {
    Role.VIEWER: "注文・予約・定期購入・売上集計を見る",
    Role.SHIPPER: "伝票番号の登録、配送完了・返送、納品書・ピッキングリスト・送り状、社内メモ",
    Role.ACCOUNTANT: "売上集計・注文・会計ソフト用のファイルの書き出し",
    Role.OPERATOR: "実売上・キャンセル・返金・金額の送信、ほかの人の依頼の承認、注文内容修正、注文ファイル取込、照合",
    Role.OWNER: "設定、ユーザー、APIキー、操作の記録",
}


def holds(role: str, needed: str) -> bool:
    """Whether somebody in `role` has the right of `needed`; a role of another version has none."""
    return needed in HOLDS.get(role, ())  # type: ignore[call-overload]


def may_capture_with_slips(role: str, *, is_usual: bool) -> bool:
    """Whether slip numbers may be registered with a capture: of who only ships, where the shop does so
    usually (`is_usual`: 実売り同時処理, R79)."""
    return holds(role, Role.OPERATOR) or (is_usual and holds(role, Role.SHIPPER))
