"""ヘルプ (`/help`): what each status, badge, button and error means; other pages link to anchors."""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from sgpshop.domain.billing_calendar import month_of, next_month, previous_month
from sgpshop.domain.order_rules import Refusal
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.models import Role, utc_now
from sgpshop.services import journals, settings
from sgpshop.services.access.rate_limits import Use
from sgpshop.services.files.layout import Layout, Purpose, layouts
from sgpshop.services.payments.gateway_access import console_links
from sgpshop.web.frame.limits import limited
from sgpshop.web.frame.security import requires
from sgpshop.web.help import search

bp = Blueprint("help_page", __name__)

_LONGEST_WORD = 100

#: What each status says about the money, and what comes next (rules.md §3); `{billing_day}` is the
#: shop's own day (R102).
STATUS_WORDS = {
    PaymentStatus.AUTHORIZED: (
        "注文を受け、カードの与信(オーソリ)だけが済んだ状態です。まだ請求されておらず、このままではSGPから入金されません。",
        "内容を確認し、発送の準備ができたら実売上処理をしてください。",
    ),
    PaymentStatus.CAPTURED: (
        "実売上処理が正常に完了した状態です。SMBC-GPが売上を確認した場合にだけ表示されます。",
        "決済について行うことはありません。",
    ),
    PaymentStatus.CAPTURE_FAILED: (
        "実売上処理が正常に完了しなかった状態です。理由は詳細注文情報の「エラー内容」に表示されます。",
        "エラー内容を確認してから、もう一度実売上処理ができます。",
    ),
    PaymentStatus.CANCELLED: (
        "注文がキャンセルされ、決済も取り消された状態です。",
        "決済について行うことはありません。",
    ),
    PaymentStatus.NEEDS_REVIEW: (
        "カード決済がまだ終わっていない状態です。理由は横のバッジに表示されます。",
        "長く続く場合はエラーの可能性があります。SMBCマルチペイメント管理画面で状態を確認してください。",
    ),
    PaymentStatus.AWAITING_BILLING: (
        "定期購入の注文を受けた状態です。仮売上・実売上の処理は不要です。",
        "配送完了にした翌月の登録日({billing_day}日頃)に、自動で売上報告されます。登録できなかったときは、決済待ちのまま自動で繰り返します。",
    ),
    PaymentStatus.BILLING_REPORTED: (
        "定期購入の注文がSMBC-GPに報告され、課金された状態です。",
        "決済について行うことはありません。",
    ),
}


@bp.get("/help")
@requires(Role.VIEWER)
@limited(Use.SEARCH)
def show() -> ResponseReturnValue:
    """The whole help on one page; before it, what holds the word that is asked for."""
    word = request.args.get("q", "").strip()[:_LONGEST_WORD]
    contents = _contents()
    pages = {".close_month": _closing(), ".show": contents} if word else {}
    pieces = [one for at, html in pages.items() for one in search.paragraphs(url_for(at), html)]
    return render_template(
        "help/show.html", word=word, found=search.holding(word, pieces), contents=contents
    )


@bp.get("/help/close-month")
@requires(Role.VIEWER)
def close_month() -> ResponseReturnValue:
    """「売上を締める」: how the month before this one is closed, step by step, each with its button."""
    return render_template("help/closing.html", steps=_closing())


def _contents() -> str:
    shop = settings.load()
    return render_template(
        "help/_contents.html",
        statuses={
            status: (meaning, next_step.format(billing_day=shop.billing_day))
            for status, (meaning, next_step) in STATUS_WORDS.items()
        },
        billing_day=shop.billing_day,
        refusals=list(Refusal),
        alerts=list(AlertKind),
        links=console_links(shop),
        files=[(title, _programs(purpose)) for purpose, title in _FILE_PURPOSES],
    )


def _closing() -> str:
    first = previous_month(month_of(utc_now()))
    return render_template(
        "help/_closing.html",
        first=first,
        last=next_month(first) - timedelta(days=1),
        console=console_links(settings.load())["shop"],
        layouts=list(journals.LAYOUTS.values()),
    )


_FILE_PURPOSES = ((Purpose.ORDERS, "注文ファイル"), (Purpose.SLIPS, "伝票番号のファイル"))


def _programs(purpose: Purpose) -> list[tuple[str, Layout]]:
    """The programs whose files can be read; files of one that are told alike are told once."""
    alike: dict[tuple[str, str, bool], list[Layout]] = {}
    for layout in sorted(layouts(purpose), key=lambda layout: layout.id):
        name = layout.program.partition("(")[0]
        alike.setdefault((name, layout.refusal or layout.export, bool(layout.partner)), []).append(
            layout
        )
    return [
        (name if len(found) > 1 else found[0].program, found[0])
        for (name, _, _), found in alike.items()
    ]
