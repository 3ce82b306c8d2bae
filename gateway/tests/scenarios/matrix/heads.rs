//! What heads carry, and many at once.

use futures_util::future::join_all;
use http::{HeaderMap, HeaderValue, Method};

use super::{
    clients::Client,
    stage::{Stage, Version, ensure, head},
};

pub(super) async fn targets<C: Client>(stage: &Stage<C>) -> Result<(), String> {
    for target in [
        "/",
        "/x?",
        "/x?a=b&a=c;d&empty=&&q",
        "/x/%E2%82%AC/a%20b?q=a%2Fb&x=%26%3D&u=http://h/p?r",
        "/x;p=1,2/~y/(z)'!*@:$+",
        "/x?/../%2e%2e/",
    ] {
        let reply = stage.get(target).await.map_err(|why| format!("{target}: {why}"))?;
        ensure(reply.text == format!("GET {target}"), || format!("{target}: {reply:?}"))?;
    }
    Ok(())
}

pub(super) async fn forwarding<C: Client>(stage: &Stage<C>) -> Result<(), String> {
    let mut request = head(Method::GET, "/forwarding");
    request.headers_mut().insert("x-forwarded-for", HeaderValue::from_static("6.6.6.6"));
    let reply = stage.send(request, None, HeaderMap::new()).await?;
    let record = stage.ledger.over("/forwarding").await?;
    let authority = record.head.uri().authority().map(|a| a.as_str().to_owned());
    ensure(authority.as_deref() == Some("weir.test"), || format!("{record:?}"))?;
    let (scheme, version) = match stage.down {
        Version::H1 => ("http", "1.1"),
        Version::H2 => ("http", "2"),
        Version::H3 => ("https", "3"),
    };
    let number = |version: Version| match version {
        Version::H1 => "1.1",
        Version::H2 => "2",
        Version::H3 => "3",
    };
    let field = |name: &str| record.head.headers().get(name).map(|v| v.to_str().unwrap());
    ensure(field("x-forwarded-for") == Some("127.0.0.1"), || format!("{record:?}"))?;
    ensure(field("x-forwarded-proto") == Some(scheme), || format!("{record:?}"))?;
    let came = |via: Option<&str>, version: &str| {
        via.is_some_and(|via| {
            via.starts_with(&format!("{version} ")) || via.starts_with(&format!("{version}.0 "))
        })
    };
    ensure(came(field("via"), version), || format!("via {:?}", field("via")))?;
    ensure(reply.field("date").is_some(), || format!("no date (RFC 9110 6.6.1): {reply:?}"))?;
    let via = reply.field("via");
    ensure(came(via, number(stage.up)), || format!("via of the response {via:?}"))
}

pub(super) async fn large_heads<C: Client>(stage: &Stage<C>) -> Result<(), String> {
    let mut request = head(Method::GET, "/large");
    for n in 0..10 {
        let name = http::HeaderName::try_from(format!("x-large-{n}")).unwrap();
        request.headers_mut().insert(name, "a".repeat(2000).parse().unwrap());
    }
    let reply = stage.send(request, None, HeaderMap::new()).await?;
    let count = |fields: &HeaderMap| {
        let long = |n| fields.get(format!("x-large-{n}")).is_some_and(|v| v.len() == 2000);
        (0..10).filter(|&n| long(n)).count()
    };
    ensure(count(&reply.fields) == 10, || format!("{reply:?}"))?;
    let record = stage.ledger.over("/large").await?;
    ensure(count(record.head.headers()) == 10, || format!("{record:?}"))
}

/// RFC 9113 8.2.3, RFC 9114 4.2.1: a cookie may come in pieces, and is one field in HTTP/1.1.
pub(super) async fn cookies<C: Client>(stage: &Stage<C>) -> Result<(), String> {
    let mut request = head(Method::GET, "/cookies");
    let crumbs: &[&'static str] =
        if stage.down == Version::H1 { &["a=1; b=2; c=3"] } else { &["a=1", "b=2; c=3"] };
    for crumb in crumbs {
        request.headers_mut().append("cookie", HeaderValue::from_static(crumb));
    }
    let reply = stage.send(request, None, HeaderMap::new()).await?;
    let set: Vec<_> = reply.fields.get_all("set-cookie").iter().collect();
    ensure(set == ["a=1; Path=/", "b=2"], || format!("{reply:?}"))?;
    let record = stage.ledger.over("/cookies").await?;
    let all: Vec<&str> =
        record.head.headers().get_all("cookie").iter().map(|v| v.to_str().unwrap()).collect();
    ensure(all.join("; ") == "a=1; b=2; c=3", || format!("{all:?}"))?;
    ensure(stage.up != Version::H1 || all.len() == 1, || format!("{all:?}"))
}

pub(super) async fn hints<C: Client>(stage: &Stage<C>) -> Result<(), String> {
    let reply = stage.get("/hints").await?;
    ensure(reply.text == "hinted", || format!("{reply:?}"))?;
    // Clients of HTTP/1.1 may take a 103 for the response: they need not be told.
    let told = reply.interim == [103] || stage.down == Version::H1 && reply.interim.is_empty();
    ensure(told, || format!("{reply:?}"))
}

/// Answered only once all of them wait at the origin.
pub(super) async fn twenty_at_once<C: Client>(stage: &Stage<C>) -> Result<(), String> {
    stage.ledger.disperse();
    let paths: Vec<String> = (0..20).map(|n| format!("/gather/20/{n}")).collect();
    let replies = join_all(paths.iter().map(|path| stage.get(path))).await;
    for reply in replies {
        let reply = reply?;
        ensure(reply.text == "all", || format!("{reply:?}"))?;
    }
    ensure(stage.ledger.seen("/gather").len() == 20, || "sent twice".to_owned())
}

/// Sizes that cross packet and frame bounds, on one connection at once.
pub(super) async fn mixed_at_once<C: Client>(stage: &Stage<C>) -> Result<(), String> {
    let sizes: Vec<usize> = (0..20).map(|n| n * n * 997).collect();
    let replies = join_all(sizes.iter().map(async |&size| {
        let request = head(Method::POST, &format!("/take/mixed/{size}"));
        let up = stage.send(request, Some(size), HeaderMap::new()).await?;
        let down = stage.get(&format!("/give/{size}/unknown")).await?;
        Ok::<_, String>((size, up, down))
    }));
    for reply in replies.await {
        let (size, up, down) = reply?;
        ensure(up.text.starts_with(&format!("{size} true ")), || format!("{size}: {up:?}"))?;
        ensure(down.length == size && down.intact, || format!("{size}: {down:?}"))?;
    }
    Ok(())
}
