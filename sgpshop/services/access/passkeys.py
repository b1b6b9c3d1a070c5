"""Passkeys: a key in the person's own device as the second step, beside one-time codes, or as the only one
where the person wants that (S2; WebAuthn).

A challenge is nowhere but in the form that asked for it, sealed, and is good once.  We keep public keys
only.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop import logs
from sgpshop.domain.activities import ActivityEvent
from sgpshop.domain.errors import NotFound, ShopError
from sgpshop.domain.text import is_name
from sgpshop.extensions import db
from sgpshop.models import Passkey, Person, RecentUse, utc_now
from sgpshop.services.access import activities, one_time_codes, rate_limits
from sgpshop.services.access.people_admin import end_sessions_of
from sgpshop.services.access.second_factor import StillRequired
from sgpshop.services.access.sessions import SignedIn, still_in
from sgpshop.storage import vault
from sgpshop.storage.database import writing

MOST = 10
LONGEST_NAME = 40
_GOOD_FOR = timedelta(minutes=10)
_USED = "PASSKEY"
#: what a challenge is sealed for that nobody in particular was asked
_ALONE = "passkey alone"
#: Bytes of what a browser answers; the largest have keys of RSA and a certificate.
_LONGEST_ANSWER = 20_000
#: and of a key's id (WebAuthn)
_LONGEST_ID = 1023
#: How a browser names a key: its bytes in the base64 of addresses.
_CREDENTIAL = re.compile(r"[\w=-]+", re.ASCII)


class PasskeyRefused(ShopError):
    """The device's answer is none of this person, of this site or of now; nothing was done."""

    sentence = "パスキーを確認できませんでした。画面を開き直して、もう一度お試しください。"


@dataclass(frozen=True)
class Site:
    """The site for which a key is good: its host name, and its address as browsers name it."""

    host: str
    origin: str


@dataclass(frozen=True)
class Question:
    """What the browser asks the device (JSON), and the challenge as the form carries it back."""

    options: str = field(repr=False)
    sealed: str = field(repr=False)


def of_person(person_id: int) -> Sequence[Passkey]:
    """Those of one person, oldest first."""
    wanted = sa.select(Passkey).where(Passkey.person_id == person_id).order_by(Passkey.id)
    return db.session.scalars(wanted).all()


def ask_for_new(person: SignedIn, site: Site, shop: str) -> Question:
    """What is asked to make a key for this person."""
    import webauthn
    from webauthn.helpers.structs import (
        AuthenticatorSelectionCriteria,
        PublicKeyCredentialDescriptor,
        ResidentKeyRequirement,
    )

    challenge = secrets.token_bytes(32)
    options = webauthn.generate_registration_options(
        rp_id=site.host,
        rp_name=shop[:60],
        user_name=person.name,
        user_id=hashlib.sha256(f"sgpshop person {person.id}".encode()).digest(),
        challenge=challenge,
        # One that the device finds by the site alone can be the only step, too.
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED
        ),
        exclude_credentials=[
            PublicKeyCredentialDescriptor(id=_bytes(one.credential))
            for one in of_person(person.id)
            if one.host == site.host
        ],
    )
    return Question(webauthn.options_to_json(options), _sealed(challenge, _new_of(person.id)))


def add(person: SignedIn, site: Site, sealed: str, answer: str, name: str) -> list[str]:
    """Keep the new key under a name.  Raises PasskeyRefused, SessionOver, or ShopError for a name or too many.

    Returns 予備コード, to be shown this once, when it is the person's first second step; then all other
    sessions end (S3).
    """
    import webauthn

    name = name.strip() or "パスキー"
    if not is_name(name, LONGEST_NAME):
        raise ShopError(f"名前は{LONGEST_NAME}文字以内で、見えない文字を含めずに入力してください。")
    challenge = _opened(sealed, _new_of(person.id))
    try:
        made = webauthn.verify_registration_response(
            credential=_read(answer),
            expected_challenge=challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
        )
    except _broken() as problem:
        raise _refused(person.id, problem) from None
    if len(made.credential_id) > _LONGEST_ID:
        raise PasskeyRefused
    credential = _text(made.credential_id)
    with writing() as session:
        stored = still_in(session, person.id, person.token)
        _use_once(session, challenge)
        theirs = session.scalars(
            sa.select(Passkey.credential).where(Passkey.person_id == person.id)
        ).all()
        if len(theirs) >= MOST:
            raise ShopError(f"パスキーは1人{MOST}個までです。使わないものを外してください。")
        is_taken = sa.exists().where(Passkey.credential == credential)
        if session.scalar(sa.select(is_taken)):
            raise PasskeyRefused
        session.add(
            Passkey(
                person_id=person.id,
                name=name,
                host=site.host,
                credential=credential,
                public_key=_text(made.credential_public_key),
                sign_count=made.sign_count,
            )
        )
        codes = []
        if not theirs and stored.totp_sealed is None:
            codes = one_time_codes.new_recovery_codes(session, person.id)
            end_sessions_of(session, person.id, keep_token=person.token)
        activities.record(session, ActivityEvent.PASSKEY_ADDED, person.name, note=name)
    logs.event("passkey_added", name=person.name)
    return codes


