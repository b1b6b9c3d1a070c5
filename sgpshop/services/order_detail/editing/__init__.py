"""注文内容修正: correct the total or the content of an order, on our side alone (R62-R77c).

What SMBC-GP holds stays as it is until 「変更内容をSMBC-GPに送信」 (services.payments).
"""

from sgpshop.services.order_detail.editing.draft import (
    MOST_QUANTITY,
    ChoiceNeeded,
    ContentEdit,
    Draft,
    EditRefused,
    LineEdit,
    work_out,
)
from sgpshop.services.order_detail.editing.saving import (
    SaveResult,
    change_content,
    change_total,
    correct_total,
    return_to_calculation,
)
