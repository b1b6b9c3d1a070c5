"""Reading pages the way a person or a script does: line breaks in the markup do not count."""

from __future__ import annotations

import re

from werkzeug.test import TestResponse


def flat(answer: TestResponse) -> str:
    """The markup of an answer with every run of white space made one blank."""
    return re.sub(r"\s+", " ", answer.text)
