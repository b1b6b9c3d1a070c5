"""Asking for the password again, a one-time code or a passkey, inside the form of what is grave (S5).

A view that needs it:

    asked = recent_password.check()           # POST: looks at the form's `current_password`
    if not form.validate() or asked.problem:
        return asked.answer(render_template(..., asked=asked))

and its template, inside the form, `{{ password_again(asked) }}` of macros/password_again.html: the
field is there only when it is needed, so nothing typed is ever lost on the way.  To show the form
at first: `asked=recent_password.state()`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from flask import Response, g, make_response, request
from flask_login import current_user
from sqlalchemy.orm import Session

from sgpshop.domain.errors import ShopError
from sgpshop.models import Person
from sgpshop.services.access import one_time_codes, passkeys, sessions
from sgpshop.services.access.passkeys import PasskeyRefused, Question
from sgpshop.services.access.passwords import LONGEST
from sgpshop.services.access.rate_limits import TooOften
from sgpshop.web.frame.site import this_site

FIELD = "current_password"


class PasswordNeeded(ShopError):
    """Too long ago; nothing was done yet."""

    def __init__(self) -> None:
        super().__init__(
            "安全のため、ご自身のパスワード"
            f"{'または認証コード' if current_user.has_codes else ''}"
            "をもう一度入力してください。まだ何も変更していません。"
        )


@dataclass(frozen=True)
class PasswordPrompt:
    """Whether the form must ask for the password, and why what came was not enough."""

    is_needed: bool
    problem: ShopError | None = None

    def answer(self, page: str) -> Response:
        """`page`, the form again, with the status and headers that say why it is not done."""
        answer = make_response(page, self.problem.status if self.problem else 422)
        if isinstance(self.problem, TooOften):
            answer.headers["Retry-After"] = str(self.problem.retry_after)
        return answer


def state() -> PasswordPrompt:
    """Whether a form that is opened now has to ask."""
    return PasswordPrompt(not sessions.is_confirmed(current_user))


def check(*, always: bool = False) -> PasswordPrompt:
    """Take the password that came with the form, if one is needed; wrong ones are counted (S2).

    `always`: the password itself is needed, however fresh the last one is.
    """
    if sessions.is_confirmed(current_user) and not always:
        return PasswordPrompt(False)
    typed = request.form.get(FIELD, "")[: LONGEST + 1]
    answer = request.form.get("again_passkey", "")
    try:
        if answer and not always:
            sessions.confirm_by_device(current_user, partial(_use, answer=answer))
            return PasswordPrompt(False)
        if not typed:
            raise PasswordNeeded
        if current_user.has_codes and not always and one_time_codes.is_code(typed):
            sessions.confirm_by_code(current_user, typed)
        else:
            sessions.confirm(current_user, typed, address=request.remote_addr or "")
    except ShopError as problem:
        return PasswordPrompt(True, problem)
    return PasswordPrompt(False)


def passkey_question() -> Question | None:
    """What the person's device can be asked in place of the password; the same all through a request."""
    if "passkey_again" not in g:
        site = this_site()
        g.passkey_again = passkeys.ask(current_user.id, site, is_again=True) if site else None
    question: Question | None = g.passkey_again
    return question


def _use(session: Session, person: Person, *, answer: str) -> None:
    site, sealed = this_site(), request.form.get("again_passkey_question", "")
    if site is None:
        raise PasskeyRefused
    passkeys.use(session, person, site, sealed, answer, is_again=True)
