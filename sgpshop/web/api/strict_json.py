"""The body of a request as JSON, read without tolerance (S14), and clean of card numbers (S11).

What is checked here holds for every body, whatever its schema; nothing of it is repeated in an
answer or a log line.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge

from sgpshop import logs
from sgpshop.domain.activities import ActivityEvent
from sgpshop.domain.card_data import contains_card_number
from sgpshop.services.access import activities
from sgpshop.web.frame.problems import ApiRefusal

MOST_BYTES = 256 * 1024
DEEPEST = 20
#: No text of ours is nearly so long; a longer one is not even looked through.
_LONGEST_TEXT = 10_000
#: No number of ours has more digits; a longer one is not even made an int.
_MOST_DIGITS = 15
#: No card has fewer digits: most numbers need no look.
_LEAST_CARD = 10**13
#: What may hold long random text of the gateway's: refused only if it is nothing but a card number.
_RANDOM_FIELDS = frozenset({"token"})


def read() -> bytes:
    """The body, which is JSON as we want it.  Raises ApiRefusal: 400, 413, 415 or 422."""
    if request.mimetype != "application/json":
        raise ApiRefusal("not_json", "Content-Typeをapplication/jsonにしてください。")
    request.max_content_length = MOST_BYTES
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise ApiRefusal(
            "too_large", f"リクエストは{MOST_BYTES // 1024}KiB以内にしてください。"
        ) from None
    check(body)
    return body


def check(body: bytes) -> None:
    """Refuse what no schema should have to deal with.  Raises ApiRefusal: 400 or 422."""
    try:
        content = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_whole_number,
            parse_float=_no_fraction,
            parse_constant=_no_fraction,
        )
    except UnicodeDecodeError:
        _refuse("UTF-8で送信してください。")
    except RecursionError:
        _refuse(_TOO_DEEP)
    except ValueError:
        _refuse("JSONとして読み取れません。")
    _check_values(content)


_TOO_DEEP = f"入れ子は{DEEPEST}段までにしてください。"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        _refuse("同じ項目名が2回使われています。")
    return found


def _whole_number(text: str) -> int:
    if len(text) > _MOST_DIGITS and contains_card_number(text[:_LONGEST_TEXT]):
        _refuse_card()
    if len(text) > _MOST_DIGITS:
        _refuse("数値が大きすぎます。")
    return int(text)


def _no_fraction(_text: str) -> NoReturn:
    _refuse("数値は整数で指定してください(小数、指数、NaN、Infinityは使えません)。")


def _check_values(content: Any) -> None:
    """Every name and value, without recursion: `content` may be nested more than it should."""
    waiting: list[tuple[str, Any, int]] = [("", content, 0)]
    while waiting:
        name, value, depth = waiting.pop()
        if isinstance(value, str):
            _check_text(name, value)
            continue
        if (
            isinstance(value, int)
            and abs(value) >= _LEAST_CARD
            and contains_card_number(str(value))
        ):
            _refuse_card()
        if not isinstance(value, dict | list):
            continue
        if depth >= DEEPEST:
            _refuse(_TOO_DEEP)
        if isinstance(value, dict):
            for key in value:
                _check_text("", key)
            waiting += [(key, part, depth + 1) for key, part in value.items()]
        else:
            waiting += [(name, part, depth + 1) for part in value]


def _check_text(name: str, text: str) -> None:
    if len(text) > _LONGEST_TEXT:
        raise ApiRefusal("invalid", f"{_LONGEST_TEXT:,}文字を超える文字列は使えません。")
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        _refuse("使用できない文字(NULまたは対になっていないサロゲート)が含まれています。")
    is_random = name in _RANDOM_FIELDS and any(character.isalpha() for character in text)
    if not is_random and contains_card_number(text):
        _refuse_card()


def refuse_card_number(text: str) -> None:
    """Refuse `text` from another part of the request when a card number is in it (S11)."""
    if contains_card_number(text):
        _refuse_card()


def _refuse(sentence: str) -> NoReturn:
    raise ApiRefusal("bad_request", sentence)


def _refuse_card() -> NoReturn:
    logs.event("refused", reason="card_number", path=request.path)
    activities.refused(ActivityEvent.REFUSED, "API", "カード番号")
    raise ApiRefusal(
        "card_number",
        "カード番号と思われる数字が含まれているため、受け付けませんでした(保存もしていません)。"
        "カードはトークンで指定してください。",
    )
