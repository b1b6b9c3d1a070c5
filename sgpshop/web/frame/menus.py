"""The bar over every page and the tabs under it: pieces by person, shop and the screen that is shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import urlencode

from flask import Flask, current_app, request, url_for
from flask_login import current_user
from markupsafe import Markup

from sgpshop.models import Role
from sgpshop.services import settings, subscriptions
from sgpshop.services.payments.gateway_access import console_links
from sgpshop.web.frame.pieces import piece, token


class Way(NamedTuple):
    """One line of a menu."""

    path: str
    words: str
    is_current: bool = False


def init_app(app: Flask) -> None:
    """Give `main_menu()`, the bars that show it and `search_there(…)` to all templates of `app`."""
    app.jinja_env.globals.update(
        main_menu=main_menu, top_bar=top_bar, bottom_bar=bottom_bar, search_there=search_there
    )


def top_bar(menu: tuple[Way, ...]) -> Markup:
    """The name of the shop, what there is to practise with, the search box, the menu."""
    person: Any = current_user._get_current_object()
    practice = tuple(_practice_menu(person)) if is_practice() else ()
    if not person.is_authenticated:
        return piece("frame/_top_bar.html", {"person": None, "shop_name": "", "practice": practice})
    word = request.args.get("q", "") if request.endpoint == "order_search.show" else ""
    return piece(
        "frame/_top_bar.html",
        {
            "person": person.name,
            "shop_name": settings.load().shop_name,
            "practice": practice,
            "word": word,
            "menu": menu,
            "csrf_token": token(),
        },
        is_typed=bool(word),
    )


def bottom_bar(menu: tuple[Way, ...]) -> Markup:
    """On a telephone: the places that a thumb goes to most, and behind その他 the whole menu."""
    person: Any = current_user._get_current_object()
    return piece(
        "frame/_bottom_bar.html",
        {
            "tabs": tuple(_phone_tabs(person)),
            "menu": menu,
            "may_reconcile": person.may_act_as(Role.OPERATOR),
            "may_export": person.may_act_as(Role.ACCOUNTANT),
            "csrf_token": token(),
        },
    )


def is_practice() -> bool:
    """Whether the gateway is the simulator: plain http is allowed in test mode alone (T6)."""
    config = current_app.config
    return bool(config["TEST_MODE"]) and str(config["GATEWAY_URL"]).startswith("http:")


def search_there(gateway_order_id: str) -> str:
    """What takes the simulator's console to this transaction; SMBC-GP's own begins with a login, without."""
    return f"?{urlencode({'order_id': gateway_order_id})}" if is_practice() else ""


def _practice_menu(person: Any) -> Iterable[Way]:
    """What there is to practise with; the simulator's own pages stand at the gateway's address."""
    urls = current_app.config["CONSOLE_URL"], current_app.config["GATEWAY_URL"]
    # Where the browser finds the simulator, if that is another name than the shop calls it by.
    shop = f"{next(str(url) for url in urls if str(url).startswith('http:'))}/practice-shop/"
    yield Way(shop, "練習ショップ")
    if person.is_authenticated and (console := console_links(settings.load())["shop"]):
        yield Way(console, "管理画面(練習)")
    yield Way(f"{shop}next-capture", "次の実売上を失敗させる…")
    yield Way(url_for("help_page.show", _anchor="practice-start-over"), "データを最初に戻すには")


def main_menu() -> tuple[Way, ...]:
    """Each screen that this person may open and this shop uses (R26, R150)."""
    person: Any = current_user._get_current_object()
    return tuple(_main_menu(person)) if person.is_authenticated else ()


def _main_menu(person: Any) -> Iterable[Way]:
    screens = {
        "order_search.show": ("注文検索/一括処理", True),
        "imports.index": ("注文ファイル取込", True),
        "slips.index": ("伝票番号一括ステータス変更機能", person.may_act_as(Role.SHIPPER)),
        "subscriptions.show": ("定期購入", subscriptions.in_use(settings.load())),
        "preorders.show": ("予約", True),
        "sales.show": ("売上集計", True),
        "settings.sgp": ("設定", person.may_act_as(Role.OWNER)),
        "help_page.show": ("ヘルプ", True),
    }
    here, find = request.path, current_app.jinja_env.globals["url_for"]
    for screen, (words, is_there) in screens.items():
        if is_there:
            path = find(screen)  # type: ignore[operator]
            # Every order's page begins with the address of the list.
            is_below = screen != "order_search.show" and here.startswith(path.removesuffix("/sgp"))
            yield Way(path, words, here == path or is_below)


def _phone_tabs(person: Any) -> Iterable[Way]:
    """The search box is one too."""
    tabs = {"dashboard.show": "ホーム", "order_search.show": "注文"}
    if person.may_act_as(Role.SHIPPER):
        tabs["slips.index"] = "発送"
    find = current_app.jinja_env.globals["url_for"]
    for screen, words in tabs.items():
        path = find(screen)  # type: ignore[operator]
        yield Way(path, words, path == request.path)
