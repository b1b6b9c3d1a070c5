"""What every request must pass before a view runs: right, origin, clean input (S4, S6, S11, S24).

A view is refused to everybody until it says who may open it, by `@requires(Role.…)` or `@public`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import BytesIO
from typing import IO, Any, Literal, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    current_app,
    flash,
    make_response,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_login import current_user
from werkzeug.exceptions import (
    BadRequest,
    Forbidden,
    RequestEntityTooLarge,
    RequestURITooLarge,
    SecurityError,
)
from werkzeug.formparser import FormDataParser

from sgpshop import logs
from sgpshop.domain.activities import ActivityEvent
from sgpshop.domain.card_data import contains_card_number
from sgpshop.domain.text import has_control_characters
from sgpshop.extensions import csrf, login_manager
from sgpshop.models import ActorKind, Role, Scope
from sgpshop.services.access import activities, sessions
from sgpshop.services.installation import first_set_up
from sgpshop.web.frame import (
    carried,
    networks,
    problems,
    proxies,
    request_headers,
    response_headers,
)
from sgpshop.web.frame.pieces import wants_fragment

View = TypeVar("View", bound=Callable[..., Any])
Right = Role | Literal["public", "api:intake", "api:read", "api:capture"]

START = "/"

#: In the environment of a request that the HTTP server could not read: the status to answer.
REFUSED = "sgpshop.refused"

_MARK = "sgpshop_right"
_FOR_MACHINES = "sgpshop_for_machines"
#: What takes a form that came after the session was over (carried.py).
_SIGNING_IN = frozenset({"auth.enter", "auth.enter_code", "auth.enter_by_passkey"})
#: What somebody may do who still has to set up 2段階認証 (S2).
_BEFORE_SET_UP = frozenset(
    {
        "second_factor.show",
        "second_factor.set_up",
        "second_factor.add_passkey",
        "auth.logout",
        "auth.extend",
        "help_page.show",
    }
)
_UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
#: Fields whose text is a person's secret or our own random token: not looked at for card numbers.
_UNREAD_FIELDS = frozenset(
    {
        "csrf_token",
        "request_token",
        "cursor",
        "carried",
        "second_step",
        "passkey",
        "passkey_question",
        "again_passkey",
        "again_passkey_question",
        "set_up_secret",
        "password",
        "password_again",
        "current_password",
        "site_pass",
        "shop_pass",
    }
)
#: Characters of a path and of a query.  A search by 200 order numbers has about 6,000; the cursor
#: and the conditions of a list come with it.
_LONGEST_PATH, _LONGEST_QUERY = 2_000, 16_000
#: Bytes of a form that somebody sends who is not signed in: name and password, the bank's answer.
_MOST_OF_STRANGERS = 65_536
#: What the forms of a request may hold beside the largest file (S17), in bytes.
_FORM_ALLOWANCE = 65_536
#: Fields of a form: 発送 with as many parcels as a file may have lines comes to 60,000.  One of 5 MB can hold two
#: million, which takes half a gigabyte.
_MOST_FIELDS = 100_000


class _FormParser(FormDataParser):
    """Takes a form apart unless it has more fields than any form of ours."""

    def _parse_urlencoded(self, stream: IO[bytes], *about: Any) -> Any:
        body = stream.read()
        if body.count(b"&") > _MOST_FIELDS:
            raise RequestEntityTooLarge
        return super()._parse_urlencoded(BytesIO(body), *about)


class CrossSiteRequest(BadRequest):
    """A state change that another site's page asked for (S6)."""


class CardNumberRefused(BadRequest):
    """A card number was typed or sent; it is neither kept nor repeated (S11)."""

    description = (
        "カード番号と思われる数字が含まれているため、受け付けませんでした(保存もしていません)。"
        "カード番号を取り除いて、もう一度操作してください。"
    )


def requires(role: Role) -> Callable[[View], View]:
    """Mark a view as open to `role` and all that hold its right (S4, R150)."""

    def mark(view: View) -> View:
        setattr(view, _MARK, role)
        return view

    return mark


def leads_back(bp: Blueprint, role: Role, *addresses: str, to: str = ".show", of: str = "") -> None:
    """Let a reload of `addresses`, to which only forms are sent, lead to the page `to`.

    `of` names what of the address that page needs.
    """

    @requires(role)
    def back(**of_the_address: Any) -> ResponseReturnValue:
        needed = {name: value for name, value in of_the_address.items() if name == of}
        return redirect(url_for(to, **needed), code=303)

    for address in addresses:
        bp.add_url_rule(address, f"back_{of or to.rpartition('.')[2]}", back)


def public(view: View) -> View:
    """Mark a view as open to everybody, signed in or not."""
    setattr(view, _MARK, "public")
    return view


def for_machines(view: View) -> View:
    """Mark a view as open to other programs, which have neither session nor token (S6, S15).

    The view itself finds out who asks, and reads and cleans what came: nobody else touches the
    body before it.
    """
    setattr(view, _FOR_MACHINES, True)
    return public(view)


