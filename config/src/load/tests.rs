#![allow(clippy::unwrap_used, reason = "tests")]

use std::{fmt::Write as _, fs, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::model::{
    AccessLog, Action, AltSvc, Balance, Bind, Forward, HostMatch, Outlier, PathMatch, Probe,
    Rewrite, StatusRange, UpstreamProtocol,
};

const FULL: &str = include_str!("../../tests/full.yaml");

fn read_text(text: &str) -> Result<Loaded, Diagnostics> {
    load_str("weir.yaml", text, &|_| None)
}

fn good(text: &str) -> Config {
    read_text(text).unwrap_or_else(|wrong| panic!("{}", wrong.render())).config
}

/// Each case is a file and what is said of it; `WEIR_BLESS=1` writes what is said now.
#[test]
fn what_is_said_of_bad_files() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/diagnostics.txt");
    let cases = fs::read_to_string(path).unwrap();
    let mut now = String::new();
    for case in cases.split("=== ").skip(1) {
        let (title, rest) = case.split_once('\n').unwrap();
        let (text, _) = rest.split_once(">>>\n").unwrap();
        let said = match read_text(text) {
            Ok(loaded) => loaded.warnings.render(),
            Err(wrong) => wrong.render(),
        };
        let _ = write!(now, "=== {title}\n{text}>>>\n{said}\n");
    }
    if std::env::var_os("WEIR_BLESS").is_some() {
        fs::write(path, &now).unwrap();
    }
    similar(&fs::read_to_string(path).unwrap(), &now);
}

fn similar(expected: &str, found: &str) {
    for (number, (expected, found)) in expected.lines().zip(found.lines()).enumerate() {
        assert_eq!(found, expected, "line {} of diagnostics.txt", number + 1);
    }
    assert_eq!(expected.lines().count(), found.lines().count());
}

#[test]
fn the_shortest_file_means_the_defaults() {
    let config = good("listeners: [\":8080\"]");
    assert_eq!(config.workers, None);
    let admin = config.admin.unwrap();
    assert_eq!((admin.bind.to_string().as_str(), admin.written), ("127.0.0.1:9901", false));
    let listener = &config.listeners[0];
    assert_eq!((&listener.bind, listener.trusted_hops), (&Bind::Any(8080), 0));
    assert!(listener.protocols.h1 && listener.protocols.h2 && listener.tls.is_none());
    let limits = &config.limits;
    assert_eq!(
        (limits.connections, limits.header_bytes, limits.header_count),
        (10_000, 32768, 100)
    );
    assert_eq!((limits.body, limits.h2_streams), (10 << 20, 100));
    assert_eq!((limits.h2_stream_window, limits.h2_connection_window), (256 << 10, 1 << 20));
    let timeouts = &config.timeouts;
    assert_eq!(timeouts.handshake, Duration::from_secs(10));
    assert_eq!(timeouts.keep_alive, Duration::from_secs(75));
    assert_eq!(config.log.access, AccessLog::Json);
}

#[test]
fn upstreams_and_routes_have_their_defaults() {
    let config = good(
        "listeners: [\":8080\"]\n\
         upstreams: { api: { endpoints: [\"127.0.0.1:9001\"] } }\n\
         routes: [{ to: api }]",
    );
    let upstream = &config.upstreams[0];
    assert_eq!((upstream.balance, upstream.protocol), (Balance::P2c, UpstreamProtocol::H1));
    assert_eq!((upstream.limits.connections, upstream.limits.requests), (1024, 4096));
    assert_eq!(upstream.limits.queue_timeout, Duration::from_secs(1));
    let route = &config.routes[0];
    assert_eq!((route.name.as_str(), &route.matches.host), ("route-1", &HostMatch::Any));
    assert_eq!(route.matches.path, PathMatch::Prefix(String::new()));
    let forward = Forward { split: vec![(0, 1)], rewrite: Rewrite::Keep, host: None };
    assert_eq!(route.action, Action::Forward(forward));
    assert_eq!(route.timeout.headers, Duration::from_secs(15));
    assert_eq!(route.timeout.total, Some(Duration::from_secs(60)));
}

