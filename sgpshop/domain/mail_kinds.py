"""What people can be told by mail, and the shape of an address (R156)."""

from __future__ import annotations

import re

from sgpshop.domain.payment_calendar import URGENT_DAYS
from sgpshop.domain.words import Labelled

#: As far as all mail servers agree: no quotes, no blanks, nothing that could begin another header.
_ADDRESS = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}"
)
LONGEST_ADDRESS = 254


class MailKind(Labelled):
    """An occasion, as people choose it."""

    MORNING = "morning", "毎朝のまとめ(することがある日だけ)"
    RUN_FAILED = "run_failed", "一括処理が失敗を含んで終わったとき"
    HOLD_ENDS = "hold_ends", f"オーソリ期限まで{URGENT_DAYS}日になったとき"
    UNCERTAIN = "uncertain", "結果の分からない処理が1時間続いたとき"
    DIFFERENCE = "difference", "SMBC-GPとの食い違いが見つかったとき"
    WORKER_STOOD = "worker_stood", "自動処理が止まっていたとき(再開したときにお知らせします)"
    APPROVAL = "approval", "承認を依頼されたとき(承認できる人だけ)"
    WEBHOOK_OFF = "webhook_off", "Webhookの送信を止めたとき(3日続けて届かなかったとき)"
    #: not chosen but asked for
    TEST = "test", "送信の確認"
    #: nor chosen: who stole a session would switch it off
    NEW_DEVICE = "new_device", "新しい端末からのログイン"


#: What goes to everybody who gave an address.
UNASKED = (MailKind.TEST, MailKind.NEW_DEVICE)
#: What a person chooses from.
CHOICES = tuple(kind for kind in MailKind if kind not in UNASKED)


class MailState(Labelled):
    """How far a mail is."""

    WAITING = "waiting", "送信待ち"
    SENDING = "sending", "送信中"
    SENT = "sent", "送信済み"
    FAILED = "failed", "送信できませんでした"
    #: nothing was to be said any more, or nobody wanted it any more
    DROPPED = "dropped", "送信不要"


def is_mail_address(text: str) -> bool:
    """Whether a mail server can be asked to take a mail for it."""
    is_dotted = text.startswith(".") or ".." in text or ".@" in text
    return len(text) <= LONGEST_ADDRESS and not is_dotted and bool(_ADDRESS.fullmatch(text))
