"""Conditions of the order list under a name: one's own, and what colleagues share."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote_plus

import sqlalchemy as sa

from sgpshop.domain.card_data import contains_card_number
from sgpshop.domain.errors import NotFound, ShopError
from sgpshop.domain.text import has_control_characters
from sgpshop.models import SavedView
from sgpshop.storage.database import writing
from sgpshop.storage.rows import read as rows_of

LONGEST_NAME, MOST, _LONGEST_QUERY = 40, 20, 8000
_IS_OWN = SavedView.person_id == sa.bindparam("person")
_VISIBLE = (
    sa.select(
        SavedView.id, SavedView.person_id, SavedView.name, SavedView.query, SavedView.is_shared
    )
    .where(_IS_OWN | SavedView.is_shared)
    .order_by(~_IS_OWN, SavedView.name, SavedView.id)
)


class View(NamedTuple):
    """One of them, as a list of them shows it."""

    id: int
    person_id: int
    name: str
    query: str
    is_shared: bool


def visible(person_id: int) -> list[View]:
    """The views this person may open, the own first, by name."""
    return [View(*row) for row in rows_of(_VISIBLE, {"person": person_id})]


def save(person_id: int, name: str, query: str, *, is_shared: bool) -> None:
    """Keep the search `query` under `name`, in place of the own view of that name if there is one.

    Raises ShopError: the name is empty, too long or unreadable, or there are MOST views already.
    """
    name = name.strip()
    if not name or len(name) > LONGEST_NAME or has_control_characters(name):
        raise ShopError(f"条件の名前を1文字以上{LONGEST_NAME}文字以内で入力してください。")
    if len(query) > _LONGEST_QUERY:
        raise ShopError("条件が長すぎるため保存できません。注文番号の数を減らしてください。")
    if contains_card_number(unquote_plus(query)):  # in a form its signs are escaped (S11)
        raise ShopError(
            "カード番号と思われる数字が条件に含まれているため、保存していません。取り除いてください。"
        )
    with writing() as session:
        own = session.scalars(sa.select(SavedView).where(SavedView.person_id == person_id)).all()
        same = next((view for view in own if view.name == name), None)
        if same is None and len(own) >= MOST:
            raise ShopError(f"保存できる条件は{MOST}件までです。使わない条件を削除してください。")
        if same is None:
            session.add(SavedView(person_id=person_id, name=name, query=query, is_shared=is_shared))
        else:
            same.query, same.is_shared = query, is_shared


def delete(person_id: int, view_id: int) -> str:
    """Forget an own view; its name.  Raises NotFound, also for a colleague's."""
    with writing() as session:
        view = session.get(SavedView, view_id)
        if view is None or view.person_id != person_id:
            raise NotFound("この条件はすでに削除されています。")
        session.delete(view)
        return view.name
