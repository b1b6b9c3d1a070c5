"""The mail server of the environment, by Flask-Mailman; loaded when the first mail goes out."""

from __future__ import annotations

import smtplib
import ssl
from typing import Any

from flask import Flask
from flask_mailman import EmailMultiAlternatives  # type: ignore[import-untyped]
from flask_mailman import Mail as Mailman
from flask_mailman.backends.smtp import EmailBackend  # type: ignore[import-untyped]

from sgpshop.services.outgoing.mails.contents import Content, html_of


class _CheckedSmtp(smtplib.SMTP):
    """STARTTLS with a certificate that is checked: smtplib takes any unless it is told."""

    def starttls(self, *_: Any, **__: Any) -> tuple[int, bytes]:
        return super().starttls(context=ssl.create_default_context())


class Backend(EmailBackend):  # type: ignore[misc]
    """Flask-Mailman's own, over such a connection."""

    @property
    def connection_class(self) -> type[smtplib.SMTP]:
        return smtplib.SMTP_SSL if self.use_ssl else _CheckedSmtp


def of(app: Flask) -> Any:
    """Flask-Mailman with the server of the environment; `get_connection` gives one that is not open yet."""
    if "mailman" not in app.extensions:
        security = app.config["MAIL_SECURITY"]
        app.config |= {
            "MAIL_BACKEND": Backend,
            "MAIL_USE_TLS": security == "starttls",
            "MAIL_USE_SSL": security == "tls",
            "MAIL_DEFAULT_SENDER": app.config["MAIL_FROM"],
        }
        Mailman(app)
    return app.extensions["mailman"]


def letter(content: Content, address: str, headers: dict[str, str]) -> EmailMultiAlternatives:
    """What is handed to it, in words and in HTML."""
    made = EmailMultiAlternatives(
        f"[SGP Shop] {content.subject}", content.text, to=[address], headers=headers
    )
    made.attach_alternative(html_of(content), "text/html")
    return made
