"""What is said when something cannot be done: a page, or a fragment for htmx (S22, P32).

Under /api/ it is a problem document (web/api/problems.py).
"""

from __future__ import annotations

import errno
import logging
from http import HTTPStatus

import sqlalchemy.exc
from flask import Flask, Response, current_app, g, make_response, render_template
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from sgpshop import logs
from sgpshop.domain.errors import CouldNotAsk, ShopError
from sgpshop.extensions import db
from sgpshop.storage import schema
from sgpshop.storage.database_words import is_unavailable
from sgpshop.web.frame import networks, problems, proxies
from sgpshop.web.frame.pieces import wants_fragment
from sgpshop.web.frame.right_database import WrongDatabase, WrongVersion
from sgpshop.web.frame.security import CardNumberRefused, CrossSiteRequest

#: status -> heading, and what it means and what to do next
_WORDS = {
    400: ("受け付けられない内容です", "入力内容または URL を確認してください。"),
    401: ("ログインが必要です", "ログインしてから、もう一度操作してください。"),
    403: (
        "この操作をする権限がありません",
        "必要な場合は、オーナーの方に権限の変更を依頼してください。",
    ),
    404: ("見つかりません", "URL を確認するか、注文検索からもう一度お探しください。"),
    405: ("この方法では開けません", "画面のボタンやリンクから操作してください。"),
    409: ("内容が更新されています", "最新の内容を確認してから、もう一度操作してください。"),
    413: ("送信された内容が大きすぎます", "ファイルを分けるか小さくして、もう一度お試しください。"),
    414: ("URL が長すぎます", "検索条件を減らして、もう一度お試しください。"),
    422: ("入力内容を確認してください", "入力内容に使えない値があります。"),
    429: ("操作が集中しています", "しばらく待ってから、もう一度お試しください。"),
    431: (
        "リクエストヘッダーが大きすぎます",
        "ブラウザーのCookieを削除してから、もう一度お試しください。",
    ),
    500: (
        "処理を完了できませんでした",
        "決済の操作をしていた場合は、注文の詳細画面で現在の状態を確認してください。"
        "続く場合は、下の受付番号を添えて管理者にお知らせください。",
    ),
    503: (
        "ただいまデータを保存できません",
        "しばらく待ってから画面を開き直し、操作が受け付けられたかを確認してください。二重に処理されることはありません。",
    ),
}
_WRONG_DATABASE = (
    "設定に誤りがあるため停止しています",
    "何も変更されていません。管理者に連絡してください(理由はログの wrong_database にあります)。",
)
_WRONG_VERSION = (
    "システムを更新しています",
    "何も変更されていません。しばらくしてから、画面を開き直してください。続く場合は管理者に連絡してください"
    "(理由はログの wrong_version にあります)。",
)
#: A browser keeps no session cookie of a page that came by plain http: no form would ever work.
_PLAIN_HTTP = (
    "https で開いてください",
    "何も変更されていません。アドレスを https:// で始めて、画面を開き直してください。",
)
_STALE_FORM = (
    "画面の有効期限が切れています",
    "何も変更されていません。画面を開き直して、もう一度操作してください。",
)


def init_app(app: Flask) -> None:
    """Answer every refusal and failure of `app` in words."""
    app.register_error_handler(ShopError, _refused)
    app.register_error_handler(CSRFError, _stale)
    app.register_error_handler(CrossSiteRequest, _stale)
    app.register_error_handler(CardNumberRefused, _card_number)
    app.register_error_handler(networks.WrongNetwork, _wrong_network)
    app.register_error_handler(WrongDatabase, _wrong_database)
    app.register_error_handler(schema.NewerSchema, _wrong_version)
    app.register_error_handler(schema.OtherSchema, _wrong_version)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(sqlalchemy.exc.DBAPIError, _database_error)
    app.register_error_handler(sqlalchemy.exc.TimeoutError, _no_connection)
    app.register_error_handler(OSError, _no_room)


def _refused(refusal: ShopError) -> Response:
    if problems.is_wanted():
        return problems.of_refusal(refusal)
    heading, _ = _WORDS.get(refusal.status, _WORDS[422])
    wait = getattr(refusal, "retry_after", None)
    return _answer(
        refusal.status, heading, refusal.message, {"Retry-After": str(wait)} if wait else None
    )


