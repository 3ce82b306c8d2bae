use std::{
    io::{self, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, sync_channel},
    },
    time::Duration,
};

use proptest::prelude::*;
use serde_json::Value;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn record() -> AccessRecord<'static> {
    AccessRecord {
        unix_millis: 951_827_696_789,
        id: b"0123456789abcdef",
        trace: None,
        client: "192.0.2.7",
        method: "GET",
        host: b"api.example.com",
        path: b"/v1/users?id=7",
        protocol: "HTTP/1.1",
        status: 200,
        flag: None,
        route: Some("api"),
        upstream: Some("users"),
        endpoint: Some("127.0.0.1:9001"),
        attempts: 1,
        bytes_in: 0,
        bytes_out: 1024,
        duration_nanos: 1_234_567,
        upstream_nanos: Some(1_000_999),
        limit: None,
        limit_dry_run: None,
        limit_source: None,
        limit_delay_nanos: 0,
        trail: None,
        identity: None,
        auth: None,
        cache: None,
        idempotency: None,
        record: None,
        encoding: None,
        script: None,
    }
}

fn line(record: &AccessRecord<'_>, format: Format) -> String {
    let mut out = Vec::new();
    record.append(&mut out, format, &mut Stamp::new());
    String::from_utf8(out).unwrap()
}

#[test]
fn json_has_every_field_once_and_in_order() {
    assert_eq!(
        line(&record(), Format::Json),
        concat!(
            r#"{"time":"2000-02-29T12:34:56.789Z","id":"0123456789abcdef","client":"192.0.2.7","#,
            r#""method":"GET","host":"api.example.com","path":"/v1/users?id=7","#,
            r#""protocol":"HTTP/1.1","status":200,"route":"api","upstream":"users","#,
            r#""endpoint":"127.0.0.1:9001","attempts":1,"bytes_in":0,"bytes_out":1024,"#,
            r#""duration_ms":1.234,"upstream_ms":1.000}"#,
            "\n"
        )
    );
    let refused = AccessRecord {
        status: 404,
        flag: Some("NR"),
        route: None,
        upstream: None,
        endpoint: None,
        upstream_nanos: None,
        duration_nanos: u64::MAX,
        ..record()
    };
    let parsed: Value = serde_json::from_str(&line(&refused, Format::Json)).unwrap();
    assert_eq!((&parsed["flag"], &parsed["route"]), (&Value::from("NR"), &Value::Null));
}

#[test]
fn common_is_ncsa() {
    assert_eq!(
        line(&record(), Format::Common),
        "192.0.2.7 - - [29/Feb/2000:12:34:56 +0000] \"GET /v1/users?id=7 HTTP/1.1\" 200 1024\n"
    );
    let forged = AccessRecord { path: b"/\" 200 1\n::1 - - \xff\\", bytes_out: 0, ..record() };
    assert_eq!(
        line(&forged, Format::Common),
        "192.0.2.7 - - [29/Feb/2000:12:34:56 +0000] \
         \"GET /\\x22 200 1\\x0a::1 - - \\xff\\x5c HTTP/1.1\" 200 -\n"
    );
}

/// What a log injection would use (CVE-2024-45808): the line stays one, the value survives.
#[test]
fn hostile_values_stay_inside_their_string() {
    for hostile in [
        &b"/\",\"status\":200,\"x\":\""[..],
        b"/a\n{\"status\":200}\n",
        b"\r\n\t\0\x1b[31mred\x7f",
        b"back\\slash\\",
        "\u{2028}\u{9b}31m\u{85}\u{1F600}é".as_bytes(),
        b"\xff\xfe\xc3(\xed\xa0\x80",
        b"ends in half a character \xe2\x82",
    ] {
        let text = line(&AccessRecord { host: hostile, path: hostile, ..record() }, Format::Json);
        assert_eq!(text.matches('\n').count(), 1, "{text:?}");
        assert!(text.trim_end().chars().all(|c| !c.is_control() && c != '\u{2028}'), "{text:?}");
        let parsed: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed["path"], String::from_utf8_lossy(hostile).as_ref());
        assert_eq!(parsed["status"], 200);
        assert_eq!(parsed.as_object().unwrap().len(), 16);
    }
}

