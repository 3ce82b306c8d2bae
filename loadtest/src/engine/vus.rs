//! Scenarios whose virtual users ask for their next iteration.

use std::{rc::Rc, sync::Arc, time::Instant};

use super::worker::{Crew, Member, Members, Planned};
use crate::{
    clock,
    executor::{Plan, Step, Vus},
    task,
    vm::{Job, Place},
};

/// Makes this worker's share of the virtual users.
pub(super) async fn prepare(crew: &Crew, planned: &Planned, plan: &Vus) -> Result<Members, String> {
    let mut members = Vec::new();
    let places =
        (0..plan.vus_most()).filter(|place| place % crew.share.workers == crew.share.worker);
    for place in places {
        members.push((place, crew.recruit(planned.first_id + u64::from(place)).await?));
    }
    Ok(Members { members, index: super::index_of(crew, planned) })
}

/// Runs the scenario to its end.
pub(super) async fn run(
    crew: Rc<Crew>,
    members: Members,
    place: Rc<Place>,
    begun: Instant,
    data: Option<Arc<str>>,
) {
    let index = members.index;
    let tasks: Vec<_> = members
        .members
        .into_iter()
        .map(|(at, mut member)| {
            let (crew, data) = (Rc::clone(&crew), data.clone());
            member.enter(&place);
            task::spawn("virtual user", drive(crew, index, at, member, begun, data))
        })
        .collect();
    for task in tasks {
        // A panic was reported where it happened.
        let _ = task.await;
    }
}

async fn drive(
    crew: Rc<Crew>,
    index: usize,
    at: u32,
    mut member: Member,
    begun: Instant,
    data: Option<Arc<str>>,
) {
    let planned = Arc::clone(&crew.share.planned);
    let Plan::Vus(plan) = &planned[index].plan else { return };
    let exec: Rc<str> = planned[index].scenario.exec.as_str().into();
    let mut done = 0;
    while !crew.share.control.is_draining() {
        match plan.next(at, done, clock::now() - begun) {
            Step::Stop => return,
            Step::Wait { until } => {
                if !crew.share.control.sleep_until(begun + until).await {
                    return;
                }
            }
            Step::Begin { iteration, deadline } => {
                let job = Job::Iterate { exec: Rc::clone(&exec), data: data.clone() };
                member.iterate(&crew, job, iteration, None, begun + deadline).await;
                done += 1;
                // A script that never waits must not keep the thread from the others.
                tokio::task::yield_now().await;
            }
        }
    }
}
