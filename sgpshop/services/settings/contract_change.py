"""Another contract only when nothing of the present one is open (P11, P14).

What is in doubt is looked up under the ids it was sent with.  Another shop does not know it, and
«not there» would have it sent a second time: both shops charge.
"""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop.models import Attempt, BillingFile, FileState
from sgpshop.services.settings.rules import SettingRefused, label

#: The ids of the contract; a password may be renewed at any time.
_IDS = ("shop_id", "site_id")


def require_nothing_open(session: Session, changed: Iterable[str]) -> None:
    """Raise SettingRefused if an id of a contract is `changed` while something of it is open.

    Open are operations without an outcome, monthly files on their way, and those whose results are
    still to come.
    """
    name = next((name for name in _IDS if name in changed), None)
    if name is None:
        return
    operations = session.scalar(sa.select(sa.func.count(Attempt.id)).where(Attempt.is_open)) or 0
    if operations:
        raise SettingRefused(
            name,
            f"結果の出ていない決済の処理が{operations:,}件あるため、{label(name)}を変更できません。"
            "いまの契約で結果を確認する必要があります。処理がすべて終わってから、もう一度変更してください。",
        )
    is_under_way = sa.or_(
        BillingFile.state != FileState.CLOSED, BillingFile.results_due_at.is_not(None)
    )
    files = session.scalar(sa.select(sa.func.count(BillingFile.id)).where(is_under_way)) or 0
    if files:
        raise SettingRefused(
            name,
            f"結果の届いていない定期の売上ファイルが{files:,}件あるため、{label(name)}を変更できません。"
            "結果は、いまの契約でSMBC-GPから届きます。届いたことを「定期購入」の画面で確認してから、"
            "もう一度変更してください。",
        )