def for_api(scope: Scope) -> Callable[[View], View]:
    """Mark a view as open to keys of the JSON API with `scope`, and to nobody else (S4).

    As with `for_machines` the view itself finds out who asks (web/api/access.py).
    """

    def mark(view: View) -> View:
        setattr(view, _FOR_MACHINES, True)
        setattr(view, _MARK, f"api:{scope.value}")
        return view

    return mark


def right_of(app: Flask, endpoint: str) -> Right | None:
    """What the view behind `endpoint` requires; None when it says nothing, so it stays shut."""
    return getattr(app.view_functions[endpoint], _MARK, None)


def list_rights(app: Flask) -> list[tuple[str, str, Right | None]]:
    """Methods, rule and right of every route of `app`, sorted by rule."""
    routes = [
        (
            ",".join(sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})),
            rule.rule,
            right_of(app, rule.endpoint),
        )
        for rule in app.url_map.iter_rules()
    ]
    return sorted(routes, key=lambda route: route[1::-1])


def own_path(target: str | None) -> str:
    """`target` when it is a path of ours, else the start page (S19)."""
    decoded = target or ""
    for _ in range(3):
        if (
            not decoded.startswith("/")
            or decoded[1:2] in ("/", "\\")
            or has_control_characters(decoded)
        ):
            return START
        decoded = unquote(decoded)
    return target or START


def init_app(app: Flask) -> None:
    """Guard every request of `app` and put the headers on every answer."""
    in_test_mode = app.config["TEST_MODE"]
    app.config.update(
        SESSION_COOKIE_NAME="sgpshop" if in_test_mode else "__Host-sgpshop",
        SESSION_COOKIE_SECURE=not in_test_mode,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        MAX_CONTENT_LENGTH=app.config["UPLOAD_MAX_BYTES"] + _FORM_ALLOWANCE,
        # We call csrf.protect() ourselves, after the rights: an ended session leads to the login.
        WTF_CSRF_CHECK_DEFAULT=False,
        WTF_CSRF_TIME_LIMIT=None,  # as long as the session, which has limits of its own (S3)
        WTF_CSRF_SSL_STRICT=False,  # _check_origin does more and needs no Referer
        WTF_I18N_ENABLED=False,  # WTForms' own Japanese; Flask-WTF would want Flask-Babel
        # Flask's own check of the host does not understand [::1]; ours is in _guard.
        SGPSHOP_HOSTS=frozenset(app.config["TRUSTED_HOSTS"]) | _public_host(app),
        TRUSTED_HOSTS=None,
        # Nobody is remembered by a cookie besides the session's: no name, so none is looked for.
        REMEMBER_COOKIE_NAME="",
    )
    of_forms = {"form_data_parser_class": _FormParser}
    app.request_class = type("Request", (app.request_class,), of_forms)
    request_headers.install(app)
    proxies.install(app)
    if app.has_static_folder:
        networks.from_anywhere(public(app.view_functions["static"]))
    login_manager.session_protection = None  # the server's row decides, not the browser's address
    # What renews itself says so (app.js): it must not keep a session alive that nobody uses.
    login_manager.user_loader(
        lambda token: sessions.person_of_session(token, is_use="X-Poll" not in request.headers)
    )
    app.before_request(_guard)
    response_headers.init_app(app)


def _public_host(app: Flask) -> set[str]:
    """The host of PUBLIC_URL: banks send buyers back to it, so we answer to it."""
    host = urlsplit(app.config["PUBLIC_URL"]).hostname
    return set() if not host else {f"[{host}]" if ":" in host else host}


def _guard() -> ResponseReturnValue | None:
    if status := request.environ.get(REFUSED):
        abort(status)
    activities.act_as(ActorKind.PERSON, "", networks.address())
    # Before anything looks through it: what is too long is cut off unread.
    if len(request.path) > _LONGEST_PATH or len(request.query_string) > _LONGEST_QUERY:
        raise RequestURITooLarge
    if isinstance(request.routing_exception, SecurityError) or not _is_our_host():
        # No page: its links would need the host name we do not believe (S24).
        if problems.is_wanted():
            return problems.of_status(400)
        return Response("このホスト名ではご利用いただけません。\n", 400, mimetype="text/plain")
    networks.check()  # first: what there is not says something too, and its page shows the frame
    if request.endpoint is None:
        return None  # routing answers 404 or 405
    right = right_of(current_app, request.endpoint)
    if right == "public":
        knows = request.endpoint in _SIGNING_IN and carried.PERSON in session
        request.max_content_length = 2 * carried.MOST if knows else _MOST_OF_STRANGERS
    if hasattr(current_app.view_functions[request.endpoint], _FOR_MACHINES):
        return None
    if right != "public" and (refusal := _refusal(right)):
        return refusal
    if request.method in _UNSAFE:
        _check_origin()
        _check_names()
        if current_app.config["WTF_CSRF_ENABLED"]:
            csrf.protect()
    _check_input()
    return None


