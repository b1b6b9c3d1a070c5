"""What our forms have in common."""

from __future__ import annotations

from typing import Any

from flask_wtf import FlaskForm
from wtforms import IntegerField

from sgpshop.domain.bounds import MOST, whole_number


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
