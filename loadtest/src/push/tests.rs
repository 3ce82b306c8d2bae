use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::{Arc, Mutex, mpsc},
    thread,
};

use super::*;
use crate::metrics::{Contains, Kind, TagSet, builtin};

/// What a receiver got: headers and body.
struct Got {
    head: String,
    body: Vec<u8>,
}

/// A server that answers requests with these statuses, one after another, the last for ever.
fn receiver(statuses: &[u16]) -> (String, mpsc::Receiver<Got>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/push", listener.local_addr().unwrap());
    let (tell, told) = mpsc::sync_channel(64);
    let statuses = Arc::new(Mutex::new(statuses.to_vec()));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, tell) = (stream.unwrap(), tell.clone());
            let statuses = Arc::clone(&statuses);
            thread::spawn(move || {
                let mut bytes = Vec::new();
                let mut chunk = [0; 4096];
                loop {
                    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
                    let length = |head: &str| {
                        head.lines()
                            .filter_map(|line| line.split_once(':'))
                            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                            .map_or(0, |(_, value)| value.trim().parse::<usize>().unwrap())
                    };
                    if let Some(end) = end {
                        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
                        let whole = end + 4 + length(&head);
                        if bytes.len() >= whole {
                            let body = bytes[end + 4..whole].to_vec();
                            bytes.drain(..whole);
                            let mut statuses = statuses.lock().unwrap();
                            let status =
                                if statuses.len() > 1 { statuses.remove(0) } else { statuses[0] };
                            let answer =
                                format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
                            tell.send(Got { head, body }).unwrap();
                            stream.write_all(answer.as_bytes()).unwrap();
                            continue;
                        }
                    }
                    match stream.read(&mut chunk) {
                        Ok(0) | Err(_) => return,
                        Ok(read) => bytes.extend(&chunk[..read]),
                    }
                }
            });
        }
    });
    (url, told)
}

/// A field of a message: its number, and its bytes or its eight of them or its number.
enum Field {
    Bytes(Vec<u8>),
    Number(u64),
}

impl Field {
    fn text(&self) -> String {
        match self {
            Self::Bytes(bytes) => String::from_utf8(bytes.clone()).unwrap(),
            Self::Number(number) => number.to_string(),
        }
    }

    fn double(&self) -> f64 {
        match self {
            Self::Number(bits) => f64::from_bits(*bits),
            Self::Bytes(_) => f64::NAN,
        }
    }

    fn all(&self, wanted: u32) -> Vec<Self> {
        match self {
            Self::Bytes(bytes) => decode(bytes, wanted),
            Self::Number(_) => Vec::new(),
        }
    }

    fn one(&self, wanted: u32) -> Self {
        self.all(wanted).remove(0)
    }
}

fn decode(mut bytes: &[u8], wanted: u32) -> Vec<Field> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let field = match key & 7 {
            0 => Field::Number(varint(&mut bytes)),
            1 => {
                let (eight, rest) = bytes.split_at(8);
                bytes = rest;
                Field::Number(u64::from_le_bytes(eight.try_into().unwrap()))
            }
            _ => {
                let length = varint(&mut bytes) as usize;
                let (inner, rest) = bytes.split_at(length);
                bytes = rest;
                Field::Bytes(inner.to_vec())
            }
        };
        if (key >> 3) as u32 == wanted {
            found.push(field);
        }
    }
    found
}

fn options(url: &str, protocol: Protocol) -> PushOptions {
    let (interval, headers) = (Duration::from_secs(5), vec![("X-Own".into(), "1".into())]);
    PushOptions { url: url.to_owned(), protocol, interval, headers, insecure: false }
}

fn samples(registry: &mut Registry) -> Vec<Sample> {
    let tags = TagSet::new([("name", "a"), ("group", ""), ("vu", "7"), ("odd-key", "x")]);
    let gauge = registry.define("my_gauge", Kind::Gauge, Contains::Default).unwrap();
    let one = |metric, value, seconds| {
        let tags = tags.clone();
        Sample { metric, value, at_unix: Duration::from_secs(seconds), tags }
    };
    let mut samples = vec![one(gauge, 5.0, 1000), one(gauge, 4.0, 1001)];
    for value in [1.0, 3.0] {
        samples.push(one(builtin::HTTP_REQS, 1.0, 1002));
        samples.push(one(builtin::HTTP_REQ_DURATION, value, 1002));
        samples.push(one(builtin::HTTP_REQ_FAILED, value - 1.0, 1002));
    }
    samples
}

