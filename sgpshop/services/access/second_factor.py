"""2段階認証: set up, changed, turned off by the person, reset by an owner who was told of a loss (S2, S5).

Until its first code is typed a new seed is nowhere but in the form that shows it, sealed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import pyotp
import sqlalchemy as sa

from sgpshop import logs
from sgpshop.domain.activities import ActivityEvent
from sgpshop.domain.errors import NotFound, ShopError
from sgpshop.extensions import db
from sgpshop.models import HAS_SECOND_FACTOR, Passkey, Person, RecoveryCode
from sgpshop.services.access import activities, one_time_codes
from sgpshop.services.access.people_admin import end_sessions_of
from sgpshop.services.access.sessions import SignedIn, still_in
from sgpshop.storage import vault
from sgpshop.storage.database import writing

_GOOD_FOR = 3600
_SEED_SIGNS = 32  # signs of base 32: 160 bits (RFC 4226)


class SetUpOver(ShopError):
    """The form is too old, or not of this person."""

    sentence = (
        "設定の画面を開いてから時間がたちました。下の新しいQRコードを読み取り直してください。"
    )


class StillRequired(ShopError):
    """The shop wants everybody of this role to have it."""

    sentence = (
        "このショップでは2段階認証が必須のため、解除できません。"
        "別のスマートフォンに変えるには「スマートフォンを変更」を押してください。"
    )


@dataclass(frozen=True)
class NewSeed:
    """A seed that is not yet in use: for the eye, for the camera, and as the form carries it back."""

    seed: str = field(repr=False)
    sealed: str = field(repr=False)

    def uri(self, person: str, issuer: str) -> str:
        """The address that telephones understand."""
        name, shop = (text[:30].replace(":", " ") for text in (person, issuer))
        return pyotp.TOTP(self.seed).provisioning_uri(name=name, issuer_name=shop)

    @property
    def groups(self) -> str:
        """In groups of four, to be typed."""
        return " ".join(self.seed[at : at + 4] for at in range(0, len(self.seed), 4))


def begin(person: SignedIn) -> NewSeed:
    """A new seed for this person."""
    seed = pyotp.random_base32(_SEED_SIGNS)
    return NewSeed(seed, vault.seal(f"{int(time.time())}:{seed}", _set_up_of(person.id)))


def opened(person: SignedIn, sealed: str) -> NewSeed:
    """That of a form which was filled in.  Raises SetUpOver."""
    try:
        began, _, seed = vault.unseal(sealed, _set_up_of(person.id)).partition(":")
    except vault.SealBroken:
        raise SetUpOver from None
    if not 0 <= time.time() - int(began) < _GOOD_FOR:
        raise SetUpOver
    return NewSeed(seed, sealed)


def set_up(person: SignedIn, sealed: str, code: str) -> list[str]:
    """Put the seed in use whose first code was typed; the 予備コード, to be shown this once.

    All other sessions of the person end (S3).  Raises SetUpOver, CodeRefused, SessionOver.
    """
    seed = opened(person, sealed).seed
    step = one_time_codes.step_of(seed, code)
    if step is None:
        raise one_time_codes.CodeRefused
    with writing() as session:
        stored = still_in(session, person.id, person.token)
        stored.totp_sealed = vault.seal(seed, one_time_codes.context_of(person.id))
        stored.totp_step = step
        codes = one_time_codes.new_recovery_codes(session, person.id)
        end_sessions_of(session, person.id, keep_token=person.token)
        activities.record(session, ActivityEvent.SECOND_FACTOR_SET_UP, person.name)
    logs.event("second_factor_set_up", name=person.name)
    return codes


def renew_recovery_codes(person: SignedIn) -> list[str]:
    """Codes in place of the earlier ones, to be shown this once.

    Raises NotFound without 2段階認証, SessionOver.
    """
    with writing() as session:
        still_in(session, person.id, person.token)
        held = sa.select(HAS_SECOND_FACTOR).where(Person.id == person.id)
        if not session.scalar(held):
            raise NotFound("2段階認証が設定されていません。")
        codes = one_time_codes.new_recovery_codes(session, person.id)
        activities.record(session, ActivityEvent.RECOVERY_CODES_RENEWED, person.name)
    logs.event("recovery_codes_renewed", name=person.name)
    return codes


def recovery_codes_left(person_id: int) -> int:
    """How many were not used."""
    left = sa.select(sa.func.count(RecoveryCode.id)).where(RecoveryCode.person_id == person_id)
    return db.session.scalars(left).one()


def turn_off(person: SignedIn) -> None:
    """From now on the password alone opens.  Raises StillRequired, SessionOver."""
    if person.needs_second_factor:
        raise StillRequired
    _forget(person.id, keep_token=person.token)
    logs.event("second_factor_off", name=person.name)


def reset(person_id: int) -> None:
    """Of somebody who lost telephone and codes: their sessions end.  Raises NotFound."""
    logs.event("second_factor_reset", name=_forget(person_id))


def reset_of(name: str) -> None:
    """The same for the command.  Raises NotFound."""
    person_id = db.session.scalar(sa.select(Person.id).filter_by(name=name))
    if person_id is None:
        raise NotFound(f"「{name}」という名前の人は登録されていません。")
    reset(person_id)


def _forget(person_id: int, *, keep_token: str = "") -> str:
    with writing() as session:
        if keep_token:
            still_in(session, person_id, keep_token)
        person = session.get(Person, person_id, populate_existing=True)
        if person is None:
            raise NotFound("このユーザーは登録されていません。")
        person.totp_sealed, person.passkey_alone, name = None, False, person.name
        session.execute(sa.delete(Passkey).where(Passkey.person_id == person_id))
        one_time_codes.forget_recovery_codes(session, person_id)
        end_sessions_of(session, person_id, keep_token=keep_token)
        activities.record(session, ActivityEvent.SECOND_FACTOR_OFF, name)
    return name


def _set_up_of(person_id: int) -> str:
    return f"totp set-up:{person_id}"
