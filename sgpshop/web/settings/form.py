"""The forms of the shop's settings: which fields there are; what they may be says services/settings/rules."""

from __future__ import annotations

from wtforms import Field, PasswordField, SelectField, StringField, TextAreaField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import EqualTo, InputRequired, Length, StopValidation

from sgpshop.services.access.passwords import LONGEST, SHORTEST
from sgpshop.services.access.people import LONGEST_NAME
from sgpshop.services.settings import rules
from sgpshop.services.settings.rules import SECRETS, SettingRefused
from sgpshop.web.frame.forms import Form

#: The contract with SMBC-GP, in the order of the screen.
_CONTRACT = ("shop_id", "shop_pass", "site_id", "site_pass")


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


def _choice(name: str, **otherwise: str) -> SelectField:
    """One of the words of its rule; `otherwise` where the screen has shorter ones."""
    words = {**rules.RULES[name].words, **otherwise}
    return SelectField(
        rules.label(name),
        [_by_rule],
        choices=[SelectChoice(*one) for one in words.items()],
        validate_choice=False,  # the rule does
    )


def new_password(label: str) -> PasswordField:
    """A field for a password to be set; services.passwords says which are good enough."""
    return PasswordField(
        label,
        [
            InputRequired("パスワードを入力してください。"),
            Length(
                SHORTEST,
                LONGEST,
                f"{SHORTEST}文字以上{LONGEST}文字以内で入力してください。",
            ),
        ],
    )


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


class NetworksForm(SettingsForm):
    """From where screens and API are used: addresses and networks, one a line."""

    screen_networks = _text("screen_networks", TextAreaField)
    api_networks = _text("api_networks", TextAreaField)


class SecondLookForm(SettingsForm):
    """From how many yen on a second person has to agree."""

    approve_refunds_from = _text("approve_refunds_from")
    approve_captures_from = _text("approve_captures_from")


class PersonalDataForm(SettingsForm):
    """How long buyers' data stays."""

    personal_data_for = _choice("personal_data_for")


class PaperForm(SettingsForm):
    """What 納品書 say."""

    paper_amounts = _choice("paper_amounts")
    paper_message = _text("paper_message", TextAreaField)


class LabelForm(SettingsForm):
    """Who sends, and the contracts with the carriers."""


# Each rule of theirs is a field, in the order of the rules.
for _name, _rule in rules.RULES.items():
    for _start, _form in (("journal_", JournalForm), ("label_", LabelForm)):
        if _name.startswith(_start):
            setattr(_form, _name, _choice(_name) if _rule.words else _text(_name))


class SgpForm(SettingsForm):
    """Every setting of rules.md §10 that can be changed, about payments, in the order of the screen."""

    shop_id = _text("shop_id")
    shop_pass = _text("shop_pass", PasswordField)
    site_id = _text("site_id")
    site_pass = _text("site_pass", PasswordField)
    enabled = _choice("enabled")
    title = _text("title")
    guide = _text("guide", TextAreaField)
    sales_mode = _choice("sales_mode")
    auth_valid_days = _text("auth_valid_days")
    extend_auth_enabled = _choice("extend_auth_enabled")
    capture_on_slip = _choice("capture_on_slip")
    on_capture_failure = _choice("on_capture_failure", skip="行わない", keep="行う")
    needs_review_alert_hours = _text("needs_review_alert_hours")
    bulk_max = _text("bulk_max")
    cancel_lock_minutes = _text("cancel_lock_minutes")
    three_ds_optional = _choice("three_ds_optional")
    subscription_enabled = _choice("subscription_enabled")
    billing_mode = _choice("billing_mode")
    billing_driver = _choice("billing_driver")
    billing_day = _text("billing_day")
    sgp_methods = _text("sgp_methods", TextAreaField)
    other_methods = _text("other_methods", TextAreaField)
    tax_included = _choice("tax_included")
    tax_rounding = _choice("tax_rounding")
    shop_name = _text("shop_name")
    shop_address = _text("shop_address")
    shop_tel = _text("shop_tel")
    invoice_number = _text("invoice_number")


class FirstSetUpForm(SettingsForm):
    """Who the owner is, and what the shop needs first."""

    name = StringField(
        "ユーザー名",
        [
            InputRequired("ユーザー名を入力してください。"),
            Length(max=LONGEST_NAME, message=f"{LONGEST_NAME}文字以内で入力してください。"),
        ],
    )
    password = new_password("パスワード")
    password_again = PasswordField(
        "パスワード(確認)",
        [EqualTo("password", "パスワードと同じものを入力してください。")],
    )
    shop_name = _text("shop_name")
    shop_id = _text("shop_id")
    shop_pass = _text("shop_pass", PasswordField)
    site_id = _text("site_id")
    site_pass = _text("site_pass", PasswordField)
    personal_data_for = _choice("personal_data_for")

    @property
    def has_contract(self) -> bool:
        """Whether anything of the contract was typed."""
        return any(self[name].data for name in _CONTRACT)

    def validate(self, extra_validators: object = None) -> bool:
        """Each field by its rule; of the contract all or nothing, for half of one is of no use."""
        is_good: bool = super().validate(extra_validators)
        for name in _CONTRACT if self.has_contract else ():
            if not self[name].data:
                self[name].errors = [
                    "契約情報は4つとも入力してください(あとで登録する場合は、4つとも空欄にします)。"
                ]
                is_good = False
        return is_good