#[test]
fn remote_write_says_what_was_counted() {
    let (url, told) = receiver(&[204]);
    let mut registry = Registry::new();
    let samples = samples(&mut registry);
    let stats = vec![crate::options::TrendStat::Max, crate::options::TrendStat::Percentile(99.9)];
    let mut push = Push::open(options(&url, Protocol::RemoteWrite { stats })).unwrap();
    push.write(&registry, &samples);
    push.finish(&registry, Duration::from_secs(1003)).unwrap();
    let got = told.recv().unwrap();
    assert!(got.head.starts_with("POST /push HTTP/1.1"), "{}", got.head);
    for header in ["Content-Encoding: snappy", "X-Own: 1", "Content-Type: application/x-protobuf"] {
        assert!(got.head.contains(header), "{}", got.head);
    }
    let body = snap::raw::Decoder::new().decompress_vec(&got.body).unwrap();
    let series: Vec<String> = decode(&body, 1)
        .iter()
        .map(|series| {
            let labels = series.all(1);
            let label = |label: &Field| format!("{}={}", label.one(1).text(), label.one(2).text());
            let labels: Vec<String> = labels.iter().map(label).collect();
            let sample = series.one(2);
            let at = sample.one(2).text();
            format!("{} {} {at}", labels.join(","), sample.one(1).double())
        })
        .collect();
    let rest = "name=a,odd_key=x";
    let mut wanted = [
        format!("__name__=k6_http_reqs_total,{rest} 2 1003000"),
        format!("__name__=k6_http_req_failed_rate,{rest} 0.5 1003000"),
        format!("__name__=k6_http_req_duration_max,{rest} 0.003 1003000"),
        format!("__name__=k6_my_gauge,{rest} 4 1003000"),
    ];
    wanted.sort();
    let mut found: Vec<_> =
        series.iter().filter(|series| !series.contains("_p999")).cloned().collect();
    found.sort();
    assert_eq!(found, wanted);
    assert_eq!(series.len(), 5, "{series:?}");
}

#[test]
fn opentelemetry_says_what_was_counted() {
    let (url, told) = receiver(&[200]);
    let mut registry = Registry::new();
    let samples = samples(&mut registry);
    let prefix = "k6.".to_owned();
    let mut push = Push::open(options(&url, Protocol::Otlp { prefix })).unwrap();
    push.write(&registry, &samples);
    push.finish(&registry, Duration::from_secs(1003)).unwrap();
    let body = Field::Bytes(told.recv().unwrap().body);
    let resource = body.one(1);
    assert_eq!(resource.one(1).one(1).one(2).one(1).text(), "weir-load");
    let metrics = resource.one(2).all(2);
    let named = |name: &str| {
        metrics.iter().find(|metric| metric.one(1).text() == name).unwrap_or_else(|| {
            let names: Vec<_> = metrics.iter().map(|metric| metric.one(1).text()).collect();
            panic!("no {name} among {names:?}")
        })
    };
    let sum = named("k6.http_reqs").one(7);
    assert_eq!((sum.one(2).text(), sum.one(3).text()), ("2".into(), "1".into()));
    let point = sum.one(1);
    assert_eq!(point.one(4).double(), 2.0);
    assert_eq!(point.one(2).text(), "1000000000000");
    assert_eq!(point.one(3).text(), "1003000000000");
    assert_eq!(point.all(7)[1].one(1).text(), "name");
    assert_eq!(named("k6.http_req_failed.occurred").one(7).one(1).one(4).double(), 1.0);
    assert_eq!(named("k6.http_req_failed.total").one(7).one(1).one(4).double(), 2.0);
    assert_eq!(named("k6.my_gauge").one(5).one(1).one(4).double(), 4.0);
    let duration = named("k6.http_req_duration");
    assert_eq!(duration.one(3).text(), "ms");
    let point = duration.one(9).one(1);
    assert_eq!((point.one(4).text(), point.one(5).double()), ("2".into(), 4.0));
    let Field::Bytes(counts) = point.one(6) else { panic!("packed") };
    let counts: Vec<u8> = counts.chunks(8).map(|eight| eight[0]).collect();
    assert_eq!(counts.len(), 20);
    assert_eq!((counts[3], counts[5], counts.iter().sum::<u8>()), (1, 1, 2), "{counts:?}");
}