def _stale(_error: HTTPException) -> Response:
    if proxies.needs_https():
        return _answer(400, *_PLAIN_HTTP)
    return _answer(400, *_STALE_FORM)


def _card_number(error: CardNumberRefused) -> Response:
    return _answer(400, _WORDS[400][0], str(error.description))


def _wrong_network(_error: networks.WrongNetwork) -> Response:
    """Without the frame: it says who is signed in and what waits."""
    words = {
        "heading": "このネットワークからは利用できません",
        "sentence": f"いまの接続元は {networks.address() or '不明'} です。登録されたネットワーク"
        "(お店や事務所など)から開き直すか、オーナーの方にこの接続元の登録を依頼してください。"
        "何も変更されていません。",
    }
    template = "errors/_problem.html" if wants_fragment() else "errors/bare.html"
    answer = make_response(render_template(template, **words), 403)
    if wants_fragment():
        answer.headers.update({"HX-Retarget": "#messages", "HX-Reswap": "innerHTML"})
    return answer


def _wrong_database(error: WrongDatabase) -> Response:
    is_version = isinstance(error, WrongVersion)
    return _answer(503, *(_WRONG_VERSION if is_version else _WRONG_DATABASE))


def _wrong_version(_error: CouldNotAsk) -> Response:
    return _wrong_database(WrongVersion())


def _http_error(error: HTTPException) -> BaseResponse:
    status = error.code or 500
    if status < 400:
        return error.get_response()  # a redirect by routing
    if status >= 500:
        db.session.rollback()  # the page itself may want to read
    heading, sentence = _WORDS.get(status, _WORDS[500 if status >= 500 else 400])
    headers = {
        name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")
    }
    return _answer(status, heading, sentence, headers)


def _database_error(error: sqlalchemy.exc.DBAPIError) -> Response:
    if not is_unavailable(error):
        if _is_other_version():
            return _wrong_database(WrongVersion())
        raise error
    _tell(error)
    return _unavailable()


def _is_other_version() -> bool:
    """Whether the tables were altered under a page, which asks only now and then (P36)."""
    db.session.rollback()
    try:
        schema.require_unchanged()
    except (schema.NewerSchema, schema.OtherSchema):
        return True
    except sqlalchemy.exc.SQLAlchemyError:
        db.session.rollback()
    return False


def _no_connection(error: sqlalchemy.exc.TimeoutError) -> Response:
    _tell(error)
    return _unavailable()


def _no_room(error: OSError) -> Response:
    """A long form, or a file that is made, lies on the disk for a moment (P32)."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        raise error
    logs.event("no_room", level=logging.ERROR, reason=error.strerror)
    return _unavailable()


def _tell(error: sqlalchemy.exc.SQLAlchemyError) -> None:
    """One short line a request, however often it met the database that is away."""
    if g.get("database_told"):
        return
    g.database_told = True
    reason = str(getattr(error, "orig", None) or error).partition("\n")[0][:200]
    logs.event("database_unavailable", level=logging.ERROR, reason=reason)


def _unavailable() -> Response:
    db.session.rollback()
    return _answer(503, *_WORDS[503], {"Retry-After": "10"})


def _answer(
    status: int, heading: str, sentence: str, headers: dict[str, str] | None = None
) -> Response:
    if problems.is_wanted():
        return problems.of_status(status, headers)
    words = {
        "heading": heading,
        "sentence": sentence,
        "request_id": g.get("request_id", ""),
        "is_ours": status >= HTTPStatus.INTERNAL_SERVER_ERROR,
    }
    if wants_fragment():
        answer = make_response(render_template("errors/_problem.html", **words), status)
        answer.headers.update({"HX-Retarget": "#messages", "HX-Reswap": "innerHTML"})
    else:
        answer = make_response(_page(words), status)
    answer.headers.update(headers or {})
    return answer


def _page(words: dict[str, object]) -> str:
    try:
        return render_template("errors/page.html", **words)
    except sqlalchemy.exc.SQLAlchemyError as problem:  # the frame shows who is signed in
        _tell(problem)
        return current_app.jinja_env.get_template("errors/bare.html").render(words)
    except Exception:  # the frame shows who is signed in; the database may be what failed
        logs.failure("error_page_failed")
        return current_app.jinja_env.get_template("errors/bare.html").render(words)
