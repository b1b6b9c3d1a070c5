"""The choices a shop makes in its settings that change what happens to money (rules.md §10)."""

from __future__ import annotations

from enum import StrEnum

from sgpshop.domain import words


class SalesMode(StrEnum):
    """売上処理種類: what is done with the card when a normal order is completed (R8, R13)."""

    AUTH_THEN_CAPTURE = "auth_then_capture"
    IMMEDIATE = "immediate"

    @property
    def label(self) -> str:
        """The Japanese words on the screen."""
        return {
            SalesMode.AUTH_THEN_CAPTURE: "仮売上・実売上",
            SalesMode.IMMEDIATE: "即時売上",
        }.get(self) or words.unknown(self)


class OnCaptureFailure(StrEnum):
    """実売り失敗時の動作: whether slip and delivery status are still written (R80)."""

    SKIP = "skip"
    KEEP = "keep"

    @property
    def label(self) -> str:
        """The Japanese words on the screen."""
        return {
            OnCaptureFailure.SKIP: "伝票番号の登録と配送ステータスの変更をおこなわない",
            OnCaptureFailure.KEEP: "伝票番号の登録と配送ステータスの変更をおこなう",
        }.get(self) or words.unknown(self)


class BillingMode(StrEnum):
    """運用方法: how SMBC-GP bills subscriptions once a month, and when results come (R102)."""

    REFRESH_RECURRING = "refresh_recurring"
    REFRESH_BULK_AUTH = "refresh_bulk_auth"

    @property
    def label(self) -> str:
        """The Japanese words on the screen."""
        return {
            BillingMode.REFRESH_RECURRING: "洗替継続課金",
            BillingMode.REFRESH_BULK_AUTH: "洗替一括オーソリ",
        }.get(self) or words.unknown(self)

    @property
    def result_day(self) -> int:
        """Day of the registration's month (JST) around which results come back."""
        return {BillingMode.REFRESH_RECURRING: 18, BillingMode.REFRESH_BULK_AUTH: 11}[self]


class BillingDriver(StrEnum):
    """How the monthly registration reaches SMBC-GP (protocol.md §10.1, §10.3)."""

    FILE = "file"
    API = "api"

    @property
    def label(self) -> str:
        """The Japanese words on the screen."""
        return {
            BillingDriver.FILE: "月次ファイルで登録",
            BillingDriver.API: "登録カードへの都度課金",
        }.get(self) or words.unknown(self)
