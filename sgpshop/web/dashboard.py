"""The first page (`/`): what needs somebody today, each line with the act itself (R155)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from sgpshop.domain.payment_calendar import SOON_DAYS
from sgpshop.domain.second_look import is_on
from sgpshop.models import Role, utc_now
from sgpshop.services import approvals, dashboard, settings
from sgpshop.services.dashboard import Figures, pictures, recent
from sgpshop.services.order_search.totals import Total
from sgpshop.services.orders import alerts
from sgpshop.services.payments.gateway_access import console_links
from sgpshop.services.settings import ShopSettings
from sgpshop.storage import setbacks
from sgpshop.web.frame import menus
from sgpshop.web.frame.security import leads_back, requires

bp = Blueprint("dashboard", __name__)

_ALERTS_SHOWN = 10
_REASONS_TOLD = 2
_HEAP_WORDS = ("切れ", "3日内", "7日内", "14日内", "21日内", "30日内", "31日以上")
_HEAP_TONES = ("is-over", "is-bad", "is-warning", "is-warning", "", "", "is-calm")
_RUN_SCREENS = {"bulk": "bulk_runs.show", "slips": "slips.show", "orders": "imports.show"}


@dataclass(frozen=True)
class WorkLine:
    """One problem: what, how much, why it matters, and the button that goes to work on it."""

    words: str
    total: Total
    why: str
    href: str
    button: str
    #: "bad" before "warning": the order of the list, and its colour
    tone: str = "bad"
    #: which word of it help explains (macros/help.html)
    term: str = ""


@dataclass(frozen=True)
class FirstStep:
    """One thing to do in a shop that begins: what, where, what it is good for, whether it is done."""

    words: str
    href: str
    why: str
    is_done: bool


@dataclass(frozen=True)
class Bar:
    """One bar of a picture, in the unit of the picture, and where its orders are."""

    words: str
    value: int
    href: str
    tone: str = ""


@bp.get("/")
@requires(Role.VIEWER)
def show() -> ResponseReturnValue:
    """The lines in order of the money at risk, the last runs, the pictures."""
    shop, now = settings.load(), utc_now()
    days = (
        pictures.MORE_DAYS if request.args.get("days") == str(pictures.MORE_DAYS) else pictures.DAYS
    )
    found = dashboard.figures(shop, days=days)
    failures = pictures.failures() if found.capture_failed.count else []
    lines = sorted(
        _lines(found, failures, shop), key=lambda one: (one.tone != "bad", -one.total.yen)
    )
    return render_template(
        "dashboard/show.html",
        figures=found,
        first_steps=[] if found.has_captured else list(_first_steps(found, shop)),
        to_do=sum(one.total.count for one in lines),
        lines=[one for one in lines if one.total.count],
        calm=[one.words for one in lines if not one.total.count],
        recent=recent.recent(),
        run_screens=_RUN_SCREENS,
        set_aside=setbacks.set_aside() if found.has_set_aside else [],
        may_act=current_user.may_act_as(Role.OPERATOR),
        alerts=alerts.newest_open(_ALERTS_SHOWN) if found.alerts.count else [],
        shop=shop,
        console_url=console_links(shop)["shop"],
        as_of=now,
        days=days,
        other_days=pictures.DAYS + pictures.MORE_DAYS - days,
        captured=found.captured,
        captured_bars=tuple(
            Bar(
                f"{day.month}/{day.day}",
                yen,
                _list(date_field="captured_at", **{"from": str(day), "to": str(day)}),
            )
            for day, yen in found.captured.days.items()
        ),
        hold_bars=tuple(
            Bar(words, count, _holds(last), tone)
            for words, count, last, tone in zip(
                _HEAP_WORDS, found.holds, pictures.HEAPS, _HEAP_TONES, strict=True
            )
        ),
        failure_bars=[
            Bar(one.words, one.count, _list(status="capture_failed", error=one.code), "is-bad")
            for one in failures
        ],
    )


def _ending(holds: Sequence[int]) -> str:
    """How urgent the holds are that end soon, in few words."""
    counts = zip(("切れた", "3日以内"), holds, strict=False)
    return "・".join(f"{words} {count:,}件" for words, count in counts if count)


def _commonest(failures: Sequence[pictures.Reason], total: int) -> str:
    """Why most of them failed, and how many for other reasons: together they are all."""
    told = failures[:_REASONS_TOLD]
    words = [f"{one.words} {one.count:,}" for one in told]
    others = total - sum(one.count for one in told)
    return "・".join(words + ([f"ほか {others:,}"] if words and others > 0 else []))


def _first_steps(found: Figures, shop: ShopSettings) -> Iterator[FirstStep]:
    is_practice = menus.is_practice()
    yield FirstStep(
        "契約情報を登録する",
        url_for("settings.sgp") if current_user.role == Role.OWNER else "",
        "SMBC-GPとの契約書にある、ショップIDとパスワードです。",
        shop.has_contract,
    )
    yield FirstStep(
        "注文を取り込む",
        url_for("imports.index"),
        "カートやモールから書き出した注文ファイルを、そのまま選べます。",
        found.has_orders,
    )
    yield FirstStep(
        "練習で1件、売上処理する" if is_practice else "1件、売上処理する",
        _list(status="authorized"),
        "仮売上の注文を開き、「SGPカード実売上処理」を押します。"
        + ("実際のカードには請求されません。" if is_practice else "購入者のカードに請求されます。"),
        is_done=False,  # then all is done
    )


def _lines(
    found: Figures, failures: Sequence[pictures.Reason], shop: ShopSettings
) -> Iterator[WorkLine]:
    may_capture = current_user.may_act_as(Role.OPERATOR)
    yield WorkLine(
        "発送済み・売上処理待ち",
        found.shipped_uncaptured,
        "商品は出ましたが、まだ請求していません",
        # With all of them chosen: what is left is 処理を実行 and its confirmation.
        _list(shipped_uncaptured="1", choose_all="1" if may_capture else ""),
        f"{found.shipped_uncaptured.count:,}件を売上処理" if may_capture else "見る",
    )
    yield WorkLine(
        "期限が近い・切れた",
        found.deadline_soon,
        _ending(found.holds) or f"オーソリ期限まで{SOON_DAYS}日以内",
        _list(auth_days_left=SOON_DAYS, sort="deadline", dir="asc"),
        "見る",
        term="deadline",
    )
    if found.approvals.count or is_on(shop):
        yield WorkLine(
            "承認待ち",
            found.approvals,
            "ほかの人が承認するまで、SMBC-GPに送信しません",
            url_for("approvals.index"),
            "確認する",
        )
    if is_on(shop) and (missed := approvals.not_agreed_to(current_user.name)).count:
        yield WorkLine(
            "承認されなかった依頼",
            missed,
            "ご自身の依頼が却下・無効・期限切れになり、何も送信していません。必要なら、もう一度依頼してください",
            url_for("approvals.index"),
            "理由を見る",
        )
    yield WorkLine(
        "売上失敗",
        found.capture_failed,
        _commonest(failures, found.capture_failed.count),
        _list(status="capture_failed"),
        "理由を見る",
    )
    yield WorkLine(
        "SMBC-GPとの食い違い",
        found.alerts,
        "確認するまで表示します",
        _list(alert=1),
        "内容を見る",
        term="reconcile",
    )
    yield WorkLine(
        "返送済み・返金未対応",
        found.returned_open,
        "返金するか、返金しないかを決めてください",
        _list(returned_open=1),
        "見る",
    )
    yield WorkLine(
        "修正額が未送信",
        found.unsent,
        "送信するまで実売上処理できません",
        _list(unsent=1),
        "見る",
        "warning",
        "correction",
    )
    overdue = found.review_overdue
    yield WorkLine(
        "要確認",
        found.needs_review,
        # Of the same orders, so on the same line: no money stands here twice.
        f"うち{shop.needs_review_alert_hours}時間超 {overdue.count:,}件。購入者に確認してください"
        if overdue.count
        else "決済がまだ終わっていない注文です",
        _list(status="needs_review"),
        "見る",
        "bad" if overdue.count else "warning",
        "needs_review",
    )
    if urgent := found.subscriptions:
        yield WorkLine(
            "定期:要対応",
            urgent.attention,
            "理由は定期購入の画面にあります",
            url_for("subscriptions.show", tab="attention"),
            "見る",
        )
        left = f"あと{urgent.days_until_last}日" if urgent.days_until_last else "今日まで"
        yield WorkLine(
            f"定期:月末締め({left})",
            urgent.undelivered,
            "未発送。間に合わないと翌月まわし",
            url_for("subscriptions.show", tab="awaiting"),
            "見る",
            "warning",
        )
    yield WorkLine(
        "予約:出荷予定日超過",
        found.preorders_overdue,
        "最も早い配送希望日を過ぎています",
        url_for("preorders.show", tab="overdue"),
        "見る",
    )


def _list(**conditions: Any) -> str:
    """The order list under `conditions`; empty ones are left out."""
    # A page names some thirty of them, of one screen, and the next one names the same.
    orders = current_app.jinja_env.globals["url_for"]("order_search.show")  # type: ignore[operator]
    return f"{orders}?{_query(tuple(conditions.items()))}"


@lru_cache(maxsize=512)
def _query(conditions: tuple[tuple[str, Any], ...]) -> str:
    return urlencode([(name, value) for name, value in conditions if value != ""])


def _holds(last: int | None) -> str:
    """Where the holds are that end by then; those of the far future by deadline."""
    if last is None:
        return _list(status="authorized", sort="deadline", dir="desc")
    return _list(auth_days_left=max(last, 0), sort="deadline", dir="asc")


@bp.post("/set-aside/try-again")
@requires(Role.OPERATOR)
def try_again() -> ResponseReturnValue:
    """What broke off however often it was tried is tried once more, now (P15)."""
    count = setbacks.try_again()
    words = (
        f"止まっている処理{count:,}件を、もう一度試します。"
        if count
        else "止まっている処理はありません。"
    )
    flash(words, "success")
    return redirect(url_for(".show"), code=303)


leads_back(bp, Role.VIEWER, "/set-aside/try-again")
