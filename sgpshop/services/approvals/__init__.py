"""承認待ち: what waits for a second person, shown, agreed to, refused or over (R157).

Asked for by `payments/second_look`, in place of what would have moved money.  At approval everything is
asked again: what changed meanwhile makes the request void.
"""

from sgpshop.services.approvals.deciding import (
    AlreadyDecided,
    RequestVoid,
    approve,
    refuse,
    tidy,
    withdraw,
)
from sgpshop.services.approvals.waiting import (
    Content,
    ended,
    get,
    ids_of_others,
    may_decide,
    not_agreed_to,
    others,
    waiting,
    waiting_question,
    what_it_is,
)
