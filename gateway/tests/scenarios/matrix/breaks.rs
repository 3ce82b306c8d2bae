//! Somebody breaks off: each side learns of it, and nobody else does.

use http::{HeaderMap, Method};

use super::{
    clients::{Client, Download, Upload},
    stage::{Stage, Version, ensure, head, read_some},
};
use crate::support::pattern::Pattern;

pub(super) async fn early_responses<C: Client>(stage: &Stage<C>) -> Result<(), String> {
    for n in 0..3 {
        let request = head(Method::POST, &format!("/early/{n}"));
        let reply = stage.send(request, Some(8 << 20), HeaderMap::new()).await?;
        ensure(reply.status == 200 && reply.text == "early", || format!("{reply:?}"))?;
        match stage.works().await {
            // Where nobody reads the rest of the upload, HTTP/1.1 has only the close to say so,
            // which may come when the client has sent it all: it then asks again.
            Err(_) if stage.down == Version::H1 => stage.works().await?,
            other => other?,
        }
    }
    Ok(())
}

pub(super) async fn clients_that_leave_a_response<C: Client>(
    stage: &Stage<C>,
) -> Result<(), String> {
    for n in 0..3 {
        let path = format!("/endless/{n}");
        let (up, mut down) = stage.client.open(head(Method::GET, &path), false).await?;
        down.head().await?;
        read_some(&mut down, 100_000).await?;
        up.abort();
        drop(down);
        let record = stage.ledger.over(&path).await?;
        ensure(record.cut.is_some(), || format!("{record:?}"))?;
        stage.works().await?;
    }
    Ok(())
}

pub(super) async fn clients_that_leave_an_upload<C: Client>(
    stage: &Stage<C>,
) -> Result<(), String> {
    for known in [true, false] {
        let path = format!("/swallow/{known}");
        let mut request = head(Method::POST, &path);
        if known {
            request.headers_mut().insert("content-length", 1_000_000.into());
        }
        let (mut up, down) = stage.client.open(request, true).await?;
        up.write(Pattern::whole(50_000)).await?;
        stage.ledger.when(&path, |record| record.received == 50_000).await?;
        up.abort();
        drop(down);
        let record = stage.ledger.over(&path).await?;
        ensure(record.cut.is_some() && !record.complete, || format!("{record:?}"))?;
        stage.works().await?;
    }
    Ok(())
}

/// Nothing was sent or read since the head when the client goes.
pub(super) async fn clients_that_leave_while_they_wait<C: Client>(
    stage: &Stage<C>,
) -> Result<(), String> {
    let (up, down) = stage.client.open(head(Method::GET, "/wait"), false).await?;
    stage.ledger.when("/wait", |_| true).await?;
    up.abort();
    drop(down);
    stage.ledger.over("/wait").await?;
    stage.works().await
}

pub(super) async fn origins_that_fail_before_the_head<C: Client>(
    stage: &Stage<C>,
) -> Result<(), String> {
    for target in ["/abort/head", "/abort/head?connection"] {
        let reply = stage.get(target).await?;
        let said = reply.field("proxy-status").is_some_and(|v| v.contains("error="));
        let dated = reply.field("date").is_some();
        ensure(reply.status == 502 && said && dated, || format!("{target}: {reply:?}"))?;
        stage.works().await?;
    }
    Ok(())
}

/// Whatever the origin's way of failing: no client takes half a body for a whole one.
pub(super) async fn origins_that_fail_in_the_body<C: Client>(
    stage: &Stage<C>,
) -> Result<(), String> {
    for place in ["known", "unknown", "short"] {
        for way in ["", "?connection"] {
            let target = format!("/abort/{place}{way}");
            match stage.get(&target).await {
                Err(why) if why.contains("a clean end") => return Err(format!("{target}: {why}")),
                Err(_) => {}
                // The end may overtake what came before it.
                Ok(reply) if reply.status == 502 => {}
                Ok(reply) => return Err(format!("{target} ended well: {reply:?}")),
            }
            stage.works().await?;
        }
    }
    Ok(())
}

/// All that was sent has arrived, at the end of a frame or chunk: only the way the stream ends says
/// that more was to come.
pub(super) async fn origins_that_fail_between_two_pieces<C: Client>(
    stage: &Stage<C>,
) -> Result<(), String> {
    for way in ["", "?connection"] {
        let target = format!("/abort/held{way}");
        let (_up, mut down) = stage.client.open(head(Method::GET, &target), false).await?;
        down.head().await?;
        read_some(&mut down, 50_000).await?;
        stage.ledger.release();
        let rest = down.piece().await;
        let end = if matches!(rest, Ok(None)) { down.trailers().await.map(drop) } else { Ok(()) };
        ensure(rest.is_err() || end.is_err(), || format!("{target} ended well: {rest:?}"))?;
        stage.works().await?;
    }
    Ok(())
}

/// The request alone is taken back, and its response still awaited: no half upload is a whole one.
pub(super) async fn uploads_that_are_reset<C: Client>(stage: &Stage<C>) -> Result<(), String> {
    let (mut up, mut down) = stage.client.open(head(Method::POST, "/swallow/reset"), true).await?;
    up.write(Pattern::whole(50_000)).await?;
    stage.ledger.when("/swallow/reset", |record| record.received == 50_000).await?;
    up.abort();
    let record = stage.ledger.over("/swallow/reset").await?;
    ensure(record.cut.is_some() && !record.complete, || format!("{record:?}"))?;
    if let Ok((response, _)) = down.head().await {
        ensure(!response.status().is_success(), || format!("{response:?}"))?;
    }
    drop(down);
    stage.works().await
}

/// A second connection lives while the first is dropped with a request under way.
pub(super) async fn connections_that_vanish<C: Client>(stage: &Stage<C>) -> Result<(), String> {
    let other = stage.another().await?;
    let (up, mut down) = other.open(head(Method::GET, "/endless/vanish"), false).await?;
    down.head().await?;
    read_some(&mut down, 100_000).await?;
    if stage.down == Version::H1 {
        up.abort();
    } else {
        drop(up);
    }
    drop((down, other));
    let record = stage.ledger.over("/endless/vanish").await?;
    ensure(record.cut.is_some(), || format!("{record:?}"))?;
    stage.works().await
}