proptest! {
    #[test]
    fn any_bytes_make_one_valid_line(
        path in proptest::collection::vec(any::<u8>(), 0..64),
        route in ".*",
    ) {
        let record = AccessRecord { path: &path, id: &path, route: Some(&route), ..record() };
        let text = line(&record, Format::Json);
        prop_assert_eq!(text.matches('\n').count(), 1);
        let parsed: Value = serde_json::from_str(&text).unwrap();
        let expected = String::from_utf8_lossy(&path);
        prop_assert_eq!(&parsed["path"], expected.as_ref());
        prop_assert_eq!(&parsed["route"], &route);
        let common = line(&record, Format::Common);
        prop_assert!(common.trim_end_matches('\n').bytes().all(|b| (0x20..0x7f).contains(&b)));
        prop_assert_eq!(common.matches('"').count(), 2);
    }
}

/// Collects what is written.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink {
    fn lines(&self) -> Vec<String> {
        let bytes = self.0.lock().unwrap();
        str::from_utf8(&bytes).unwrap().lines().map(str::to_owned).collect()
    }
}

#[test]
fn what_was_accepted_is_written_before_the_end() {
    let (sink, dropped) = (Sink::default(), Arc::new(AtomicU64::new(0)));
    let writer = LogWriter::spawn(sink.clone(), 1024, Arc::clone(&dropped)).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let mut buffer = writer.buffer(Format::Json);
            scope.spawn(move || {
                for i in 0..5_000 {
                    buffer.log(&record());
                    if i % 997 == 0 {
                        buffer.flush();
                    }
                }
            });
        }
    });
    assert!(writer.close(PATIENCE));
    let lines = sink.lines();
    assert_eq!((lines.len(), dropped.load(Relaxed)), (20_000, 0));
    let expected = line(&record(), Format::Json);
    assert!(lines.iter().all(|line| *line == expected.trim_end()));
}

/// Writes only when told to; counts how often it was asked.
struct Slow(Receiver<()>, Sink, Arc<AtomicU64>);

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.2.fetch_add(1, Relaxed);
        let _ = self.0.recv();
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_slow_output_costs_lines_not_memory_nor_time() {
    let (sink, dropped) = (Sink::default(), Arc::new(AtomicU64::new(0)));
    let (go, wait) = sync_channel(0);
    let writer =
        LogWriter::spawn(Slow(wait, sink.clone(), Arc::default()), 2, Arc::clone(&dropped))
            .unwrap();
    let mut buffer = writer.buffer(Format::Common);
    for _ in 0..10 {
        buffer.log(&record());
        buffer.flush();
    }
    // One may be in the output's hands, two wait; the others are gone and counted.
    let lost = dropped.load(Relaxed);
    assert!((7..=8).contains(&lost), "{lost}");
    drop(go);
    drop(buffer);
    assert!(writer.close(PATIENCE));
    assert_eq!(sink.lines().len() as u64, 10 - lost);
}

#[test]
fn the_last_buffer_waits_for_a_slow_output() {
    let (sink, dropped) = (Sink::default(), Arc::new(AtomicU64::new(0)));
    let asked = Arc::new(AtomicU64::new(0));
    let (go, wait) = sync_channel(0);
    let slow = Slow(wait, sink.clone(), Arc::clone(&asked));
    let writer = LogWriter::spawn(slow, 1, Arc::clone(&dropped)).unwrap();
    let mut buffer = writer.buffer(Format::Common);
    buffer.log(&record());
    buffer.flush();
    while asked.load(Relaxed) == 0 {
        std::thread::yield_now();
    }
    // One is in the output's hands, one fills the channel, one is left in the buffer.
    buffer.log(&record());
    buffer.flush();
    buffer.log(&record());
    let stopping = std::thread::spawn(move || drop(buffer));
    std::thread::sleep(Duration::from_millis(30));
    drop(go);
    stopping.join().unwrap();
    assert!(writer.close(PATIENCE));
    assert_eq!((sink.lines().len(), dropped.load(Relaxed)), (3, 0));
}

struct Broken;

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_broken_output_is_counted() {
    let dropped = Arc::new(AtomicU64::new(0));
    let writer = LogWriter::spawn(Broken, 8, Arc::clone(&dropped)).unwrap();
    let mut buffer = writer.buffer(Format::Json);
    for _ in 0..3 {
        buffer.log(&record());
    }
    drop(buffer);
    assert!(writer.close(PATIENCE));
    assert_eq!(dropped.load(Relaxed), 3);
}