def _is_our_host() -> bool:
    name = re.sub(r":\d+$", "", request.host.lower())
    return name in current_app.config["SGPSHOP_HOSTS"]


def _refusal(right: Right | None) -> ResponseReturnValue | None:
    """Send strangers to the login; raise Forbidden for people without the right (S4)."""
    person: Any = current_user._get_current_object()
    if not person.is_authenticated:
        return _to_login()
    logs.bind(person=person.name)
    activities.act_as(ActorKind.PERSON, person.name, networks.address())
    if not isinstance(right, Role) or not person.may_act_as(right):
        logs.event("refused", reason="right", needs=right, path=request.path)
        activities.refused(ActivityEvent.REFUSED, _tried(), "権限がない")
        raise Forbidden
    is_set_up = person.has_second_factor or not person.needs_second_factor
    if not is_set_up and request.endpoint not in _BEFORE_SET_UP:
        return _to_set_up()
    return None


def _tried() -> str:
    """What the request wanted, in words; never what was typed, an address may hold anything."""
    act = carried.words_of(request.endpoint or "")
    return act or f"{request.method} {request.url_rule}"


def _to_set_up() -> ResponseReturnValue:
    if request.method in _UNSAFE:
        flash("操作はまだ行っていません。先に2段階認証を設定してください。", "warning")
    screen = url_for("second_factor.show")
    if wants_fragment():
        return Response(status=403, headers={"HX-Redirect": screen})
    return redirect(screen, code=303)


def _to_login() -> ResponseReturnValue:
    if request.method == "GET" and wants_fragment() and "HX-Boosted" not in request.headers:
        # Nobody pressed anything, a piece of the page renews itself: to leave would lose what is typed
        # or carried there.
        return make_response(render_template("auth/_over.html"), 401)
    if session.pop("_user_id", None):
        flash("しばらく操作がなかったか、ほかで終了されたため、ログアウトしました。", "warning")
    page = _page_to_return_to()
    if request.method in _UNSAFE and (kept := _keep_form(page)):
        answer = make_response(
            render_template("auth/login.html", form=None, next=page, carried=kept), 401
        )
        if wants_fragment():
            answer.headers.update({"HX-Retarget": "body", "HX-Reswap": "innerHTML"})
        return answer
    if request.path == START and first_set_up.is_open():
        return redirect(url_for("first_set_up.show"), code=303)
    login = url_for("auth.login", next=page or None)
    if wants_fragment():
        return Response(status=401, headers={"HX-Redirect": login})
    return redirect(login, code=303)


def _keep_form(page: str) -> str:
    """What was sent, sealed for whose session is over; "" when nobody's is."""
    if carried.PERSON not in session:
        return ""
    request.max_content_length = carried.MOST
    _check_origin()
    with suppress(RequestEntityTooLarge):  # said by the page that follows
        _check_input()
    return carried.take(page)


def _page_to_return_to() -> str:
    if request.method == "GET" and not wants_fragment():
        return request.full_path.rstrip("?")
    shown = split(request.headers.get("HX-Current-URL", "") or request.referrer or "")
    if shown.netloc != request.host:
        return ""
    return f"{shown.path}?{shown.query}" if shown.query else shown.path


def split(url: str) -> SplitResult:
    """The parts of an address a browser sent; all empty when it is none."""
    try:
        return urlsplit(url)
    except ValueError:
        return SplitResult("", "", "", "", "")


def _check_origin() -> None:
    """Let only our own pages change something (S6).

    Browsers of today send Sec-Fetch-Site or at least Origin.  Who sends neither is judged by the
    CSRF token alone.
    """
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is not None:
        is_ours = site in ("same-origin", "none")
    else:
        is_ours = origin is None or split(origin).netloc == request.host
    if not is_ours:
        logs.event("refused", reason="cross_site", origin=origin, path=request.path)
        activities.refused(ActivityEvent.REFUSED, _tried(), "ほかのサイトからの操作")
        raise CrossSiteRequest


def _check_names() -> None:
    """Refuse a field without a name: no form has any, and nobody who looks through fields expects it."""
    if None in request.form:
        raise BadRequest


def _check_input() -> None:
    """Refuse NUL, which no database keeps (S25), and card numbers (S11), wherever they come in."""
    _check_names()
    if "\0" in request.path:
        raise BadRequest
    for name, value in _typed():
        if "\0" in value or "\0" in name:
            raise BadRequest
        if name not in _UNREAD_FIELDS and contains_card_number(value):
            logs.event("refused", reason="card_number", field=name[:40], path=request.path)
            activities.refused(ActivityEvent.REFUSED, _tried(), "カード番号")
            raise CardNumberRefused


def _typed() -> Iterator[tuple[str, str]]:
    for fields in (request.args, request.form):
        for name, values in fields.lists():
            for value in values:
                yield name, value
