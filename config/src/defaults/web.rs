//! Keys of what routes do for browsers, and with codings of bodies.

use super::{
    Fallback::{self, Absent, Below, Is, Required},
    Key,
    Kind::{Choice, Choices, Count, Duration, Flag, Section, Size, Text, Texts},
    MEDIA_RANGE, ORIGIN, Short,
};

/// What stands in a field.
const VALUE: &str = "the value of the field";
const SILENT: Fallback = Absent("it is not said");
const AS_THEY_COME: Fallback = Absent("bodies pass as they come");

pub(super) const ROUTE: &[Key] = &[
    Key::new(
        "routes[].cors",
        Section,
        Absent("what the upstream says of it passes"),
        "Lets pages of other origins read the answers, the gateway's own errors as well; what the \
         upstream says of it is replaced. Preflights are answered here.",
    )
    .or(&[Short::Off, Short::For("origins"), Short::ListFor("origins")]),
    Key::new(
        "routes[].cors.origins",
        Texts(ORIGIN),
        Required,
        "Whose pages; a regular expression must match all of an origin. `*` alone is anybody.",
    ),
    Key::new(
        "routes[].cors.methods",
        Texts("an HTTP method"),
        Is("GET, HEAD, POST, PUT, PATCH, DELETE"),
        "Methods that they may use.",
    ),
    Key::new(
        "routes[].cors.headers",
        Texts("a header name"),
        Is("authorization, content-type"),
        "Request headers that they may send, beside those that need no leave; `*` is any.",
    ),
    Key::new(
        "routes[].cors.expose",
        Texts("a header name"),
        Absent("none but those that need no leave"),
        "Response headers that they may read; `*` is any, where no credentials are sent.",
    ),
    Key::new(
        "routes[].cors.credentials",
        Flag,
        Is("false"),
        "Whether they may send cookies and be shown what comes back; never with `origins: \"*\"`.",
    ),
    Key::new(
        "routes[].cors.max_age",
        Duration(0, 24 * 3_600_000),
        Is("10m"),
        "How long a browser may remember the answer to a preflight; it may forget it sooner.",
    ),
    Key::new(
        "routes[].cors.private_network",
        Flag,
        Is("false"),
        "Whether pages of public sites may reach this gateway at a private address.",
    ),
    Key::new(
        "routes[].security_headers",
        Section,
        Absent("none are added"),
        "Adds fields that tell browsers what not to do, where the upstream says nothing of it.",
    )
    .or(&[Short::Off, Short::On]),
    Key::new(
        "routes[].security_headers.hsts",
        Text(VALUE),
        Is("max-age=31536000"),
        "`Strict-Transport-Security`; only over TLS.",
    )
    .or(&[Short::Off]),
    Key::new(
        "routes[].security_headers.nosniff",
        Flag,
        Is("true"),
        "Whether `X-Content-Type-Options: nosniff` is said.",
    ),
    Key::new(
        "routes[].security_headers.frame_options",
        Choice(&["deny", "sameorigin", "off"]),
        Is("sameorigin"),
        "`X-Frame-Options`: which pages may show it in a frame. `frame-ancestors` of a \
         `Content-Security-Policy` counts more.",
    ),
    Key::new(
        "routes[].security_headers.referrer_policy",
        Text(VALUE),
        Is("strict-origin-when-cross-origin"),
        "`Referrer-Policy`.",
    )
    .or(&[Short::Off]),
    Key::new(
        "routes[].security_headers.permissions_policy",
        Text(VALUE),
        Is("camera=(), geolocation=(), microphone=()"),
        "`Permissions-Policy`.",
    )
    .or(&[Short::Off]),
    Key::new(
        "routes[].security_headers.content_security_policy",
        Text(VALUE),
        SILENT,
        "`Content-Security-Policy`.",
    )
    .or(&[Short::Off]),
    Key::new(
        "routes[].security_headers.cross_origin_opener_policy",
        Text(VALUE),
        SILENT,
        "`Cross-Origin-Opener-Policy`.",
    )
    .or(&[Short::Off]),
    Key::new(
        "routes[].security_headers.cross_origin_resource_policy",
        Text(VALUE),
        SILENT,
        "`Cross-Origin-Resource-Policy`.",
    )
    .or(&[Short::Off]),
    Key::new(
        "routes[].security_headers.replace",
        Flag,
        Is("false"),
        "Whether they replace what the upstream says of the same.",
    ),
    Key::new(
        "routes[].compress",
        Section,
        AS_THEY_COME,
        "Codes the bodies of responses for clients that take it, streams included.",
    )
    .or(&[Short::Off, Short::On]),
    Key::new(
        "routes[].compress.types",
        Texts(MEDIA_RANGE),
        Is("text/*, application/json, application/*+json, application/javascript, \
            application/xml, application/*+xml, application/wasm, image/svg+xml, font/otf, \
            font/ttf, application/vnd.ms-fontobject"),
        "Media types whose bodies become shorter by it.",
    ),
    Key::new(
        "routes[].compress.min_size",
        Size(0, 1 << 30),
        Is("1KiB"),
        "Shorter bodies are left as they are; those of unknown length are not.",
    ),
    Key::new(
        "routes[].compress.encodings",
        Choices(&["zstd", "br", "gzip"]),
        Absent("zstd, br, gzip"),
        "Codings that are offered; of those that a client likes equally, the first.",
    ),
    Key::new(
        "routes[].compress.levels",
        Section,
        Below,
        "How hard each coding tries: more is smaller and slower.",
    ),
    Key::new("routes[].compress.levels.br", Count(0, 11), Is("4"), "Of Brotli."),
    Key::new("routes[].compress.levels.zstd", Count(1, 19), Is("3"), "Of Zstandard."),
    Key::new("routes[].compress.levels.gzip", Count(1, 9), Is("5"), "Of gzip."),
    Key::new(
        "routes[].compress.secrets",
        Flag,
        Is("false"),
        "Whether answers are coded to requests with `Authorization` or `Cookie`, and those that \
         set a cookie: by their length alone, an attacker who has a say in them can guess what \
         else they hold (BREACH).",
    ),
    Key::new(
        "routes[].decompress",
        Section,
        AS_THEY_COME,
        "Decodes the bodies of requests (gzip, deflate, br, zstd) for upstreams that cannot; \
         another coding is answered 415. Only a route that forwards has it.",
    )
    .or(&[Short::Off, Short::On]),
    Key::new(
        "routes[].decompress.max_size",
        Size(1, 1 << 40),
        Absent(
            "the route's `max_body` or `limits.body`, which counts the decoded body in any case",
        ),
        "Longest body once it is decoded; a longer one is answered 413.",
    ),
    Key::new(
        "routes[].decompress.max_ratio",
        Count(1, 1_000_000),
        Is("100"),
        "How many times as long a body may become, beyond its first 64KiB; more is answered 413.",
    ),
    Key::new(
        "routes[].grpc_web",
        Flag,
        Is("false"),
        "Makes calls of gRPC-Web calls of gRPC, for an upstream over HTTP/2 or HTTP/3. Only a \
         route that forwards has it.",
    ),
];