#[test]
fn a_timeout_bounds_the_one_for_headers() {
    let timeout = |text: &str| {
        let file = format!(
            "listeners: [\":80\"]\n\
             upstreams: {{ a: {{ endpoints: [\"a:1\"] }} }}\n\
             routes: [{{ to: a, timeout: {text} }}]"
        );
        let timeout = good(&file).routes[0].timeout;
        (timeout.headers.as_millis(), timeout.total.map(|total| total.as_millis()))
    };
    assert_eq!(timeout("15s"), (15_000, Some(15_000)));
    assert_eq!(timeout("5s"), (5_000, Some(5_000)));
    assert_eq!(timeout("5m"), (15_000, Some(300_000)));
    assert_eq!(timeout("off"), (15_000, None));
    assert_eq!(timeout("{ total: off }"), (15_000, None));
    assert_eq!(timeout("{ total: 3s }"), (3_000, Some(3_000)));
    assert_eq!(timeout("{ headers: 20s }"), (20_000, Some(60_000)));
}

#[test]
fn whatever_is_not_built_may_be_off() {
    good(
        r#"
listeners: [":8080"]
tracing: off
redis: off
cache: false
membership: off
upstreams:
  api:
    endpoints: ["127.0.0.1:9001"]
    discovery: off
    health: off
    outlier: off
    breaker: off
    slow_start: false
routes:
  - to: api
    mirror: off
    retry: off
    rate_limit: off
    concurrency: off
    cache: off
    idempotency: false
    script: off
"#,
    );
}

/// The file of the documentation with everything in it.
#[test]
fn the_whole_vocabulary_is_known() {
    let env = |name: &str| (name == "WEIR_GOSSIP_SECRET").then(|| "a secret of 16".repeat(2));
    let vocabulary = include_str!("../../tests/vocabulary.yaml");
    let config = load_str("weir.yaml", vocabulary, &env).unwrap_or_else(|e| panic!("{e}")).config;
    assert_eq!((config.listeners.len(), config.upstreams.len(), config.routes.len()), (2, 2, 1));
    assert_eq!(config.routes[0].rate_limits.len(), 1);
    let concurrency = config.routes[0].concurrency.as_ref().unwrap();
    assert_eq!((concurrency.max, concurrency.key.len()), (64, 1));
}

#[test]
fn endpoints_are_ejected_unless_that_is_off() {
    let read = |keys: &str| {
        let endpoints = "endpoints: [\"127.0.0.1:1\"]";
        let text = format!("listeners: [\":80\"]\nupstreams:\n  a: {{ {endpoints}{keys} }}\n");
        good(&text).upstreams.remove(0)
    };
    let default =
        Outlier { consecutive_failures: 5, ejection: Duration::from_secs(30), max_ejected: 0.5 };
    for keys in ["", ", outlier: on", ", outlier: {}", ", outlier: { ejection: 30s }"] {
        let upstream = read(keys);
        assert_eq!((upstream.outlier, upstream.health), (Some(default), None), "{keys}");
        assert_eq!(upstream.slow_start, None);
    }
    for keys in [", outlier: off", ", outlier: false, health: off, slow_start: off"] {
        let upstream = read(keys);
        assert_eq!((upstream.outlier, upstream.health, upstream.slow_start), (None, None, None));
    }
    assert_eq!(read(", slow_start: 10s").slow_start, Some(Duration::from_secs(10)));
    let short = read(", health: /healthz").health.unwrap();
    assert_eq!(read(", health: { path: /healthz }").health, Some(short.clone()));
    let expect = vec![StatusRange { first: 200, last: 299 }];
    assert_eq!(short.probe, Probe::Http { path: "/healthz".to_owned(), expect });
    assert_eq!((short.interval, short.timeout), (Duration::from_secs(5), Duration::from_secs(1)));
    assert_eq!((short.healthy, short.unhealthy), (2, 3));
    assert_eq!(read(", health: { tcp: true }").health.unwrap().probe, Probe::Connect);
}

#[test]
fn positions_are_those_of_the_file() {
    let config = good(FULL);
    let line = |at: At| FULL.lines().nth(at.line as usize - 1).unwrap();
    assert!(line(config.listeners[1].at).contains("[::1]:8443"));
    assert!(line(config.upstreams[1].at).contains("canary:"));
    assert!(line(config.routes[0].at).contains("name: api"));
    let endpoint = &config.upstreams[0].endpoints[1];
    assert!(line(endpoint.at)[endpoint.at.column as usize - 1..].starts_with("\"users.internal"));
    let loaded = read_text(FULL).unwrap();
    let late = loaded.error(config.listeners[1].at, "the address is in use").to_string();
    assert!(late.ends_with("|           ^^^^^^^^^^^^"), "{late}");
}

