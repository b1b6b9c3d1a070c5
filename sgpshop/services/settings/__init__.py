"""The shop's settings (rules.md §10): read as one typed value, saved by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import get_type_hints

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop import logs
from sgpshop.domain.activities import ActivityEvent, ActivityKind
from sgpshop.domain.amounts import TaxRounding, TaxRule
from sgpshop.domain.payment_methods import KnownMethods
from sgpshop.domain.shop_terms import (
    BillingDriver,
    BillingMode,
    OnCaptureFailure,
    PaperAmounts,
    PersonalDataFor,
    SalesMode,
    SecondFactorFor,
)
from sgpshop.models import Activity, Setting
from sgpshop.services.access import activities
from sgpshop.services.settings import contract_change, logo, rules, second_person
from sgpshop.services.settings.rules import CONTRACT_ID, SECRETS, UNTOLD, Value
from sgpshop.storage import vault
from sgpshop.storage.database import write_alone, writing
from sgpshop.storage.questions import once
from sgpshop.storage.rows import read as rows_of

__all__ = ["CONTRACT_ID", "SECRETS", "ShopSettings", "load", "recent_changes", "save", "store"]

#: 変更履歴 on the screen
_CHANGES_SHOWN = 20
_LONGEST_TOLD = 199


@dataclass(frozen=True)
class ShopSettings:
    """All settings with their defaults (rules.md §10).  Passwords never leave this package."""

    site_id: str = ""
    #: of the card contract; other payment types have ids of their own (R5)
    shop_id: str = ""
    site_pass_sealed: str = ""
    shop_pass_sealed: str = ""
    #: 利用: new orders are taken; those that are here are handled all the same (R87)
    enabled: bool = False
    #: 決済名称 and 案内文, shown to buyers
    title: str = ""
    guide: str = ""
    #: values of domain.shop_terms; a word that is not known (any more) reads as the default
    sales_mode: str = SalesMode.AUTH_THEN_CAPTURE.value
    capture_on_slip: bool = False
    on_capture_failure: str = OnCaptureFailure.SKIP.value
    auth_valid_days: int = 60
    needs_review_alert_hours: int = 24
    bulk_max: int = 5000
    #: minutes after the order in which it cannot be cancelled; 30 is the original's (R96)
    cancel_lock_minutes: int = 0
    #: オーソリ期間延長 is offered (R83)
    extend_auth_enabled: bool = False
    #: an order by API may be paid without 3-D Secure, where its request says so (T1)
    three_ds_optional: bool = True
    subscription_enabled: bool = False
    billing_mode: str = BillingMode.REFRESH_RECURRING.value
    billing_driver: str = BillingDriver.FILE.value
    #: day of the following month on which subscriptions are registered (R102)
    billing_day: int = 10
    #: 消費税の端数, a value of domain.amounts.TaxRounding (R77b)
    tax_rounding: str = "down"
    #: 価格の税区分: prices include tax (R77a)
    tax_included: bool = True
    #: who the shop is, on 納品書 and in messages (R145)
    shop_name: str = ""
    shop_address: str = ""
    shop_tel: str = ""
    #: 適格請求書発行事業者登録番号: T and 13 digits
    invoice_number: str = ""

    #: names and tax words of 仕訳ファイル, as they are registered in the shop's accounting program
    journal_receivable: str = "売掛金"
    journal_sales: str = "売上高"
    journal_partner: str = "カード売上"
    journal_out_of_scope: str = "対象外"
    journal_freee_tax_8: str = "課税売上8%（軽）"
    journal_freee_tax_10: str = "課税売上10%"
    journal_freee_tax_0: str = "非課売上"
    journal_mf_tax_8: str = "課税売上 (軽)8%"
    journal_mf_tax_10: str = "課税売上 10%"
    journal_mf_tax_0: str = "非課税売上"
    journal_yayoi_tax_8: str = "課税売上込軽減8%"
    journal_yayoi_tax_10: str = "課税売上込10%"
    journal_yayoi_tax_0: str = "非課税売上"

    #: 納品書: a value of domain.shop_terms.PaperAmounts, the words below, which picture (logo.py)
    paper_amounts: str = PaperAmounts.BUYER.value
    paper_message: str = (
        "このたびはご注文いただき、ありがとうございます。上記の商品をお届けします。"
    )
    paper_logo: str = ""

    #: ご依頼主 of 送り状; name and tel are the shop's where these are empty
    label_sender_name: str = ""
    label_sender_postal_code: str = ""
    label_sender_address: str = ""
    label_sender_tel: str = ""
    #: 品名 of every parcel; empty: the first item of each
    label_contents: str = ""
    #: contract and usual form with each carrier
    label_b2_customer_code: str = ""
    label_b2_class_code: str = ""
    label_b2_freight_code: str = "01"
    label_b2_kind: str = "0"
    label_sagawa_customer_code: str = ""
    label_sagawa_sender_code: str = ""
    label_yupri_form: str = "1100780"
    label_yupri_size: str = "060"
    label_yupri_cloud_form: str = ""
    label_yupri_cloud_product: str = "101"

    #: names that 決済方法 has in order files, one a line, as the shop said once (§2.3 of the layouts)
    sgp_methods: str = ""
    other_methods: str = ""

    #: who cannot work without one-time codes: a value of domain.shop_terms.SecondFactorFor (S2)
    second_factor_for: str = SecondFactorFor.NOBODY.value

    #: how long buyers' data stays after an order is closed: a value of shop_terms.PersonalDataFor (S12a)
    personal_data_for: str = PersonalDataFor.EVER.value

    #: yen from which refunds, and captures of one act together, need a second person; 0: never (R157)
    approve_refunds_from: int = 0
    approve_captures_from: int = 0

    #: addresses and networks, one a line, from which screens and API are used; empty: from everywhere
    screen_networks: str = ""
    api_networks: str = ""

    #: changes with every new address for notifications, which follows from it and our key (S15)
    notify_salt: str = ""

    @cached_property
    def tax_rule(self) -> TaxRule:
        """How prices and taxes go together."""
        known = {rounding.value: rounding for rounding in TaxRounding}
        return TaxRule(self.tax_included, known.get(self.tax_rounding, TaxRounding.DOWN))

    @property
    def known_methods(self) -> KnownMethods:
        """Which names of 決済方法 mean our card payment, and which do not."""
        return KnownMethods.of(
            self.title, self.sgp_methods.splitlines(), self.other_methods.splitlines()
        )

    @property
    def has_contract(self) -> bool:
        """Whether SGP functions can be shown at all (R2)."""
        return bool(self.site_id and self.shop_id)


_TYPES = get_type_hints(ShopSettings)
_QUERY = sa.select(Setting.name, Setting.value).where(Setting.name != logo.PICTURE)


def load() -> ShopSettings:
    """The settings as they are now; one query a transaction, so a page asks once."""
    return once("settings", lambda: _made_of(frozenset(map(tuple, rows_of(_QUERY)))))


@lru_cache(maxsize=4)
def _made_of(stored: frozenset[tuple[str, str]]) -> ShopSettings:
    """Read on every page, taken apart only when they are others than before."""
    known = {name: _parse(name, text) for name, text in stored if name in _TYPES}
    return ShopSettings(**known)  # type: ignore[arg-type]


def save(actor: str, **values: Value) -> list[str]:
    """Store `values` by name of ShopSettings (`shop_pass`, `site_pass` in clear, to be sealed).

    An empty password keeps the stored one.  Returns the names that changed, which are also logged,
    and kept with what each was and is; of secrets the name alone (R86).  Raises SettingRefused for
    a name that cannot be set, a value its rule does not allow, a second look where one person is
    alone, or another contract while something of the present one is open; then nothing was stored.
    """
    with writing() as session:
        changed = store(session, actor, values)
    if changed:
        logs.event("settings_changed", by=actor, fields=changed)
    return changed


def store(session: Session, actor: str, values: Mapping[str, Value]) -> list[str]:
    """The same in a write transaction of the caller's; raises what `save` raises."""
    write_alone(session, Setting)  # of two at once the second changes what the first left
    wanted = {
        name: rules.read(name, value)
        for name, value in values.items()
        if value != "" or name not in SECRETS
    }
    before = load()
    changed = [name for name, value in wanted.items() if value != getattr(before, name, None)]
    contract_change.require_nothing_open(
        session, [name for name in changed if getattr(before, name, "")]
    )
    second_person.require_one(session, {name: wanted[name] for name in changed})
    for name in changed:
        stored, text = _as_stored(name, wanted[name])
        session.merge(Setting(name=stored, value=text, updated_by=actor))
    if changed:
        changes = [
            [name]
            if name in UNTOLD
            else [name, _told(name, getattr(before, name)), _told(name, wanted[name])]
            for name in changed
        ]
        activities.record(session, ActivityEvent.SETTINGS_CHANGED, by=actor, changes=changes)
    return changed


def _told(name: str, value: Value) -> str:
    """A value in words for 変更履歴, a long one shortened."""
    words = rules.shown(name, value)
    return words if len(words) <= _LONGEST_TOLD else f"{words[:_LONGEST_TOLD]}…"


def recent_changes() -> Sequence[Activity]:
    """The latest changes, newest first (R86); one query."""
    return activities.newest(ActivityKind.SETTINGS, _CHANGES_SHOWN)


def _as_stored(name: str, value: Value) -> tuple[str, str]:
    """Name and text of the row that keeps a value; passwords sealed (S10)."""
    if name in SECRETS:
        return f"{name}_sealed", vault.seal(str(value), f"setting:{name}")
    return name, str(int(value)) if isinstance(value, bool) else str(value)


def _parse(name: str, text: str) -> Value:
    kind = _TYPES[name]
    if kind is bool:
        return text == "1"
    return int(text) if kind is int else text
