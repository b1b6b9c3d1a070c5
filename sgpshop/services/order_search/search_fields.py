"""Which search conditions a person sees on the list (検索条件項目を編集, R32)."""

from __future__ import annotations

from collections.abc import Iterable

from sgpshop.domain.errors import NotFound
from sgpshop.models import Person
from sgpshop.storage.database import writing

#: name -> words; the order is the order on the screen
FIELDS = {
    "period": "期間",
    "order_no": "注文番号",
    "processing": "処理区分",
    "status": "決済方法ステータス",
    "method": "決済方法",
    "keyword": "キーワード",
    "amount": "合計金額",
    "item": "商品名・商品コード",
    "slip": "伝票番号",
    "member": "会員/非会員",
    "kind": "定期・予約",
    "auth_days_left": "オーソリ期限",
    "waiting_hours": "要確認の経過時間",
    "unfinished": "未完了",
    "unsent": "修正額が未送信",
    "error": "エラーコード",
    "returned_open": "返送済み・返金未対応",
    "shipped_uncaptured": "発送済み・売上処理待ち",
    "uncollected_on": "未回収",
    "handling": "対応状況",
    "alert": "SMBC-GPとの食い違い",
}
#: 注文日時 (period), 注文番号, 処理区分 (R32)
DEFAULT = ("period", "order_no", "processing")


def chosen(stored: Iterable[str] | None) -> tuple[str, ...]:
    """The fields to show for what a person stored; the default while nothing is."""
    wanted = set(DEFAULT if stored is None else stored)
    return tuple(name for name in FIELDS if name in wanted)


def save(person_id: int, names: Iterable[str]) -> None:
    """Store the choice of this person; unknown names are dropped, none at all is the default."""
    known = [name for name in FIELDS if name in set(names)]
    with writing() as session:
        person = session.get(Person, person_id, populate_existing=True)
        if person is None:
            raise NotFound("このアカウントは見つかりません。")
        person.search_fields = known or None
