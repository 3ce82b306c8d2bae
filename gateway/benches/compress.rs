//! What coding costs, and what it saves: `cargo bench --bench compress`.
//!
//! Bodies of JSON and HTML made from a seed; milliseconds for each MB, microseconds for each body,
//! and how many times shorter it gets. One thread, the best of a few turns.
//!
//! Then what a response under way holds, by coding and level: so much more memory the process has
//! with [`HELD`] encoders in the middle of a body, each row in a process of its own, since what one
//! leaves behind the next would use again. `cargo bench --bench compress -- memory` for that alone.
#![allow(clippy::print_stdout, reason = "a benchmark reports on stdout")]

use std::fmt::Write as _;

use weir_config::model::{Encoding, Levels};
use weir_gateway::{
    clock,
    policy::compress::encoder::{Encoder, Then},
};

const WORDS: [&str; 16] = [
    "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliet",
    "kilo", "lima", "mike", "november", "oscar", "papa",
];
/// Bytes that are coded at once, as the gateway does.
const SLICE: usize = 32 << 10;
/// Encoders that are held at a time, in the middle of a body.
const HELD: usize = 200;
/// Bytes that each of them was fed: more than any window.
const FED: usize = 512 << 10;
/// Bytes that are coded in each turn.
const TURN: usize = 4 << 20;

fn json(length: usize) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut text = String::from("{\"items\":[");
    while text.len() < length {
        let word = |rng: &mut fastrand::Rng| WORDS[rng.usize(..WORDS.len())];
        let (id, name) = (rng.u32(..), word(&mut rng));
        let (score, tag, mail) = (rng.f64() * 100.0, word(&mut rng), rng.u16(..));
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "{{\"id\":{id},\"name\":\"{name}\",\"email\":\"{name}{mail}@example.com\",\
             \"score\":{score:.3},\"tags\":[\"{tag}\"],\"note\":\""
        );
        for _ in 0..rng.usize(3..20) {
            text.push_str(word(&mut rng));
            text.push(' ');
        }
        text.push_str("\"},");
    }
    text.truncate(length);
    text.into_bytes()
}

fn html(length: usize) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(9);
    let syllables = ["ba", "ri", "to", "ne", "sha", "lu", "mi", "kor", "ven", "ta", "er", "ing"];
    let word = |rng: &mut fastrand::Rng| -> String {
        (0..rng.usize(1..5)).map(|_| syllables[rng.usize(..syllables.len())]).collect()
    };
    let words: Vec<_> = (0..4_000).map(|_| word(&mut rng)).collect();
    let mut text = String::from("<!doctype html><html><body>");
    while text.len() < length {
        let (id, link) = (rng.u16(..), rng.u16(..));
        let _ = write!(text, "<div class=\"card\" id=\"n{id}\"><a href=\"/a/{link}\">");
        for _ in 0..rng.usize(20..80) {
            // Few words are common, as in prose.
            let rank = (words.len() as f64 * rng.f64().powi(3)) as usize;
            text.push_str(&words[rank]);
            text.push(' ');
        }
        text.push_str("</a></div>\n");
    }
    text.truncate(length);
    text.into_bytes()
}

/// Codes a body, with an encoder of before where that will do; the length that comes out.
fn code(encoding: Encoding, levels: Levels, body: &[u8], kept: &mut Option<Encoder>) -> usize {
    let length = Some(body.len() as u64);
    let reset = kept.take().and_then(|mut encoder| encoder.reset(length).then_some(encoder));
    let encoder = reset.map_or_else(|| Encoder::new(encoding, levels, length), Ok);
    let Ok(mut encoder) = encoder else { return 0 };
    let mut sent = 0;
    let mut pieces = body.chunks(SLICE).peekable();
    while let Some(piece) = pieces.next() {
        let mut out = Vec::with_capacity(SLICE / 4);
        let then = if pieces.peek().is_some() { Then::More } else { Then::Finish };
        if encoder.push(piece, then, &mut out).is_err() {
            return 0;
        }
        sent += out.len();
    }
    *kept = Some(encoder);
    sent
}

