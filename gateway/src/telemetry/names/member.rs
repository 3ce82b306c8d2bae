//! Metrics of the membership.

use super::{Kind, Metric, metric};

/// Members by state.
pub const MEMBERS: Metric =
    metric("weir_members", Kind::Gauge, &["state"], "Members known, this gateway among them");
/// Gateways among them.
pub const MEMBER_GATEWAYS: Metric = metric(
    "weir_member_gateways",
    Kind::Gauge,
    &[],
    "Gateways that live, this one among them; 0 while that is not known",
);
/// Whether this gateway takes part.
pub const MEMBER_UP: Metric = metric(
    "weir_member_up",
    Kind::Gauge,
    &[],
    "Whether this gateway takes part: 0 once another live process has its name",
);
/// Local health.
pub const MEMBER_HEALTH: Metric = metric(
    "weir_member_health",
    Kind::Gauge,
    &[],
    "How badly this gateway itself is heard: 0 is well, 8 the worst",
);
/// Members that came and went.
pub const MEMBER_CHANGES: Metric = metric(
    "weir_member_changes_total",
    Kind::Counter,
    &["change"],
    "Members that were seen to change, by what became of them",
);
/// Suspicions.
pub const MEMBER_SUSPICIONS: Metric = metric(
    "weir_member_suspicions_total",
    Kind::Counter,
    &[],
    "Members that came under the suspicion to be dead",
);
/// Packets and streams.
pub const MEMBER_PACKETS: Metric = metric(
    "weir_member_packets_total",
    Kind::Counter,
    &["outcome"],
    "Packets and streams between members, by what became of them",
);
