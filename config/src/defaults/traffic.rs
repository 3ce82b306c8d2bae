//! Keys of upstreams and routes.

use super::{
    ADDRESS,
    Fallback::{self, Absent, Below, Is, Required},
    HOST, Key,
    Kind::{
        self, Choice, Count, Duration, Flag, Named, Pairs, Percent, Section, Sections, Text, Texts,
    },
    NAME, PATH, PEM, PROBE, SERVICE, STATUSES, Short, TIMEOUT, VALUE,
};

const HEADERS: Kind = Pairs("header name", "value");
const NO_EDIT: Fallback = Absent("no change");
const NO_CONDITION: Fallback = Absent("no condition");
/// Between two checks of an endpoint: a tenth of a second to a day.
const INTERVAL: Kind = Duration(100, 24 * 3_600_000);
const TEMPLATE: Kind = Text("a path with placeholders such as `/new/{id}/{**}`");
const ONE_ACTION: Fallback = Absent("one of `to`, `split`, `redirect`, `respond` is required");

pub(super) const KEYS: &[Key] = &[
    Key::new("upstreams", Named, Absent("none"), "Groups of endpoints, by name."),
    Key::new(
        "upstreams.*.endpoints",
        Sections,
        Required,
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
        Choice(&["p2c", "peak_ewma", "prequal", "least_request", "round_robin", "random"]),
        Is("p2c"),
        "How an endpoint is chosen.",
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
        "upstreams.*.slow_start",
        TIMEOUT,
        Absent("the whole share at once"),
        "For how long an endpoint's share grows, from a tenth, after it came back or was added by \
         a reload.",
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
        "upstreams.*.connect_timeout",
        TIMEOUT,
        Is("1s"),
        "From the name look-up to the end of the TLS handshake, or to the first HTTP/2 SETTINGS.",
    ),
    Key::new(
        "routes",
        Sections,
        Absent("every request is answered 404"),
        "What happens to requests: the most specific host wins, then the longest path, then the \
         most conditions, then the first in the file.",
    ),
    Key::new(
        "routes[].name",
        Text(NAME),
        Absent("`route-N` by place in the file"),
        "Name in logs and metrics; unique.",
    ),
    Key::new("routes[].match", Section, Below, "Conditions; all must hold.")
        .or(&[Short::For("path")]),
    Key::new("routes[].match.host", Text(HOST), Absent("any host"), "Host without port."),
    Key::new("routes[].match.path", Text(PATH), Is("/**"), "Path, never the query."),
    Key::new(
        "routes[].match.methods",
        Texts("an HTTP method"),
        Absent("any method"),
        "Methods; what takes GET takes HEAD too. CONNECT is refused where it is not named; named, \
         it becomes a tunnel of bytes to an endpoint.",
    ),
    Key::new(
        "routes[].match.headers",
        Pairs("header name", VALUE),
        NO_CONDITION,
        "Header fields that must be there.",
    ),
    Key::new(
        "routes[].match.query",
        Pairs("parameter", VALUE),
        NO_CONDITION,
        "Query parameters that must be there.",
    ),
    Key::new(
        "routes[].to",
        Text("the name of an upstream"),
        ONE_ACTION,
        "Upstream that serves the route.",
    ),
    Key::new(
        "routes[].split",
        Pairs("upstream", "weight from 0 to 1000000"),
        ONE_ACTION,
        "Upstreams and their shares of the requests.",
    ),
    Key::new("routes[].redirect", Section, ONE_ACTION, "Answers with a Location.")
        .or(&[Short::For("to")]),
    Key::new(
        "routes[].redirect.to",
        Text("a URL or path with placeholders"),
        Required,
        "Target; `{scheme}`, `{host}`, `{path}`, `{query}` and what the match names are filled in.",
    ),
    Key::new(
        "routes[].redirect.status",
        Choice(&["301", "302", "303", "307", "308"]),
        Is("308"),
        "Status of the redirect.",
    ),
    Key::new("routes[].respond", Section, ONE_ACTION, "Answers at once.")
        .or(&[Short::For("status")]),
    Key::new("routes[].respond.status", Count(200, 599), Is("200"), "Status."),
    Key::new("routes[].respond.body", Text("a text"), Is(""), "Body."),
    Key::new(
        "routes[].respond.headers",
        HEADERS,
        Absent("`content-type: text/plain; charset=utf-8` when there is a body"),
        "Header fields.",
    ),
    Key::new(
        "routes[].strip_prefix",
        Text("a path such as `/v1`"),
        Absent("the path is kept"),
        "Dropped from the path where it starts with it, at a segment's border.",
    ),
    Key::new(
        "routes[].rewrite",
        TEMPLATE,
        Absent("the path is kept"),
        "New path, built from what the match names; `{**}` is the rest. The query is kept.",
    ),
    Key::new(
        "routes[].set_host",
        Text("a host name, maybe with a port"),
        Absent("the client's host is kept"),
        "Host sent upstream.",
    ),
    Key::new(
        "routes[].headers",
        Section,
        Below,
        "Edits of header fields: remove, then set, then add.",
    ),
    Key::new("routes[].headers.request", Section, Below, "Towards the upstream."),
    Key::new("routes[].headers.request.set", HEADERS, NO_EDIT, "Replaced or inserted."),
    Key::new("routes[].headers.request.add", HEADERS, NO_EDIT, "Appended; a value may be a list."),
    Key::new("routes[].headers.request.remove", Texts("a header name"), NO_EDIT, "Dropped."),
    Key::new("routes[].headers.response", Section, Below, "Towards the client."),
    Key::new("routes[].headers.response.set", HEADERS, NO_EDIT, "Replaced or inserted."),
    Key::new("routes[].headers.response.add", HEADERS, NO_EDIT, "Appended; a value may be a list."),
    Key::new("routes[].headers.response.remove", Texts("a header name"), NO_EDIT, "Dropped."),
    Key::new(
        "routes[].timeout",
        Section,
        Below,
        "Time-outs of the upstream side; a duration sets `total`, `off` takes `total` alone away.",
    )
    .or(&[Short::Off, Short::For("total")]),
    Key::new(
        "routes[].timeout.headers",
        TIMEOUT,
        Is("15s"),
        "From the request to the upstream's response head; never above a `total` when not written.",
    ),
    Key::new(
        "routes[].timeout.total",
        TIMEOUT,
        Is("60s"),
        "Of the whole exchange; WebSocket, SSE and gRPC streams are exempt.",
    )
    .or(&[Short::Off]),
    Key::new(
        "routes[].timeout.idle",
        TIMEOUT,
        Is("60s"),
        "Between two pieces of the response body, or of a tunnel.",
    ),
];
