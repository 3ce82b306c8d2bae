//! What `/cache` shows, and what `/cache/purge` takes out.

use http::{StatusCode, Uri};
use serde_json::{Map, Value, json};
use weir_cache::{
    http::key::name_of_url,
    purges::{Purge, Selector},
};

use super::{
    Shared,
    answer::{Answer, json, text},
};
use crate::cache::Outcome;

/// What the cache holds, and what it did so far.
pub(super) fn view(shared: &Shared) -> Value {
    let live = &shared.live;
    let outcomes = Outcome::NAMES.iter().zip(live.registry.cache_outcomes());
    let requests: Map<_, _> =
        outcomes.map(|(name, count)| ((*name).to_owned(), json!(count))).collect();
    let snapshot = live.snapshot();
    let Some(cache) = &snapshot.cache else {
        return json!({ "capacity": 0, "entries": 0, "bytes": 0, "requests": requests });
    };
    json!({
        "capacity": cache.store.capacity(),
        "bytes": cache.store.weight(),
        "entries": cache.store.len(),
        "evictions": cache.store.evictions(),
        "fills": cache.fills(),
        "requests": requests,
    })
}

/// Takes out what the query names.
pub(super) fn purge(shared: &Shared, target: &Uri) -> Answer {
    let wanted = match read(target.query().unwrap_or_default()) {
        Ok(wanted) => wanted,
        Err(what) => return text(StatusCode::BAD_REQUEST, what),
    };
    let selector = match &wanted.what {
        What::Tag(tag) => Selector::Tag(tag.as_bytes()),
        What::Url(name) => Selector::Name(name),
        What::Prefix(start) => Selector::Prefix(start),
        What::All => Selector::All,
    };
    let how = if wanted.soft { Purge::Soft } else { Purge::Hard };
    let snapshot = shared.live.snapshot();
    let purged = snapshot.cache.as_ref().map(|cache| cache.store.purge(selector, how));
    let purged = purged.unwrap_or_default();
    json(&json!({ "entries": purged.entries, "bytes": purged.weight }))
}

/// What is to go, and whether it may still be served as stale.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    what: What,
    soft: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum What {
    Tag(String),
    Url(Vec<u8>),
    Prefix(Vec<u8>),
    All,
}

const USAGE: &str = "name one of `tag=`, `url=`, `prefix=` and `all=1`, and maybe `soft=1`";

fn read(query: &str) -> Result<Wanted, &'static str> {
    const WHOLE: &str = "a URL has its scheme and host: `http://example.com/a`";
    let (mut what, mut soft) = (None, false);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decode(value).ok_or("the query is not percent-encoded UTF-8")?;
        let one = match (key, &*value) {
            ("soft", "1" | "true") => {
                soft = true;
                continue;
            }
            ("soft", "0" | "false") => continue,
            ("all", "1" | "true") => What::All,
            (_, "") => return Err(USAGE),
            ("tag", _) => What::Tag(value),
            ("url", _) => What::Url(name_of_url(&value).ok_or(WHOLE)?),
            ("prefix", _) => What::Prefix(name_of_url(&value).ok_or(WHOLE)?),
            _ => return Err(USAGE),
        };
        if what.replace(one).is_some() {
            return Err(USAGE);
        }
    }
    Ok(Wanted { what: what.ok_or(USAGE)?, soft })
}

/// Undoes percent-encoding. A `+` stays what it is: it is one in URLs.
fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        out.push(match byte {
            b'%' => (digit(bytes.next())? * 16 + digit(bytes.next())?) as u8,
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_one_thing() {
        let what = |query| read(query).unwrap();
        assert_eq!(what("tag=a+b%20c"), Wanted { what: What::Tag("a+b c".into()), soft: false });
        assert_eq!(
            what("soft=1&url=HTTP%3A%2F%2FA/b"),
            Wanted { what: What::Url(b"http://a/b".into()), soft: true }
        );
        assert_eq!(what("prefix=https://a").what, What::Prefix(b"https://a/".into()));
        assert_eq!(what("all=1&soft=0"), Wanted { what: What::All, soft: false });
        for wrong in ["", "soft=1", "tag=", "tag", "tag=a&tag=b", "url=/a", "x=1", "tag=%f", "all="]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(read("tag=%ff").is_err(), "no UTF-8");
    }
}
