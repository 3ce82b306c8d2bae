//! What is counted of a route's dealings with browsers, and of codings.

use std::ops::Range;

use weir_config::model::Encoding;

use super::Count;
use crate::policy::{cors::Outcome, decompress::decoder::Coding, web::Seen};

/// Places among the counts.
pub(in crate::telemetry) const CORS: Range<usize> = 0..3;
pub(in crate::telemetry) const CODED: Range<usize> = 3..6;
pub(in crate::telemetry) const PLAIN_BYTES: Range<usize> = 6..9;
pub(in crate::telemetry) const CODED_BYTES: Range<usize> = 9..12;
pub(in crate::telemetry) const DECODED: Range<usize> = 12..16;
pub(in crate::telemetry) const CALLS: Range<usize> = 16..18;
/// How many there are.
pub(in crate::telemetry) const ALL: usize = 18;

/// Names of the values, in the order of the places.
pub(in crate::telemetry) const OUTCOMES: [&str; 3] = ["preflight", "allowed", "refused"];
pub(in crate::telemetry) const ENCODINGS: [&str; 3] = ["br", "zstd", "gzip"];
pub(in crate::telemetry) const CODINGS: [&str; 4] = ["br", "zstd", "gzip", "deflate"];
pub(in crate::telemetry) const FORMS: [&str; 2] = ["binary", "text"];

const fn place(encoding: Encoding) -> usize {
    match encoding {
        Encoding::Br => 0,
        Encoding::Zstd => 1,
        Encoding::Gzip => 2,
    }
}

/// Counts a request that is over, whose response had so many bytes as it was sent.
pub(super) fn record(counts: &[Count; ALL], seen: &Seen, sent: u64) {
    if let Some(outcome) = seen.cors.outcome {
        let place = match outcome {
            Outcome::Preflight => 0,
            Outcome::Allowed => 1,
            Outcome::Refused => 2,
        };
        counts[CORS.start + place].add(1);
    }
    if let Some((encoding, plain)) = &seen.coded {
        let place = place(*encoding);
        counts[CODED.start + place].add(1);
        counts[PLAIN_BYTES.start + place].add(plain.get());
        counts[CODED_BYTES.start + place].add(sent);
    }
    if let Some(coding) = seen.decoded {
        let place = match coding {
            Coding::Br => 0,
            Coding::Zstd => 1,
            Coding::Gzip => 2,
            Coding::Deflate => 3,
        };
        counts[DECODED.start + place].add(1);
    }
    if let Some(call) = &seen.call {
        counts[CALLS.start + usize::from(call.wants_text)].add(1);
    }
}
