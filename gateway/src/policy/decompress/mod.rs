//! Decoding of requests: `decompress`.

use http::{HeaderMap, HeaderValue, header};
use weir_config::model;

use crate::{error::Error, http::body::Body};

mod body;
pub mod decoder;

use body::{Bounds, Decoded};
use decoder::{Coding, Decoder};

/// What a route says of decoding its requests.
#[derive(Debug)]
pub(crate) struct Rule {
    max_size: Option<u64>,
    max_ratio: u32,
}

/// What a request's `Content-Encoding` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Nothing,
    One(Coding),
    /// Something else, or more than one.
    Unknown,
}

impl Rule {
    pub(crate) const fn new(config: model::Decompress) -> Self {
        Self { max_size: config.max_size, max_ratio: config.max_ratio }
    }

    /// Has the body decoded as it is read, where it is coded, and the head say so. Says by what.
    /// `limit` is the length of the longest body, coded or not.
    ///
    /// # Errors
    /// [`Error::UnknownCoding`].
    pub(crate) fn apply(
        &self,
        headers: &mut HeaderMap,
        body: &mut Body,
        limit: u64,
    ) -> Result<Option<Coding>, Error> {
        let coding = match said(headers) {
            // Of nothing there is nothing to decode.
            _ if http_body::Body::is_end_stream(body) => return Ok(None),
            Said::Nothing => return Ok(None),
            Said::Unknown => return Err(Error::UnknownCoding),
            Said::One(coding) => coding,
        };
        // These are of the coded body.
        let coded =
            ["content-encoding", "content-length", "content-digest", "repr-digest", "digest"];
        for name in coded.iter().chain(&["content-md5"]) {
            headers.remove(*name);
        }
        let decoder = Decoder::new(coding).ok_or(Error::Bug)?;
        let plain = self.max_size.unwrap_or(limit);
        let bounds = Bounds { coded: limit, plain, ratio: self.max_ratio.into() };
        let coded = std::mem::replace(body, Body::empty());
        *body = Body::follow(Decoded::new(coded, decoder, bounds));
        Ok(Some(coding))
    }
}

fn said(headers: &HeaderMap) -> Said {
    let lists = headers.get_all(header::CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
    let items = lists.flat_map(|list| list.split(|b| *b == b',')).map(<[u8]>::trim_ascii);
    let mut items =
        items.filter(|item| !item.is_empty() && !item.eq_ignore_ascii_case(b"identity"));
    match (items.next(), items.next()) {
        (None, _) => Said::Nothing,
        (Some(one), None) => Coding::named(one).map_or(Said::Unknown, Said::One),
        (Some(_), Some(_)) => Said::Unknown,
    }
}
