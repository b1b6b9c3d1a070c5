"""Another contract only when nothing of the present one is open (P11, P14).

What is in doubt is looked up under the ids it was sent with.  Another shop does not know it, and
«not there» would have it sent a second time: both shops charge.
"""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop.domain.billing_calendar import RESULTS_OVERDUE, month_of, results_at
from sgpshop.domain.shop_terms import BillingMode
from sgpshop.models import Attempt, BillingFile, FileState, MonthlyResults, utc_now
from sgpshop.services.settings.rules import SettingRefused, label

#: The ids of the contract; a password may be renewed at any time.
_IDS = ("shop_id", "site_id")
#: By it we know when a file's results come, and until when its numbers wait for them.
_MODE = "billing_mode"
_IS_UNDER_WAY = sa.or_(
    BillingFile.state != FileState.CLOSED, BillingFile.results_due_at.is_not(None)
)


def require_nothing_open(session: Session, changed: Collection[str]) -> None:
    """Raise SettingRefused if an id of a contract is `changed` while something of it is open.

    Open are operations without an outcome, monthly files on their way, and those whose results are
    still to come, ours or another system's.  The last two hold 運用方法 too, until results can come
    by neither.
    """
    if _MODE in changed and (waiting := _waiting(session, in_time=True)):
        raise SettingRefused(
            _MODE,
            f"{waiting}ため、{label(_MODE)}を変更できません。"
            "結果の届く日が変わり、二重に請求するおそれがあります。届いたことを「定期購入」の画面で確認してから、"
            "もう一度変更してください。",
        )
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
    if waiting := _waiting(session):
        raise SettingRefused(
            name,
            f"{waiting}ため、{label(name)}を変更できません。"
            "結果は、いまの契約でSMBC-GPから届きます。届いたことを「定期購入」の画面で確認してから、"
            "もう一度変更してください。もう届かないとSMBC-GPに確認できたときは、close-results コマンドで"
            "待つのをやめられます。",
        )


def _waiting(session: Session, *, in_time: bool = False) -> str:
    """Whose results are to come, in words; "" for nobody's.  `in_time`: while they may come in either mode."""
    files = sa.select(sa.func.count(BillingFile.id)).where(_IS_UNDER_WAY)
    months = sa.select(sa.func.count()).where(MonthlyResults.due_at.is_not(None))
    if in_time:
        files, months = files.where(_may_come(BillingFile)), months.where(_may_come(MonthlyResults))
    if count := session.scalar(files):
        return f"結果の届いていない定期の売上ファイルが{count:,}件ある"
    if session.scalar(months):  # a number that may be in a file our books do not know
        return "ほかで登録された可能性のある定期の売上の結果を待っている"
    return ""


def _may_come(table: type[BillingFile | MonthlyResults]) -> sa.ColumnElement[bool]:
    """Of this month, before its results are overdue in every mode."""
    now = utc_now()
    last = max(mode.result_day for mode in BillingMode)
    is_over = results_at(month_of(now), last) + RESULTS_OVERDUE <= now
    return sa.false() if is_over else table.window >= month_of(now)
