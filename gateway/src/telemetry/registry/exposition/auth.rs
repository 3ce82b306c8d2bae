//! Credentials, and the keys that some of them are checked with.

use std::{fmt, sync::Weak};

use prometheus_client::encoding::DescriptorEncoder;

use super::{AllBlocks, Sample, family, names};
use crate::policy::Outcome;

pub(super) fn encode(out: &mut DescriptorEncoder<'_>, all: &AllBlocks) -> fmt::Result {
    let totals: Vec<_> = all.auths.iter().map(|(key, blocks)| (key, blocks.totals())).collect();
    let counts = totals.iter().flat_map(|((route, method), totals)| {
        let rows = Outcome::NAMES.iter().zip(totals.0);
        rows.map(|(outcome, count)| ([&**route, &**method, *outcome], Sample::Count(count)))
    });
    family(out, &names::AUTH, counts.filter(|(_, sample)| !sample.is_zero()))?;
    let sets: Vec<_> = all.jwks.iter().filter_map(Weak::upgrade).collect();
    let sets: Vec<_> = sets.iter().map(|set| (set.label(), set.counts())).collect();
    let fetches = sets.iter().flat_map(|(url, (good, bad, _))| {
        let rows = [("success", *good), ("failure", *bad)];
        rows.map(|(outcome, count)| ([url.as_str(), outcome], Sample::Count(count)))
    });
    family(out, &names::JWKS_FETCHES, fetches)?;
    let keys = sets.iter().map(|(url, (.., keys))| ([url.as_str()], Sample::Level(*keys as i64)));
    family(out, &names::JWKS_KEYS, keys)
}
