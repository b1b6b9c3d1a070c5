"""Every `code` of a problem document: its English title, which the OpenAPI document lists, and a Japanese heading.

A code never changes its meaning (S22).
"""

from __future__ import annotations

from typing import Final

#: code -> title, and heading for where nothing more is said in Japanese
CODES: Final[dict[str, tuple[str, str]]] = {
    "bad_request": (
        "The request cannot be read: no JSON as it should be, or a header or host that is not ours",
        "リクエストを読み取れません",
    ),
    "unauthorized": ("No API key, or one that is unknown, revoked or over", "APIキーが必要です"),
    "declined": (
        "The card company declined the card, or the buyer's authentication failed; `codes` say why",
        "カードが承認されませんでした",
    ),
    "token_refused": (
        "The card token is unknown, used or over; make a new one and send the order again with it",
        "カードのトークンを使えません",
    ),
    "payment_refused": (
        "It cannot be paid like that, whoever sends it again; `codes` say why",
        "この内容では決済できません",
    ),
    "forbidden": ("The key has not the scope for it", "このAPIキーではできない操作です"),
    "wrong_network": (
        "The shop takes calls from listed networks only, and this one is not listed",
        "このネットワークからは利用できません",
    ),
    "intake_closed": ("The shop takes no orders of this kind now", "注文を受け付けていません"),
    "not_found": ("There is no such thing, or it is not this key's", "見つかりません"),
    "method_not_allowed": (
        "This address takes other methods, see Allow",
        "このメソッドは使えません",
    ),
    "stale": ("The order is not as you saw it; read it again", "注文が更新されています"),
    "amount_differs": (
        "The version is the order's, the amount is not; read its `total`",
        "金額が注文の合計金額と違います",
    ),
    "busy": ("Another operation of the order is under way; wait for its end", "注文は処理中です"),
    "order_no_taken": ("The number belongs to another order", "注文番号は使われています"),
    "being_billed": (
        "The card of before is being charged; another one was not taken",
        "登録済みのカードでの請求を待っています",
    ),
    "round_taken": (
        "Another order is for the same round of this subscription",
        "定期購入の同じ回の注文があります",
    ),
    "three_ds_not_set_up": (
        "The buyer has to pass 3-D Secure, and the shop's own address for the return is not set up",
        "3Dセキュアの戻り先が未設定です",
    ),
    "in_progress": ("This very request is under way; send it again", "同じリクエストを処理中です"),
    "too_large": ("The body is too large", "リクエストが大きすぎます"),
    "uri_too_long": ("The address is too long", "URLが長すぎます"),
    "not_json": ("The body is not application/json", "JSONではありません"),
    "invalid": ("Not as the schema says; `errors` name each mistake", "内容を確認してください"),
    "card_number": ("A card number must not be sent to us", "カード番号は受け付けません"),
    "total_mismatch": (
        "`total` is not the sum of the lines; see `calculated`",
        "合計金額が合いません",
    ),
    "not_possible": (
        "The order is in a state that does not allow it; `reason` says why",
        "この注文ではできない操作です",
    ),
    "refund_not_confirmed": (
        "Money would, or could, go back to the buyer; confirm that with `refund`",
        "返金の確認が必要です",
    ),
    "large_amount_not_confirmed": (
        "So large an amount has to be confirmed with `confirm_large_amount`",
        "金額の確認が必要です",
    ),
    "increase_not_confirmed": (
        "More of the buyer's money would be reserved; confirm that with `confirm_increase`",
        "増額の確認が必要です",
    ),
    "refused": ("It cannot be taken as it is; `detail` says why", "受け付けられません"),
    "operation_failed": (
        "SMBC-GP did not carry it out; the order tells how it stands, `codes` and `detail` why",
        "SMBC-GPで処理されませんでした",
    ),
    "invalid_cursor": (
        "The cursor is none of ours, or of another search",
        "cursorが正しくありません",
    ),
    "cursor_lost": (
        "The cursor is from before a restore, or too old; begin anew with a time",
        "この位置からは続けられません",
    ),
    "key_reused": (
        "The Idempotency-Key came before, with another request",
        "Idempotency-Keyは使われています",
    ),
    "too_many_requests": ("Too many requests; wait for Retry-After", "リクエストが多すぎます"),
    "error": (
        "A fault of ours; what was under way goes on, so ask for the order",
        "処理を完了できませんでした",
    ),
    "unavailable": ("Not to be done just now; send it again", "ただいま処理できません"),
}

#: the status of each code but those of 422; what only has a status has the first code of that
_STATUS: Final = {
    "bad_request": 400,
    "unauthorized": 401,
    "declined": 402,
    "forbidden": 403,
    "wrong_network": 403,
    "intake_closed": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "stale": 409,
    "amount_differs": 409,
    "busy": 409,
    "order_no_taken": 409,
    "being_billed": 409,
    "round_taken": 409,
    "three_ds_not_set_up": 409,
    "in_progress": 409,
    "cursor_lost": 410,
    "too_large": 413,
    "uri_too_long": 414,
    "not_json": 415,
    "too_many_requests": 429,
    "error": 500,
    "unavailable": 503,
}
CODE_OF_STATUS: Final = {status: code for code, status in reversed(_STATUS.items())} | {
    422: "refused"
}


def status_of(code: str) -> int:
    """The HTTP status of an answer with that code."""
    return _STATUS.get(code, 422)


def title(code: str) -> str:
    """What programs' people read of it."""
    return CODES[code][0]


def heading(code: str) -> str:
    """The same in Japanese, short."""
    return CODES[code][1]
