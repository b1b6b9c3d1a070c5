"""Secrets at rest: sealed with a key that is not in the database (S10)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from functools import cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from flask import current_app

_VERSION = "v1"


class SealBroken(Exception):
    """A sealed value does not open: other key, other row, or altered."""


def seal(secret: str, context: str) -> str:
    """`secret` as one line of text that opens only with our key and the same `context`.

    `context` names the row ("access_pass:P123…"), so a value moved to another row is refused.
    """
    nonce = os.urandom(12)
    sealed = nonce + _cipher().encrypt(nonce, secret.encode(), _bound(context))
    return f"{_VERSION}.{base64.urlsafe_b64encode(sealed).decode()}"


def unseal(sealed: str, context: str) -> str:
    """What was given to `seal`.  Raises SealBroken."""
    return _open(sealed, context, _cipher())


def _open(sealed: str, context: str, cipher: AESGCM) -> str:
    try:
        version, text = sealed.split(".", 1)
        raw = base64.urlsafe_b64decode(text)
        if version != _VERSION:
            raise ValueError(version)
        return cipher.decrypt(raw[:12], raw[12:], _bound(context)).decode()
    except (ValueError, InvalidTag):
        raise SealBroken(context) from None


def reseal(sealed: str, context: str, old_key: str) -> str:
    """What `old_key` sealed, sealed with ours.  Raises SealBroken."""
    return seal(_open(sealed, context, _cipher_of(old_key)), context)


def seal_access_pass(access_pass: str, gateway_order_id: str) -> str:
    """AccessPass as it is stored: it opens only for this transaction (S10)."""
    return seal(access_pass, context_of_access_pass(gateway_order_id))


def context_of_access_pass(gateway_order_id: str) -> str:
    """What it is bound to."""
    return f"access_pass:{gateway_order_id}"


def open_access_pass(sealed: str | None, gateway_order_id: str) -> str:
    """AccessPass in clear, to be given to the gateway client and nobody else."""
    return unseal(sealed or "", context_of_access_pass(gateway_order_id))


def fingerprint() -> str:
    """12 digits that tell our key from another, and nothing about it."""
    return fingerprint_of(str(current_app.config["ENCRYPTION_KEY"]))


def fingerprint_of(key: str) -> str:
    """The same of any ENCRYPTION_KEY."""
    return _derived("fingerprint", key).hex()[:12]


def derived_key(purpose: str, key: str = "") -> bytes:
    """A key for one purpose alone, made from `key` or from ours (32 bytes)."""
    return _derived(purpose, key or str(current_app.config["ENCRYPTION_KEY"]))


def derive(context: str) -> str:
    """40 hexadecimal digits that follow from our key and `context`, and tell of neither."""
    key = hashlib.sha256(b"sgpshop derived:" + str(current_app.config["ENCRYPTION_KEY"]).encode())
    return hmac.new(key.digest(), _bound(context), hashlib.sha256).hexdigest()[:40]


def _bound(context: str) -> bytes:
    return f"sgpshop:{_VERSION}:{context}".encode()


def _cipher() -> AESGCM:
    return _cipher_of(str(current_app.config["ENCRYPTION_KEY"]))


@cache
def _cipher_of(key: str) -> AESGCM:
    return AESGCM(_derived("at rest", key))


@cache
def _derived(purpose: str, key: str) -> bytes:
    return hashlib.sha256(f"sgpshop {purpose}:{key}".encode()).digest()
