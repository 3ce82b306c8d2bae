//! Keys of idempotency.

use super::{
    Fallback::{Absent, Below, Is},
    Key,
    Kind::{Choice, Choices, Duration, Flag, Section, Size, Text, Texts},
    Short, TIMEOUT,
};

/// What a part of a scope looks like.
pub(crate) const SCOPE: &str = "`identity`, `header:N`, `cookie:N`, `claim:N` (`N` being a \
                                name), `client_ip`, or `none` alone";
const HEADER: &str = "a header name";

pub(super) const STORE: &[Key] = &[
    Key::new("idempotency", Section, Below, "The records of idempotency keys, for all routes."),
    Key::new(
        "idempotency.memory",
        Size(1 << 20, 1 << 40),
        Is("64MiB"),
        "Bytes that records in memory may take; when they are all taken, new keys are a failure \
         of the store. It is taken at the start, not at a reload.",
    ),
];

pub(super) const ROUTE: &[Key] = &[
    Key::new(
        "routes[].idempotency",
        Section,
        Absent("keys mean nothing"),
        "A request with an idempotency key runs once; what came of it answers all that follow \
         with the same key. Only a route that forwards has it.",
    )
    .or(&[Short::Off, Short::On]),
    Key::new(
        "routes[].idempotency.header",
        Text(HEADER),
        Is("idempotency-key"),
        "Request header that holds the key: 1 to 255 visible ASCII characters, in quotes or not.",
    ),
    Key::new(
        "routes[].idempotency.methods",
        Texts("an HTTP method"),
        Is("POST, PATCH"),
        "Methods whose keys mean something.",
    ),
    Key::new(
        "routes[].idempotency.required",
        Flag,
        Is("false"),
        "Whether their requests must have a key; one without is answered 400.",
    ),
    Key::new(
        "routes[].idempotency.ttl",
        Duration(1_000, 366 * 24 * 3_600_000),
        Is("24h"),
        "How long an outcome is remembered.",
    ),
    Key::new(
        "routes[].idempotency.lease",
        Duration(1_000, 3_600_000),
        Is("30s"),
        "How long a claim lasts once the gateway that holds it stops renewing it, which it does \
         every third of this; then the outcome is unknown.",
    ),
    Key::new(
        "routes[].idempotency.store",
        Choice(&["memory", "redis"]),
        Is("memory"),
        "Where records are kept: by this gateway, until it stops, or on the servers of `redis`, \
         for all gateways with a route of this name.",
    ),
    Key::new(
        "routes[].idempotency.scope",
        Texts(SCOPE),
        Is("header:authorization"),
        "Whose keys are kept apart; a keyed request that lacks a part of it is answered 400. \
         `none` has one key mean the same whoever sends it.",
    ),
    Key::new(
        "routes[].idempotency.max_body",
        Size(0, 64 << 20),
        Is("1MiB"),
        "Longest body of a keyed request: it is read whole before anything else happens.",
    ),
    Key::new(
        "routes[].idempotency.large_body",
        Choice(&["refuse", "pass"]),
        Is("refuse"),
        "A longer one is answered 413, or passes without a record, marked \
         `Idempotency-Status: ignored`.",
    ),
    Key::new(
        "routes[].idempotency.max_response",
        Size(0, 16 << 20),
        Is("256KiB"),
        "Longest body of a response that is stored; of a longer one is remembered that it was \
         there, and later requests are answered 409.",
    ),
    Key::new(
        "routes[].idempotency.statuses",
        Choices(&["2xx", "3xx", "4xx", "5xx"]),
        Absent("2xx, 3xx, 4xx"),
        "Responses of an upstream that are stored; 401, 403, 408, 409, 425 and 429 never are.",
    ),
    Key::new(
        "routes[].idempotency.wait",
        TIMEOUT,
        Absent("not at all"),
        "How long a request waits for the one under way with its key; then it is answered 409.",
    )
    .or(&[Short::Off]),
    Key::new(
        "routes[].idempotency.unknown",
        Choice(&["conflict", "redrive"]),
        Is("conflict"),
        "What follows where nobody knows what became of the first request: 409, or it runs again \
         because the upstream itself runs a key once.",
    ),
    Key::new(
        "routes[].idempotency.on_store_failure",
        Choice(&["deny", "pass"]),
        Is("deny"),
        "While the store cannot take a key: 503, or the request passes without a record, marked \
         `Idempotency-Status: ignored`.",
    ),
    Key::new(
        "routes[].idempotency.fingerprint",
        Texts(HEADER),
        Is("content-type"),
        "Request headers that belong to what must not change under a key, beside method, host, \
         path, query and body, which always do.",
    ),
];
