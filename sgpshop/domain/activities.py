"""What people and programs did, as 操作の記録 tells it (P5a): every event, and the kind it is of."""

from __future__ import annotations

from sgpshop.domain.words import Labelled


class ActivityKind(Labelled):
    """What an event is about; the page can be narrowed to one."""

    SIGN_IN = "sign_in", "ログイン"
    SETTINGS = "settings", "設定"
    PEOPLE = "people", "ユーザー"
    KEYS = "keys", "APIキー・Webhook"
    EXPORT = "export", "書き出し・印刷"
    RUN = "run", "取込・一括処理"
    MONEY = "money", "決済の操作"
    REFUSAL = "refusal", "拒否"


class ActivityEvent(Labelled):
    """One thing that was done, or refused; the words are those of the page."""

    kind: ActivityKind

    SIGNED_IN = "signed_in", "ログイン", ActivityKind.SIGN_IN
    SIGNED_OUT = "signed_out", "ログアウト", ActivityKind.SIGN_IN
    SIGN_IN_REFUSED = "sign_in_refused", "ログインできなかった", ActivityKind.SIGN_IN
    SESSIONS_ENDED = "sessions_ended", "ログインを終了", ActivityKind.SIGN_IN

    SETTINGS_CHANGED = "settings_changed", "設定を変更", ActivityKind.SETTINGS

    PERSON_CREATED = "person_created", "ユーザーを登録", ActivityKind.PEOPLE
    RIGHTS_CHANGED = "rights_changed", "権限を変更", ActivityKind.PEOPLE
    PASSWORD_CHANGED = "password_changed", "パスワードを変更", ActivityKind.PEOPLE
    SECOND_FACTOR_SET_UP = "second_factor_set_up", "2段階認証を設定", ActivityKind.PEOPLE
    SECOND_FACTOR_OFF = "second_factor_off", "2段階認証を解除", ActivityKind.PEOPLE
    RECOVERY_CODES_RENEWED = "recovery_codes_renewed", "予備コードを作り直し", ActivityKind.PEOPLE
    PASSKEY_ADDED = "passkey_added", "パスキーを追加", ActivityKind.PEOPLE
    PASSKEY_ALONE = "passkey_alone", "パスキーだけのログインを変更", ActivityKind.PEOPLE
    PASSKEY_REMOVED = "passkey_removed", "パスキーを削除", ActivityKind.PEOPLE

    API_KEY_CREATED = "api_key_created", "APIキーを作成", ActivityKind.KEYS
    API_KEY_REVOKED = "api_key_revoked", "APIキーを無効化", ActivityKind.KEYS
    WEBHOOK_CREATED = "webhook_created", "Webhookの送信先を登録", ActivityKind.KEYS
    WEBHOOK_SWITCHED = "webhook_switched", "Webhookの送信を切替", ActivityKind.KEYS
    WEBHOOK_CHOSEN = "webhook_chosen", "Webhookで知らせるできごとを変更", ActivityKind.KEYS
    WEBHOOK_DELETED = "webhook_deleted", "Webhookの送信先を削除", ActivityKind.KEYS

    EXPORTED = "exported", "書き出し・印刷", ActivityKind.EXPORT

    IMPORT_STARTED = "import_started", "注文ファイルを取込", ActivityKind.RUN
    SLIPS_STARTED = "slips_started", "伝票番号を登録", ActivityKind.RUN
    BULK_STARTED = "bulk_started", "一括処理を開始", ActivityKind.RUN
    PERSONAL_DATA_ERASED = "personal_data_erased", "購入者の情報を消去", ActivityKind.RUN

    MONEY_ASKED = "money_asked", "決済を操作", ActivityKind.MONEY
    MONEY_RUN_STARTED = "money_run_started", "決済の一括処理を開始", ActivityKind.MONEY
    APPROVAL_ASKED = "approval_asked", "承認を依頼", ActivityKind.MONEY
    APPROVAL_GIVEN = "approval_given", "承認", ActivityKind.MONEY
    APPROVAL_REFUSED = "approval_refused", "承認の依頼を却下", ActivityKind.MONEY
    APPROVAL_WITHDRAWN = "approval_withdrawn", "承認の依頼を取り下げ", ActivityKind.MONEY
    APPROVAL_VOID = "approval_void", "承認の依頼が無効・期限切れ", ActivityKind.MONEY
    UNCERTAIN_CLOSED = "uncertain_closed", "結果を手動で確定", ActivityKind.MONEY

    REFUSED = "refused", "操作を拒否", ActivityKind.REFUSAL
    LIMITED = "limited", "回数の上限により拒否", ActivityKind.REFUSAL

    def __new__(cls, value: str, label: str, kind: ActivityKind) -> ActivityEvent:
        """A word with its label and kind."""
        member = str.__new__(cls, value)
        member._value_, member.label, member.kind = value, label, kind
        return member
