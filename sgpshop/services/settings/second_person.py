"""A second look at big acts is switched on only where somebody is there to take it (R157)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import Session

from sgpshop.domain.rights import DEMO_NAME, HOLDS, Role
from sgpshop.models import Person
from sgpshop.services.settings.rules import SettingRefused, Value

_NAMES = ("approve_refunds_from", "approve_captures_from")
_MAY = [role for role, held in HOLDS.items() if Role.OPERATOR in held]


def who_may_approve(session: Session) -> Sequence[sa.Row[int, str]]:
    """Id and name of everybody who may, if they did not ask themselves."""
    usable = [Person.is_active, Person.role.in_(_MAY)]
    if not current_app.config["TEST_MODE"]:
        usable.append(Person.name != DEMO_NAME)
    return session.execute(
        sa.select(Person.id, Person.name).where(*usable).order_by(Person.name)
    ).all()


def require_one(session: Session, wanted: Mapping[str, Value]) -> None:
    """Raises SettingRefused where `wanted` needs a second person and there is none."""
    name = next((name for name in _NAMES if wanted.get(name)), None)
    if name is not None and len(who_may_approve(session)) < 2:
        raise SettingRefused(
            name,
            "承認できる人(オーナーか担当者)が2人以上必要です。先に「ユーザー」で登録してください。"
            "1人では、依頼した本人しかいないため承認できません。",
        )
