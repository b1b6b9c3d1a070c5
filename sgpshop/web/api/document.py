"""`/api/v1/openapi.json`: the OpenAPI 3.1 document, made from what the API itself checks by (T7, S14).

Open to everybody: it says nothing that this program's source does not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from flask import Response
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from sgpshop import __version__
from sgpshop.models import Scope
from sgpshop.services.access.rate_limits import SPAN
from sgpshop.web.api import answers, bodies, events, examples, fulfilments, replays
from sgpshop.web.api.fields import ORDER_NO
from sgpshop.web.api.queries import EventsQuery, SearchQuery
from sgpshop.web.api.strict_json import DEEPEST, MOST_BYTES
from sgpshop.web.frame import problems
from sgpshop.web.frame.problem_codes import status_of

_REFERENCE = "#/components/schemas/{model}"
_MODELS: list[tuple[type[BaseModel], JsonSchemaMode]] = [
    (answers.OrderAnswer, "serialization"),
    (answers.OrdersAnswer, "serialization"),
    (answers.WaitingOrderAnswer, "serialization"),
    (fulfilments.WaitingFulfilmentAnswer, "serialization"),
    (events.EventsAnswer, "serialization"),
    (events.WebhookMessage, "serialization"),
    (fulfilments.FulfilmentAnswer, "serialization"),
    (fulfilments.FulfilmentBody, "validation"),
    (answers.ProblemAnswer, "serialization"),
    (bodies.NewOrderBody, "validation"),
    (bodies.SeenBody, "validation"),
    (bodies.AmountBody, "validation"),
    (bodies.CaptureBody, "validation"),
    (bodies.CancelBody, "validation"),
]
#: of the simulator (simulator/cards.py); the test holds both against each other
TEST_TOKENS = {
    "tok_test_good": "approved",
    "tok_test_short_of_funds": "declined, 42G020000",
    "tok_test_over_limit": "declined, 42G550000",
    "tok_test_unusable": "declined, 42G120000",
    "tok_test_lost_answer": "approved, and the answer is lost: the outcome is looked up",
    "tok_test_slow": "approved after 15 seconds: first told as `processing`",
    "tok_test_refuses_increase": "approved; a greater amount is declined",
    "tok_test_3ds_challenge": "3-D Secure asks the buyer, who answers on its page",
    "tok_test_3ds_attempted": "3-D Secure: the bank did not take part, approved",
    "tok_test_3ds_not_enrolled": "3-D Secure: the card is not enrolled",
    "tok_test_3ds_not_authenticated": "3-D Secure: not authenticated",
    "tok_test_3ds_not_available": "3-D Secure: the bank could not say",
    "tok_test_3ds_rejected": "3-D Secure: rejected",
}
_TEST_TOKENS = "; ".join(f"`{name}` ({about})" for name, about in TEST_TOKENS.items())
#: newest first; what a caller may have to change comes with the reason
_CHANGES = """
- A wrong `amount` of an order in `/fulfilments` has the code `amount_differs` (was `stale`).  Added:
  `buyer_text` of an order that could not be paid; `order_no` of a search takes hyphens, as numbers may have
  them.  The document leaves room in answers for fields of later versions, and says of each call which codes
  it may be refused with.
- Where the shop wants a second person to agree to big acts: 202 with `code` `needs_approval` (new) from
  `/capture`, `/cancel`, `/refund-difference` and `/fulfilments`, and `reason` `not_approved` afterwards, where
  nobody agreed.  Off unless the shop switches it on.
- `tax_rate` of an item may be 0.
- `three_ds` left out means `required`, with or without a `return_url`.  Before, leaving out `return_url`
  left out 3-D Secure as well, so that who forgot it bore the risk of fraud.  Who charges a buyer who is not
  there says `"three_ds": "none"`; a shop without an address for the return answers 409
  `three_ds_not_set_up`, new.
- Added: `tok_test_slow`; webhooks of chosen event types.
- Added: `/events` and webhooks, `changed_since`, `/fulfilments`, `/amount`, `/extend`, `/refund-difference`,
  everything handed in with the order's answer, `unfinished_payment`, `payment.method`, `total` 0,
  `prices_include_tax`, test tokens, `reason` and `codes` of problems, RateLimit headers.  Codes of their own:
  `token_refused` (was `declined`), `payment_refused` (was `unavailable`), `amount_differs` (was `stale`).
