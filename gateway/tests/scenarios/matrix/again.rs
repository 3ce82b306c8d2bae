//! An attempt fails and another follows: the origin has the request whole, or nobody says so.

use futures_util::future::join_all;
use http::{HeaderMap, HeaderValue, Method, Request};

use super::{
    clients::{Client, Download, Upload},
    stage::{Reply, Stage, Version, ensure, head},
};
use crate::support::{exchange::Record, pattern::Pattern};

/// Keys of the route: as many attempts as it takes.
pub(super) const ROUTE: &str = "retry: { attempts: 3, backoff: { base: 1ms, max: 2ms }, \
    budget: { percent: 100%, min_per_sec: 1000 } }";

/// Bytes of a body that is kept whole, in several frames of any protocol.
const KEPT: usize = 60_000;
/// Bytes of one that is not.
const LONG: usize = 400_000;

fn put(path: &str, length: Option<usize>) -> Request<()> {
    let mut head = head(Method::PUT, path);
    if let Some(length) = length {
        head.headers_mut().insert("content-length", length.into());
    }
    head
}

fn sum() -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static("x-sum"), HeaderValue::from_static("7"))])
}

/// What the origin has of a request that failed first: pieces that are true, and at last all of it.
async fn whole<C: Client>(
    stage: &Stage<C>,
    path: &str,
    attempts: usize,
    length: usize,
) -> Result<Vec<Record>, String> {
    let path = path.split('?').next().unwrap();
    stage.ledger.over(path).await?;
    let records = stage.ledger.seen(path);
    let last = records.last().unwrap();
    ensure(
        records.len() == attempts
            && records.iter().all(|record| record.intact && record.received <= length)
            && last.complete
            && last.received == length,
        || format!("{path}: {records:#?}"),
    )?;
    Ok(records)
}

fn taken(reply: &Reply, length: usize) -> Result<(), String> {
    let text = format!("{length} true ");
    ensure(reply.status == 200 && reply.text.starts_with(&text), || format!("{reply:?}"))
}

/// Wherever the first attempts fail.
pub(super) async fn bodies_are_sent_again<C: Client>(stage: &Stage<C>) -> Result<(), String> {
    for place in ["0", "1", "30000", "end", "busy", "hasty"] {
        for length in [0, 1, 5000, KEPT] {
            for known in [true, false] {
                for times in [1, 2] {
                    let path = format!("/fail/{times}/{place}/{length}/{known}");
                    let head = put(&path, known.then_some(length));
                    let reply = stage.send(head, Some(length), HeaderMap::new()).await;
                    let reply = reply.map_err(|why| format!("{path}: {why}"))?;
                    taken(&reply, length).map_err(|why| format!("{path}: {why}"))?;
                    whole(stage, &path, times + 1, length).await?;
                }
            }
        }
    }
    stage.works().await
}

pub(super) async fn trailers_are_sent_again<C: Client>(stage: &Stage<C>) -> Result<(), String> {
    for place in ["0", "1", "end", "busy"] {
        for length in [0, 5000, KEPT - 1000] {
            let path = format!("/fail/2/{place}/trailers/{length}");
            let mut head = put(&path, None);
            head.headers_mut().insert("trailer", HeaderValue::from_static("x-sum"));
            let reply = stage.send(head, Some(length), sum()).await?;
            taken(&reply, length).map_err(|why| format!("{path}: {why}"))?;
            let records = whole(stage, &path, 3, length).await?;
            let sums: Vec<_> = records.iter().map(|record| record.trailers.get("x-sum")).collect();
            ensure(sums[2].is_some_and(|sum| sum == "7"), || format!("{path}: {sums:?}"))?;
        }
    }
    Ok(())
}

