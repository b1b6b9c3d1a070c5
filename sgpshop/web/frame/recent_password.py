"""Asking for the password again, or for a one-time code, inside the form of what is grave (S5).

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

from flask import Response, make_response, request
from flask_login import current_user

from sgpshop.domain.errors import ShopError
from sgpshop.services.access import one_time_codes, sessions
from sgpshop.services.access.passwords import LONGEST
from sgpshop.services.access.rate_limits import TooOften

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
    try:
        if not typed:
            raise PasswordNeeded
        if current_user.has_codes and not always and one_time_codes.is_code(typed):
            sessions.confirm_by_code(current_user, typed)
        else:
            sessions.confirm(current_user, typed, address=request.remote_addr or "")
    except ShopError as problem:
        return PasswordPrompt(True, problem)
    return PasswordPrompt(False)
