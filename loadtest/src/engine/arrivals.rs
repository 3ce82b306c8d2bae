//! Scenarios whose iterations begin by the clock.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::worker::{Crew, Member, Members, Planned};
use crate::{
    alarm::Alarm,
    clock,
    executor::{Arrivals, Plan},
    metrics::builtin,
    options::Saturation,
    task,
    vm::{Job, Place, console},
};

/// Iterations that wait for a virtual user at most.
const QUEUE_MAX: usize = 1_000_000;
/// How long a scenario sleeps at a time, so that it sees the end of a run.
const NAP: Duration = Duration::from_millis(200);

/// Makes this worker's share of the virtual users that are there from the begin.
pub(super) async fn prepare(
    crew: &Crew,
    planned: &Planned,
    plan: &Arrivals,
) -> Result<Members, String> {
    let lanes = lanes(crew, plan);
    let mut members = Vec::new();
    for place in 0..crew.share.of(plan.pool().pre_allocated_vus, lanes) {
        let id = planned.first_id + u64::from(place * lanes + crew.share.worker);
        members.push((place, crew.recruit(id).await?));
    }
    Ok(Members { members, index: super::index_of(crew, planned) })
}

/// How many workers share the scenario: no more than there are virtual users for.
fn lanes(crew: &Crew, plan: &Arrivals) -> u32 {
    let pool = plan.pool();
    crew.share.workers.min(pool.max_vus.max(pool.pre_allocated_vus)).max(1)
}

struct Desk {
    crew: Rc<Crew>,
    place: Rc<Place>,
    exec: Rc<str>,
    data: Option<Arc<str>>,
    begun: Instant,
    deadline: Instant,
    idle: RefCell<Vec<Member>>,
    waiting: RefCell<VecDeque<(u64, Instant)>>,
    /// Virtual users made, and how many may be.
    made: Cell<u32>,
    most: u32,
    next_id: Cell<u64>,
    lanes: u32,
    saturation: Saturation,
    busy: Cell<u32>,
    freed: Notify,
}

/// Runs the scenario to its end.
pub(super) async fn run(
    crew: Rc<Crew>,
    members: Members,
    place: Rc<Place>,
    begun: Instant,
    data: Option<Arc<str>>,
) {
    let planned = Arc::clone(&crew.share.planned);
    let this = &planned[members.index];
    let Plan::Arrivals(plan) = &this.plan else { return };
    let (lanes, pool) = (lanes(&crew, plan), plan.pool());
    if crew.share.worker >= lanes {
        return;
    }
    let made = members.members.len() as u32;
    let idle: Vec<Member> = members
        .members
        .into_iter()
        .map(|(_, mut member)| {
            member.enter(&place);
            member
        })
        .collect();
    let worker = u64::from(crew.share.worker);
    let desk = Rc::new(Desk {
        exec: this.scenario.exec.as_str().into(),
        most: crew.share.of(pool.max_vus.max(pool.pre_allocated_vus), lanes),
        next_id: Cell::new(this.first_id + u64::from(made * lanes) + worker),
        deadline: begun + plan.deadline(),
        idle: RefCell::new(idle),
        waiting: RefCell::default(),
        made: Cell::new(made),
        busy: Cell::new(0),
        freed: Notify::new(),
        saturation: pool.on_saturation,
        place,
        data,
        begun,
        lanes,
        crew: Rc::clone(&crew),
    });
    let alarm = Alarm::new();
    if let Err(error) = &alarm {
        console::write("warn", &format!("iterations will begin up to 1 ms late: {error}"));
    }
    let mut number = worker;
    while let Some(start) = plan.start(number) {
        let start = begun + start;
        if start > clock::now() {
            wait(alarm.as_ref().ok(), start).await;
            if crew.share.control.is_draining() {
                break;
            }
            continue;
        }
        Desk::begin(&desk, number, start);
        number += u64::from(lanes);
    }
    crew.share.control.sleep_until(begun + plan.end()).await;
    // What still waits has until the deadline.
    while desk.busy.get() > 0 {
        desk.freed.notified().await;
    }
    let left = desk.waiting.borrow().len();
    desk.drop_iterations(left);
}

impl Desk {
    /// An iteration is due.
    fn begin(this: &Rc<Self>, number: u64, start: Instant) {
        let idle = this.idle.borrow_mut().pop();
        if let Some(member) = idle {
            let lag = clock::now().saturating_duration_since(start);
            let ms = lag.as_secs_f64() * 1e3;
            this.crew.local.record(&[(builtin::SCHEDULE_LAG, ms)], &this.place.tags);
            this.employ(member, number, start);
        } else if this.made.get() < this.most {
            this.made.set(this.made.get() + 1);
            this.hire(number, start);
        } else if this.saturation == Saturation::Queue && this.waiting.borrow().len() < QUEUE_MAX {
            this.waiting.borrow_mut().push_back((number, start));
        } else {
            this.drop_iterations(1);
        }
    }

    fn drop_iterations(&self, count: usize) {
        if count > 0 {
            let values = [(builtin::DROPPED_ITERATIONS, count as f64)];
            self.crew.local.record(&values, &self.place.tags);
        }
    }

    fn hire(self: &Rc<Self>, number: u64, start: Instant) {
        let desk = Rc::clone(self);
        desk.busy.set(desk.busy.get() + 1);
        let id = desk.next_id.replace(desk.next_id.get() + u64::from(desk.lanes));
        // Joined by counting.
        drop(task::spawn("new virtual user", async move {
            match desk.crew.recruit(id).await {
                Ok(mut member) => {
                    member.enter(&desk.place);
                    desk.work(member, number, start).await;
                }
                Err(why) => {
                    console::write("error", &why);
                    desk.drop_iterations(1);
                    desk.leave();
                }
            }
        }));
    }

    fn employ(self: &Rc<Self>, member: Member, number: u64, start: Instant) {
        let desk = Rc::clone(self);
        desk.busy.set(desk.busy.get() + 1);
        drop(task::spawn("iteration", async move { desk.work(member, number, start).await }));
    }

    /// Runs an iteration, and those that wait.
    async fn work(&self, mut member: Member, mut number: u64, mut start: Instant) {
        member.moved();
        loop {
            let lag = clock::now().saturating_duration_since(start);
            let job = Job::Iterate { exec: Rc::clone(&self.exec), data: self.data.clone() };
            member.iterate(&self.crew, job, number, Some(lag), self.deadline).await;
            let is_over = self.crew.share.control.is_draining() || clock::now() >= self.deadline;
            let next = if is_over { None } else { self.waiting.borrow_mut().pop_front() };
            let Some(next) = next else { break };
            (number, start) = next;
        }
        self.idle.borrow_mut().push(member);
        self.leave();
    }

    fn leave(&self) {
        self.busy.set(self.busy.get() - 1);
        self.freed.notify_one();
        let _ = self.begun;
    }
}

/// Waits until `at`, or as long as it may take to see the end of a run.
async fn wait(alarm: Option<&Alarm>, at: Instant) {
    let at = at.min(clock::now() + NAP);
    let waited = match alarm {
        Some(alarm) => alarm.wait_until(at).await.is_ok(),
        None => false,
    };
    if !waited {
        tokio::time::sleep_until(at.into()).await;
    }
}
