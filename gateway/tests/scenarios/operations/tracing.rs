//! Spans of requests, as a collector gets them.

use std::{fs, sync::atomic::AtomicUsize, sync::atomic::Ordering, time::Duration};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{
    client::get,
    eventually,
    gateway::{Gateway, Setup},
    origin::Origin,
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// A gateway that traces this share of its requests, to a collector of ours.
fn traced(origin: &Origin, collector: &Origin, sample: &str) -> Gateway {
    let collector = collector.address;
    let more = format!(
        "tracing: {{ otlp: \"http://{collector}/otel\", sample: {sample}, service: edge, \
         headers: {{ x-token: s3cret }} }}"
    );
    Setup::to(&[origin.address]).route("name: all").top(&more).start()
}

/// A collector that takes everything.
fn collector() -> Origin {
    Origin::start(|x| {
        x.read_body()?;
        x.reply(200, "Content-Type: application/json\r\n", "{}")
    })
}

/// All spans so far.
fn spans(collector: &Origin) -> Vec<Value> {
    let requests = collector.seen_at("/otel/v1/traces").into_iter().filter(|seen| seen.complete);
    let batches = requests.map(|seen| serde_json::from_slice::<Value>(&seen.body).unwrap());
    let lists = batches.map(|batch| batch["resourceSpans"][0]["scopeSpans"][0]["spans"].clone());
    lists.flat_map(|list| list.as_array().unwrap().clone()).collect()
}

/// What the span says under this name.
fn said<'a>(span: &'a Value, key: &str) -> &'a Value {
    let pairs = span["attributes"].as_array().unwrap();
    let pair = pairs.iter().find(|pair| pair["key"] == key);
    let value = &pair.unwrap_or_else(|| panic!("no {key} in {span}"))["value"];
    value.get("stringValue").or_else(|| value.get("intValue")).unwrap()
}

#[test]
fn a_client_s_trace_goes_through_the_gateway() {
    let (origin, collector) = (Origin::echo(), collector());
    let gateway = traced(&origin, &collector, "0%");
    let sent = get("/x?q=1").replace(
        "\r\n\r\n",
        &format!("\r\ntraceparent: 00-{TRACE}-{PARENT}-01\r\ntracestate: a=b\r\n\r\n"),
    );
    gateway.client().send(sent.as_bytes()).answer("GET").unwrap();
    gateway.client().get("/untraced").unwrap();
    assert!(eventually(|| !spans(&collector).is_empty()), "no span came");

    let all = spans(&collector);
    let [span] = &all[..] else { panic!("{all:?}") };
    assert_eq!((&span["traceId"], &span["parentSpanId"]), (&TRACE.into(), &PARENT.into()));
    assert_eq!((&span["name"], &span["kind"]), (&"GET all".into(), &2.into()));
    assert_eq!(said(span, "url.path"), "/x");
    assert_eq!(said(span, "url.query"), "q=1");
    assert!(!said(span, "server.address").as_str().unwrap().contains(':'), "{span}");
    assert_eq!(said(span, "http.response.status_code"), "200");
    assert_eq!(said(span, "weir.endpoint"), &origin.address.to_string());
    let nanos = |name: &str| span[name].as_str().unwrap().parse::<u64>().unwrap();
    assert!(nanos("startTimeUnixNano") <= nanos("endTimeUnixNano"));

    let seen = &origin.seen_at("/x")[0];
    let id = span["spanId"].as_str().unwrap();
    assert_eq!(seen.all("traceparent"), [format!("00-{TRACE}-{id}-01")]);
    assert_eq!(seen.all("tracestate"), ["a=b"]);
    assert!(origin.seen_at("/untraced")[0].all("traceparent").is_empty());
    assert_eq!(gateway.access_line("/x?q=1")["trace"], TRACE);
    let batch = &collector.seen_at("/otel/v1/traces")[0];
    assert_eq!(batch.field("x-token"), Some("s3cret"));
    assert_eq!(batch.field("content-type"), Some("application/json"));
}

