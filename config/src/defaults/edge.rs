//! Keys of the gateway as a whole and of its listeners.

use super::{
    BIND,
    Fallback::{Absent, Below, Is, Required},
    Key,
    Kind::{
        Choice, Choices, Count, CountOr, Duration, Flag, Secret, Section, Sections, Size, SizeOr,
        Text, Texts,
    },
    PEM, REDIS, Short, TIMEOUT,
};

/// RFC 9113, section 6.9.1: windows hold at most 2^31 - 1 bytes. QUIC's could hold more.
const WINDOW_MAX: u64 = (1 << 31) - 1;

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "workers",
        CountOr(1, 1024, "auto"),
        Is("auto"),
        "Worker threads; `auto` is one per core.",
    ),
    Key::new("admin", Section, Below, "Listener of metrics, status and the dashboard.")
        .or(&[Short::Off]),
    Key::new("admin.bind", Text(BIND), Is("127.0.0.1:9901"), "Address of the admin listener."),
    Key::new(
        "admin.token",
        Secret,
        Absent("no token is asked for"),
        "Bearer token that every admin request must carry.",
    ),
    Key::new("listeners", Sections, Required, "Where traffic comes in; at least one.")
        .or(&[Short::For("bind")]),
    Key::new("listeners[].bind", Text(BIND), Required, "Address to listen on; unique."),
    Key::new(
        "listeners[].tls",
        Section,
        Absent("clear text"),
        "Ends TLS here; a list of `{cert, key}` pairs picks by SNI.",
    )
    .or(&[Short::Off, Short::ListFor("certificates")]),
    Key::new(
        "listeners[].tls.cert",
        Text(PEM),
        Absent("`certificates` says"),
        "Certificate chain, leaf first.",
    ),
    Key::new(
        "listeners[].tls.key",
        Text(PEM),
        Absent("`certificates` says"),
        "Private key of `cert`.",
    ),
    Key::new(
        "listeners[].tls.certificates",
        Sections,
        Absent("`cert` and `key` say"),
        "Several pairs, picked by SNI; the first serves names that none covers.",
    ),
    Key::new(
        "listeners[].tls.certificates[].cert",
        Text(PEM),
        Required,
        "Certificate chain, leaf first.",
    ),
    Key::new("listeners[].tls.certificates[].key", Text(PEM), Required, "Private key of `cert`."),
    Key::new(
        "listeners[].tls.client_ca",
        Text(PEM),
        Absent("clients need no certificate"),
        "Authorities that must have signed the client's certificate.",
    ),
    Key::new(
        "listeners[].protocols",
        Choices(&["h1", "h2", "h3"]),
        Absent("`[h1, h2, h3]` with `tls` over TCP and without `proxy_protocol`, else `[h1, h2]`"),
        "HTTP versions offered: with TLS by ALPN, without by prior knowledge; `h3` is on the UDP \
         port of the same number and needs `tls`.",
    ),
    Key::new(
        "listeners[].early_data",
        Flag,
        Is("false"),
        "Whether HTTP/3 takes requests in TLS 1.3 early data (0-RTT): safe methods only, others \
         are answered 425; needs `tls`. TLS over TCP never takes any.",
    ),
    Key::new(
        "listeners[].alt_svc",
        CountOr(1, 65_535, "auto"),
        Is("auto"),
        "UDP port at which Alt-Svc tells clients of HTTP/1.1 and HTTP/2 to find HTTP/3; `auto` is \
         the port that is bound.",
    )
    .or(&[Short::Off]),
    Key::new(
        "listeners[].proxy_protocol",
        Flag,
        Is("false"),
        "Whether each connection begins with a PROXY protocol header, v1 or v2.",
    ),
    Key::new(
        "listeners[].trusted_hops",
        Count(0, 32),
        Is("0"),
        "How many entries of X-Forwarded-For, from the right, proxies of ours wrote.",
    ),
    Key::new("limits", Section, Below, "Bounds that hold for every listener."),
    Key::new(
        "limits.connections",
        Count(1, 10_000_000),
        Is("10000"),
        "Open downstream connections, over all listeners.",
    ),
    Key::new("limits.headers", Section, Below, "Bounds on the head of a request."),
    Key::new(
        "limits.headers.bytes",
        Size(1 << 10, 16 << 20),
        Is("32KiB"),
        "Bytes of one request's head.",
    ),
    Key::new("limits.headers.count", Count(1, 10_000), Is("100"), "Fields of one request's head."),
    Key::new(
        "limits.body",
        Size(1, 1 << 50),
        Is("10MiB"),
        "Bytes of one request's body; it is streamed, not kept.",
    ),
    Key::new("limits.h2", Section, Below, "Bounds of HTTP/2."),
    Key::new(
        "limits.h2.streams",
        Count(1, 100_000),
        Is("100"),
        "Concurrent streams of one connection.",
    ),
    Key::new(
        "limits.h2.stream_window",
        Size(1, WINDOW_MAX),
        Is("256KiB"),
        "Flow-control window of one stream.",
    ),
    Key::new(
        "limits.h2.connection_window",
        Size(65_535, WINDOW_MAX),
        Is("1MiB"),
        "Flow-control window of one connection.",
    ),
    Key::new("limits.h3", Section, Below, "Bounds of HTTP/3."),
    Key::new(
        "limits.h3.streams",
        Count(1, 100_000),
        Is("100"),
        "Concurrent requests of one connection.",
    ),
    Key::new(
        "limits.h3.stream_window",
        Size(1 << 10, WINDOW_MAX),
        Is("256KiB"),
        "Flow-control window of one stream.",
    ),
    Key::new(
        "limits.h3.connection_window",
        Size(1 << 10, WINDOW_MAX),
        Is("1MiB"),
        "Flow-control window of one connection.",
    ),
    Key::new(
        "limits.h3.half_open",
        Count(0, 1_000_000),
        Is("256"),
        "Handshakes under way per worker above which a client must prove its address (Retry); 0 \
         is always.",
    ),
    Key::new(
        "limits.memory",
        SizeOr(1 << 20, 1 << 50, "auto"),
        Is("auto"),
        "Memory that the gateway may use before it turns requests away, those of low priority \
         first; `auto` is what its control group may, or else what the machine has.",
    )
    .or(&[Short::Off]),
    Key::new(
        "limits.lag",
        Duration(1, 60_000),
        Is("100ms"),
        "Lag of a worker's event loop at which requests of low priority are turned away; those \
         of normal priority at ten times as much.",
    )
    .or(&[Short::Off]),
    Key::new(
        "limits.rate_limit_keys",
        Count(1, 100_000_000),
        Is("1000000"),
        "Keys (clients and the like) that rate limits are counted for; beyond them those whose \
         counts matter least are forgotten.",
    ),
    Key::new("timeouts", Section, Below, "Time-outs of the downstream side."),
    Key::new(
        "timeouts.handshake",
        TIMEOUT,
        Is("10s"),
        "TLS or QUIC handshake, PROXY header and protocol detection together.",
    ),
    Key::new(
        "timeouts.header_read",
        TIMEOUT,
        Is("10s"),
        "From the first byte of a request's head to its last.",
    ),
    Key::new(
        "timeouts.body_idle",
        TIMEOUT,
        Is("60s"),
        "Between two pieces of a body while the client is the slow side.",
    ),
    Key::new("timeouts.keep_alive", TIMEOUT, Is("75s"), "Between two requests on one connection."),
    Key::new(
        "timeouts.drain",
        TIMEOUT,
        Is("30s"),
        "How long a shutdown or a removed listener waits for requests under way.",
    ),
    Key::new("log", Section, Below, "What is logged."),
    Key::new(
        "log.access",
        Choice(&["json", "common", "off"]),
        Is("json"),
        "Form of the access log on stdout.",
    )
    .or(&[Short::Off]),
    Key::new(
        "log.level",
        Choice(&["trace", "debug", "info", "warn", "error"]),
        Is("info"),
        "Least level of the gateway's own log on stderr.",
    ),
    Key::new(
        "redis",
        Section,
        Absent("nothing is shared with other gateways"),
        "Servers on which gateways keep what they share, such as limits with `store: redis`.",
    )
    .or(&[Short::Off, Short::For("url")]),
    Key::new("redis.url", Text(REDIS), Absent("`urls` says"), "The server."),
    Key::new(
        "redis.urls",
        Texts(REDIS),
        Absent("`url` says"),
        "Several servers, at most 64, over which keys are spread: the same in every gateway.",
    ),
    Key::new(
        "redis.cluster",
        Texts(REDIS),
        Absent("the servers have nothing to do with each other"),
        "Some nodes of a Redis Cluster, which tell of the others; all are spoken to with the name \
         and password of the first.",
    ),
    Key::new(
        "redis.username",
        Text("a text"),
        Absent("the URL's, or the default user"),
        "User that the servers know us by, where the URL names none; needs `password`.",
    ),
    Key::new(
        "redis.password",
        Secret,
        Absent("the URL's, or none"),
        "Password for the servers whose URL has none.",
    ),
    Key::new(
        "redis.timeout",
        Duration(1, 10_000),
        Is("20ms"),
        "How long a request waits for a server before it goes on without.",
    ),
    Key::new(
        "redis.connections",
        Count(1, 64),
        Is("1"),
        "Connections to each server, for each worker; one carries over 100,000 decisions a second.",
    ),
    Key::new(
        "redis.gateways",
        Count(1, 10_000),
        Is("1"),
        "How many gateways share the servers: what each admits by itself while it cannot reach \
         them is that part of a rate. With a `membership`, those that live count instead.",
    ),
    Key::new(
        "redis.secret",
        Secret,
        Absent("keys are hashed without a secret"),
        "Text that what clients send is hashed with to name it on the servers: the same in every \
         gateway. Without, who reads this program can make keys that collide.",
    ),
    Key::new("cache", Section, Below, "What is kept of responses, for all routes that say so.")
        .or(&[Short::Off, Short::For("memory")]),
    Key::new(
        "cache.memory",
        Size(1 << 20, 1 << 44),
        Is("256MiB"),
        "Memory that responses may take; those that were used least go first.",
    ),
];
