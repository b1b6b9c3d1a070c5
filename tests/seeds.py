"""Dice of random tests: the same in every `make test`, others in every `make soak`."""

from __future__ import annotations

import os
import random


def is_soaking() -> bool:
    """Whether this is `make soak`."""
    return bool(os.environ.get("SOAK"))


def seed_of(name: str, short: int = 1) -> int:
    """The seed of the test that calls itself `name`; it is printed, and `name`=… repeats it.

    `short` is that of `make test`.
    """
    fresh = random.randrange(10**9) if is_soaking() else short
    seed = int(os.environ.get(name, fresh))
    print(f"{name}={seed} goes the same way again")
    return seed


def dice_of(name: str, short: int = 1) -> random.Random:
    """Dice with that seed."""
    return random.Random(seed_of(name, short))