#[test]
fn what_its_client_does_not_record_is_passed_on_as_it_is() {
    let (origin, collector) = (Origin::echo(), collector());
    let gateway = traced(&origin, &collector, "100%");
    let context = format!("00-{TRACE}-{PARENT}-00");
    let sent = get("/x").replace("\r\n\r\n", &format!("\r\ntraceparent: {context}\r\n\r\n"));
    gateway.client().send(sent.as_bytes()).answer("GET").unwrap();
    gateway.client().get("/own").unwrap();
    assert!(eventually(|| !spans(&collector).is_empty()));
    assert_eq!(origin.seen_at("/x")[0].all("traceparent"), [context]);
    let all = spans(&collector);
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(said(&all[0], "url.path"), "/own");
    assert_eq!(all[0].get("parentSpanId"), None, "its trace begins here");
}

#[test]
fn a_refresh_beside_a_stale_answer_is_in_the_trace_of_its_request() {
    let collector = collector();
    let origin = Origin::start(|x| {
        x.read_body()?;
        x.reply(200, "Cache-Control: max-age=1, stale-while-revalidate=60\r\n", "kept")
    });
    let more = format!("tracing: {{ otlp: \"http://{}/otel\", sample: 100% }}", collector.address);
    let gateway = Setup::to(&[origin.address]).route("cache: true").top(&more).start();
    gateway.client().get("/x").unwrap();
    std::thread::sleep(Duration::from_millis(1_500));
    gateway.client().get("/x").unwrap();
    assert!(eventually(|| origin.seen_at("/x").len() == 2), "nothing was refreshed");
    assert!(eventually(|| spans(&collector).len() == 2), "a refresh has no span of its own");
    for (span, seen) in spans(&collector).iter().zip(origin.seen_at("/x")) {
        let [trace, id] = ["traceId", "spanId"].map(|name| span[name].as_str().unwrap());
        assert_eq!(seen.all("traceparent"), [format!("00-{trace}-{id}-01")]);
    }
}

#[test]
fn failures_are_errors_and_the_last_spans_leave_before_the_gateway_does() {
    let (origin, collector) = (Origin::echo(), collector());
    let dead = origin.address;
    drop(origin);
    let more = format!("tracing: {{ otlp: \"http://{}/otel\", sample: 100% }}", collector.address);
    let mut gateway = Setup::to(&[dead]).route("name: all, retry: off").top(&more).start();
    assert_eq!(gateway.client().get("/lost").unwrap().status, 502);
    gateway.signal(Signal::TERM);
    assert!(gateway.wait(Duration::from_secs(30)).unwrap().success());
    let all = spans(&collector);
    let [span] = &all[..] else { panic!("{all:?}") };
    assert_eq!(span["status"]["code"], 2, "{span}");
    assert_eq!(said(span, "error.type"), "connect_refused");
    assert_eq!(said(span, "weir.flag"), "UF");
}

#[test]
fn a_collector_that_is_away_is_tried_again_and_costs_no_request() {
    let tries = AtomicUsize::new(0);
    let collector = Origin::start(move |x| {
        x.read_body()?;
        match tries.fetch_add(1, Ordering::Relaxed) {
            0 => x.reply(503, "", "later"),
            _ => x.reply(200, "", "{}"),
        }
    });
    let origin = Origin::echo();
    let gateway = traced(&origin, &collector, "100%");
    assert_eq!(gateway.client().get("/x").unwrap().status, 200);
    let sent = || gateway.admin("GET", "/metrics").text().contains("{outcome=\"sent\"} 1");
    assert!(eventually(sent), "{}", gateway.log());
    assert_eq!(collector.seen_at("/otel").len(), 2);
    assert!(eventually(|| gateway.log().contains("takes spans again")), "{}", gateway.log());
    let log = gateway.log();
    assert!(log.contains("does not take spans") && log.contains("status 503"), "{log}");
}

#[test]
fn tracing_begins_and_ends_with_the_file_and_its_token_never_shows() {
    let (origin, collector) = (Origin::echo(), collector());
    let gateway = traced(&origin, &collector, "100%");
    assert!(!gateway.admin("GET", "/config").text().contains("s3cret"));
    super::rewrite(&gateway, "sample: 100%", "sample: 0%");
    let reloaded = || gateway.log().contains("configuration reloaded");
    assert!(eventually(reloaded));
    gateway.client().get("/quiet").unwrap();
    let text = fs::read_to_string(&gateway.file).unwrap();
    assert!(text.contains("sample: 0%"));
    assert!(gateway.access_line("/quiet").get("trace").is_none());
    assert!(spans(&collector).is_empty());
}
