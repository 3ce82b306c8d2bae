//! What coding costs, and what it saves: `cargo bench --bench compress`.
//!
//! Bodies of JSON and HTML made from a seed; milliseconds for each MB, microseconds for each body,
//! and how many times shorter it gets. One thread, the best of a few turns.
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

fn main() {
    for (name, make) in [("json", json as fn(usize) -> Vec<u8>), ("html", html)] {
        for length in [2 << 10, 20 << 10, 200 << 10, 4 << 20] {
            let body = make(length);
            for (encoding, levels) in
                [(Encoding::Zstd, 1..=6), (Encoding::Br, 2..=6), (Encoding::Gzip, 1..=7)]
            {
                for level in levels {
                    report(name, &body, encoding, level);
                }
            }
        }
    }
}