#[test]
fn errors_are_bounded_but_counted() {
    let mut text = "listeners: [\":80\"]\n".to_owned();
    for number in 0..250 {
        let _ = writeln!(text, "bad{number}: 1");
    }
    let wrong = read_text(&text).unwrap_err();
    assert_eq!((wrong.errors(), wrong.iter().count()), (250, 100));
    assert!(wrong.render().ends_with("... and 150 errors more\n250 errors\n"));
}

#[test]
fn json_has_what_people_see() {
    let wrong = read_text("listeners: [\":80\"]\nlog: { access: jsn }\n").unwrap_err().to_json();
    assert_eq!(wrong["valid"], false);
    assert_eq!((&wrong["errors"], &wrong["warnings"]), (&1.into(), &0.into()));
    let one = &wrong["diagnostics"][0];
    assert_eq!(one["severity"], "error");
    assert_eq!(
        (&one["file"], &one["line"], &one["column"]),
        (&"weir.yaml".into(), &2.into(), &16.into())
    );
    assert_eq!((&one["path"], &one["length"]), (&"log.access".into(), &3.into()));
    assert_eq!(one["hint"], "did you mean `json`?");
    assert_eq!(one["legal"].as_array().unwrap().len(), 3);
}

#[test]
fn files_start_from_their_own_directory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weir.yaml");
    fs::write(folder.path().join("token"), "s3cret\n").unwrap();
    fs::write(
        &path,
        "admin: { token: { file: token } }\n\
         listeners: [{ bind: \":1\", tls: { cert: c.pem, key: /k.pem } }]",
    )
    .unwrap();
    let config = load(&path).unwrap().config;
    assert_eq!(config.admin.unwrap().token.unwrap().0, "s3cret");
    let tls = config.listeners[0].tls.as_ref().unwrap();
    assert_eq!(tls.certificates[0].cert, folder.path().join("c.pem"));
    assert_eq!(tls.certificates[0].key, Path::new("/k.pem"));

    fs::write(&path, "admin: { token: { file: gone } }\nlisteners: [\":1\"]").unwrap();
    let wrong = load(&path).unwrap_err().render();
    assert!(wrong.contains("weir.yaml:1:25: error: cannot read"), "{wrong}");
}

#[test]
fn files_that_cannot_be_read_are_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weir.yaml");
    let said = |path: &Path| load(path).unwrap_err().render();
    assert!(said(&path).contains("weir.yaml: error: cannot read the file: No such file"));
    fs::write(&path, b"a: 1\nb: \xff").unwrap();
    assert!(said(&path).contains("not UTF-8 on line 2"));
    fs::write(&path, vec![b'#'; FILE_MAX as usize + 1]).unwrap();
    assert!(said(&path).contains("larger than 4MiB"));
}

#[test]
fn hostile_structure_is_refused() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = format!("*a{}, ", level - 1).repeat(10);
        let _ = writeln!(bomb, "a{level}: &a{level} [{below}]");
    }
    assert!(read_text(&bomb).unwrap_err().render().contains("behind aliases"));
    let deep = ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000)];
    for text in deep {
        let said = read_text(&text).unwrap_err().render();
        assert!(said.contains("nested too deeply"), "{said}");
    }
    let wide = format!("listeners: [{}]", "\":0\", ".repeat(300));
    assert!(read_text(&wide).unwrap_err().render().contains("at most 256"));
}

/// The time that this thread has spent on a processor, whatever else the machine has to do.
fn worked() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
    // Behind the name, which is in parentheses: user and system time, in hundredths.
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let times = fields.split_whitespace().skip(11).take(2);
    Duration::from_millis(times.map(|ticks| ticks.parse::<u64>().unwrap() * 10).sum())
}

#[test]
fn ten_thousand_routes_load_fast() {
    let mut text = "listeners: [\":80\"]\nupstreams:\n".to_owned();
    for number in 0..100 {
        let _ = writeln!(text, "  up{number}: {{ endpoints: [\"127.0.0.1:{}\"] }}", number + 1000);
    }
    text.push_str("routes:\n");
    for number in 0..10_000 {
        let _ = writeln!(
            text,
            "  - match: {{ host: h{number}.example.com, path: \"/svc{number}/{{id}}/**\" }}\n    \
             to: up{}\n    timeout: 5s",
            number % 100
        );
    }
    let before = worked();
    let loaded = read_text(&text).unwrap();
    let took = worked() - before;
    assert_eq!((loaded.config.routes.len(), loaded.warnings.is_empty()), (10_000, true));
    // Unoptimised; optimised it is well under a tenth of it.
    assert!(took < Duration::from_secs(10), "{took:?}");
}