def ask(person_id: int, site: Site, *, is_again: bool = False) -> Question | None:
    """What is asked at the second step, or of who is signed in, once more before something grave (S5).

    None of somebody who has no key for this site.  In place of the password the device has to know its
    owner; beside the password it is enough to have it.
    """
    known = [one for one in of_person(person_id) if one.host == site.host]
    if not known:
        return None
    # Only now: it takes 9 MiB, and most shops have nobody with a key.
    import webauthn
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor, UserVerificationRequirement

    challenge = secrets.token_bytes(32)
    options = webauthn.generate_authentication_options(
        rp_id=site.host,
        challenge=challenge,
        allow_credentials=[
            PublicKeyCredentialDescriptor(id=_bytes(one.credential)) for one in known
        ],
        user_verification=UserVerificationRequirement("required" if is_again else "preferred"),
    )
    sealed = _sealed(challenge, _asked_of(person_id, is_again))
    return Question(webauthn.options_to_json(options), sealed)


def ask_alone(site: Site) -> Question | None:
    """What is asked of whoever signs in, before anything of them is known: any key the device has for us.

    It has to know its owner, for it takes the place of name and password.  None where nobody wants that.
    """
    is_wanted = sa.exists().where(Passkey.host == site.host).where(Passkey.person_id == Person.id)
    if not db.session.scalar(sa.select(sa.exists().where(Person.passkey_alone, is_wanted))):
        return None
    import webauthn  # as in `ask`
    from webauthn.helpers.structs import UserVerificationRequirement

    challenge = secrets.token_bytes(32)
    options = webauthn.generate_authentication_options(
        rp_id=site.host,
        challenge=challenge,
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return Question(webauthn.options_to_json(options), _sealed(challenge, _ALONE))


def owner_of(site: Site, answer: str) -> int:
    """Whose key answered, who wants it as the only step: nothing is proved yet.  Raises PasskeyRefused."""
    credential = _read(answer).get("id")
    owner = db.session.scalar(
        sa.select(Passkey.person_id)
        .join(Person, Person.id == Passkey.person_id)
        .where(Passkey.host == site.host, Passkey.credential == credential, Person.passkey_alone)
    )
    if owner is None:
        logs.event("login", result="unknown passkey")
        activities.refused(ActivityEvent.SIGN_IN_REFUSED, "登録のないパスキー", "パスキー", by="")
        raise PasskeyRefused
    return int(owner)


def choose_alone(person: SignedIn, *, is_on: bool) -> None:
    """Whether a passkey alone lets this person in.  Raises NotFound without one, SessionOver."""
    with writing() as session:
        stored = still_in(session, person.id, person.token)
        has_any = sa.exists().where(Passkey.person_id == person.id)
        if is_on and not session.scalar(sa.select(has_any)):
            raise NotFound("パスキーが登録されていません。先に追加してください。")
        if stored.passkey_alone is is_on:
            return
        stored.passkey_alone = is_on
        words = ["利用しない", "利用する"]
        change = ["パスキーだけのログイン", words[not is_on], words[is_on]]
        activities.record(session, ActivityEvent.PASSKEY_ALONE, person.name, changes=[change])
    logs.event("passkey_alone", name=person.name, is_on=is_on)


def use(
    session: Session,
    person: Person,
    site: Site,
    sealed: str,
    answer: str,
    *,
    is_again: bool = False,
    is_alone: bool = False,
) -> None:
    """Take what the device answered, which is good once.  Raises PasskeyRefused.

    In place of the password (`is_again`) or of name and password (`is_alone`) the device has to know its
    owner.

    The person's row is locked, and `rate_limits.count_code` came first, as with codes.
    """
    import webauthn

    context = _ALONE if is_alone else _asked_of(person.id, is_again)
    challenge, credential = _opened(sealed, context), _read(answer)
    _use_once(session, challenge)
    known = session.scalars(
        sa.select(Passkey).where(
            Passkey.person_id == person.id,
            Passkey.host == site.host,
            Passkey.credential == credential.get("id"),
        )
    ).one_or_none()
    if known is None:
        raise PasskeyRefused
    try:
        said = webauthn.verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            credential_public_key=_bytes(known.public_key),
            credential_current_sign_count=known.sign_count,
            require_user_verification=is_again or is_alone,
        )
    except _broken() as problem:
        raise _refused(person.id, problem) from None
    known.sign_count, known.used_at = said.new_sign_count, utc_now()
    rate_limits.take_back_codes(session, person.id)


