use http::header::{DATE, SET_COOKIE};
use proptest::prelude::*;

use super::*;

fn headers(lines: &[(&HeaderName, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap()
}

#[test]
fn what_is_about_the_outcome_is_kept() {
    let all = headers(&[
        (&LOCATION, "/orders/1"),
        (&ETAG, "\"1\""),
        (&LINK, "</a>"),
        (&LINK, "</b>"),
        (&SET_COOKIE, "session=1"),
        (&DATE, "Fri, 20 Nov 2026 17:44:00 GMT"),
        (&HeaderName::from_static("ratelimit"), "r"),
        (&HeaderName::from_static("x-request-id"), "1"),
        (&http::header::CONTENT_LENGTH, "2"),
    ]);
    let recording = Recording::whole(code(201), &all, "ok".into());
    let kept =
        headers(&[(&LOCATION, "/orders/1"), (&ETAG, "\"1\""), (&LINK, "</a>"), (&LINK, "</b>")]);
    assert_eq!(recording.headers(), &kept);
    let encoded = recording.encode();
    assert_eq!(Recording::decode(&encoded), Ok(recording));
    assert_eq!(Recording::peek(&encoded[..4]), Some((code(201), true)));
}

#[test]
fn a_tombstone_says_why() {
    for why in Gone::ALL {
        let tombstone = Recording::gone(code(200), why);
        let encoded = tombstone.encode();
        assert_eq!(Recording::decode(&encoded), Ok(tombstone));
        assert_eq!(Recording::peek(&encoded[..4]), Some((code(200), false)));
    }
    let large = "x".repeat(FIELD_BYTES_MAX);
    let large = Recording::whole(code(200), &headers(&[(&ETAG, &large)]), Bytes::new());
    assert_eq!(large, Recording::gone(code(200), Gone::TooLarge));
    let many = vec![(&LINK, "</a>"); FIELDS_MAX + 1];
    let many = Recording::whole(code(200), &headers(&many), Bytes::new());
    assert_eq!(many, Recording::gone(code(200), Gone::TooLarge));
}

#[test]
fn bytes_of_anything_else_are_refused() {
    let good = Recording::whole(code(200), &headers(&[(&ETAG, "\"1\"")]), "ok".into()).encode();
    let refused = |at: usize, value: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = value;
        assert_eq!(Recording::decode(&bytes.into()), Err(NotARecording), "{at}");
    };
    refused(0, 2);
    refused(1, 0xff);
    // 100 is interim: no outcome.
    refused(2, 100);
    refused(3, 5);
    refused(3, 1);
    refused(4, 1);
    refused(5, 2);
    refused(7, 5);
    refused(8, b'x');
    refused(8, b' ');
    refused(good.len() - 3, 3);
    for end in 0..good.len() {
        assert_eq!(Recording::decode(&good.slice(..end)), Err(NotARecording));
    }
    let longer = [&good[..], b"x"].concat();
    assert_eq!(Recording::decode(&longer.into()), Err(NotARecording));
}

fn recording() -> impl Strategy<Value = Recording> {
    let line = (0..KEPT.len(), prop::collection::vec(0x20..0x7f_u8, 0..40));
    let body = prop::collection::vec(any::<u8>(), 0..200);
    (200..1_000_u16, prop::collection::vec(line, 0..8), body).prop_map(|(status, lines, body)| {
        let mut headers = HeaderMap::new();
        for (i, value) in lines {
            headers.append(&KEPT[i], HeaderValue::from_bytes(&value).unwrap());
        }
        Recording::whole(code(status), &headers, body.into())
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(recording in recording()) {
        let encoded = recording.encode();
        prop_assert!(encoded.len() as u64 <= recording.weight());
        prop_assert_eq!(Recording::decode(&encoded), Ok(recording));
    }

    /// Nothing panics, and what is read is written again as it was.
    #[test]
    fn any_bytes_are_read_or_refused(
        recording in recording(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut bytes = recording.encode().to_vec();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let bytes = Bytes::from(bytes);
        if let Ok(read) = Recording::decode(&bytes) {
            prop_assert_eq!(Recording::decode(&read.encode()), Ok(read));
        }
    }

    #[test]
    fn noise_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut bytes = bytes;
        if let Some(version) = bytes.first_mut() {
            *version = VERSION;
        }
        let _ = Recording::decode(&bytes.into());
    }
}
