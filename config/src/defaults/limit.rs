//! Keys of rate limits.

use super::{
    ABSENT,
    Fallback::{Absent, Below, Is, Required},
    JSON_PATH, KEY, Key,
    Kind::{Choice, Count, Duration, Flag, Named, Section, Sections, Text, Texts},
    NAME, Short,
};
use crate::units::RATE;

/// The keys of a limit below `$place`, after `$first`: a route's own limits and those that routes
/// share have them in common, and a path in the table must be a literal.
macro_rules! limits {
    ($place:literal $(, $first:expr)*) => {
        &[
            $($first,)*
            Key::new(
                concat!($place, ".key"),
                Texts(KEY),
                Is("client_ip"),
                "What a count is kept of; of a list, one for each combination.",
            ),
            Key::new(concat!($place, ".absent"), Choice(ABSENT), Is("share"), ABSENT_MEANS),
            Key::new(
                concat!($place, ".rate"),
                Text(RATE),
                Required,
                "How much is admitted in how long; `0/s` admits nothing.",
            ),
            Key::new(
                concat!($place, ".burst"),
                Count(1, u32::MAX as u64),
                Absent("the count of `rate`"),
                "How much may come at once; with `leaky_bucket` how much may wait. A \
                 `sliding_window` has none.",
            ),
            Key::new(
                concat!($place, ".algorithm"),
                Choice(&["token_bucket", "leaky_bucket", "sliding_window"]),
                Is("token_bucket"),
                "A burst and then the rate; an even pace, by delays; at most the count in any \
                 stretch of the time.",
            ),
            Key::new(
                concat!($place, ".max_delay"),
                Duration(1, 3_600_000),
                Is("1s"),
                "Longest delay of a `leaky_bucket`; what would wait longer is denied.",
            ),
            Key::new(concat!($place, ".cost"), Section, Below, "What a request costs.")
                .or(&[Short::For("fixed"), Short::As("`header:N` for its `request_header`")]),
            Key::new(
                concat!($place, ".cost.fixed"),
                Count(0, u32::MAX as u64),
                Is("1"),
                "Where nothing else says; 0 is free.",
            ),
            Key::new(
                concat!($place, ".cost.request_header"),
                Text("a header name"),
                Absent("`fixed` is the cost"),
                "Request header that may name it, a whole number; what is less than `fixed` counts \
                 as that.",
            ),
            Key::new(
                concat!($place, ".cost.response_header"),
                Text("a header name"),
                Absent("the cost stays"),
                "Response header that names what it did cost; the difference is charged or given \
                 back.",
            ),
            Key::new(
                concat!($place, ".cost.response_json"),
                Text(JSON_PATH),
                Absent("the cost stays"),
                "Number in the JSON of the response that says what it did cost; the difference is \
                 charged or given back once it has passed. Of `text/event-stream` the last one.",
            ),
            Key::new(
                concat!($place, ".dry_run"),
                Flag,
                Is("false"),
                "Counts and tells, but denies nothing.",
            ),
            Key::new(
                concat!($place, ".store"),
                Choice(&["local", "redis"]),
                Is("local"),
                "Where counts are kept: by this gateway, or on the servers of `redis`, where all \
                 gateways with the same limit share them.",
            ),
            Key::new(
                concat!($place, ".mode"),
                Choice(&["exact", "leased"]),
                Is("exact"),
                "With `store: redis`, whether each request is decided there, or tokens are fetched \
                 ahead for many, which takes far fewer calls and admits no more. `local` is always \
                 exact.",
            ),
            Key::new(
                concat!($place, ".on_store_failure"),
                Choice(&["local", "allow", "deny"]),
                Is("local"),
                "What holds while `store: redis` cannot be reached: this gateway's share of the \
                 rate, everything passes, or nothing does.",
            ),
        ]
    };
}

const ABSENT_MEANS: &str = "What happens where a request lacks a part of the key: all such \
                            requests share a count, are not limited, or are denied.";

/// Limits that routes share.
pub(super) const SHARED: &[Key] = limits!(
    "rate_limits.*",
    Key::new(
        "rate_limits",
        Named,
        Absent("routes share none"),
        "Limits that several routes share: a route names them in its `rate_limit`.",
    )
);

/// Limits of single routes.
pub(super) const OWN: &[Key] = limits!(
    "routes[].rate_limit[]",
    Key::new(
        "routes[].rate_limit",
        Sections,
        Absent("no limit"),
        "Bounds on how often the route is used, at most 8: a request passes all of them, or none \
         is charged and it is answered 429.",
    )
    .or(&[
        Short::Off,
        Short::One,
        Short::For("rate"),
        Short::As("one of `rate_limits`, by its name"),
    ]),
    Key::new(
        "routes[].rate_limit[].name",
        Text(NAME),
        Absent("`default`; `default-N` by place among several"),
        "Name in fields, logs and metrics; unique on the route.",
    )
);

/// Key of the bound on requests under way.
pub(super) const CONCURRENCY: &[Key] = &[
    Key::new(
        "routes[].concurrency.key",
        Texts(KEY),
        Absent("the route as a whole"),
        "Whose requests are counted together; `max` is then for each.",
    ),
    Key::new("routes[].concurrency.absent", Choice(ABSENT), Is("share"), ABSENT_MEANS),
    Key::new(
        "routes[].concurrency.store",
        Choice(&["local", "redis"]),
        Is("local"),
        "Where they are counted: by this gateway, or on the servers of `redis`, where `max` is \
         what all gateways together have under way.",
    ),
    Key::new(
        "routes[].concurrency.lease",
        Duration(1_000, 3_600_000),
        Is("10s"),
        "With `store: redis`, how long a request counts whose gateway has died.",
    ),
    Key::new(
        "routes[].concurrency.on_store_failure",
        Choice(&["local", "allow", "deny"]),
        Is("local"),
        "What holds while `store: redis` cannot be reached: this gateway's share of `max`, \
         everything passes, or nothing does.",
    ),
];