proptest! {
    #[test]
    fn no_text_panics(
        text in "\\PC{0,200}|[ \\-:{}\\[\\],&*#\"'|>%@!?~a\\n\\t\\r\u{feff}\u{85}]{0,80}",
    ) {
        let _ = read_text(&text);
    }

    /// A good file with a piece of it replaced.
    #[test]
    fn no_broken_file_panics(
        start in 0..FULL.len(),
        length in 0usize..40,
        piece in "\\PC{0,8}|[ \\-:{}\\[\\],&*#\"'|>%@!?~\\n\\t]{0,8}",
    ) {
        let cut = |index: usize| FULL.floor_char_boundary(index);
        let (start, end) = (cut(start), cut(start + length));
        let text = format!("{}{piece}{}", &FULL[..start], &FULL[end.max(start)..]);
        match read_text(&text) {
            Ok(loaded) => {
                let explained = crate::explain(&loaded.config);
                prop_assert_eq!(crate::explain(&good(&explained)), explained);
            }
            Err(wrong) => {
                prop_assert!(wrong.errors() > 0);
                drop((wrong.render(), wrong.to_json()));
            }
        }
    }
}

#[test]
fn http3_is_offered_where_it_can_be() {
    let offered = |listener: &str| {
        let protocols = good(&format!("listeners: [{listener}]")).listeners[0].protocols;
        (protocols.h1, protocols.h2, protocols.h3)
    };
    let tls = "tls: { cert: a.pem, key: a.key }";
    assert_eq!(offered("\":8080\""), (true, true, false));
    assert_eq!(offered("{ bind: \":8080\", tls: off }"), (true, true, false));
    assert_eq!(offered(&format!("{{ bind: \":8443\", {tls} }}")), (true, true, true));
    let prefixed = format!("{{ bind: \":8443\", {tls}, proxy_protocol: true }}");
    assert_eq!(offered(&prefixed), (true, true, false));
    let unix = format!("{{ bind: \"unix:/run/weir.sock\", {tls} }}");
    assert_eq!(offered(&unix), (true, true, false));
    assert_eq!(
        offered(&format!("{{ bind: \":8443\", {tls}, protocols: [h1, h2] }}")),
        (true, true, false)
    );
    let alone = format!("{{ bind: \":8443\", {tls}, protocols: h3 }}");
    assert_eq!(offered(&alone), (false, false, true));
}

#[test]
fn alt_svc_is_a_port_or_a_word() {
    let read = |value: &str| {
        let tls = "tls: { cert: a.pem, key: a.key }";
        let text = format!("listeners: [{{ bind: \":8443\", {tls}, alt_svc: {value} }}]");
        good(&text).listeners[0].alt_svc
    };
    assert_eq!(read("auto"), AltSvc::Auto);
    assert_eq!(read("off"), AltSvc::Off);
    assert_eq!(read("false"), AltSvc::Off);
    assert_eq!(read("443"), AltSvc::Port(443));
}

#[test]
fn a_list_of_endpoints_is_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users.yaml");
    let read = |text: &str| {
        fs::write(&path, text).unwrap();
        load_endpoints(&path)
    };
    let endpoints = read("- \"127.0.0.1:1\"\n- { address: \"unix:a.sock\", weight: 2 }\n").unwrap();
    assert_eq!((endpoints.len(), endpoints[1].weight), (2, 2));
    let socket = dir.path().join("a.sock").display().to_string();
    assert_eq!(endpoints[1].address.to_string(), format!("unix:{socket}"));
    assert!(read("[]").unwrap().is_empty());
    for (text, says) in [
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("a: b", "expected a list of addresses"),
        ("- 5\n", ":1:3: error: expected an address"),
        ("- { address: \"a:1\", port: 2 }\n", "unknown key `port`"),
        ("- \"a:1\"\n- \"a:1\"\n", ":2:3: error: the upstream has the endpoint"),
        ("- [\n", "error"),
    ] {
        let wrong = read(text).unwrap_err().to_string();
        assert!(wrong.contains(says) && wrong.contains("users.yaml"), "{text}: {wrong}");
    }
    fs::remove_file(&path).unwrap();
    assert!(load_endpoints(&path).unwrap_err().to_string().contains("cannot read the file"));
}
