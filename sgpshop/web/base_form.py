"""What our forms have in common."""

from __future__ import annotations

from flask_wtf import FlaskForm


class Form(FlaskForm):  # type: ignore[misc]
    """A form with CSRF token whose messages are Japanese."""

    class Meta:
        locales = ["ja"]
