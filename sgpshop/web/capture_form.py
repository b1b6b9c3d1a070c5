"""What the confirmation of a capture carries back (R56, P19, P20)."""

from __future__ import annotations

from wtforms import HiddenField, IntegerField
from wtforms.validators import InputRequired, NumberRange, Regexp
from wtforms.widgets import HiddenInput

from sgpshop.domain.errors import ShopError
from sgpshop.services.attempts import Seen
from sgpshop.web.base_form import Form

_MOST = 2**31 - 1


class CaptureForm(Form):
    """Version and yen the person saw, and the one-time token of the form."""

    version = IntegerField(
        validators=[InputRequired(), NumberRange(1, _MOST)], widget=HiddenInput()
    )
    amount = IntegerField(validators=[InputRequired(), NumberRange(1, _MOST)], widget=HiddenInput())
    request_token = HiddenField(validators=[InputRequired(), Regexp(r"[0-9a-f]{32}\Z")])

    def seen(self) -> Seen:
        """The three values.  Raises ShopError when the form is not one of ours."""
        if not self.validate():
            raise ShopError(
                "送信内容を確認できませんでした。画面を開き直して、もう一度操作してください。"
            )
        return Seen(self.version.data, self.amount.data, self.request_token.data)
