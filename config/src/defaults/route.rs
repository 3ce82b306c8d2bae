//! Keys of routes.

use super::{
    Fallback::{self, Absent, Below, Is, Required},
    HOST, Key,
    Kind::{
        self, Choice, Count, Duration, DurationOr, Flag, Pairs, Percent, Section, Sections, Size,
        Text, Texts,
    },
    NAME, PARAMETER, PATH, RETRY_ON, Short, TIMEOUT, VALUE,
};

const HEADERS: Kind = Pairs("header name", "value");
/// How long a response is kept: a second to a year.
const KEPT: Kind = Duration(1000, 365 * 24 * 3_600_000);
const NO_EDIT: Fallback = Absent("no change");
const NO_CONDITION: Fallback = Absent("no condition");
const TEMPLATE: Kind = Text("a path with placeholders such as `/new/{id}/{**}`");
pub(super) const ONE_ACTION: Fallback =
    Absent("one of `to`, `split`, `redirect`, `respond`, `files` is required");
const ONE_FALLBACK: Fallback = Absent("one of `to` and `respond` is required");
const UPSTREAM: Kind = Text("the name of an upstream");
const CONTENT_TYPE: Fallback =
    Absent("`content-type: text/plain; charset=utf-8` when there is a body");

pub(super) const KEYS: &[Key] = &[
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
    Key::new("routes[].to", UPSTREAM, ONE_ACTION, "Upstream that serves the route."),
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
    Key::new("routes[].respond.headers", HEADERS, CONTENT_TYPE, "Header fields."),
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
    Key::new(
        "routes[].retry",
        Section,
        Below,
        "Further attempts at requests that failed; never where a request that is not idempotent \
         may have been seen. Only a route that forwards has it.",
    )
    .or(&[Short::Off, Short::On, Short::For("attempts")]),
    Key::new(
        "routes[].retry.attempts",
        Count(1, 10),
        Is("2"),
        "Most attempts at one request, the first included; 1 is off.",
    ),
    Key::new(
        "routes[].retry.on",
        Texts(RETRY_ON),
        Is("connect, reset, timeout, 502, 503, 504"),
        "Which failures another attempt answers: no connection, a connection that broke before \
         the response (or an endpoint that refused the request unseen), no response head in time, \
         statuses.",
    ),
    Key::new("routes[].retry.backoff", Section, Below, "How long is waited before it."),
    Key::new(
        "routes[].retry.backoff.base",
        TIMEOUT,
        Is("25ms"),
        "Longest wait before the second attempt, doubled before each further one; how long is \
         random. Never above a `max` when not written.",
    ),
    Key::new(
        "routes[].retry.backoff.max",
        TIMEOUT,
        Is("250ms"),
        "Longest wait of all; never below a `base` when not written.",
    ),
    Key::new(
        "routes[].retry.budget",
        Section,
        Below,
        "How many there may be of them, over all requests of the route and all workers.",
    )
    .or(&[Short::For("percent")]),
    Key::new(
        "routes[].retry.budget.percent",
        Percent,
        Is("20%"),
        "Share of the requests in the window.",
    ),
    Key::new(
        "routes[].retry.budget.min_per_sec",
        Count(0, 1_000_000),
        Is("3"),
        "So many a second on top, for routes with few requests.",
    ),
    Key::new(
        "routes[].retry.budget.window",
        Duration(1000, 3_600_000),
        Is("10s"),
        "Over how long requests and retries are counted.",
    ),
    Key::new(
        "routes[].retry.attempt_timeout",
        TIMEOUT,
        Absent("as long as `timeout.headers`"),
        "How long an attempt may take to its response's head while another may follow.",
    )
    .or(&[Short::Off]),
    Key::new(
        "routes[].retry.buffer",
        Size(0, 16 << 20),
        Is("64KiB"),
        "Bytes of a request's body that are kept for another attempt; a request with more is \
         not tried again once some of it was sent.",
    ),
    Key::new(
        "routes[].retry.hedge",
        Section,
        Absent("no hedging"),
        "A second attempt on another endpoint beside a slow first one, for idempotent requests \
         without a body; it draws on the budget.",
    )
    .or(&[Short::Off, Short::On, Short::For("after")]),
    Key::new(
        "routes[].retry.hedge.after",
        DurationOr(1, 3_600_000, "p95"),
        Is("p95"),
        "When it is made; `p95` is what 95 of 100 answers of the upstream took of late.",
    ),
    Key::new(
        "routes[].fallback",
        Section,
        Absent("the error is the answer"),
        "What answers instead of a 502, 503 or 504 that the gateway would send because of its \
         upstream.",
    )
    .or(&[Short::Off, Short::For("to")]),
    Key::new("routes[].fallback.to", UPSTREAM, ONE_FALLBACK, "Another upstream, asked instead."),
    Key::new("routes[].fallback.respond", Section, ONE_FALLBACK, "A fixed answer.")
        .or(&[Short::For("status")]),
    Key::new("routes[].fallback.respond.status", Count(200, 599), Is("200"), "Status."),
    Key::new("routes[].fallback.respond.body", Text("a text"), Is(""), "Body."),
    Key::new("routes[].fallback.respond.headers", HEADERS, CONTENT_TYPE, "Header fields."),
    Key::new(
        "routes[].cache",
        Section,
        Absent("nothing is kept"),
        "Keeps responses and answers with them, by the rules of HTTP (RFC 9111). What a response \
         says of itself comes first. Only a route that forwards has it.",
    )
    .or(&[Short::Off, Short::On, Short::For("ttl")]),
    Key::new(
        "routes[].cache.ttl",
        KEPT,
        Absent("it is not used without asking the upstream"),
        "How long a response is fresh that says nothing of it.",
    )
    .or(&[Short::Off]),
    Key::new(
        "routes[].cache.heuristics",
        Flag,
        Is("false"),
        "Whether a response that says nothing of it, but when it was last modified, is fresh for \
         a tenth of its age, up to a day; before `ttl`.",
    ),
    Key::new(
        "routes[].cache.stale_while_revalidate",
        KEPT,
        Absent("not at all"),
        "How long a stale response is served while a fresh one is fetched.",
    )
    .or(&[Short::Off]),
    Key::new(
        "routes[].cache.stale_if_error",
        KEPT,
        Absent("not at all"),
        "How long a stale response is served in the place of a 500, 502, 503 or 504.",
    )
    .or(&[Short::Off]),
    Key::new(
        "routes[].cache.max_object",
        Size(1 << 10, 1 << 40),
        Is("1MiB"),
        "Fields and body of the largest response that is kept; it is bounded by `cache.memory`: a \
         thirty-second of it, more where that is below 4MiB.",
    ),
    Key::new(
        "routes[].cache.variants",
        Count(1, 1_000),
        Is("16"),
        "Most variants (by `Vary`) that are kept of one URL.",
    ),
    Key::new(
        "routes[].cache.lock_timeout",
        TIMEOUT,
        Is("5s"),
        "How long a request waits for the answer to another one that asks the same; then it goes \
         to the upstream itself.",
    ),
    Key::new(
        "routes[].cache.client_directives",
        Flag,
        Is("true"),
        "Whether the `Cache-Control` of clients may ask for fresher answers; their `no-store` \
         always counts.",
    ),
    Key::new(
        "routes[].cache.set_cookie",
        Flag,
        Is("false"),
        "Whether responses that set a cookie are kept. Everybody then gets the same cookie: never \
         where it tells clients apart.",
    ),
    Key::new(
        "routes[].cache.key",
        Section,
        Below,
        "What tells responses apart beside scheme, host, path and `Vary`.",
    ),
    Key::new(
        "routes[].cache.key.query",
        Section,
        Below,
        "The query of GET and HEAD. What is left out of it does not go upstream either.",
    ),
    Key::new(
        "routes[].cache.key.query.keep",
        Texts(PARAMETER),
        Absent("all parameters"),
        "The only parameters that are kept; `[]` is none.",
    ),
    Key::new(
        "routes[].cache.key.query.drop",
        Texts(PARAMETER),
        Absent("no parameter"),
        "Parameters that are dropped, such as `utm_*`; not beside `keep`.",
    ),
    Key::new(
        "routes[].cache.key.query.sort",
        Flag,
        Is("false"),
        "Whether parameters are put in order by their names; those of one name stay as they are.",
    ),
    Key::new(
        "routes[].cache.key.headers",
        Texts("a header name"),
        Absent("none"),
        "Fields of requests whose values tell responses apart, without `Vary` of the upstream.",
    ),
    Key::new(
        "routes[].cache.key.cookies",
        Texts("the name of a cookie"),
        Absent("none"),
        "Cookies whose values tell responses apart; other cookies go upstream as well and do not.",
    ),
    Key::new(
        "routes[].cache.key.lua",
        Texts("an expression in Lua"),
        Absent("none"),
        "Values that tell responses apart; one that is nil, or fails, keeps its request out.",
    ),
    Key::new(
        "routes[].concurrency",
        Section,
        Absent("no bound"),
        "Bounds the requests of the route that are under way; more are turned away at once.",
    )
    .or(&[Short::Off, Short::For("max")]),
    Key::new(
        "routes[].concurrency.max",
        Count(1, 10_000_000),
        Required,
        "Most requests under way, over all workers.",
    ),
    Key::new(
        "routes[].priority",
        Section,
        Below,
        "Whose requests are turned away first when not all can be served.",
    )
    .or(&[Short::For("level")]),
    Key::new(
        "routes[].priority.level",
        Choice(&["low", "normal", "high"]),
        Is("normal"),
        "How urgent its requests are.",
    ),
    Key::new(
        "routes[].priority.header",
        Text("a header name"),
        Absent("all requests have the `level`"),
        "Request header with one of these words; it can lower the level, never raise it.",
    ),
];
