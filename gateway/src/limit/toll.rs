//! Costs out of a body that is read for its own sake, whether or not a client is there to read it.

use std::rc::Rc;

use super::{Limited, Meter, put_right};
use crate::{clock, http::exchange::Exchange, worker::World};

/// Reads what a response did cost, and settles it when it is dropped: once the body is over.
pub(crate) struct Toll {
    world: Rc<World>,
    route: usize,
    limited: Limited,
    meter: Box<Meter>,
}

impl Toll {
    /// Takes over from an exchange, if a limit of its route reads bodies.
    pub(crate) fn take(exchange: &mut Exchange) -> Option<Self> {
        let route = exchange.route?;
        let limited = Limited::clone(exchange.limited.as_deref()?);
        let meter = exchange.meter.take()?;
        Some(Self { world: exchange.world.clone(), route, limited, meter })
    }

    /// A piece of the body.
    pub(crate) fn read(&mut self, piece: &[u8]) {
        let Self { world, route, limited, meter } = self;
        let route = world.snapshot.routes.get(*route);
        let Some(limits) = route.and_then(|route| route.limits.as_ref()) else { return };
        meter.pass(piece, limits, limited);
    }
}

impl std::fmt::Debug for Toll {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Toll").field("route", &self.route).finish_non_exhaustive()
    }
}

impl Drop for Toll {
    fn drop(&mut self) {
        let world = self.world.clone();
        let route = world.snapshot.routes.get(self.route);
        let Some(limits) = route.and_then(|route| route.limits.as_ref()) else { return };
        let costs = self.meter.costs();
        put_right(&world, (self.route, limits), &mut self.limited, &costs, clock::now());
    }
}