def remove(person: SignedIn, passkey_id: int) -> None:
    """Let one key open no more.

    Raises NotFound, SessionOver; StillRequired for the last second step where one is wanted.
    """
    with writing() as session:
        stored = still_in(session, person.id, person.token)
        theirs = session.scalars(sa.select(Passkey).where(Passkey.person_id == person.id)).all()
        known = next((one for one in theirs if one.id == passkey_id), None)
        if known is None:
            raise NotFound("このパスキーは登録されていません。")
        is_last = len(theirs) == 1 and stored.totp_sealed is None
        if is_last and person.needs_second_factor:
            raise StillRequired
        session.delete(known)
        name = known.name
        if len(theirs) == 1:
            stored.passkey_alone = False
        if is_last:
            one_time_codes.forget_recovery_codes(session, person.id)
        activities.record(session, ActivityEvent.PASSKEY_REMOVED, person.name, note=name)
    logs.event("passkey_removed", name=person.name)


def _use_once(session: Session, challenge: bytes) -> None:
    """Raises PasskeyRefused for a challenge that was answered before."""
    who = hashlib.sha256(challenge).hexdigest()
    of_kind = RecentUse.what == _USED
    session.execute(sa.delete(RecentUse).where(of_kind, RecentUse.at < utc_now() - 2 * _GOOD_FOR))
    if session.scalar(sa.select(sa.exists().where(of_kind, RecentUse.who == who))):
        raise PasskeyRefused
    session.add(RecentUse(what=_USED, who=who, at=utc_now()))


def _sealed(challenge: bytes, context: str) -> str:
    return vault.seal(f"{int(time.time())}:{_text(challenge)}", context)


def _opened(sealed: str, context: str) -> bytes:
    """The challenge of a form.  Raises PasskeyRefused for one of another person, act or time."""
    try:
        began, _, challenge = vault.unseal(sealed, context).partition(":")
    except vault.SealBroken:
        raise PasskeyRefused from None
    if not 0 <= time.time() - int(began) < _GOOD_FOR.total_seconds():
        raise PasskeyRefused
    return _bytes(challenge)


def _read(answer: str) -> dict[str, object]:
    """What the browser sent.  Raises PasskeyRefused for what is no JSON object with the name of a key."""
    try:
        read = json.loads(answer) if len(answer) <= _LONGEST_ANSWER else None
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        raise PasskeyRefused
    name = read.get("id")
    # Nothing else is looked for: no database takes half a character, or a zero byte.
    if not isinstance(name, str) or not _CREDENTIAL.fullmatch(name):
        raise PasskeyRefused
    return read


def _broken() -> tuple[type[Exception], ...]:
    """What the library raises for an answer that is not as it should be; bytes at random go deeper."""
    from webauthn.helpers.exceptions import WebAuthnException

    return (WebAuthnException, ValueError, TypeError, KeyError, IndexError, AttributeError)


def _refused(person_id: int, problem: Exception) -> PasskeyRefused:
    logs.event("passkey_refused", person=person_id, why=type(problem).__name__)
    return PasskeyRefused()


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _new_of(person_id: int) -> str:
    return f"new passkey:{person_id}"


def _asked_of(person_id: int, is_again: bool) -> str:
    return f"passkey{' again' if is_again else ''}:{person_id}"