fn report(name: &str, body: &[u8], encoding: Encoding, level: u32) {
    let levels = Levels { br: level, zstd: level, gzip: level };
    let turns = (TURN / body.len()).clamp(1, 400);
    let mut line = format!("{name} {:>8} {:>4} {level:>2}", body.len(), encoding.name());
    for is_kept in [false, true] {
        let (mut best, mut sent) = (u64::MAX, 0);
        for _ in 0..3 {
            let mut kept = None;
            let began = clock::now();
            for _ in 0..turns {
                if !is_kept {
                    kept = None;
                }
                sent = code(encoding, levels, body, &mut kept);
            }
            best = best.min(clock::now().nanos_since(began) / turns as u64);
        }
        let per_mb = best as f64 / body.len() as f64;
        let ratio = body.len() as f64 / sent.max(1) as f64;
        let _ = write!(line, " | {per_mb:>6.2} ms/MB {:>9.1} us", best as f64 / 1e3);
        if is_kept {
            let _ = write!(line, " kept | {ratio:>5.2} times");
        }
    }
    println!("{line}");
}

/// Memory of the process, in bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")).map(str::parse::<u64>);
    kilobytes.and_then(Result::ok).unwrap_or(0) << 10
}

/// Bytes that one encoder holds which knows the length of its body, or not.
fn held(encoding: Encoding, level: u32, length: Option<usize>) -> u64 {
    let levels = Levels { br: level, zstd: level, gzip: level };
    let body = json(length.unwrap_or(FED));
    // All but the end: what is held then is held until more comes.
    let fed = &body[..body.len() - body.len().min(SLICE) / 2];
    let mut encoders = Vec::with_capacity(HELD);
    let before = resident();
    for _ in 0..HELD {
        let length = length.map(|length| length as u64);
        let Ok(mut encoder) = Encoder::new(encoding, levels, length) else { return 0 };
        for piece in fed.chunks(SLICE) {
            let mut out = Vec::new();
            if encoder.push(piece, Then::Flush, &mut out).is_err() {
                return 0;
            }
        }
        encoders.push(encoder);
    }
    resident().saturating_sub(before) / encoders.len() as u64
}

/// The rows: codings, with the levels that are measured.
fn rows() -> [(Encoding, std::ops::RangeInclusive<u32>); 3] {
    [(Encoding::Zstd, 1..=6), (Encoding::Br, 2..=6), (Encoding::Gzip, 1..=7)]
}

/// Lengths of bodies; `None` is a stream.
const LENGTHS: [Option<usize>; 3] = [Some(20 << 10), Some(200 << 10), None];

fn report_memory() {
    let Ok(own) = std::env::current_exe() else { return };
    println!("KiB held by a response under way: of 20 KiB, of 200 KiB, of unknown length");
    for (encoding, levels) in rows() {
        for level in levels {
            let mut line = format!("{:>4} {level:>2}", encoding.name());
            for length in 0..LENGTHS.len() {
                let told = std::process::Command::new(&own)
                    .args(["held", encoding.name(), &level.to_string(), &length.to_string()])
                    .output();
                let told = told.map(|told| String::from_utf8_lossy(&told.stdout).into_owned());
                let _ = write!(line, " | {:>8}", told.as_deref().unwrap_or("?").trim());
            }
            println!("{line}");
        }
    }
}

/// One figure of [`report_memory`], in a process of its own.
fn print_held(words: &[String]) -> Option<()> {
    let [encoding, level, length] = words else { return None };
    let (encoding, _) = rows().into_iter().find(|(one, _)| one.name() == encoding)?;
    let length = LENGTHS.get(length.parse::<usize>().ok()?)?;
    println!("{}", held(encoding, level.parse().ok()?, *length) >> 10);
    Some(())
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match words.split_first() {
        Some((word, rest)) if word == "held" => {
            if print_held(rest).is_none() {
                std::process::exit(2);
            }
        }
        Some((word, _)) if word == "memory" => report_memory(),
        _ => {
            report_time();
            report_memory();
        }
    }
}

fn report_time() {
    for (name, make) in [("json", json as fn(usize) -> Vec<u8>), ("html", html)] {
        for length in [2 << 10, 20 << 10, 200 << 10, 4 << 20] {
            let body = make(length);
            for (encoding, levels) in rows() {
                for level in levels {
                    report(name, &body, encoding, level);
                }
            }
        }
    }
}
