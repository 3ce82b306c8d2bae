//! The membership.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;
use weir_discovery::{swim::State, udp::View};

use super::{AllBlocks, Sample, family, names};
use crate::discover::roll::{Change, Roll, Standing};

const STATES: [(&str, State); 4] = [
    ("alive", State::Alive),
    ("suspect", State::Suspect),
    ("dead", State::Dead),
    ("left", State::Left),
];

pub(super) fn encode(out: &mut DescriptorEncoder<'_>, all: &AllBlocks) -> fmt::Result {
    let roll = all.members.upgrade();
    let taking = roll.as_ref().and_then(|roll| Some((roll.clone(), roll.standing()?)));
    let seen = taking.map(|(roll, standing)| (standing.handle.view(), roll, standing));
    let one = |of: fn(&View, &Roll, &Standing) -> Sample| {
        seen.iter().map(move |(view, roll, standing)| ([], of(view, roll, standing)))
    };
    let states = seen.iter().flat_map(|(view, ..)| {
        STATES.map(|(name, state)| {
            let count = view.members.iter().filter(|member| member.state == state).count();
            ([name], Sample::Level(count as i64))
        })
    });
    family(out, &names::MEMBERS, states)?;
    let gateways = |_: &View, roll: &Roll, _: &Standing| {
        let alive = roll.gateways().load(std::sync::atomic::Ordering::Relaxed);
        Sample::Level(alive.into())
    };
    family(out, &names::MEMBER_GATEWAYS, one(gateways))?;
    let up =
        |_: &View, _: &Roll, standing: &Standing| Sample::Level((!standing.is_superseded()).into());
    family(out, &names::MEMBER_UP, one(up))?;
    let health = |view: &View, _: &Roll, _: &Standing| Sample::Level(view.health.into());
    family(out, &names::MEMBER_HEALTH, one(health))?;
    let changes = seen.iter().flat_map(|(_, roll, _)| {
        let rows = Change::ALL.into_iter().zip(roll.changes());
        let rows = rows.filter(|(change, _)| *change != Change::Suspected);
        rows.map(|(change, count)| ([change.name()], Sample::Count(count)))
    });
    family(out, &names::MEMBER_CHANGES, changes)?;
    let suspicions = |_: &View, roll: &Roll, _: &Standing| {
        Sample::Count(roll.changes()[Change::Suspected as usize])
    };
    family(out, &names::MEMBER_SUSPICIONS, one(suspicions))?;
    let packets = seen.iter().flat_map(|(view, ..)| {
        let passed = view.passed;
        [
            ("sent", passed.sent),
            ("dropped", passed.dropped),
            ("received", passed.received),
            ("unsealed", passed.unsealed),
            ("replayed", passed.replayed),
            ("malformed", passed.malformed),
        ]
        .map(|(outcome, count)| ([outcome], Sample::Count(count)))
    });
    family(out, &names::MEMBER_PACKETS, packets)
}
