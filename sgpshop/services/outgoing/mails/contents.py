"""What a mail says, as things are when it is sent.

Numbers of orders, yen and words of ours: no names, addresses or cards, for mail is read on its way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from urllib.parse import quote, urlencode

import sqlalchemy as sa
from flask import current_app

from sgpshop.domain.devices import device_name
from sgpshop.domain.errors import NotFound
from sgpshop.domain.mail_kinds import MailKind
from sgpshop.domain.payment_calendar import JST
from sgpshop.domain.second_look import ApprovalState
from sgpshop.extensions import db
from sgpshop.models import (
    Alert,
    Approval,
    Attempt,
    ItemResult,
    KnownDevice,
    Mail,
    Order,
    Person,
    utc_now,
)
from sgpshop.services import dashboard, settings
from sgpshop.services.bulk import report
from sgpshop.services.dashboard import Figures
from sgpshop.services.order_search.totals import Total
from sgpshop.services.outgoing.mails.occasions import holds_of, told_singly

_MOST_ROWS = 20


@dataclass(frozen=True)
class Row:
    """One thing, its figures, and the page of ours where it is."""

    words: str
    figures: str
    path: str


@dataclass(frozen=True)
class Content:
    """A mail; its lines stand one under the other."""

    subject: str
    intro: str
    rows: tuple[Row, ...] = ()
    ending: str = ""

    @property
    def text(self) -> str:
        """The plain form."""
        lines = [self.intro, ""]
        for row in self.rows:
            lines.append(f"・{row.words}  {row.figures}".rstrip())
            lines += [f"  {link(row.path)}"] if link(row.path) else []
        lines += ["", self.ending] if self.ending else []
        return "\n".join([*lines, "", _FOOT, link("/account")]).strip() + "\n"


_FOOT = "このメールはSGP Shopが自動で送信しました。受け取る内容は「アカウント」で変更できます。"


def link(path: str) -> str:
    """The whole address of a page; "" where nobody told our address (PUBLIC_URL)."""
    base: str = current_app.config["PUBLIC_URL"]
    return f"{base.rstrip('/')}{path}" if base else ""


def html_of(content: Content) -> str:
    """The simple HTML form."""
    template = current_app.jinja_env.get_template("mails/mail.html")
    return template.render(content=content, link=link, foot=_FOOT)


def content_of(mail: Mail) -> Content | None:
    """What `mail` says; None: nothing any more."""
    return _WORDS[mail.kind](mail.event)


def address_of(mail: Mail, person: Person) -> str:
    """Where `mail` goes; "": nowhere.  News of a sign-in to where they were told before it (S3)."""
    if mail.kind is MailKind.NEW_DEVICE:
        device = db.session.get(KnownDevice, int(mail.event))
        return device.mail_to if device else ""
    return person.email


def _list(**conditions: str) -> str:
    return f"/orders?{urlencode(conditions)}"


def _order(order_no: str, figures: str) -> Row:
    return Row(f"注文 {order_no}", figures, f"/orders/{quote(order_no, safe='')}")


def _morning(_event: str) -> Content | None:
    rows = tuple(
        Row(words, f"{total.count:,}件 ¥{total.yen:,}", path)
        for words, total, path in _todo(dashboard.figures(settings.load()))
        if total.count
    )
    if not rows:
        return None
    return Content(
        f"今日のやること {len(rows)}項目",
        "おはようございます。いま対応が必要なことをお知らせします。",
        rows,
        link("/"),
    )


def _todo(found: Figures) -> Iterator[tuple[str, Total, str]]:
    yield "発送済み・売上処理待ち", found.shipped_uncaptured, _list(shipped_uncaptured="1")
    yield "期限が近い・切れた", found.deadline_soon, _list(auth_days_left="7", sort="deadline")
    yield "承認待ち", found.approvals, "/approvals"
    yield "売上失敗", found.capture_failed, _list(status="capture_failed")
    yield "SMBC-GPとの食い違い", found.alerts, _list(alert="1")
    yield "返送済み・返金未対応", found.returned_open, _list(returned_open="1")
    yield "修正額が未送信", found.unsent, _list(unsent="1")
    yield "要確認", found.needs_review, _list(status="needs_review")
    yield "予約:出荷予定日超過", found.preorders_overdue, "/preorders?tab=overdue"
    if found.subscriptions is not None:
        attention = found.subscriptions.attention
        yield "定期:要対応", attention, "/subscriptions?tab=attention"


def _failed_run(run_id: str) -> Content | None:
    try:
        progress = report.progress(run_id)
    except NotFound:
        return None
    failed = report.lines(run_id, limit=_MOST_ROWS)
    rows = tuple(
        _order(line.order.order_no, f"¥{line.amount:,} {line.content}".rstrip())
        for line in failed
        if line.result is ItemResult.FAILED
    )
    return Content(
        f"一括処理が失敗を含んで終わりました(失敗{progress.failed:,}件)",
        progress.heading,
        rows,
        link(f"/orders/bulk/{quote(run_id, safe='')}"),
    )


def _holds(event: str) -> Content | None:
    day = date.fromisoformat(event)
    found = db.session.execute(holds_of(day).order_by(Order.id)).all()
    if not found:
        return None
    rows = tuple(_order(order_no, f"¥{total:,}") for order_no, total, _ in found[:_MOST_ROWS])
    whole = sum(total for _, total, _ in found)
    return Content(
        f"{day.month}/{day.day}にオーソリ期限が切れる注文 {len(found):,}件",
        f"{day.month}月{day.day}日にオーソリ期限が切れる注文が{len(found):,}件(¥{whole:,})あります。"
        "期限を過ぎると、請求できなくなることがあります。",
        rows,
        _more(len(found), _list(auth_days_left="3", sort="deadline")),
    )


def _uncertain(event: str) -> Content | None:
    first = datetime.fromisoformat(event)
    found = db.session.execute(
        sa.select(Order.order_no, Attempt.amount)
        .join(Order, Order.id == Attempt.order_id)
        .where(
            Attempt.is_open,
            Attempt.uncertain_since >= first,
            Attempt.uncertain_since < first + timedelta(hours=1),
        )
        .order_by(Attempt.id)
    ).all()
    if not found:
        return None
    return Content(
        f"結果の分からない処理が{len(found):,}件あります",
        f"SMBC-GPからの返事が途切れたまま1時間以上たった処理が{len(found):,}件あります。"
        "自動で確認を続けています。二重に請求されることはありません。",
        tuple(_order(order_no, _yen(amount)) for order_no, amount in found[:_MOST_ROWS]),
        _more(len(found), _list(status="needs_review")),
    )


def _differences(event: str) -> Content | None:
    first = datetime.fromisoformat(event)
    rows = db.session.execute(
        sa.select(Order.order_no, Alert.kind)
        .join(Order, Order.id == Alert.order_id)
        .where(
            Alert.acknowledged_at.is_(None),
            Alert.since >= first,
            Alert.since < first + timedelta(hours=1),
        )
        .order_by(Alert.id)
    )
    found = [(order_no, kind) for order_no, kind in rows if not kind.is_notice]
    if not found:
        return None
    return Content(
        f"SMBC-GPとの食い違いが{len(found):,}件あります",
        f"SMBC-GPに確認して、{len(found):,}件の食い違いが見つかりました。注文を開いて内容を確認してください。",
        tuple(_order(order_no, kind.label) for order_no, kind in found[:_MOST_ROWS]),
        _more(len(found), _list(alert="1")),
    )


def _stood(event: str) -> Content:
    since = datetime.fromisoformat(event).astimezone(JST)
    return Content(
        "自動処理が止まっていました",
        f"自動処理が、{since.month}/{since.day} {since:%H:%M}ごろから止まっていました。いまは動いています。"
        "その間に受け付けた処理は、順に行います(注文は失われません)。",
        (Row("いまの状況を見る", "", "/"),),
    )


def _new_device(event: str) -> Content | None:
    device = db.session.get(KnownDevice, int(event))
    if device is None:
        return None
    at = device.added_at.astimezone(JST)
    what = device_name(device.browser) or "不明な端末"
    return Content(
        "新しい端末からのログイン",
        f"{at.month}/{at.day} {at:%H:%M}に、これまで使っていない端末からあなたのユーザー名でログインがありました。",
        (Row(what, f"アドレス {device.address or '不明'}", "/account"),),
        "ご自身であれば、何もする必要はありません。心当たりがないときは、すぐに「アカウント」でほかの端末のログインを終了し、"
        "パスワードを変更して、オーナーに知らせてください。",
    )


def _approval(event: str) -> Content | None:
    if not event.isdecimal():
        return _approvals(datetime.fromisoformat(event))
    asked = db.session.get(Approval, int(event))
    if asked is None or not asked.is_waiting:
        return None
    until = asked.expires_at.astimezone(JST)
    return Content(
        f"承認の依頼: {asked.what} ¥{asked.yen:,}",
        f"{asked.who}が、承認を依頼しています。承認されるまで、SMBC-GPには何も送信しません"
        f"({until.month}/{until.day} {until:%H:%M}を過ぎると無効になります)。",
        (_asked(asked),),
    )


def _approvals(hour: datetime) -> Content | None:
    """What was asked for in that hour and still waits, but for what was told each by itself."""
    asked = db.session.scalars(
        sa.select(Approval)
        .where(
            Approval.state == ApprovalState.WAITING,
            Approval.asked_at >= hour,
            Approval.asked_at < hour + timedelta(hours=1),
        )
        .order_by(Approval.id)
    ).all()
    singly = told_singly(hour)
    found = [one for one in asked if one.id not in singly]
    if not found:
        return None
    yen = sum(one.yen for one in found)
    return Content(
        f"承認の依頼: {len(found):,}件 ¥{yen:,}",
        f"{len(found):,}件の承認の依頼が届いています。承認されるまで、SMBC-GPには何も送信しません。",
        tuple(_asked(one) for one in found[:_MOST_ROWS]),
        _more(len(found), "/approvals"),
    )


def _asked(one: Approval) -> Row:
    about = one.order.order_no if one.order is not None else f"{one.orders:,}件"
    return Row(f"{one.what} {about}", f"¥{one.yen:,}", f"/approvals/{one.id}")


def _webhook_off(_event: str) -> Content:
    return Content(
        "Webhookの送信を止めました",
        "3日続けて届かなかったため、Webhookの送信を止めました。送信先のシステムを確認し、設定の「Webhook」で再開してください。"
        "止まっている間のできごとは、30日以内に再開すれば送信します。",
        (Row("Webhookの設定を開く", "", "/settings/webhooks"),),
    )


def _test(_event: str) -> Content:
    now = utc_now().astimezone(JST)
    return Content(
        "送信の確認",
        f"メールは届いています({now.month}/{now.day} {now:%H:%M})。",
    )


def _more(count: int, path: str) -> str:
    more = f"ほか{count - _MOST_ROWS:,}件" if count > _MOST_ROWS else ""
    return f"{more} {link(path)}".strip()


def _yen(amount: int | None) -> str:
    return "" if amount is None else f"¥{amount:,}"


_WORDS = {
    MailKind.MORNING: _morning,
    MailKind.RUN_FAILED: _failed_run,
    MailKind.HOLD_ENDS: _holds,
    MailKind.UNCERTAIN: _uncertain,
    MailKind.DIFFERENCE: _differences,
    MailKind.WORKER_STOOD: _stood,
    MailKind.NEW_DEVICE: _new_device,
    MailKind.APPROVAL: _approval,
    MailKind.WEBHOOK_OFF: _webhook_off,
    MailKind.TEST: _test,
}