/// The origin is told of attempts that it need not have seen; what a client says of them it is not.
pub(super) async fn attempts_are_counted<C: Client>(stage: &Stage<C>) -> Result<(), String> {
    let mut request = put("/fail/2/busy/counted", Some(10));
    request.headers_mut().insert("x-weir-attempts", HeaderValue::from_static("9"));
    taken(&stage.send(request, Some(10), HeaderMap::new()).await?, 10)?;
    let records = whole(stage, "/fail/2/busy/counted", 3, 10).await?;
    let field = |name| {
        let text = |record: &Record| {
            let value = record.head.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        records.iter().map(text).collect::<Vec<_>>()
    };
    let told = field("x-weir-attempts");
    ensure(told == [None, Some("2".to_owned()), Some("3".to_owned())], || format!("{told:?}"))?;
    let none = field("grpc-previous-rpc-attempts");
    ensure(none == [None, None, None], || format!("{none:?}"))
}

/// The client still sends while attempts fail.
pub(super) async fn slow_uploads_go_on<C: Client>(stage: &Stage<C>) -> Result<(), String> {
    for place in ["20000", "hasty"] {
        let path = format!("/fail/1/{place}/slow");
        let (mut up, mut down) = stage.client.open(put(&path, Some(KEPT)), true).await?;
        let mut pattern = Pattern::default();
        up.write(pattern.next(20_000)).await?;
        stage.ledger.when(&path, |_| stage.ledger.seen(&path).len() == 2).await?;
        stage.ledger.when(&path, |record| record.received == 20_000).await?;
        up.write(pattern.next(20_000)).await?;
        stage.ledger.when(&path, |record| record.received == 40_000).await?;
        up.write(pattern.next(20_000)).await?;
        up.end(HeaderMap::new()).await?;
        let (response, _) = down.head().await?;
        ensure(response.status() == 200, || format!("{path}: {response:?}"))?;
        while down.piece().await?.is_some() {}
        down.trailers().await?;
        whole(stage, &path, 2, KEPT).await?;
    }
    stage.works().await
}

/// More was read than is kept: there is no other attempt, and the client learns of the failure.
pub(super) async fn long_bodies_are_sent_once<C: Client>(stage: &Stage<C>) -> Result<(), String> {
    for known in [true, false] {
        let path = format!("/fail/1/100000/{known}");
        let reply = stage.send(put(&path, known.then_some(LONG)), Some(LONG), HeaderMap::new());
        // A client of HTTP/1.1 that still writes may see the close instead.
        match reply.await {
            Ok(reply) => ensure(reply.status == 502, || format!("{path}: {reply:?}"))?,
            Err(_) if stage.down == Version::H1 => {}
            Err(why) => return Err(format!("{path}: {why}")),
        }
        let records = stage.ledger.seen(&path);
        ensure(records.len() == 1, || format!("{path}: {records:?}"))?;
        let line = stage.gateway.access_line(&format!("\"{path}\""));
        ensure(line["stopped"] == "body", || format!("{line}"))?;
        match stage.works().await {
            // A client of HTTP/1.1 may take the connection that is being closed.
            Err(_) if stage.down == Version::H1 => stage.works().await?,
            other => other?,
        }
    }
    Ok(())
}

/// A request that nobody has looked at is sent again, whatever its method.
pub(super) async fn refused_requests_are_sent_again<C: Client>(
    stage: &Stage<C>,
) -> Result<(), String> {
    if stage.up == Version::H1 {
        return Ok(());
    }
    for place in ["0", "1", "30000"] {
        let path = format!("/fail/2/{place}/unseen?unseen");
        let mut request = put(&path, Some(KEPT));
        *request.method_mut() = Method::POST;
        taken(&stage.send(request, Some(KEPT), HeaderMap::new()).await?, KEPT)
            .map_err(|why| format!("{path}: {why}"))?;
        whole(stage, &path, 3, KEPT).await?;
    }
    Ok(())
}

/// What an endpoint may have worked on is not.
pub(super) async fn what_could_be_done_twice_is_not<C: Client>(
    stage: &Stage<C>,
) -> Result<(), String> {
    for place in ["1", "end"] {
        let path = format!("/fail/1/{place}/once");
        let mut request = put(&path, Some(1000));
        *request.method_mut() = Method::POST;
        let reply = stage.send(request, Some(1000), HeaderMap::new()).await?;
        ensure(reply.status == 502, || format!("{path}: {reply:?}"))?;
        let records = stage.ledger.seen(&path);
        ensure(records.len() == 1, || format!("{path}: {records:?}"))?;
    }
    stage.works().await
}

/// Attempts fail at all places at once, on the connections that all of them share.
pub(super) async fn many_fail_at_once<C: Client>(stage: &Stage<C>) -> Result<(), String> {
    let places = ["0", "1", "30000", "end", "busy", "hasty"];
    let replies = join_all((0..60).map(async |n: usize| {
        let (length, place) = ((n * 9973) % KEPT, places[n % places.len()]);
        let path = format!("/fail/{}/{place}/at-once/{n:03}", n % 3);
        let known = n.is_multiple_of(2).then_some(length);
        let reply = stage.send(put(&path, known), Some(length), HeaderMap::new()).await;
        taken(&reply?, length).map_err(|why| format!("{path}: {why}"))?;
        whole(stage, &path, n % 3 + 1, length).await.map(drop)
    }));
    for reply in replies.await {
        reply?;
    }
    stage.works().await
}

/// Attempts that were given up in their middle leave the connections as they were: a stream's
/// window is given back, and so is its place.
pub(super) async fn nothing_is_left_of_an_attempt<C: Client>(
    stage: &Stage<C>,
) -> Result<(), String> {
    for n in 0..100 {
        let path = format!("/fail/1/1/left/{n:03}");
        let reply = stage.send(put(&path, Some(KEPT)), Some(KEPT), HeaderMap::new()).await?;
        taken(&reply, KEPT).map_err(|why| format!("{path}: {why}"))?;
    }
    // Larger than any window.
    let reply = stage.send(put("/take/left", Some(8 << 20)), Some(8 << 20), HeaderMap::new());
    taken(&reply.await?, 8 << 20)
}
