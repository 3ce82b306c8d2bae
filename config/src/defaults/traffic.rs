//! Keys of traffic policies, and of files.

use super::{
    Fallback::{Absent, Is, Required},
    HASH_KEY, Key,
    Kind::{Count, Duration, Flag, Percent, Section, Size, Text, Texts},
    NETWORK, Short,
    route::ONE_ACTION,
};

const HEADER: &str = "a header name";
const UPSTREAM: &str = "the name of an upstream";
/// Longest delay that is made on purpose: an hour.
const FAULT_DELAY: super::Kind = Duration(1, 3_600_000);

/// Keys of maintenance below `$place`, of one route or of all.
macro_rules! maintenance {
    ($place:literal, $absent:literal, $meaning:literal) => {
        &[
            Key::new($place, Section, Absent($absent), $meaning).or(&[
                Short::Off,
                Short::On,
                Short::For("status"),
            ]),
            Key::new(concat!($place, ".status"), Count(400, 599), Is("503"), "Status."),
            Key::new(
                concat!($place, ".body"),
                Text("a text"),
                Absent("a line that says what is the matter"),
                "Body.",
            ),
            Key::new(
                concat!($place, ".content_type"),
                Text("a media type"),
                Is("text/plain; charset=utf-8"),
                "What the body is.",
            ),
            Key::new(
                concat!($place, ".retry_after"),
                Duration(1_000, 7 * 24 * 3_600_000),
                Absent("nothing is said of it"),
                "When clients are told to come again.",
            )
            .or(&[Short::Off]),
            Key::new(
                concat!($place, ".allow"),
                Texts(NETWORK),
                Absent("nobody"),
                "Clients that go through all the same.",
            ),
        ]
    };
}

pub(super) const ALL_ROUTES: &[Key] = maintenance!(
    "maintenance",
    "routes are open",
    "Closes every route that does not say otherwise with its own `maintenance`."
);

pub(super) const ROUTE: &[Key] = maintenance!(
    "routes[].maintenance",
    "as the file's `maintenance` says",
    "Closes the route: what it answers instead of all else. `off` keeps it open."
);

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "routes[].sticky",
        Section,
        Absent("each request goes by the shares alone"),
        "Keeps clients with one upstream of a `split`. A change of its shares moves as few of them \
         as can be.",
    )
    .or(&[Short::Off]),
    Key::new(
        "routes[].sticky.key",
        Texts(HASH_KEY),
        Absent("the `cookie` decides"),
        "What of a request decides; a request that lacks a part of it goes by the shares alone.",
    ),
    Key::new(
        "routes[].sticky.cookie",
        Text("the name of a cookie"),
        Absent("the `key` decides"),
        "Cookie that decides. The gateway gives it to clients without one, with a value that says \
         nothing.",
    ),
    Key::new(
        "routes[].sticky.age",
        Duration(1_000, 400 * 24 * 3_600_000),
        Is("7d"),
        "How long clients keep the `cookie`.",
    ),
    Key::new(
        "routes[].mirror",
        Section,
        Absent("nobody gets a copy"),
        "Sends a copy of each request that is forwarded to another upstream, and drops its answer. \
         Requests do not wait for their copies, nor fail with them. Only a route that forwards \
         has it.",
    )
    .or(&[Short::Off, Short::For("to")]),
    Key::new("routes[].mirror.to", Text(UPSTREAM), Required, "Who gets the copies."),
    Key::new(
        "routes[].mirror.sample",
        Percent,
        Is("100%"),
        "Share of the requests that is copied.",
    ),
    Key::new(
        "routes[].mirror.max_body",
        Size(0, 1 << 20),
        Is("64KiB"),
        "Bytes of a body that is copied; a request with more is not copied.",
    ),
    Key::new(
        "routes[].mirror.timeout",
        Duration(1, 3_600_000),
        Is("5s"),
        "How long a copy may take, from when it is sent to the head of its answer. The route's \
         `timeout` ends it sooner.",
    ),
    Key::new(
        "routes[].fault",
        Section,
        Absent("nothing goes wrong on purpose"),
        "Makes some requests slow or fail before they are forwarded, to see what becomes of that. \
         Only a route that forwards has it.",
    )
    .or(&[Short::Off]),
    Key::new("routes[].fault.delay", Section, Absent("no delay"), "Requests that are held back.")
        .or(&[Short::Off, Short::For("time")]),
    Key::new(
        "routes[].fault.delay.time",
        FAULT_DELAY,
        Required,
        "For how long; with `header`, the longest.",
    ),
    Key::new("routes[].fault.delay.percent", Percent, Is("100%"), "Share of the requests."),
    Key::new(
        "routes[].fault.delay.header",
        Text(HEADER),
        Absent("any request"),
        "Only requests with this header; its value may be a shorter time such as `50ms`.",
    ),
    Key::new(
        "routes[].fault.abort",
        Section,
        Absent("no request fails"),
        "Requests that are answered with an error.",
    )
    .or(&[Short::Off, Short::For("status")]),
    Key::new("routes[].fault.abort.status", Count(400, 599), Required, "Status of the error."),
    Key::new("routes[].fault.abort.percent", Percent, Is("100%"), "Share of the requests."),
    Key::new(
        "routes[].fault.abort.header",
        Text(HEADER),
        Absent("any request"),
        "Only requests with this header; its value may be another status from 400 to 599.",
    ),
    Key::new(
        "routes[].max_body",
        Size(0, 1 << 40),
        Absent("as `limits.body` says"),
        "Bytes of a request's body, whether `limits.body` is more or less.",
    ),
    Key::new(
        "routes[].files",
        Section,
        ONE_ACTION,
        "Answers with the files of a directory. With `strip_prefix` or `rewrite`, by what these \
         make of the path.",
    )
    .or(&[Short::For("root")]),
    Key::new(
        "routes[].files.root",
        Text("the path of a directory, relative to this file"),
        Required,
        "The directory. Nothing outside of it is served, wherever links lead, and nothing whose \
         name begins with a dot.",
    ),
    Key::new(
        "routes[].files.index",
        Texts("the name of a file"),
        Is("index.html"),
        "What is served of a directory: the first of these that is there; `[]` is none.",
    ),
    Key::new(
        "routes[].files.listing",
        Flag,
        Is("false"),
        "Whether a directory without any of them is listed.",
    ),
    Key::new(
        "routes[].files.fallback",
        Text("a path in the directory such as `index.html`"),
        Absent("404"),
        "File that is served, with status 200, where there is none: for applications that route by \
         themselves.",
    )
    .or(&[Short::Off]),
    Key::new(
        "routes[].files.precompressed",
        Flag,
        Is("true"),
        "Whether `FILE.br`, `FILE.zst` or `FILE.gz` beside `FILE` is served to who takes it.",
    ),
];
