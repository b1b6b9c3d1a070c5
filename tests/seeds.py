"""What `make test` asks in short and `make soak` at length: dice of random tests, and combinations."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Sequence
from typing import Any

import pytest

#: `make soak` alone asks these values.
LATER = pytest.mark.soak


def is_soaking() -> bool:
    """Whether this is `make soak`."""
    return bool(os.environ.get("SOAK"))


def is_thorough() -> bool:
    """Whether this is any part of `make soak`, which has the time for more of the same."""
    return is_soaking() or bool(os.environ.get("ALL_DATABASES"))


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


def each_once(*values: Sequence[Any], always: Sequence[Any] = ()) -> list[Any]:
    """Every combination of these, for `parametrize`: `make test` asks each value once, `make soak` all.

    `make test` asks those of `always` with all others.
    """
    longest = max(map(len, values))
    asked = {tuple(at % len(of) for of in values) for at in range(longest)}
    found = []
    for at in itertools.product(*(range(len(of)) for of in values)):
        combined = [of[one] for of, one in zip(values, at, strict=True)]
        is_asked = at in asked or any(one in always for one in combined)
        found.append(pytest.param(*combined, marks=() if is_asked else LATER))
    return found


def some(values: Sequence[Any], every: int, newest: int) -> list[Any]:
    """All of these, of which `make test` asks the first, each so many after it, and the newest."""
    return [
        pytest.param(one, marks=() if not at % every or at >= len(values) - newest else LATER)
        for at, one in enumerate(values)
    ]
