"""The choices a shop makes in its settings (rules.md §10)."""

from __future__ import annotations

from sgpshop.domain.words import Labelled


class SalesMode(Labelled):
    """売上処理種類: what is done with the card when a normal order is completed (R8, R13)."""

    AUTH_THEN_CAPTURE = "auth_then_capture", "仮売上・実売上"
    IMMEDIATE = "immediate", "即時売上"


class OnCaptureFailure(Labelled):
    """実売り失敗時の動作: whether slip and delivery status are still written (R80)."""

    SKIP = "skip", "伝票番号の登録と配送ステータスの変更を行わない"
    KEEP = "keep", "伝票番号の登録と配送ステータスの変更を行う"


class BillingMode(Labelled):
    """運用方法: how SMBC-GP bills subscriptions once a month, and when results come (R102)."""

    REFRESH_RECURRING = "refresh_recurring", "洗替継続課金"
    REFRESH_BULK_AUTH = "refresh_bulk_auth", "洗替一括オーソリ"

    @property
    def result_day(self) -> int:
        """Day of the registration's month (JST) around which results come back."""
        return {BillingMode.REFRESH_RECURRING: 18, BillingMode.REFRESH_BULK_AUTH: 11}[self]


class BillingDriver(Labelled):
    """How the monthly registration reaches SMBC-GP (protocol.md §10.1, §10.3)."""

    FILE = "file", "月次ファイルで登録"
    API = "api", "登録カードへの都度課金"


class PaperAmounts(Labelled):
    """納品書の金額: whether the sheet in a parcel has prices (R145)."""

    BUYER = "buyer", "注文者あてだけ印刷する"
    ALWAYS = "always", "いつも印刷する"
    NEVER = "never", "印刷しない"


class SecondFactorFor(Labelled):
    """2段階認証を必須にする人: who cannot work without one-time codes (S2)."""

    NOBODY = "nobody", "必須にしない(使いたい人だけ)"
    OWNERS = "owners", "オーナーは必須"
    ALL = "all", "全員必須"


class PersonalDataFor(Labelled):
    """購入者の情報を残す期間: months since the last that happened to an order that is closed (S12a)."""

    EVER = "0", "いつまでも残す"
    HALF_A_YEAR = "6", "6か月"
    ONE_YEAR = "12", "1年"
    TWO_YEARS = "24", "2年"
    THREE_YEARS = "36", "3年"
    FIVE_YEARS = "60", "5年"
    SEVEN_YEARS = "84", "7年"
    TEN_YEARS = "120", "10年"


class B2Kind(Labelled):
    """送り状種類 of ヤマト運輸 B2クラウド for what is paid already; 代引 becomes コレクト by itself."""

    PREPAID = "0", "宅急便(発払い)"
    COMPACT = "8", "宅急便コンパクト"
    NEKOPOS = "A", "ネコポス"
    YU_PACKET = "7", "クロネコゆうパケット"
    COLLECT_FREIGHT = "5", "宅急便(着払い)"
