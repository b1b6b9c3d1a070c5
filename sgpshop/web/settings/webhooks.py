"""Webhook (`/settings/webhooks`): programs that are told of what happens to orders (S16a)."""

from __future__ import annotations

from flask import Blueprint, Response, flash, make_response, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from wtforms import SelectMultipleField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length

from sgpshop.domain.errors import ShopError
from sgpshop.domain.history import EventKind
from sgpshop.domain.webhook_rules import LONGEST_URL, MOST, WebhookState
from sgpshop.models import Role
from sgpshop.services.outgoing import webhooks
from sgpshop.web.frame import recent_password
from sgpshop.web.frame.forms import Form
from sgpshop.web.frame.recent_password import PasswordPrompt
from sgpshop.web.frame.security import requires

bp = Blueprint("webhooks", __name__, url_prefix="/settings/webhooks")


_WORDS = {kind.value: kind.label for kind in EventKind} | {"test": "テスト"}


class ChoiceForm(Form):
    """Of which events a receiver is told."""

    kinds = SelectMultipleField(
        "知らせるできごと",
        [InputRequired("知らせるできごとを1つ以上選んでください。")],
        choices=[SelectChoice(kind.value, kind.label) for kind in EventKind],
        default=[kind.value for kind in EventKind],
    )

    @property
    def chosen(self) -> list[EventKind]:
        """What was checked, once it is valid."""
        return [EventKind(word) for word in self.kinds.data or ()]


class ReceiverForm(ChoiceForm):
    """A new receiver."""

    url = StringField(
        "送信先のURL",
        [InputRequired("送信先のURLを入力してください。"), Length(max=LONGEST_URL)],
    )


@bp.get("")
@requires(Role.OWNER)
def show() -> ResponseReturnValue:
    """The receivers with what was sent to them lately, and the form for a new one."""
    return _page(ReceiverForm(formdata=None), recent_password.state())


@bp.post("")
@requires(Role.OWNER)
def create() -> ResponseReturnValue:
    """Take a receiver in and show its key in this answer only."""
    asked = recent_password.check()
    form = ReceiverForm()
    if not form.validate() or asked.problem:
        return asked.answer(_page(form, asked))
    try:
        secret = webhooks.create((form.url.data or "").strip(), form.chosen, by=current_user.name)
    except ShopError as problem:
        form.url.errors = [problem.message]
        return make_response(_page(form, asked), problem.status)
    return Response(_page(ReceiverForm(formdata=None), asked, made=secret), 201)


@bp.post("/<int:webhook_id>/on", defaults={"is_on": True})
@bp.post("/<int:webhook_id>/off", defaults={"is_on": False})
@requires(Role.OWNER)
def switch(webhook_id: int, is_on: bool) -> ResponseReturnValue:
    """Stop sending, or go on."""
    webhooks.switch(webhook_id, is_on=is_on, by=current_user.name)
    words = (
        "送信を再開しました。止まっていた間のできごと(30日以内)も送信します。"
        if is_on
        else "送信を止めました。"
    )
    flash(words, "success")
    return redirect(url_for(".show"), code=303)


@bp.post("/<int:webhook_id>/kinds")
@requires(Role.OWNER)
def choose(webhook_id: int) -> ResponseReturnValue:
    """Other events."""
    form = ChoiceForm()
    if not form.validate():
        page = _page(
            ReceiverForm(formdata=None), recent_password.state(), choosing=(webhook_id, form)
        )
        return make_response(page, 422)
    webhooks.choose(webhook_id, form.chosen, by=current_user.name)
    flash("知らせるできごとを変更しました。これからのできごとに適用します。", "success")
    return redirect(url_for(".show"), code=303)


@bp.get("/<int:webhook_id>/delete")
@requires(Role.OWNER)
def ask_delete(webhook_id: int) -> ResponseReturnValue:
    """The screen with the confirmation open at that receiver."""
    return _page(ReceiverForm(formdata=None), recent_password.state(), deleting=webhook_id)


@bp.post("/<int:webhook_id>/delete")
@requires(Role.OWNER)
def delete(webhook_id: int) -> ResponseReturnValue:
    """Forget a receiver and what was sent to it."""
    webhooks.delete(webhook_id, by=current_user.name)
    flash("送信先を削除しました。", "success")
    return redirect(url_for(".show"), code=303)


@bp.post("/<int:webhook_id>/test")
@requires(Role.OWNER)
def send_test(webhook_id: int) -> ResponseReturnValue:
    """A message about nothing."""
    webhooks.send_test(webhook_id, current_user.id)
    flash("テストを送信します。結果は、画面を開き直すと「最近の送信」に表示されます。", "success")
    return redirect(url_for(".show"), code=303)


@bp.post("/<int:webhook_id>/messages/<int:message_id>")
@requires(Role.OWNER)
def send_again(webhook_id: int, message_id: int) -> ResponseReturnValue:
    """One message once more, or now."""
    webhooks.send_again(webhook_id, message_id, current_user.id)
    flash("もう一度送信します。結果は、画面を開き直すと「最近の送信」に表示されます。", "success")
    return redirect(url_for(".show"), code=303)


def _page(
    form: ReceiverForm,
    asked: PasswordPrompt,
    *,
    made: str = "",
    deleting: int = 0,
    choosing: tuple[int, ChoiceForm] | None = None,
) -> str:
    receivers = webhooks.all_receivers()
    choices = {
        one.id: ChoiceForm(formdata=None, kinds=[kind.value for kind in webhooks.chosen(one)])
        for one in receivers
    }
    choices |= dict([choosing] if choosing else [])
    return render_template(
        "settings/webhooks.html",
        form=form,
        asked=asked,
        made=made,
        deleting=deleting,
        most=MOST,
        receivers=[(one, webhooks.last_messages(one.id)) for one in receivers],
        choices=choices,
        sending=WebhookState.SENDING,
        words=_WORDS,
    )