#[test]
fn what_a_server_refuses_is_tried_again_or_dropped() {
    let mut registry = Registry::new();
    let samples = samples(&mut registry);
    let push = |statuses: &[u16]| {
        let (url, told) = receiver(statuses);
        let protocol = Protocol::Otlp { prefix: String::new() };
        let mut push = Push::open(options(&url, protocol)).unwrap();
        push.write(&registry, &samples);
        let ended = push.finish(&registry, Duration::from_secs(1003));
        (ended.map_err(|error| error.to_string()), told.try_iter().count())
    };
    assert_eq!(push(&[503, 429, 200]), (Ok(()), 3));
    let (refused, tries) = push(&[400]);
    let refused = refused.unwrap_err();
    assert!(refused.contains("1 of 1 pushes were lost, 0 tried again: status 400"), "{refused}");
    assert_eq!(tries, 1);
    let protocol = Protocol::RemoteWrite { stats: Vec::new() };
    let mut push = Push::open(options("http://127.0.0.1:1/", protocol)).unwrap();
    push.write(&registry, &samples);
    let error = push.finish(&registry, Duration::from_secs(1003)).unwrap_err().to_string();
    assert!(error.contains("1 of 1 pushes were lost, 3 tried again"), "{error}");
}

#[test]
fn a_script_that_makes_up_tags_is_bounded() {
    let (url, told) = receiver(&[200]);
    let registry = Registry::new();
    let protocol = Protocol::RemoteWrite { stats: Vec::new() };
    let mut push = Push::open(options(&url, protocol)).unwrap();
    let many = (0..2010).map(|n| {
        let tags = TagSet::new([("n", &*n.to_string())]);
        Sample { metric: builtin::HTTP_REQS, value: 1.0, at_unix: Duration::ZERO, tags }
    });
    push.write(&registry, &many.collect::<Vec<_>>());
    let error = push.finish(&registry, Duration::from_secs(1)).unwrap_err().to_string();
    assert!(error.contains("10 samples were of too many series"), "{error}");
    let body = snap::raw::Decoder::new().decompress_vec(&told.recv().unwrap().body).unwrap();
    assert_eq!(decode(&body, 1).len(), 2000);
}

#[test]
fn variables_say_where_and_how() {
    let of = |pairs: &'static [(&str, &str)]| {
        move |name: &str| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        }
    };
    let it = PushOptions::remote_write("", &of(&[])).unwrap();
    assert_eq!((&*it.url, it.interval.as_secs()), ("http://localhost:9090/api/v1/write", 5));
    let variables = of(&[
        ("K6_PROMETHEUS_RW_SERVER_URL", "http://p/w"),
        ("K6_PROMETHEUS_RW_TREND_STATS", "avg,p(50)"),
        ("K6_PROMETHEUS_RW_PUSH_INTERVAL", "250ms"),
        ("K6_PROMETHEUS_RW_USERNAME", "u"),
        ("K6_PROMETHEUS_RW_PASSWORD", "p"),
    ]);
    let it = PushOptions::remote_write("", &variables).unwrap();
    assert_eq!((&*it.url, it.interval.as_millis()), ("http://p/w", 250));
    assert_eq!(it.headers, [("Authorization".to_owned(), "Basic dTpw".to_owned())]);
    assert!(matches!(&it.protocol, Protocol::RemoteWrite { stats } if stats.len() == 2));
    assert_eq!(PushOptions::remote_write("http://mine/", &variables).unwrap().url, "http://mine/");
    let variables = of(&[
        ("K6_OTEL_HTTP_EXPORTER_ENDPOINT", "c:4318"),
        ("K6_OTEL_HTTP_EXPORTER_INSECURE", "true"),
        ("K6_OTEL_HEADERS", "a=b"),
    ]);
    let it = PushOptions::otlp("", &variables).unwrap();
    assert_eq!((&*it.url, it.headers.len()), ("http://c:4318/v1/metrics", 1));
    for (name, value) in [
        ("K6_PROMETHEUS_RW_TREND_STATS", "nonsense"),
        ("K6_PROMETHEUS_RW_PUSH_INTERVAL", "0s"),
        ("K6_OTEL_FLUSH_INTERVAL", "soon"),
        ("K6_OTEL_HEADERS", "nonsense"),
        ("K6_OTEL_EXPORTER_PROTOCOL", "grpc"),
    ] {
        let variable = |other: &str| (other == name).then(|| value.to_owned());
        let refused = match name.contains("OTEL") {
            true => PushOptions::otlp("", &variable),
            false => PushOptions::remote_write("", &variable),
        };
        assert!(refused.is_err(), "{name}");
    }
}

#[test]
fn the_end_of_a_run_does_not_wait_long_for_a_silent_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/push", listener.local_addr().unwrap());
    let protocol = Protocol::Otlp { prefix: String::new() };
    let mut sender = Sender::start(&options(&url, protocol)).unwrap();
    for _ in 0..3 {
        sender.send(vec![1]);
    }
    let begun = crate::clock::now();
    let told = sender.finish();
    let took = crate::clock::now() - begun;
    assert!(took < Duration::from_secs(15), "{took:?}");
    assert_eq!((told.sent, told.dropped), (0, 3), "{told:?}");
}
