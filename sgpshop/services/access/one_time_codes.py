"""The second step of signing in: one-time codes of a telephone, and 予備コード (S2).

A seed is sealed for its person.  A code is six digits of a span of 30 seconds (RFC 6238); that of
the span before and after is taken as well, for clocks differ; each works once.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time

import pyotp
import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop.domain.errors import ShopError
from sgpshop.domain.text import nfkc
from sgpshop.extensions import db
from sgpshop.models import Person, RecoveryCode
from sgpshop.services.access import rate_limits
from sgpshop.storage import vault

SPAN = 30
#: How many 予備コード somebody gets; without signs that are taken for one another.
_RECOVERY_CODES = 10
_SIGNS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
_DIGITS = re.compile(r"[0-9]{6}")
#: Of 118 random bits; those of before had 16 signs, and are good until they are used.
_LENGTH = 24
_RECOVERY = re.compile(f"[{_SIGNS}]{{16}}|[{_SIGNS}]{{{_LENGTH}}}")


class CodeRefused(ShopError):
    """Not the code of now, or one that was used; nothing was done."""

    sentence = (
        "認証コードが違うか、すでに使われています。認証アプリに表示されている新しい6桁の数字を入力してください。"
        "続けて違うと表示されるときは、スマートフォンの時刻が合っているかを確認してください。"
    )


def context_of(person_id: int) -> str:
    """What the seed of a person is bound to."""
    return f"totp:{person_id}"


def are_set_up(person_id: int) -> bool:
    """Whether this person has a telephone for them."""
    has_seed = sa.select(Person.totp_sealed.is_not(None)).where(Person.id == person_id)
    return bool(db.session.scalar(has_seed))


def is_code(typed: str) -> bool:
    """Whether it looks like a code of a telephone; no password is that short (S1)."""
    return bool(_DIGITS.fullmatch(_read(typed)))


def use(session: Session, person: Person, typed: str) -> bool:
    """Take a code of the telephone, or a 予備コード, which are worth nothing after that.

    Raises CodeRefused.  The answer: whether it was a 予備コード.  `rate_limits.count_code` comes first,
    in a transaction of its own, so that no guess slips by in parallel.
    """
    code, is_recovery = _read(typed), False
    if _DIGITS.fullmatch(code):
        if not _take_step(session, person, code):
            raise CodeRefused
    elif _RECOVERY.fullmatch(code):
        used = sa.delete(RecoveryCode).where(
            RecoveryCode.person_id == person.id, RecoveryCode.code_hash == _hash(code)
        )
        if not session.execute(used.returning(RecoveryCode.id)).all():
            raise CodeRefused
        is_recovery = True
    else:
        raise CodeRefused
    rate_limits.take_back_codes(session, person.id)
    return is_recovery


def step_of(seed: str, typed: str) -> int | None:
    """The span whose code of `seed` was typed; None: of none that is near."""
    now = int(time.time()) // SPAN  # a telephone knows nothing of SGPSHOP_CLOCK_AHEAD
    totp, code = pyotp.HOTP(seed), _read(typed)
    for step in (now, now - 1, now + 1):
        if hmac.compare_digest(totp.at(step).encode(), code.encode()):
            return step
    return None


def new_recovery_codes(session: Session, person_id: int) -> list[str]:
    """Codes in place of all earlier ones, as they are shown this once."""
    forget_recovery_codes(session, person_id)
    codes = [
        "".join(secrets.choice(_SIGNS) for _ in range(_LENGTH)) for _ in range(_RECOVERY_CODES)
    ]
    session.add_all(RecoveryCode(person_id=person_id, code_hash=_hash(code)) for code in codes)
    return ["-".join(code[at : at + 4] for at in range(0, _LENGTH, 4)) for code in codes]


def forget_recovery_codes(session: Session, person_id: int) -> None:
    """None opens any more."""
    session.execute(sa.delete(RecoveryCode).where(RecoveryCode.person_id == person_id))


def _take_step(session: Session, person: Person, code: str) -> bool:
    if person.totp_sealed is None:  # has passkeys alone
        return False
    seed = vault.unseal(person.totp_sealed, context_of(person.id))
    step = step_of(seed, code)
    if step is None:
        return False
    # In one statement, so that of two who send the same code at once one gets in.
    taken = sa.update(Person).where(Person.id == person.id, Person.totp_step < step)
    return bool(session.execute(taken.values(totp_step=step).returning(Person.id)).all())


def _read(typed: str) -> str:
    return re.sub(r"[\s\-‐−ー–—]", "", nfkc(typed[:100])).upper()


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
