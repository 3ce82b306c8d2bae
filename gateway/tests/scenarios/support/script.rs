//! What an origin of any protocol does, by path:
//!
//! | Path | |
//! |---|---|
//! | `/take...` | reads the body, answers `<length> <intact> <known or unknown>` |
//! | `/give/<length>/<known or unknown>[/trailers]` | answers with that much of the pattern |
//! | `/status/<code>` | answers with no body, an ETag and, for 304, a length |
//! | `/early` | answers before it reads, then wants no more |
//! | `/endless` | answers without end |
//! | `/swallow` | reads without answering before the end |
//! | `/deaf` | reads nothing and answers nothing |
//! | `/wait` | answers nothing, and sees the client go |
//! | `/abort/<head, known, unknown, short>` | breaks off at that place |
//! | `/abort/held` | the same, once told to by [`Ledger::release`] |
//! | `/fail/<times>/<place>...` | fails so often, after that many bytes, then does as `/take` |
//! | `/hints` | 103, then 200 |
//! | `/gather/<count>` | answers once that many wait at once |
//! | `/large` | a head of 20 KiB |
//! | `/cookies` | two Set-Cookie fields |
//! | `/grpc` | gives each piece back, then the status in trailers |
//! | any other | reads the body, answers `<method> <target>` |

use std::{future::pending, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response};

use super::{
    exchange::{Entry, Exchange, Ledger},
    pattern::Pattern,
};

const PIECE: usize = 32 * 1024;

/// Serves one request.
pub(crate) async fn play(mut x: impl Exchange, ledger: Arc<Ledger>) {
    let entry = ledger.open(x.head().clone());
    let outcome = act(&mut x, &entry, &ledger).await;
    entry.note(|record| {
        record.cut = outcome.err();
        record.over = true;
    });
}

async fn act(x: &mut impl Exchange, entry: &Entry, ledger: &Ledger) -> Result<(), String> {
    let path = x.head().uri().path().to_owned();
    let words: Vec<&str> = path.split('/').skip(1).collect();
    match words[..] {
        [first, ..] if first.starts_with("take") => take(x, entry).await,
        ["give", length, framing] => give(x, entry, length, framing, false).await,
        ["give", length, framing, "trailers"] => give(x, entry, length, framing, true).await,
        ["status", code] => status(x, entry, code).await,
        ["early", ..] => early(x).await,
        ["endless", ..] => endless(x, entry).await,
        ["swallow", ..] => {
            read(x, entry).await?;
            text(x, "swallowed").await
        }
        ["deaf", ..] => pending().await,
        ["wait", ..] => {
            x.gone().await;
            Err("gone".to_owned())
        }
        ["abort", place] => abort(x, entry, ledger, place).await,
        ["fail", times, place, ..] => {
            let attempts = ledger.seen(&path).len();
            let fails = attempts <= times.parse().unwrap();
            if fails { fail(x, entry, place).await } else { take(x, entry).await }
        }
        ["hints"] => hints(x, entry).await,
        ["gather", count, ..] => {
            read(x, entry).await?;
            let all = ledger.gather(count.parse().unwrap()).await;
            text(x, if all { "all" } else { "alone" }).await
        }
        ["large"] => large(x, entry).await,
        ["cookies"] => cookies(x, entry).await,
        ["grpc", ..] => grpc(x, entry).await,
        _ => {
            read(x, entry).await?;
            let target = x.head().uri().path_and_query().unwrap().clone();
            let line = format!("{} {target}", x.head().method());
            text(x, &line).await
        }
    }
}

async fn read(x: &mut impl Exchange, entry: &Entry) -> Result<(), String> {
    read_up_to(x, entry, usize::MAX).await?;
    let trailers = x.trailers().await?;
    entry.note(|record| {
        record.trailers = trailers;
        record.complete = true;
    });
    Ok(())
}

async fn read_up_to(x: &mut impl Exchange, entry: &Entry, most: usize) -> Result<(), String> {
    let mut pattern = Pattern::default();
    while pattern.at < most
        && let Some(piece) = x.piece().await?
    {
        let intact = pattern.check(&piece);
        entry.note(|record| {
            record.received += piece.len();
            record.intact &= intact;
        });
    }
    Ok(())
}

async fn text(x: &mut impl Exchange, text: &str) -> Result<(), String> {
    let head = Response::builder().header("content-length", text.len()).body(()).unwrap();
    let last = text.is_empty() || x.head().method() == Method::HEAD;
    x.respond(head, last).await?;
    if last {
        return Ok(());
    }
    x.write(Bytes::copy_from_slice(text.as_bytes())).await?;
    x.end(HeaderMap::new()).await
}

async fn take(x: &mut impl Exchange, entry: &Entry) -> Result<(), String> {
    read(x, entry).await?;
    let known = x.head().headers().contains_key("content-length");
    let mut line = String::new();
    entry.note(|record| {
        let framing = if known { "known" } else { "unknown" };
        line = format!("{} {} {framing}", record.received, record.intact);
    });
    text(x, &line).await
}

