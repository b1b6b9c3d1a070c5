"""Other programs are told of what happens to orders, by a POST for each event (S16a).

`receivers` says who is told, `messages` writes a row for each event and receiver, `sending` hands
them over.
"""

from sgpshop.services.outgoing.webhooks.messages import send_again, send_test, tidy, write_due
from sgpshop.services.outgoing.webhooks.receivers import (
    all_receivers,
    choose,
    chosen,
    create,
    delete,
    last_messages,
    switch,
)
from sgpshop.services.outgoing.webhooks.sending import (
    IS_ANYBODY_TO_TELL,
    send_due,
    waiting_receivers,
)
