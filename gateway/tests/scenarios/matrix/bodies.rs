//! Bodies of all sizes in both directions, with known and unknown length, and trailers.

use http::{HeaderMap, HeaderValue, Method, Request};

use super::{
    clients::Client,
    stage::{Stage, Version, ensure, head},
};

const SIZES: [usize; 4] = [0, 1, 64 << 10, 8 << 20];

fn fields(name: &'static str, value: &'static str) -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.insert(name, HeaderValue::from_static(value));
    fields
}

fn sized(mut head: Request<()>, length: usize) -> Request<()> {
    head.headers_mut().insert("content-length", length.into());
    head
}

pub(super) async fn known_requests<C: Client>(stage: &Stage<C>) -> Result<(), String> {
    for size in SIZES {
        let head = sized(head(Method::POST, &format!("/take/known/{size}")), size);
        let reply = stage.send(head, Some(size), HeaderMap::new()).await?;
        let right = reply.text == format!("{size} true known") && reply.upload.is_ok();
        ensure(right, || format!("{size}: {reply:?}"))?;
    }
    Ok(())
}

pub(super) async fn unknown_requests<C: Client>(stage: &Stage<C>) -> Result<(), String> {
    for size in SIZES {
        let head = head(Method::POST, &format!("/take/unknown/{size}"));
        let reply = stage.send(head, Some(size), HeaderMap::new()).await?;
        // An empty body may be known to be empty.
        let right = reply.text == format!("{size} true unknown")
            || size == 0 && reply.text == "0 true known";
        ensure(right, || format!("{size}: {reply:?}"))?;
    }
    Ok(())
}

pub(super) async fn known_responses<C: Client>(stage: &Stage<C>) -> Result<(), String> {
    for size in SIZES {
        let reply = stage.get(&format!("/give/{size}/known")).await?;
        let length = reply.field("content-length") == Some(&size.to_string());
        let right = reply.status == 200 && reply.length == size && reply.intact && length;
        ensure(right, || format!("{size}: {reply:?}"))?;
    }
    Ok(())
}

pub(super) async fn unknown_responses<C: Client>(stage: &Stage<C>) -> Result<(), String> {
    for size in SIZES {
        let reply = stage.get(&format!("/give/{size}/unknown")).await?;
        let right = reply.status == 200 && reply.length == size && reply.intact;
        ensure(right, || format!("{size}: {reply:?}"))?;
    }
    Ok(())
}

pub(super) async fn request_trailers<C: Client>(stage: &Stage<C>) -> Result<(), String> {
    for size in [0, 1, 100_000] {
        let path = format!("/take/trailers/{size}");
        let mut head = head(Method::POST, &path);
        head.headers_mut().insert("trailer", HeaderValue::from_static("x-in"));
        let reply = stage.send(head, Some(size), fields("x-in", "7")).await?;
        ensure(reply.text == format!("{size} true unknown"), || format!("{size}: {reply:?}"))?;
        let record = stage.ledger.over(&path).await?;
        let found = record.trailers.get("x-in").is_some_and(|value| value == "7");
        ensure(found, || format!("{size}: {record:?}"))?;
    }
    Ok(())
}

pub(super) async fn response_trailers<C: Client>(stage: &Stage<C>) -> Result<(), String> {
    for size in [0, 1, 100_000] {
        let mut head = head(Method::GET, &format!("/give/{size}/unknown/trailers"));
        head.headers_mut().insert("te", HeaderValue::from_static("trailers"));
        let reply = stage.send(head, None, HeaderMap::new()).await?;
        let right = reply.status == 200 && reply.length == size && reply.intact;
        ensure(right, || format!("{size}: {reply:?}"))?;
        let found = reply.trailers.get("x-sum").is_some_and(|value| value == "42");
        ensure(found, || format!("{size}: {reply:?}"))?;
    }
    Ok(())
}

pub(super) async fn heads_alone<C: Client>(stage: &Stage<C>) -> Result<(), String> {
    for framing in ["known", "unknown"] {
        let head = head(Method::HEAD, &format!("/give/65536/{framing}"));
        let reply = stage.send(head, None, HeaderMap::new()).await?;
        let right = reply.status == 200 && reply.length == 0;
        ensure(right, || format!("{framing}: {reply:?}"))?;
        if framing == "known" {
            ensure(reply.field("content-length") == Some("65536"), || format!("{reply:?}"))?;
        }
        stage.works().await?;
    }
    Ok(())
}

pub(super) async fn statuses_without_a_body<C: Client>(stage: &Stage<C>) -> Result<(), String> {
    let none = stage.get("/status/204").await?;
    let right = none.status == 204 && none.length == 0 && none.field("content-length").is_none();
    ensure(right && none.field("transfer-encoding").is_none(), || format!("{none:?}"))?;
    stage.works().await?;
    let same = stage.get("/status/304").await?;
    let right = same.status == 304 && same.length == 0 && same.field("etag") == Some("\"a\"");
    let length = matches!(same.field("content-length"), None | Some("99"));
    ensure(right && length, || format!("{same:?}"))?;
    stage.works().await
}

/// Messages go back and forth on one stream, and the status comes last.
pub(super) async fn grpc<C: Client>(stage: &Stage<C>) -> Result<(), String> {
    use super::{
        clients::{Download, Upload},
        stage::read_some,
    };
    let mut head = head(Method::POST, "/grpc/echo.Echo/Stream");
    let fields = head.headers_mut();
    fields.insert("content-type", HeaderValue::from_static("application/grpc"));
    fields.insert("te", HeaderValue::from_static("trailers"));
    let (mut up, mut down) = stage.client.open(head, true).await?;
    let mut response = None;
    for n in 0..3u8 {
        let message = [&[0, 0, 0, 0, 4][..], &[n; 4]].concat();
        up.write(message.clone().into()).await?;
        if response.is_none() {
            response = Some(down.head().await?.0);
        }
        let back = read_some(&mut down, message.len()).await?;
        ensure(back == message, || format!("message {n}: {back:?}"))?;
    }
    up.end(HeaderMap::new()).await?;
    ensure(down.piece().await?.is_none_or(|rest| rest.is_empty()), || "more".to_owned())?;
    let trailers = down.trailers().await?;
    let status = trailers.get("grpc-status").is_some_and(|status| status == "0");
    ensure(status && trailers.contains_key("grpc-message"), || format!("{trailers:?}"))?;
    let response = response.unwrap();
    ensure(response.headers()["content-type"] == "application/grpc", || format!("{response:?}"))?;
    let record = stage.ledger.over("/grpc/echo.Echo/Stream").await?;
    let te = record.head.headers().get("te").is_some_and(|te| te == "trailers");
    // HTTP/1.1 has it for the hop alone (RFC 9110 10.1.4), and the gateway takes trailers anyway.
    ensure(te == (stage.up != Version::H1) && record.complete, || format!("{record:?}"))
}