async fn give(
    x: &mut impl Exchange,
    entry: &Entry,
    length: &str,
    framing: &str,
    trailers: bool,
) -> Result<(), String> {
    read(x, entry).await?;
    let length: usize = length.parse().unwrap();
    let mut head = Response::new(());
    if framing == "known" {
        head.headers_mut().insert("content-length", length.into());
    }
    if trailers {
        head.headers_mut().insert("trailer", HeaderValue::from_static("x-sum"));
    }
    if x.head().method() == Method::HEAD {
        return x.respond(head, true).await;
    }
    x.respond(head, false).await?;
    let mut pattern = Pattern::default();
    while pattern.at < length {
        x.write(pattern.next(PIECE.min(length - pattern.at))).await?;
        entry.note(|record| record.sent = pattern.at);
    }
    let mut fields = HeaderMap::new();
    if trailers {
        fields.insert("x-sum", HeaderValue::from_static("42"));
    }
    x.end(fields).await
}

async fn status(x: &mut impl Exchange, entry: &Entry, code: &str) -> Result<(), String> {
    read(x, entry).await?;
    let mut head = Response::builder().status(code).header("etag", "\"a\"").body(()).unwrap();
    if code == "304" {
        head.headers_mut().insert("content-length", HeaderValue::from_static("99"));
    }
    x.respond(head, true).await
}

async fn early(x: &mut impl Exchange) -> Result<(), String> {
    text(x, "early").await?;
    x.refuse().await;
    Ok(())
}

async fn endless(x: &mut impl Exchange, entry: &Entry) -> Result<(), String> {
    read(x, entry).await?;
    x.respond(Response::new(()), false).await?;
    let mut pattern = Pattern::default();
    loop {
        x.write(pattern.next(PIECE)).await?;
        entry.note(|record| record.sent = pattern.at);
    }
}

async fn abort(
    x: &mut impl Exchange,
    entry: &Entry,
    ledger: &Ledger,
    place: &str,
) -> Result<(), String> {
    read(x, entry).await?;
    if place == "head" {
        x.abort().await;
        return Ok(());
    }
    let mut head = Response::new(());
    if matches!(place, "known" | "short") {
        head.headers_mut().insert("content-length", HeaderValue::from_static("100000"));
    }
    x.respond(head, false).await?;
    x.write(Pattern::whole(50_000)).await?;
    if place == "held" {
        ledger.held().await;
    }
    if place == "short" {
        return x.end(HeaderMap::new()).await;
    }
    x.abort().await;
    Ok(())
}

async fn fail(x: &mut impl Exchange, entry: &Entry, place: &str) -> Result<(), String> {
    match place {
        "hasty" => {
            busy(x).await?;
            // It means to read on, if the rest comes.
            let _ = read(x, entry).await;
        }
        "busy" => {
            read(x, entry).await?;
            busy(x).await?;
        }
        "end" => {
            read(x, entry).await?;
            x.abort().await;
        }
        _ => {
            read_up_to(x, entry, place.parse().unwrap()).await?;
            x.abort().await;
        }
    }
    Ok(())
}

async fn busy(x: &mut impl Exchange) -> Result<(), String> {
    let head = Response::builder().status(503).header("content-length", 4).body(()).unwrap();
    x.respond(head, false).await?;
    x.write(Bytes::from_static(b"busy")).await?;
    x.end(HeaderMap::new()).await
}

async fn hints(x: &mut impl Exchange, entry: &Entry) -> Result<(), String> {
    read(x, entry).await?;
    let link = "</a.css>; rel=preload";
    let head = Response::builder().status(103).header("link", link).body(()).unwrap();
    x.respond(head, false).await?;
    text(x, "hinted").await
}

async fn large(x: &mut impl Exchange, entry: &Entry) -> Result<(), String> {
    read(x, entry).await?;
    let mut head = Response::builder().header("content-length", "0");
    for n in 0..10 {
        head = head.header(format!("x-large-{n}"), "b".repeat(2000));
    }
    x.respond(head.body(()).unwrap(), true).await
}

async fn cookies(x: &mut impl Exchange, entry: &Entry) -> Result<(), String> {
    read(x, entry).await?;
    let head = Response::builder().header("set-cookie", "a=1; Path=/").header("set-cookie", "b=2");
    x.respond(head.header("content-length", "0").body(()).unwrap(), true).await
}

async fn grpc(x: &mut impl Exchange, entry: &Entry) -> Result<(), String> {
    let head = Response::builder()
        .header("content-type", "application/grpc")
        .header("trailer", "grpc-status, grpc-message");
    x.respond(head.body(()).unwrap(), false).await?;
    while let Some(piece) = x.piece().await? {
        entry.note(|record| record.received += piece.len());
        x.write(piece).await?;
    }
    let trailers = x.trailers().await?;
    entry.note(|record| {
        record.trailers = trailers;
        record.complete = true;
    });
    let mut status = HeaderMap::new();
    status.insert("grpc-status", HeaderValue::from_static("0"));
    status.insert("grpc-message", HeaderValue::from_static("fine%20thanks"));
    x.end(status).await
}
