//! How sources of endpoints fare.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;

use super::{AllBlocks, Sample, family};
use crate::{discover::SourceReport, telemetry::names};

pub(super) fn encode(out: &mut DescriptorEncoder<'_>, all: &AllBlocks) -> fmt::Result {
    let found = all.found.upgrade().map(|found| found.report()).unwrap_or_default();
    let level = |one: &SourceReport| Sample::Level(one.view.serving.len() as i64);
    let endpoints = found.iter().map(|one| ([&*one.upstream], level(one)));
    family(out, &names::DISCOVERY_ENDPOINTS, endpoints)?;
    let failures = found.iter().map(|one| ([&*one.upstream], Sample::Count(one.failures)));
    family(out, &names::DISCOVERY_FAILURES, failures)
}
