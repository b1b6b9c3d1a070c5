"""What our forms have in common, and what every form that acts on one order carries back (R61, P19, P20)."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from flask import request
from flask_wtf import FlaskForm
from wtforms import HiddenField, IntegerField
from wtforms.validators import InputRequired, Regexp
from wtforms.widgets import HiddenInput

from sgpshop.domain.bounds import MOST, whole_number
from sgpshop.domain.errors import ShopError
from sgpshop.services.orders.acting import Seen

#: In the session: the delivery company that was chosen last.
CARRIER = "carrier"


class Form(FlaskForm):  # type: ignore[misc]
    """A form with CSRF token whose messages are Japanese."""

    class Meta:
        locales = ["ja"]


class NumberField(IntegerField):  # type: ignore[misc]
    """A whole number from `least` on that fits the database; None, and not valid, for others."""

    def __init__(self, label: str = "", validators: Any = (), *, least: int = 0, **options: Any):
        super().__init__(label, validators, **options)
        self._least = least

    def process_formdata(self, values: list[str]) -> None:
        """Read the number.  Raises ValueError with a sentence."""
        self.data: Any = whole_number(values[0].strip()) if values else None
        if self.data is None or self.data < self._least:
            raise ValueError(f"{self._least}から{MOST:,}までの整数で入力してください。")


class ActForm(Form):
    """Version and yen the person saw, and the one-time token of the form."""

    version = NumberField(validators=[InputRequired()], least=1, widget=HiddenInput())
    amount = NumberField(validators=[InputRequired()], widget=HiddenInput())
    request_token = HiddenField(validators=[InputRequired(), Regexp(r"[0-9a-f]{32}\Z")])

    def seen(self) -> Seen:
        """The three values.  Raises ShopError when the form is not one of ours."""
        fields = (self.version, self.amount, self.request_token)
        if not all(field.validate(self) for field in fields):
            raise ShopError(
                "送信内容を確認できませんでした。画面を開き直して、もう一度操作してください。"
            )
        return Seen(self.version.data, self.amount.data, self.request_token.data, _act())


def is_sum_confirmed() -> bool:
    """Whether the amount of a big capture, or of a refund, was confirmed a second time (S21)."""
    return "sum_confirmed" in request.form


def _act() -> str:
    """Digest of the present form's address and content: what its token is good for (P19).

    Not of the CSRF token, which proves who sends the form and is no part of what it asks for.
    """
    fields = [(name, text) for name, text in request.form.items(multi=True) if name != "csrf_token"]
    return hashlib.sha256(json.dumps([request.path, sorted(fields)]).encode()).hexdigest()
