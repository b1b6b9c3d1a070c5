"""確認済みにする: what a look-up found leaves the first page and the order, not the history (R121)."""

from __future__ import annotations

from flask.typing import ResponseReturnValue
from flask_login import current_user
from wtforms import StringField
from wtforms.validators import Length, Optional

from sgpshop.domain.text import has_control_characters
from sgpshop.models import Role
from sgpshop.services.orders import alerts
from sgpshop.services.orders.history import Actor
from sgpshop.web.frame.forms import Form
from sgpshop.web.frame.security import requires
from sgpshop.web.order_detail import bp, screen


class AcknowledgeForm(Form):
    """確認済みにする: what the person wants to be remembered, if anything."""

    reason = StringField(
        "メモ(任意)",
        [Optional(), Length(max=alerts.REASON_MOST)],
        filters=[lambda text: (text or "").strip()],
    )


@bp.post("/<order_no>/alerts/<int:alert_id>/acknowledge", endpoint="acknowledge")
@requires(Role.OPERATOR)
def acknowledge(order_no: str, alert_id: int) -> ResponseReturnValue:
    """確認済みにする: it leaves the first page and the order, not the history (R121)."""
    form = AcknowledgeForm()
    note = form.reason.data or ""
    if not form.reason.validate(form) or has_control_characters(note):
        return screen.render(order_no, refusal=alerts.NoteRefused())
    alerts.acknowledge(order_no, alert_id, Actor.person(current_user.name), note)
    return screen.done(order_no, notice="確認済みにしました。履歴に記録されています。")
