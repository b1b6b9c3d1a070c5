"""The money operations, one module each: what to see before sending, what to send, what proves it.

`runner` has their table and drives them; `attempt_lookup` asks them what a look-up proves.  A new
operation is a word of models.Operation, its events in domain.payment_status, and a module here.
"""
