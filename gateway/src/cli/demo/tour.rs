//! What there is to try in the demonstration: a feature is a row.

/// Something to try.
#[derive(Debug)]
pub(super) struct Exhibit {
    /// Entries of `routes` that it needs, each on one line.
    pub(super) routes: &'static [&'static str],
    /// For a shell; `GATEWAY` and `ADMIN` stand for the addresses.
    pub(super) command: &'static str,
    /// What one will see.
    pub(super) shows: &'static str,
}

const HEADERS: &str = "{ name: headers, match: /headers, to: colours, headers: { \
    request: { set: { x-demo: \"1\" } }, response: { set: { server: weir } } } }";

const LIMITED: &str = "{ name: limited, match: /limited, to: colours, \
    rate_limit: { name: per-client, rate: 3/m } }";

const ONCE: &str = "{ name: once, match: /pay, to: colours, idempotency: true }";

pub(super) const EXHIBITS: &[Exhibit] = &[
    Exhibit {
        routes: &["{ name: all, match: \"/**\", to: colours }"],
        command: "curl -s 'http://GATEWAY/hello?n=[1-8]'",
        shows: "both services answer: of two endpoints drawn at random, the less busy one",
    },
    Exhibit {
        routes: &["{ name: slow, match: /slow, to: colours, timeout: { headers: 500ms } }"],
        command: "curl -si 'http://GATEWAY/{fail,slow}'",
        shows: "one service hangs up (502), one is too slow (504): Proxy-Status tells which",
    },
    Exhibit {
        routes: &[],
        command: "curl -si --http2-prior-knowledge -d ping http://GATEWAY/echo",
        shows: "HTTP/2 on the same port, HTTP/1.1 to the service; the body comes back",
    },
    Exhibit {
        routes: &[],
        command: "curl -sN http://GATEWAY/stream",
        shows: "server-sent events, passed on one by one as they come",
    },
    Exhibit {
        routes: &[HEADERS],
        command: "curl -si -H 'X-Forwarded-For: 8.8.8.8' http://GATEWAY/headers",
        shows: "what the service is sent: x-demo by the route, X-Forwarded-For not as forged",
    },
    Exhibit {
        routes: &[
            "{ name: moved, match: \"/old/**\", redirect: \"/fixed\" }",
            "{ name: fixed, match: /fixed, \
             respond: { status: 200, body: \"no service asked\\n\" } }",
        ],
        command: "curl -siL http://GATEWAY/old/page",
        shows: "a redirect, and a response that the route itself holds",
    },
    Exhibit {
        routes: &[LIMITED],
        command: "curl -si 'http://GATEWAY/limited?n=[1-4]'",
        shows: "three a minute for each client: RateLimit counts down, the fourth is a 429",
    },
    Exhibit {
        routes: &[ONCE],
        command: "curl -si -d pay=5 -H 'Authorization: me' -H 'Idempotency-Key: k1' \
                  http://GATEWAY/pay http://GATEWAY/pay",
        shows: "one payment, though it was sent twice: the second answer is the first, replayed",
    },
    Exhibit {
        routes: &[],
        command: "curl -si -d pay=6 -H 'Authorization: me' -H 'Idempotency-Key: k1' \
                  http://GATEWAY/pay",
        shows: "another payment under the same key is none: 422, and no service is asked",
    },
    Exhibit {
        routes: &["{ name: news, match: /news, to: colours, cache: true }"],
        command: "curl -si http://GATEWAY/news http://GATEWAY/news",
        shows: "the second answer is the first, from memory: see Cache-Status and Age",
    },
    Exhibit {
        routes: &[],
        command: "curl -s -X POST 'http://ADMIN/cache/purge?tag=news&soft=1'; \
                  curl -si http://GATEWAY/news",
        shows: "what has the tag is stale now: it is still the answer while a new one is fetched",
    },
    Exhibit {
        routes: &[],
        command: "curl -s -X POST 'http://ADMIN/cache/purge?tag=news'; \
                  curl -si http://GATEWAY/news",
        shows: "now it is gone: a service is asked again",
    },
    Exhibit {
        routes: &[],
        command: "curl -s http://ADMIN/metrics",
        shows: "what was counted, for Prometheus",
    },
    Exhibit {
        routes: &[],
        command: "curl -s -X POST http://ADMIN/reload",
        shows: "loads the configuration again, as SIGHUP does; no connection is dropped",
    },
];
