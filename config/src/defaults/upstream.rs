//! Keys of upstreams.

use super::{
    ADDRESS,
    Fallback::{Absent, Below, Is, Required},
    HASH_KEY, Key,
    Kind::{self, Choice, Count, Duration, Flag, Named, Percent, Section, Sections, Text, Texts},
    LOAD_BOUND, NAME, PEM, PROBE, SERVICE, STATUSES, Short, TIMEOUT, TOLERANCE,
};

/// Between two checks of an endpoint: a tenth of a second to a day.
const INTERVAL: Kind = Duration(100, 24 * 3_600_000);

/// A way to choose by a key, or a key of it.
macro_rules! hash {
    ($way:literal, $meaning:literal) => {
        Key::new(concat!("upstreams.*.balance.", $way), Section, Absent("another way"), $meaning)
            .or(&[Short::On, Short::For("key")])
    };
    ($way:literal, $name:literal, $kind:expr, $fallback:expr, $meaning:expr) => {
        Key::new(concat!("upstreams.*.balance.", $way, ".", $name), $kind, $fallback, $meaning)
    };
}

const HASH_KEY_MEANS: &str =
    "What decides; of a list, the combination. A request that lacks it goes as by `p2c`.";
const LOAD_BOUND_MEANS: &str =
    "How many times its share of the requests under way an endpoint may have; more go to the next.";

