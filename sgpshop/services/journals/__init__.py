"""仕訳ファイル: what was captured and given back, as files that accounting programs read."""

from sgpshop.services.journals.layouts import LAYOUTS
from sgpshop.services.journals.movements import Movement, movements, sums_of
