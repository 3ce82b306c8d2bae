//! Routes' dealings with browsers, and codings.

use std::{fmt, ops::Range};

use prometheus_client::encoding::DescriptorEncoder;

use super::{Pair, RouteTotals, Sample, family, names};
use crate::telemetry::counters::web::{
    CALLS, CODED, CODED_BYTES, CODINGS, CORS, DECODED, ENCODINGS, FORMS, OUTCOMES, PLAIN_BYTES,
};

pub(super) fn encode(
    out: &mut DescriptorEncoder<'_>,
    routes: &[(&Pair, RouteTotals)],
) -> fmt::Result {
    let each = |names: &'static [&'static str], places: Range<usize>| {
        let rows = routes.iter().flat_map(move |((route, upstream), totals)| {
            let counts = &totals.web[places.clone()];
            names
                .iter()
                .zip(counts)
                .map(move |(name, count)| ([&**route, &**upstream, *name], Sample::Count(*count)))
        });
        rows.filter(|(_, sample)| !sample.is_zero())
    };
    family(out, &names::CORS_REQUESTS, each(&OUTCOMES, CORS))?;
    family(out, &names::COMPRESSED, each(&ENCODINGS, CODED))?;
    family(out, &names::COMPRESSION_INPUT, each(&ENCODINGS, PLAIN_BYTES))?;
    family(out, &names::COMPRESSION_OUTPUT, each(&ENCODINGS, CODED_BYTES))?;
    family(out, &names::DECOMPRESSED, each(&CODINGS, DECODED))?;
    family(out, &names::GRPC_WEB_CALLS, each(&FORMS, CALLS))
}
