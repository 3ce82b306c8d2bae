//! What became of spans.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;

use super::{AllBlocks, Sample, family};
use crate::telemetry::names;

pub(super) fn encode(out: &mut DescriptorEncoder<'_>, all: &AllBlocks) -> fmt::Result {
    let totals = all.spans.upgrade().map(|spans| spans.totals()).unwrap_or_default();
    let rows = ["sent", "dropped"].into_iter().zip(totals);
    let rows = rows.map(|(outcome, count)| ([outcome], Sample::Count(count)));
    family(out, &names::SPANS, rows.filter(|(_, sample)| !sample.is_zero()))
}
