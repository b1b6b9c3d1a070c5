"""From what was sent to a checked model, or to a problem document that says what is wrong where."""

from __future__ import annotations

import re
from typing import Any, NoReturn, TypeVar

from flask import request
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sgpshop.domain.errors import OrderNotFound
from sgpshop.domain.our_members import REFUSAL
from sgpshop.web.api import strict_json
from sgpshop.web.api.fields import ORDER_NO
from sgpshop.web.frame.problems import ApiRefusal

Model = TypeVar("Model", bound=BaseModel)

#: Mistakes told at once.
_MOST_ERRORS = 20
_LONGEST_NAME = 60
_LOOK_AGAIN = "送信された内容を確認してください。"
#: kind of pydantic's mistake -> sentence; fields come from its context
_SENTENCES = {
    "missing": "必須です。",
    "extra_forbidden": "この名前の項目はありません。",
    "int_type": "整数で指定してください。",
    "int_parsing": "整数で指定してください。",
    "string_type": "文字列で指定してください。",
    "bool_type": "trueまたはfalseで指定してください。",
    "list_type": "配列で指定してください。",
    "model_type": "オブジェクトで指定してください。",
    "model_attributes_type": "オブジェクトで指定してください。",
    "union_tag_invalid": "tokenか、member_idとcard_seqを指定してください。",
    "literal_error": "{expected}のいずれかを指定してください。",
    "enum": "{expected}のいずれかを指定してください。",
    "greater_than_equal": "{ge}以上にしてください。",
    "less_than_equal": "{le}以下にしてください。",
    "string_too_long": "{max_length}文字以内にしてください。",
    "string_too_short": "{min_length}文字以上にしてください。",
    "string_pattern_mismatch": "使えない文字が含まれているか、形式が正しくありません。",
    "too_long": "{max_length}個以内にしてください。",
    "too_short": "{min_length}個以上必要です。",
    "moment": "2026-11-23T10:15:00+09:00の形式で、2000年から2099年の日時を指定してください。",
    "day": "2026-11-23の形式で、2000年から2099年の日付を指定してください。",
    "our_member": REFUSAL,
    "order_no": "この語は注文番号に使えません(画面のアドレスと重なります)。",
    "return_url": "https://で始まるURLを指定してください。",
}
_OTHERWISE = "形式が正しくありません。"
#: names that pydantic puts into a place for its own sake
_TAGS = frozenset({"token", "stored", "other"})


def known(order_no: str) -> str:
    """The number if an order could have it.  Raises NotFound."""
    if not re.fullmatch(ORDER_NO, order_no):
        raise OrderNotFound
    return order_no


def sent(model: type[Model]) -> Model:
    """What the body of this request says.  Raises ApiRefusal: 400, 413, 415 or 422."""
    take_no_parameters()
    return validated_json(model, strict_json.read())


def refuse_unconfirmed(yen: int) -> NoReturn:
    """A capture of so much has to be confirmed (S21).  Raises ApiRefusal (422)."""
    raise ApiRefusal(
        "large_amount_not_confirmed",
        f"{yen:,}円の実売上処理です。金額に間違いがなければ、"
        "confirm_large_amountにtrueを指定してください。",
    )


def mistake(pointer: str, detail: str, sentence: str = _LOOK_AGAIN) -> ApiRefusal:
    """What was sent is wrong at one place: `detail` says how, `sentence` what it is about (422)."""
    return ApiRefusal("invalid", sentence, errors=[{"pointer": pointer, "detail": detail}])


def take_no_parameters() -> None:
    """Raises ApiRefusal (422)."""
    if request.args:
        raise mistake("?", "パラメーターはありません。", "このURLにパラメーターは指定できません。")


def validated(model: type[Model], sent: dict[str, Any]) -> Model:
    """The parameters of a query as `model`.  Raises ApiRefusal (422)."""
    try:
        return model.model_validate(sent)
    except ValidationError as mistakes:
        raise _refusal(mistakes, "?") from None


def validated_json(model: type[Model], body: bytes) -> Model:
    """A JSON body, already known to be well formed, as `model`.  Raises ApiRefusal (422)."""
    try:
        return model.model_validate_json(body, strict=True)
    except ValidationError as mistakes:
        raise _refusal(mistakes, "/") from None


def _refusal(mistakes: ValidationError, start: str) -> ApiRefusal:
    found = mistakes.errors(include_url=False, include_input=False)
    errors = [
        {"pointer": start + _place(mistake["loc"]), "detail": _sentence(mistake)}
        for mistake in found[:_MOST_ERRORS]
    ]
    return ApiRefusal("invalid", _LOOK_AGAIN, errors=errors)


def _place(parts: tuple[int | str, ...]) -> str:
    """A JSON pointer; names that were sent are cut short."""
    shown = []
    for at, part in enumerate(parts):
        if at and parts[at - 1] == "payment" and part in _TAGS and at == 1:
            continue
        text = str(part)[:_LONGEST_NAME]
        shown.append(text.replace("~", "~0").replace("/", "~1"))
    return "/".join(shown)


def _sentence(mistake: ErrorDetails) -> str:
    sentence = _SENTENCES.get(mistake["type"], _OTHERWISE)
    return sentence.format(**mistake.get("ctx", {}))