"""
_ABOUT = f"""\
Orders of one shop, paid by card through SMBC-GP.  Amounts are whole yen, prices include tax, times
carry an offset.

**Bodies** are JSON (UTF-8), at most {MOST_BYTES // 1024} KiB and {DEEPEST} levels deep.  Unknown or
repeated fields, fractions, NUL, unpaired surrogates and anything that looks like a card number are
refused.  **Errors** are `application/problem+json`; branch on `code`, which never changes its meaning.

**A checkout**: make a token with SMBC-GP's token script in the buyer's browser, give the order a number of
your own, keep it, and `POST /orders` with an `Idempotency-Key` that you keep as well.  201 or 200: look at
`payment_status`; `authorized` or `captured` is paid, and while it is `needs_review` show the buyer
`buyer_text` and ask `GET /orders/{{order_no}}` again, or wait for its event.  202: send the browser to
`redirect_url`.  402 `declined`, 422 `token_refused`: show `buyer_text` and let the buyer try another card,
with the same order, a new token and a new key.  No answer, or a process that died: send the same request
with the same key.  An order `abandoned` at the bank may be sent again with a new token, or cancelled
without `refund`.

**A warehouse**: `GET /orders?status=authorized&processing=unprocessed` (and `next_cursor`) lists what is to
go out, `changed_since` what changed; print `deliveries` of each order, into which go its `items` of the
same `delivery_number`; `POST /fulfilments` with slip numbers and `delivered`, and with `capture: true` and
the order's `total` as `amount` to take the money with the last parcel; where that is 202, ask `GET
/fulfilments/{{id}}`. What changes afterwards comes by `/events?after=` or a webhook.

**Sending again**: with an `Idempotency-Key` the same request gets the first answer for 24 hours
(header `{replays.REPLAYED}: true`); while what it began has not ended, how it is by then.  The same
key with another request is refused (422 `key_reused`), at the same moment 409 `in_progress`.  Refusals
other than `declined` and `operation_failed` changed nothing and are not kept: the key may come again,
mended.  Without the header an order is still taken in once, by its number, and captured or cancelled
once, by its version: who repeats it gets 409 `stale` with the `order` as it is.

**Keys** without scope `read` are told an order's status and amounts alone, in every answer and problem;
`buyer`, `items`, `deliveries`, `memo`, `subscription`, `stored_card` and `payment_events` are null then.

**After 3-D Secure** the buyer comes back to `return_url`, behind whose own parameters there are
`order_no`, `result`, `timestamp` (seconds since 1970) and `signature`.  `result` is `paid`, `failed` (it
is over: declined, not authenticated or cancelled) or `pending` (everything else: it may yet be paid).
`signature` is the HMAC-SHA256, in hexadecimal digits, of `order_no.result.timestamp` with the order's
`return_key`.  Who has not verified it knows nothing, and who has knows only how it was then: ship and
thank by what `GET /orders/{{order_no}}` says, and by nothing else.

**Trying it**: the simulator of `make run` knows these tokens, each good as often as you like:
{_TEST_TOKENS}.  Its page of the bank, where 3-D Secure asks the buyer, is a form with `answer` `yes`, `no`
or `break_off`; who does not wait an hour for `abandoned` starts with `SGPSHOP_ABANDONED_AFTER=60 make run`.
SMBC-GP knows none of these tokens.  A key is made on 設定 → APIキー, or with
`SGPSHOP_TEST_MODE=1 python app.py create-api-key NAME --scope intake,read,capture,change,fulfil`.  The
examples here work as they stand against it, each on a new order.

**Webhooks** (設定 → Webhook) post each event of `/events`, or of the chosen types, to addresses of yours as
it happens, signed by the Standard Webhooks scheme (its libraries verify `webhook-id`, `webhook-timestamp` and
`webhook-signature` with the key that the screen showed once: in Python
`standardwebhooks.Webhook(key).verify(body, headers)`, of the body as it came).  Addresses are https and of
the internet; in test mode http to this machine, too.  At least once, in order for each order,
tried again for three days; `webhook-id` is the event's `id`, by which one that comes twice is known.

**A second person**: where the shop has set an amount, a capture or refund from so many yen on (all orders of
a fulfilment together) is answered 202 with `code` `needs_approval` beside all else, and nothing is sent before
somebody there agrees.  Send it again with its `Idempotency-Key`, ask for the order or fulfilment, or wait for its
event.  After seven days, or once the order changed, nothing comes of it (422 `not_possible`, `reason`
`not_approved`).

**Limits** hold for each key and each address, in spans of {SPAN} seconds; beyond them 429 with
`Retry-After`.  Each answer says in `RateLimit-Policy` and
`RateLimit` how many (`r`) are left of the limit that is nearest, and when (`t` seconds) it begins anew.

**While no worker is alive** at the shop, what asks SMBC-GP is only queued: then `is_worker_there` is
false in `open_operation` and in answers of `/fulfilments`, and it begins when one is there again.

**Versions**: within `/api/v1` fields, codes, parameters and addresses are added, and none is taken away
or gets another meaning; so take unknown ones.  What changed:
{_CHANGES}

While the outcome of an operation is unknown, `payment_status` is `needs_review` and
`open_operation.state` is `unknown`; it ends by itself, ask again.  `unfinished_payment` says how far a
payment is that is not finished.

**Stored cards** are kept by SMBC-GP for the members of the shop's site, and saved, listed and deleted
there (SaveMember, SaveCard, SearchCard, DeleteCard, by the shop front's own contract).  Here one is charged
by `payment: {{"member_id", "card_seq"}}`, the buyer's own (the same as `buyer.member_id`, where the order tells
that), and never by an order number; a card or member that SMBC-GP does not know is 422 `payment_refused`.
Where the buyer is not there, that is with `"three_ds": "none"`.  The simulator of `make run` keeps one so:

    SITE='SiteID=tsite00000001&SitePass=sitepass01&MemberID=m1'
    curl -d "$SITE" http://127.0.0.1:8001/payment/SaveMember.idPass
    curl -d "$SITE&Token=tok_test_good" http://127.0.0.1:8001/payment/SaveCard.idPass
"""


def show() -> Response:
    """The document."""
    return Response(json.dumps(document(), ensure_ascii=False), content_type="application/json")


@cache
def document() -> dict[str, Any]:
    """The whole document."""
    placed = order = answers.OrderAnswer
    paths = {
        "/orders": {
            "get": _operation(
                "search",
                Scope.READ,
                "Search orders",
                "The conditions of the screen; they combine with AND.  Without any condition: the "
                "orders of the last seven days.  Unknown parameters are refused.",
                answered={200: _answered(answers.OrdersAnswer, "One page.", examples.ORDERS)},
                refused=("cursor_lost", "invalid", "invalid_cursor"),
            )
            | {"parameters": _parameters(SearchQuery)},
            "post": _operation(
                "create",
                Scope.INTAKE,
                "Take an order in",
                "The card is authorized, charged or checked, by the shop's sales mode and `kind`.  "
                "The same order again (same number, same content but for `payment`) gets 200, and "
                "nothing happens, unless it is known that it is not paid: declined, not authenticated, "
                "not paid, abandoned (see `unfinished_payment`), or a subscription that could not be "
                "billed (`capture_failed`).  Then the card that comes with it pays, and of a "
                "subscription the same stored card, too, which may have been renewed.",
                sent=(bodies.NewOrderBody, examples.NEW_ORDER),
                answered={
                    200: _answered(
                        placed,
                        "The order was here already; this is how it is now.",
                        examples.ORDER,
                        replay=True,
                    ),
                    201: _answered(placed, "Taken in.", examples.ORDER, replay=True),
                    202: _answered(
                        placed,
                        "Taken in; the buyer has to pass 3-D Secure at `redirect_url`.",
                        examples.TO_BUYER,
                        replay=True,
                    ),
                },
                refused=(
                    *_WRITING,
                    "declined",
                    "intake_closed",
                    "order_no_taken",
                    "being_billed",
                    "round_taken",
                    "three_ds_not_set_up",
                    "total_mismatch",
                    "token_refused",
                    "payment_refused",
                ),
            ),
        },
        "/orders/{order_no}": {
            "parameters": [_ORDER_NO],
            "get": _operation(
                "show",
                Scope.READ,
                "One order as it is now",
                answered={200: _answered(order, "The order.", examples.ORDER)},
                refused=("not_found", "invalid"),
            ),
        },
        "/orders/{order_no}/capture": _money(
            "capture",
            "Capture the order",
            "What is reserved is taken, of an order as you saw it.",
            (bodies.CaptureBody, examples.SEEN),
            Scope.CAPTURE,
            "large_amount_not_confirmed",
        ),
        "/orders/{order_no}/cancel": _money(
            "cancel",
            "Cancel the order and its payment",
            "Releases what is reserved, refunds what was captured: the latter only with"
            " `refund: true`.  Of a delivered order, first register with `/fulfilments` that the goods"
            " came back.",
            (bodies.CancelBody, examples.SEEN_FOR_CANCEL),
            Scope.CAPTURE,
            "refund_not_confirmed",
        ),
        "/orders/{order_no}/amount": _money(
            "change_amount",
            "Give the order another total, at SMBC-GP too",
            "Both, or neither is begun.  Of an order that is not captured yet.  Where SMBC-GP declines"
            " it, `total` is the new one and `gateway_amount` the old: nothing is captured until they"
            " agree, so send another, or `gateway_amount` to take it back.",
            (bodies.AmountBody, examples.AMOUNT),
            Scope.CHANGE,
            "increase_not_confirmed",
        ),
        "/orders/{order_no}/extend": _money(
            "extend",
            "Reserve the amount anew",
            "Another authorization of the same card, where the shop has that switched on.",
            (bodies.SeenBody, examples.SEEN),
            Scope.CHANGE,
        ),
        "/orders/{order_no}/refund-difference": _money(
            "refund_difference",
            "Give back what was captured beyond the total",
            "Needs `refund: true`.  A part of the right amount cannot be given back.",
            (bodies.CancelBody, examples.SEEN_FOR_CANCEL | {"refund": True}),
            Scope.CAPTURE,
            "refund_not_confirmed",
        ),
    }
    paths["/events"] = {
        "get": _operation(
            "events",
            Scope.READ,
            "What happened to orders",
            "Oldest first, at least once, in order for each order; nothing is missed, however late"
            " it is written.  Keep `next_after`, and ask with it again.",
            answered={200: _answered(events.EventsAnswer, "Events.", examples.EVENTS)},
            refused=("cursor_lost", "invalid", "invalid_cursor"),
        )
        | {"parameters": _parameters(EventsQuery)}
    }
    finished = _answered(
        fulfilments.FulfilmentAnswer,
        "What became of each order.",
        examples.FULFILLED,
        replay=True,
    )
    waiting = _answered(
        fulfilments.FulfilmentAnswer,
        "Something is waiting or uncertain; ask `GET /fulfilments/{id}`.",
        examples.FULFILLING,
        replay=True,
        waiting=fulfilments.WaitingFulfilmentAnswer,
    )
    paths["/fulfilments"] = {
        "post": _operation(
            "fulfil",
            Scope.FULFIL,
            "Register slip numbers, and what was sent or came back",
            "Up to 200 orders with 1,000 parcels together."
            " Each order has an answer of its own: one that cannot be done does not stop"
            " the others, so look at `failed`.  What is there already is `unchanged`.",
            sent=(fulfilments.FulfilmentBody, examples.FULFILMENT),
            answered={200: finished, 202: waiting},
            refused=(*_WRITING, "large_amount_not_confirmed"),
        )
    }
    paths["/fulfilments/{id}"] = {
        "parameters": [_FULFILMENT_ID],
        "get": _operation(
            "fulfilment",
            Scope.FULFIL,
            "What became of a fulfilment by now",
            "Of those that this key asked for.",
            answered={200: finished, 202: waiting},
            refused=("not_found",),
        ),
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "SGP Shop", "version": __version__, "description": _ABOUT},
        "servers": [{"url": "/api/v1"}],
        "security": [{"key": []}],
        "paths": paths,
        "webhooks": {"orderEvent": {"post": _WEBHOOK}},
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key, made on the screen or by `create-api-key`.",
                }
            },
        },
    }


def _money(
    name: str,
    summary: str,
    about: str,
    sent: tuple[type[BaseModel], dict[str, Any]],
    scope: Scope,
    *unconfirmed: str,
) -> dict[str, Any]:
    order = answers.OrderAnswer
    return {
        "parameters": [_ORDER_NO],
        "post": _operation(
            name,
            scope,
            summary,
            about + "  Money moves.  What SMBC-GP did not carry out is a 422 `operation_failed`.",
            sent=sent,
            answered={
                200: _answered(order, "It is done; the order now.", examples.ORDER, replay=True),
                202: _answered(
                    order,
                    "It goes on, see `open_operation`, or waits for a second person, see `code`;"
                    " ask for the order, or send this again.",
                    examples.GOING_ON,
                    replay=True,
                    waiting=answers.WaitingOrderAnswer,
                ),
            },
            refused=(
                *_WRITING,
                *unconfirmed,
                "not_found",
                "stale",
                "amount_differs",
                "busy",
                "not_possible",
                "operation_failed",
            ),
        ),
    }


_ORDER_NO = {
    "name": "order_no",
    "in": "path",
    "required": True,
    "description": "The order's number, as it was handed in.",
    "schema": {"type": "string", "pattern": ORDER_NO},
    "example": examples.ORDER["order_no"],
}
_FULFILMENT_ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "`id` of the answer to POST /fulfilments.",
    "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    "example": examples.FULFILLED["id"],
}
_IDEMPOTENCY_KEY = {
    "name": replays.HEADER,
    "in": "header",
    "required": False,
    "description": "Names this request, so that it is carried out once however often it is sent.",
    "schema": {"type": "string", "pattern": replays.PATTERN},
    "example": "8a4f7c0e-5b7e-4b57-9d4c-0f3f1f0a6f21",
}


def _operation(
    name: str,
    scope: Scope,
    summary: str,
    about: str = "",
    *,
    sent: tuple[type[BaseModel], dict[str, Any]] | None = None,
    answered: dict[int, dict[str, Any]],
    refused: tuple[str, ...],
) -> dict[str, Any]:
    problems_ = {
        status: _problem(status, codes)
        for status, codes in sorted(_by_status([*refused, *_ALWAYS]).items())
    }
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "description": f"{about}\n\nNeeds scope `{scope.value}`.".strip(),
        "responses": {str(status): said for status, said in (answered | problems_).items()},
    }
    if sent:
        operation["parameters"] = [_IDEMPOTENCY_KEY]
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": _content(*sent)},
        }
    return operation


def _parameters(query: type[BaseModel]) -> list[dict[str, Any]]:
    schema = query.model_json_schema(ref_template=_REFERENCE)
    found = []
    for name, part in schema["properties"].items():
        about = {"description": part.pop("description")} if "description" in part else {}
        found.append(
            {
                "name": name,
                "in": "query",
                **about,
                "schema": _tidy(_plain(part, schema.get("$defs", {}))),
            }
        )
    return found


def _plain(schema: dict[str, Any], known: dict[str, Any]) -> Any:
    """A parameter's schema without references and without null, which a query cannot say."""
    if "$ref" in schema:
        rest = {name: part for name, part in schema.items() if name != "$ref"}
        enum = known[schema["$ref"].rpartition("/")[2]]
        return {name: part for name, part in enum.items() if name != "description"} | rest
    if "anyOf" in schema:
        [only] = [part for part in schema["anyOf"] if part.get("type") != "null"]
        return _plain(only, known)
    if "items" in schema:
        return {**schema, "items": _plain(schema["items"], known)}
    return schema


#: Numbers of our own rules, which say nothing outside.
_RULES = re.compile(r"\s*\((?:[RSTP]\d+[a-z]?(?:, |-)?)+\)")


def _schemas() -> dict[str, Any]:
    """All models: what we take as strictly as it is checked, what we say with room for more."""
    known = models_json_schema(_MODELS, ref_template=_REFERENCE)[1]["$defs"]
    found = {}
    for name, schema in known.items():
        if "enum" in schema:  # the note on it is about our own words
            schema.pop("description", None)
        if not name.endswith("Body"):
            schema.pop("additionalProperties", None)
        found[name] = _tidy(schema)
    return found


def _tidy(schema: Any) -> Any:
    """Without what says nothing to a reader outside: made-up titles, numbers of our rules."""
    if isinstance(schema, list):
        return [_tidy(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if isinstance(about := schema.get("description"), str):
        schema = schema | {"description": _RULES.sub("", about)}
    return {
        name: _tidy(part)
        for name, part in schema.items()
        if not (name == "title" and isinstance(part, str))
    }


_WEBHOOK: dict[str, Any] = {
    "operationId": "order_event",
    "summary": "Something happened to an order",
    "description": "Posted to the addresses that the shop registered.  Answer any 2xx within 10 seconds,"
    " and work on it afterwards; everything else, a redirect too, is tried again.",
    "security": [],
    "parameters": [
        {
            "name": name,
            "in": "header",
            "required": True,
            "description": about,
            "schema": {"type": "string"},
        }
        for name, about in (
            ("webhook-id", "The event's `id`, the same whenever it comes again."),
            ("webhook-timestamp", "When it was sent, in seconds since 1970; refuse an old one."),
            ("webhook-signature", "`v1,` and the signature, by the Standard Webhooks scheme."),
        )
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": _REFERENCE.format(model="WebhookMessage")},
                "example": examples.WEBHOOK,
            }
        },
    },
    "responses": {"2XX": {"description": "It arrived."}},
}


def _answered(
    model: type[BaseModel],
    about: str,
    example: dict[str, Any],
    *,
    replay: bool = False,
    waiting: type[BaseModel] | None = None,
) -> dict[str, Any]:
    """`waiting`: what is answered in its place while a second person has to agree."""
    headers = _headers()
    if replay:
        headers[replays.REPLAYED] = _header("`true`: this request was answered before.")
    said = _content(model, example)
    if waiting is not None:
        other = {"$ref": _REFERENCE.format(model=waiting.__name__)}
        # The narrower one first: with room for later fields the other fits as well.
        said["schema"] = {"anyOf": [other, said["schema"]]}
    content = {"application/json": said}
    return {"description": about, "headers": headers, "content": content}


def _headers() -> dict[str, Any]:
    return {
        "X-Request-Id": _header("Names this request in the shop's log."),
        "RateLimit-Policy": _header("The limit that is nearest: `q` requests in `w` seconds."),
        "RateLimit": _header("`r` of them are left for `t` seconds."),
    }


def _header(about: str) -> dict[str, Any]:
    return {"description": about, "required": False, "schema": {"type": "string"}}


#: what every call may be answered with
_ALWAYS = (
    "bad_request",
    "unauthorized",
    "forbidden",
    "wrong_network",
    "method_not_allowed",
    "uri_too_long",
    "card_number",
    "too_many_requests",
    "error",
    "unavailable",
)
#: and every call with a body
_WRITING = ("in_progress", "too_large", "not_json", "invalid", "key_reused", "refused")


def _by_status(codes: Iterable[str]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for code in codes:
        found.setdefault(status_of(code), []).append(code)
    return found


def _problem(status: int, codes: Sequence[str]) -> dict[str, Any]:
    headers = _headers()
    if status == 405:
        headers["Allow"] = _header("The methods that this address takes.")
    if status in (409, 429, 503):
        headers["Retry-After"] = _header("Seconds to wait.")
    if status == 401:
        headers["WWW-Authenticate"] = _header("Bearer.")
    content = {
        problems.MEDIA_TYPE: _content(answers.ProblemAnswer, examples.problem(status, codes[0]))
    }
    about = f"`code`: {', '.join(codes)}."
    return {"description": about, "headers": headers, "content": content}


def _content(model: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    return {"schema": {"$ref": _REFERENCE.format(model=model.__name__)}, "example": example}