pub(super) const KEYS: &[Key] = &[
    Key::new("upstreams", Named, Absent("none"), "Groups of endpoints, by name."),
    Key::new(
        "upstreams.*.endpoints",
        Sections,
        Absent("`discovery` says"),
        "Addresses that serve this upstream; at least one.",
    )
    .or(&[Short::For("address")]),
    Key::new(
        "upstreams.*.endpoints[].address",
        Text(ADDRESS),
        Required,
        "Host and port, or a Unix socket; unique in its upstream.",
    ),
    Key::new(
        "upstreams.*.endpoints[].name",
        Text(NAME),
        Absent("the address"),
        "Its identity where a key decides: with it, a new address changes no key's endpoint.",
    ),
    Key::new(
        "upstreams.*.endpoints[].weight",
        Count(1, 1000),
        Is("1"),
        "Share of the traffic relative to its siblings.",
    ),
    Key::new(
        "upstreams.*.endpoints[].zone",
        Text("the name of a failure zone"),
        Absent("no zone"),
        "Failure zone: shown in `/upstreams`; it does not steer traffic.",
    ),
    Key::new(
        "upstreams.*.balance",
        Choice(&[
            "p2c",
            "peak_ewma",
            "prequal",
            "least_request",
            "round_robin",
            "random",
            "rendezvous",
            "ring",
            "maglev",
        ]),
        Is("p2c"),
        "How an endpoint is chosen: by load, in turn, at random, or, by the last three, always the \
         same for a key of the request.",
    )
    .or(&[Short::Below]),
    hash!("rendezvous", "By rendezvous hashing: no key moves that need not when endpoints change."),
    hash!("rendezvous", "key", Texts(HASH_KEY), Is("client_ip"), HASH_KEY_MEANS),
    hash!("rendezvous", "bounded_load", Text(LOAD_BOUND), Is("off"), LOAD_BOUND_MEANS),
    hash!("ring", "By a ring of points as libketama has it, for those who share keys with others."),
    hash!("ring", "key", Texts(HASH_KEY), Is("client_ip"), HASH_KEY_MEANS),
    hash!("ring", "bounded_load", Text(LOAD_BOUND), Is("off"), LOAD_BOUND_MEANS),
    hash!(
        "ring",
        "points",
        Count(4, 40_000),
        Is("160"),
        "Points of an endpoint of weight 1, rounded up to a multiple of four."
    ),
    hash!("maglev", "By Maglev's table: the most even, for some keys that move without need."),
    hash!("maglev", "key", Texts(HASH_KEY), Is("client_ip"), HASH_KEY_MEANS),
    hash!("maglev", "bounded_load", Text(LOAD_BOUND), Is("off"), LOAD_BOUND_MEANS),
    hash!(
        "maglev",
        "entries",
        Count(3, 5_000_011),
        Is("65537"),
        "Entries of the table, a prime: a hundred times as many as endpoints, or more."
    ),
    Key::new(
        "upstreams.*.protocol",
        Choice(&["h1", "h2", "h3", "auto"]),
        Is("h1"),
        "HTTP version towards the endpoints; `auto` asks for `h2` or `h1` by ALPN, goes over to \
         `h3` where Alt-Svc offers it on the same host, and needs `tls`, as `h3` does.",
    ),
    Key::new("upstreams.*.tls", Section, Absent("clear text"), "TLS towards the endpoints.")
        .or(&[Short::Off, Short::On]),
    Key::new(
        "upstreams.*.tls.server_name",
        Text("a host name"),
        Absent("the endpoint's own host"),
        "Name sent as SNI and verified.",
    ),
    Key::new(
        "upstreams.*.tls.ca",
        Text(PEM),
        Absent("the machine's authorities"),
        "Authorities trusted.",
    ),
    Key::new(
        "upstreams.*.tls.cert",
        Text(PEM),
        Absent("no client certificate"),
        "Certificate presented to the upstream; needs `key`.",
    ),
    Key::new(
        "upstreams.*.tls.key",
        Text(PEM),
        Absent("no client certificate"),
        "Private key of `cert`.",
    ),
    Key::new(
        "upstreams.*.tls.verify",
        Flag,
        Is("true"),
        "Whether the endpoint's certificate is verified.",
    ),
    Key::new(
        "upstreams.*.health",
        Section,
        Absent("no active checks"),
        "Asks each endpoint how it is; needs one of `path`, `grpc` and `tcp`.",
    )
    .or(&[Short::Off, Short::For("path")]),
    Key::new(
        "upstreams.*.health.path",
        Text(PROBE),
        Absent("nothing is asked for"),
        "Target of a GET, in the protocol and with the TLS of the upstream.",
    ),
    Key::new(
        "upstreams.*.health.expect",
        Texts(STATUSES),
        Is("200-299"),
        "Statuses that pass; for checks with a `path`.",
    ),
    Key::new(
        "upstreams.*.health.grpc",
        Text(SERVICE),
        Absent("nothing is asked for"),
        "Service asked about by gRPC's health protocol; it must be serving. Not over `h1`.",
    ),
    Key::new(
        "upstreams.*.health.tcp",
        Flag,
        Is("false"),
        "A check is a connection and, with `tls`, a handshake; nothing is asked over it.",
    ),
    Key::new(
        "upstreams.*.health.interval",
        INTERVAL,
        Is("5s"),
        "From the end of a check to the next, give or take a tenth; a fifth of it (at least 100 \
         ms) while the endpoint is unhealthy or about to change.",
    ),
    Key::new("upstreams.*.health.timeout", TIMEOUT, Is("1s"), "Of a whole check."),
    Key::new(
        "upstreams.*.health.healthy",
        Count(1, 100),
        Is("2"),
        "Checks that must pass in a row for an unhealthy endpoint to be healthy.",
    ),
    Key::new(
        "upstreams.*.health.unhealthy",
        Count(1, 100),
        Is("3"),
        "Checks that must fail in a row for a healthy endpoint to be unhealthy.",
    ),
    Key::new(
        "upstreams.*.outlier",
        Section,
        Below,
        "Stops asking an endpoint for a while that keeps failing requests.",
    )
    .or(&[Short::Off, Short::On]),
    Key::new(
        "upstreams.*.outlier.consecutive_failures",
        Count(1, 1_000_000),
        Is("5"),
        "Failures in a row, over all workers, that eject an endpoint: 5xx, connections that fail \
         or break, answers that do not come in time.",
    ),
    Key::new(
        "upstreams.*.outlier.ejection",
        TIMEOUT,
        Is("30s"),
        "For how long the first time; as often as it comes again the longer, up to 5 minutes or \
         this, whichever is more.",
    ),
    Key::new(
        "upstreams.*.outlier.max_ejected",
        Percent,
        Is("50%"),
        "Most of the endpoints ejected at a time; one of several may always be, the only one \
         never.",
    ),
    Key::new(
        "upstreams.*.breaker",
        Section,
        Absent("no breaker"),
        "Gives up an endpoint for a while when too large a share of its requests fails; counted \
         for each endpoint, over all workers.",
    )
    .or(&[Short::Off, Short::On]),
    Key::new(
        "upstreams.*.breaker.failure_rate",
        Percent,
        Is("50%"),
        "Share of failures that opens it, above 0%: what `outlier` counts.",
    ),
    Key::new(
        "upstreams.*.breaker.window",
        Duration(100, 3_600_000),
        Is("10s"),
        "Over how long requests are counted.",
    ),
    Key::new(
        "upstreams.*.breaker.min_requests",
        Count(1, 8000),
        Is("20"),
        "With fewer requests in the window nothing is concluded.",
    ),
    Key::new(
        "upstreams.*.breaker.open",
        TIMEOUT,
        Is("5s"),
        "For how long it stays open before probes are let through.",
    ),
    Key::new(
        "upstreams.*.breaker.probes",
        Count(1, 1000),
        Is("3"),
        "Requests let through when it is half open; all of them must succeed.",
    ),
    Key::new(
        "upstreams.*.breaker.slow",
        Section,
        Absent("slowness does not open it"),
        "Opens it for slowness as well.",
    )
    .or(&[Short::Off, Short::On, Short::For("over")]),
    Key::new(
        "upstreams.*.breaker.slow.over",
        TIMEOUT,
        Is("1s"),
        "A request whose response's head takes longer is slow.",
    ),
    Key::new(
        "upstreams.*.breaker.slow.rate",
        Percent,
        Is("80%"),
        "Share of slow requests that opens it, above 0%.",
    ),
    Key::new(
        "upstreams.*.slow_start",
        TIMEOUT,
        Absent("the whole share at once"),
        "For how long an endpoint's share grows, from a tenth, after it came back, was added by \
         a reload or found by `discovery`.",
    )
    .or(&[Short::Off]),
    Key::new("upstreams.*.limits", Section, Below, "Bounds of this upstream over all workers."),
    Key::new(
        "upstreams.*.limits.connections",
        Count(1, 1_000_000),
        Is("1024"),
        "Open connections.",
    ),
    Key::new(
        "upstreams.*.limits.requests",
        Count(1, 10_000_000),
        Is("4096"),
        "Requests under way.",
    ),
    Key::new(
        "upstreams.*.limits.queue",
        Count(0, 1_000_000),
        Is("1024"),
        "Requests that wait for one of the two above; 0 turns them away at once.",
    ),
    Key::new("upstreams.*.limits.queue_timeout", TIMEOUT, Is("1s"), "How long they wait."),
    Key::new(
        "upstreams.*.limits.adaptive",
        Section,
        Absent("no such bound"),
        "Below `requests`, a bound on the requests under way that follows latency: it falls while \
         answers take longer than usual.",
    )
    .or(&[Short::Off, Short::On]),
    Key::new(
        "upstreams.*.limits.adaptive.min",
        Count(1, 10_000_000),
        Is("20"),
        "It never falls below; never above `requests`.",
    ),
    Key::new(
        "upstreams.*.limits.adaptive.tolerance",
        Text(TOLERANCE),
        Is("1.5"),
        "How many times the usual latency is taken for normal.",
    ),
    Key::new(
        "upstreams.*.connect_timeout",
        TIMEOUT,
        Is("1s"),
        "From the name look-up to the end of the TLS handshake, or to the first HTTP/2 SETTINGS. \
         A name's addresses, four at most, are raced a quarter of a second apart.",
    ),
];
