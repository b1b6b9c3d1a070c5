"""The forms of the shop's settings: which fields there are; what they may be says services/settings/rules."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from wtforms import Field, PasswordField, SelectField, StringField, TextAreaField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import StopValidation

from sgpshop.domain.amounts import TaxRounding
from sgpshop.domain.shop_terms import (
    B2Kind,
    BillingDriver,
    BillingMode,
    OnCaptureFailure,
    PaperAmounts,
    SalesMode,
)
from sgpshop.services.settings import rules
from sgpshop.services.settings.rules import SECRETS, SettingRefused
from sgpshop.web.frame.forms import Form


def _by_rule(_form: Form, field: Field) -> None:
    """The one rule of a setting, its sentence beside the field."""
    if not field.raw_data or (field.name in SECRETS and not field.data):
        raise StopValidation  # not sent, or an empty password: it stays as it is
    try:
        rules.read(field.name, field.data)
    except SettingRefused as refusal:
        raise StopValidation(refusal.message) from None


def _text(name: str, kind: type[StringField] = StringField) -> StringField:
    return kind(rules.label(name), [_by_rule])


def _choice(name: str, choices: Sequence[tuple[str, str]]) -> SelectField:
    return SelectField(
        rules.label(name),
        [_by_rule],
        choices=[SelectChoice(value, words) for value, words in choices],
        validate_choice=False,  # the rule does
    )


def _yes_or_no(name: str, yes: str = "利用する", no: str = "利用しない") -> SelectField:
    return _choice(name, [("True", yes), ("False", no)])


def _word(name: str, words: type[StrEnum]) -> SelectField:
    labelled: list[Any] = list(words)
    return _choice(name, [(word.value, word.label) for word in labelled])


class SettingsForm(Form):
    """Some settings, by their names."""

    def sent(self) -> dict[str, str]:
        """What the browser sent, by name of setting; a field that was not sent is absent."""
        return {
            field.name: field.data or ""
            for field in self
            if field.raw_data and field.name in rules.RULES
        }


class JournalForm(SettingsForm):
    """The names of 会計ソフト用ファイル."""

    journal_receivable = _text("journal_receivable")
    journal_sales = _text("journal_sales")
    journal_partner = _text("journal_partner")
    journal_out_of_scope = _text("journal_out_of_scope")
    journal_freee_tax_8 = _text("journal_freee_tax_8")
    journal_freee_tax_10 = _text("journal_freee_tax_10")
    journal_mf_tax_8 = _text("journal_mf_tax_8")
    journal_mf_tax_10 = _text("journal_mf_tax_10")
    journal_yayoi_tax_8 = _text("journal_yayoi_tax_8")
    journal_yayoi_tax_10 = _text("journal_yayoi_tax_10")


class PaperForm(SettingsForm):
    """What 納品書 say."""

    paper_amounts = _word("paper_amounts", PaperAmounts)
    paper_message = _text("paper_message", TextAreaField)


class LabelForm(SettingsForm):
    """Who sends, and the contracts with the carriers."""

    label_sender_name = _text("label_sender_name")
    label_sender_postal_code = _text("label_sender_postal_code")
    label_sender_address = _text("label_sender_address")
    label_sender_tel = _text("label_sender_tel")
    label_contents = _text("label_contents")
    label_b2_customer_code = _text("label_b2_customer_code")
    label_b2_class_code = _text("label_b2_class_code")
    label_b2_freight_code = _text("label_b2_freight_code")
    label_b2_kind = _word("label_b2_kind", B2Kind)
    label_sagawa_customer_code = _text("label_sagawa_customer_code")
    label_sagawa_sender_code = _text("label_sagawa_sender_code")
    label_yupri_form = _text("label_yupri_form")
    label_yupri_size = _text("label_yupri_size")
    label_yupri_cloud_form = _text("label_yupri_cloud_form")
    label_yupri_cloud_product = _text("label_yupri_cloud_product")


class SgpForm(SettingsForm):
    """Every setting of rules.md §10 that can be changed, about payments, in the order of the screen."""

    shop_id = _text("shop_id")
    shop_pass = _text("shop_pass", PasswordField)
    site_id = _text("site_id")
    site_pass = _text("site_pass", PasswordField)
    enabled = _yes_or_no("enabled")
    title = _text("title")
    guide = _text("guide", TextAreaField)
    sales_mode = _word("sales_mode", SalesMode)
    auth_valid_days = _text("auth_valid_days")
    extend_auth_enabled = _yes_or_no("extend_auth_enabled")
    capture_on_slip = _yes_or_no("capture_on_slip")
    on_capture_failure = _choice(
        "on_capture_failure",
        [(OnCaptureFailure.SKIP, "行わない"), (OnCaptureFailure.KEEP, "行う")],
    )
    needs_review_alert_hours = _text("needs_review_alert_hours")
    bulk_max = _text("bulk_max")
    cancel_lock_minutes = _text("cancel_lock_minutes")
    subscription_enabled = _yes_or_no("subscription_enabled")
    billing_mode = _word("billing_mode", BillingMode)
    billing_driver = _word("billing_driver", BillingDriver)
    billing_day = _text("billing_day")
    sgp_methods = _text("sgp_methods", TextAreaField)
    other_methods = _text("other_methods", TextAreaField)
    tax_included = _yes_or_no("tax_included", "税込", "税別")
    tax_rounding = _word("tax_rounding", TaxRounding)
    shop_name = _text("shop_name")
    shop_address = _text("shop_address")
    shop_tel = _text("shop_tel")
    invoice_number = _text("invoice_number")
