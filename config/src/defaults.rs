//! Every key of the file: type, bounds, default and meaning, in one table.
//!
//! The decoder takes its bounds and defaults from here, the JSON Schema and the reference page are
//! printed from here. `[]` in a path is an entry of a list, `*` a name that the file chooses.

use std::{collections::HashMap, sync::LazyLock};

/// One key of the file.
#[derive(Debug)]
pub struct Key {
    /// Where it stands, such as `upstreams.*.limits.queue`.
    pub path: &'static str,
    /// What may stand there.
    pub kind: Kind,
    /// What holds when it is not written.
    pub fallback: Fallback,
    /// Shorter ways to write it.
    pub short: &'static [Short],
    /// What it means, in a sentence.
    pub meaning: &'static str,
}

/// Type of a value, with its bounds; all of them inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Count(u64, u64),
    /// A size in bytes.
    Size(u64, u64),
    /// A duration, bounds in milliseconds.
    Duration(u64, u64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Some of these words.
    Choices(&'static [&'static str]),
    /// A text; says what kind of text.
    Text(&'static str),
    /// A list of texts; says of what kind.
    Texts(&'static str),
    /// A mapping from names of one kind to values of another.
    Pairs(&'static str, &'static str),
    /// A whole number or a word.
    CountOr(u64, u64, &'static str),
    /// A text, or `{ file: path }`; never shown.
    Secret,
    /// A mapping with the keys below this path.
    Section,
    /// A list of mappings with the keys below `path[]`.
    Sections,
    /// A mapping from names to mappings with the keys below `path.*`.
    Named,
}

/// What holds when a key is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// It must be written.
    Required,
    /// Nothing does; says what that means.
    Absent(&'static str),
    /// This value.
    Is(&'static str),
    /// What the keys below say.
    Below,
}

/// A shorter way to write a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Short {
    /// `off` or `false`.
    Off,
    /// `on` or `true`: every default.
    On,
    /// A text that stands for this key of the mapping, or of an entry of the list.
    For(&'static str),
    /// A list that stands for this key of the mapping.
    ListFor(&'static str),
}

const HOUR: u64 = 3_600_000;
/// Bounds of a time-out.
const TIMEOUT: Kind = Kind::Duration(1, 24 * HOUR);
/// RFC 9113, section 6.9.1: windows hold at most 2^31 - 1 bytes.
const WINDOW_MAX: u64 = (1 << 31) - 1;

const fn key(path: &'static str, kind: Kind, fallback: Fallback, meaning: &'static str) -> Key {
    Key { path, kind, fallback, short: &[], meaning }
}

const fn short(mut key: Key, short: &'static [Short]) -> Key {
    key.short = short;
    key
}

use Fallback::{Absent, Below, Is, Required};
use Kind::{
    Choice, Choices, Count, CountOr, Flag, Named, Pairs, Secret, Section, Sections, Size, Text,
    Texts,
};

const HEADERS: Kind = Pairs("header name", "value");
const NO_EDIT: Fallback = Absent("no change");
const TEMPLATE: Kind = Text("a path with placeholders such as `/new/{id}/{**}`");

/// Every key, parents before children.
pub const KEYS: &[Key] = &[
    key("workers", CountOr(1, 1024, "auto"), Is("auto"), "Worker threads; `auto` is one per core."),
    short(
        key("admin", Section, Below, "Listener of metrics, status and the dashboard."),
        &[Short::Off],
    ),
    key("admin.bind", Text(BIND), Is("127.0.0.1:9901"), "Address of the admin listener."),
    key(
        "admin.token",
        Secret,
        Absent("no token is asked for"),
        "Bearer token that every admin request must carry.",
    ),
    short(
        key("listeners", Sections, Required, "Where traffic comes in; at least one."),
        &[Short::For("bind")],
    ),
    key("listeners[].bind", Text(BIND), Required, "Address to listen on; unique."),
    short(
        key(
            "listeners[].tls",
            Section,
            Absent("clear text"),
            "Ends TLS here; a list of `{cert, key}` pairs picks by SNI.",
        ),
        &[Short::Off, Short::ListFor("certificates")],
    ),
    key(
        "listeners[].tls.cert",
        Text(PEM),
        Absent("`certificates` says"),
        "Certificate chain, leaf first.",
    ),
    key("listeners[].tls.key", Text(PEM), Absent("`certificates` says"), "Private key of `cert`."),
    key(
        "listeners[].tls.certificates",
        Sections,
        Absent("`cert` and `key` say"),
        "Several pairs, picked by SNI; the first serves names that none covers.",
    ),
    key(
        "listeners[].tls.certificates[].cert",
        Text(PEM),
        Required,
        "Certificate chain, leaf first.",
    ),
    key("listeners[].tls.certificates[].key", Text(PEM), Required, "Private key of `cert`."),
    key(
        "listeners[].tls.client_ca",
        Text(PEM),
        Absent("clients need no certificate"),
        "Authorities that must have signed the client's certificate.",
    ),
    key(
        "listeners[].protocols",
        Choices(&["h1", "h2"]),
        Is("h1, h2"),
        "HTTP versions offered: with TLS by ALPN, without by prior knowledge.",
    ),
    key("listeners[].early_data", Flag, Is("false"), "TLS 1.3 early data (0-RTT)."),
    key(
        "listeners[].proxy_protocol",
        Flag,
        Is("false"),
        "Whether each connection begins with a PROXY protocol header, v1 or v2.",
    ),
    key(
        "listeners[].trusted_hops",
        Count(0, 32),
        Is("0"),
        "How many entries of X-Forwarded-For, from the right, proxies of ours wrote.",
    ),
    key("limits", Section, Below, "Bounds that hold for every listener."),
    key(
        "limits.connections",
        Count(1, 10_000_000),
        Is("10000"),
        "Open downstream connections, over all listeners.",
    ),
    key("limits.headers", Section, Below, "Bounds on the head of a request."),
    key(
        "limits.headers.bytes",
        Size(1 << 10, 16 << 20),
        Is("32KiB"),
        "Bytes of one request's head.",
    ),
    key("limits.headers.count", Count(1, 10_000), Is("100"), "Fields of one request's head."),
    key(
        "limits.body",
        Size(1, 1 << 50),
        Is("10MiB"),
        "Bytes of one request's body; it is streamed, not kept.",
    ),
    key("limits.h2", Section, Below, "Bounds of HTTP/2."),
    key("limits.h2.streams", Count(1, 100_000), Is("100"), "Concurrent streams of one connection."),
    key(
        "limits.h2.stream_window",
        Size(1, WINDOW_MAX),
        Is("256KiB"),
        "Flow-control window of one stream.",
    ),
    key(
        "limits.h2.connection_window",
        Size(65_535, WINDOW_MAX),
        Is("1MiB"),
        "Flow-control window of one connection.",
    ),
    key("timeouts", Section, Below, "Time-outs of the downstream side."),
    key(
        "timeouts.handshake",
        TIMEOUT,
        Is("10s"),
        "TLS handshake, PROXY header and protocol detection together.",
    ),
    key(
        "timeouts.header_read",
        TIMEOUT,
        Is("10s"),
        "From the first byte of a request's head to its last.",
    ),
    key(
        "timeouts.body_idle",
        TIMEOUT,
        Is("60s"),
        "Between two pieces of a body while the client is the slow side.",
    ),
    key("timeouts.keep_alive", TIMEOUT, Is("75s"), "Between two requests on one connection."),
    key(
        "timeouts.drain",
        TIMEOUT,
        Is("30s"),
        "How long a shutdown or a removed listener waits for requests under way.",
    ),
    key("log", Section, Below, "What is logged."),
    short(
        key(
            "log.access",
            Choice(&["json", "common", "off"]),
            Is("json"),
            "Form of the access log on stdout.",
        ),
        &[Short::Off],
    ),
    key(
        "log.level",
        Choice(&["trace", "debug", "info", "warn", "error"]),
        Is("info"),
        "Least level of the gateway's own log on stderr.",
    ),
    key("upstreams", Named, Absent("none"), "Groups of endpoints, by name."),
    short(
        key(
            "upstreams.*.endpoints",
            Sections,
            Required,
            "Addresses that serve this upstream; at least one.",
        ),
        &[Short::For("address")],
    ),
    key(
        "upstreams.*.endpoints[].address",
        Text(ADDRESS),
        Required,
        "Host and port, or a Unix socket; unique in its upstream.",
    ),
    key(
        "upstreams.*.endpoints[].weight",
        Count(1, 1000),
        Is("1"),
        "Share of the traffic relative to its siblings.",
    ),
    key(
        "upstreams.*.endpoints[].zone",
        Text("the name of a failure zone"),
        Absent("no zone"),
        "Failure zone.",
    ),
    key(
        "upstreams.*.balance",
        Choice(&["p2c", "peak_ewma", "least_request", "round_robin", "random"]),
        Is("p2c"),
        "How an endpoint is chosen.",
    ),
    key(
        "upstreams.*.protocol",
        Choice(&["h1", "h2", "auto"]),
        Is("h1"),
        "HTTP version towards the endpoints; `auto` asks by ALPN and needs `tls`.",
    ),
    short(
        key("upstreams.*.tls", Section, Absent("clear text"), "TLS towards the endpoints."),
        &[Short::Off, Short::On],
    ),
    key(
        "upstreams.*.tls.server_name",
        Text("a host name"),
        Absent("the endpoint's own host"),
        "Name sent as SNI and verified.",
    ),
    key(
        "upstreams.*.tls.ca",
        Text(PEM),
        Absent("the machine's authorities"),
        "Authorities trusted.",
    ),
    key(
        "upstreams.*.tls.cert",
        Text(PEM),
        Absent("no client certificate"),
        "Certificate presented to the upstream; needs `key`.",
    ),
    key(
        "upstreams.*.tls.key",
        Text(PEM),
        Absent("no client certificate"),
        "Private key of `cert`.",
    ),
    key(
        "upstreams.*.tls.verify",
        Flag,
        Is("true"),
        "Whether the endpoint's certificate is verified.",
    ),
    key("upstreams.*.limits", Section, Below, "Bounds of this upstream over all workers."),
    key("upstreams.*.limits.connections", Count(1, 1_000_000), Is("1024"), "Open connections."),
    key("upstreams.*.limits.requests", Count(1, 10_000_000), Is("4096"), "Requests under way."),
    key(
        "upstreams.*.limits.queue",
        Count(0, 1_000_000),
        Is("1024"),
        "Requests that wait for one of the two above; 0 turns them away at once.",
    ),
    key("upstreams.*.limits.queue_timeout", TIMEOUT, Is("1s"), "How long they wait."),
    key(
        "upstreams.*.connect_timeout",
        TIMEOUT,
        Is("1s"),
        "TCP and TLS handshake of a new connection, name look-up included.",
    ),
    key(
        "routes",
        Sections,
        Absent("every request is answered 404"),
        "What happens to requests; the most specific host, then the longest path, then the first in the file wins.",
    ),
    key(
        "routes[].name",
        Text(NAME),
        Absent("`route-N` by place in the file"),
        "Name in logs and metrics; unique.",
    ),
    short(
        key("routes[].match", Section, Below, "Conditions; all must hold."),
        &[Short::For("path")],
    ),
    key("routes[].match.host", Text(HOST), Absent("any host"), "Host without port."),
    key("routes[].match.path", Text(PATH), Is("/**"), "Path, never the query."),
    key("routes[].match.methods", Texts("an HTTP method"), Absent("any method"), "Methods."),
    key(
        "routes[].match.headers",
        Pairs("header name", VALUE),
        Absent("no condition"),
        "Header fields that must be there.",
    ),
    key(
        "routes[].match.query",
        Pairs("parameter", VALUE),
        Absent("no condition"),
        "Query parameters that must be there.",
    ),
    key(
        "routes[].to",
        Text("the name of an upstream"),
        Absent(ONE_ACTION),
        "Upstream that serves the route.",
    ),
    key(
        "routes[].split",
        Pairs("upstream", "weight from 0 to 1000000"),
        Absent(ONE_ACTION),
        "Upstreams and their shares of the requests.",
    ),
    key("routes[].redirect", Section, Absent(ONE_ACTION), "Answers with a Location."),
    key(
        "routes[].redirect.to",
        Text("a URL or path with placeholders"),
        Required,
        "Target; `{scheme}`, `{host}`, `{path}`, `{query}` and what the match names are filled in.",
    ),
    key(
        "routes[].redirect.status",
        Choice(&["301", "302", "303", "307", "308"]),
        Is("308"),
        "Status of the redirect.",
    ),
    key("routes[].respond", Section, Absent(ONE_ACTION), "Answers at once."),
    key("routes[].respond.status", Count(200, 599), Is("200"), "Status."),
    key("routes[].respond.body", Text("a text"), Is(""), "Body."),
    key(
        "routes[].respond.headers",
        HEADERS,
        Absent("`content-type: text/plain; charset=utf-8` when there is a body"),
        "Header fields.",
    ),
    key(
        "routes[].strip_prefix",
        Text("a path such as `/v1`"),
        Absent("the path is kept"),
        "Dropped from the path where it starts with it, at a segment's border.",
    ),
    key(
        "routes[].rewrite",
        TEMPLATE,
        Absent("the path is kept"),
        "New path, built from what the match names; `{**}` is the rest. The query is kept.",
    ),
    key(
        "routes[].set_host",
        Text("a host name, maybe with a port"),
        Absent("the client's host is kept"),
        "Host sent upstream.",
    ),
    key("routes[].headers", Section, Below, "Edits of header fields: remove, then set, then add."),
    key("routes[].headers.request", Section, Below, "Towards the upstream."),
    key("routes[].headers.request.set", HEADERS, NO_EDIT, "Replaced or inserted."),
    key("routes[].headers.request.add", HEADERS, NO_EDIT, "Appended; a value may be a list."),
    key("routes[].headers.request.remove", Texts("a header name"), NO_EDIT, "Dropped."),
    key("routes[].headers.response", Section, Below, "Towards the client."),
    key("routes[].headers.response.set", HEADERS, NO_EDIT, "Replaced or inserted."),
    key("routes[].headers.response.add", HEADERS, NO_EDIT, "Appended; a value may be a list."),
    key("routes[].headers.response.remove", Texts("a header name"), NO_EDIT, "Dropped."),
    short(
        key(
            "routes[].timeout",
            Section,
            Below,
            "Time-outs of the upstream side; a duration sets `total`.",
        ),
        &[Short::Off, Short::For("total")],
    ),
    key(
        "routes[].timeout.headers",
        TIMEOUT,
        Is("15s"),
        "From the request to the upstream's response head; never above a `total` when not written.",
    ),
    short(
        key(
            "routes[].timeout.total",
            TIMEOUT,
            Is("60s"),
            "Of the whole exchange; WebSocket, SSE and gRPC streams are exempt.",
        ),
        &[Short::Off],
    ),
    key(
        "routes[].timeout.idle",
        TIMEOUT,
        Is("60s"),
        "Between two pieces of the response body, or of a tunnel.",
    ),
];

/// What a listening address looks like.
pub(crate) const BIND: &str =
    "an address such as `:8080`, `127.0.0.1:8080`, `[::1]:8080` or `unix:/run/weir.sock`";
/// What an endpoint's address looks like.
pub(crate) const ADDRESS: &str =
    "an address such as `127.0.0.1:9001`, `users.internal:8080` or `unix:/run/app.sock`";
/// What the path of a PEM file looks like.
pub(crate) const PEM: &str = "the path of a PEM file, relative to this file";
/// What a name looks like.
pub(crate) const NAME: &str = "a name of letters, digits and `_ - . / :`";
/// What a host pattern looks like.
pub(crate) const HOST: &str = "a host such as `api.example.com`, `*.example.com` or `*`";
/// What a path pattern looks like.
pub(crate) const PATH: &str = "a path such as `/exact`, `/a/**`, `/users/{id}` or `~ ^/v[0-9]+/`";
/// What a condition on a value looks like.
pub(crate) const VALUE: &str = "exact value, `*` for any, or `~ regex`";
const ONE_ACTION: &str = "one of `to`, `split`, `redirect`, `respond` is required";

/// What this build cannot do yet, by place and word: a key of a section, or a value of a key.
///
/// The one list of them; a feature that gets built leaves it.
pub(crate) const UNBUILT: &[(&str, &str)] = &[
    ("", "tracing"),
    ("", "redis"),
    ("", "cache"),
    ("", "membership"),
    ("listeners[].protocols", "h3"),
    ("listeners[].early_data", "true"),
    ("upstreams.*", "discovery"),
    ("upstreams.*", "health"),
    ("upstreams.*", "outlier"),
    ("upstreams.*", "breaker"),
    ("upstreams.*", "slow_start"),
    ("upstreams.*.balance", "prequal"),
    ("upstreams.*.balance", "rendezvous"),
    ("upstreams.*.balance", "ring"),
    ("upstreams.*.balance", "maglev"),
    ("upstreams.*.protocol", "h3"),
    ("routes[]", "mirror"),
    ("routes[]", "retry"),
    ("routes[]", "rate_limit"),
    ("routes[]", "concurrency"),
    ("routes[]", "cache"),
    ("routes[]", "idempotency"),
    ("routes[]", "script"),
];

/// Whether this build knows the word there but cannot do it yet.
pub(crate) fn is_unbuilt(place: &str, word: &str) -> bool {
    UNBUILT.contains(&(place, word))
}

/// The words that [`UNBUILT`] names at a place.
pub(crate) fn unbuilt_at(place: &str) -> impl Iterator<Item = &'static str> {
    UNBUILT.iter().filter(move |(at, _)| *at == place).map(|(_, word)| *word)
}

impl Key {
    /// The last part of the path: how the key is written.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.path.rsplit_once('.').map_or(self.path, |(_, name)| name)
    }

    /// The mapping that it stands in.
    #[must_use]
    pub fn place(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(place, _)| place)
    }

    /// The text of the default; empty when it has none.
    #[must_use]
    pub fn default_text(&self) -> &'static str {
        match self.fallback {
            Is(text) => text,
            Required | Absent(_) | Below => "",
        }
    }

    /// The words that are legal, when there are few.
    #[must_use]
    pub fn words(&self) -> &'static [&'static str] {
        match self.kind {
            Choice(words) | Choices(words) => words,
            _ => &[],
        }
    }
}

/// The keys of a mapping, in the order of the table; none when there is no such place.
pub(crate) fn section(place: &str) -> &'static [&'static Key] {
    static SECTIONS: LazyLock<HashMap<&'static str, Vec<&'static Key>>> = LazyLock::new(|| {
        let mut sections: HashMap<_, Vec<_>> = HashMap::new();
        for key in KEYS {
            sections.entry(key.place()).or_default().push(key);
        }
        sections
    });
    SECTIONS.get(place).map_or(&[], Vec::as_slice)
}
