"""対応状況: how far people of the shop are with an order; nothing of the program depends on it."""

from sgpshop.domain.words import Labelled


class Handling(Labelled):
    """対応状況; the values are stored."""

    OPEN = "open", "未対応"
    CONTACTED = "contacted", "連絡済み"
    ON_HOLD = "on_hold", "保留"


def label_of(word: str) -> str:
    """The label of a stored word, of another version's too."""
    return Handling(word).label if word in set(Handling) else word
