//! A connection that carries many requests at a time, whichever version it speaks.

use std::{rc::Rc, time::Duration};

use super::{h2::H2Connection, h3::H3Connection, pool::Ready};
use crate::clock::Tick;

/// See the module's page.
#[derive(Debug)]
pub(crate) enum Shared {
    H2(Rc<H2Connection>),
    H3(Rc<H3Connection>),
}

impl Shared {
    /// Whether another request fits.
    pub(crate) fn has_room(&self) -> bool {
        match self {
            Self::H2(connection) => connection.has_room(),
            Self::H3(connection) => connection.has_room(),
        }
    }

    /// Whether a request that asks for a tunnel has a chance.
    pub(crate) fn takes_tunnels(&self) -> bool {
        match self {
            Self::H2(_) => true,
            Self::H3(connection) => connection.takes_tunnels(),
        }
    }

    /// Takes no more requests; those under way go on.
    pub(crate) fn retire(&self) {
        match self {
            Self::H2(connection) => connection.retire(),
            Self::H3(connection) => connection.retire(),
        }
    }

    /// Whether it is of no more use.
    pub(crate) fn is_retired(&self) -> bool {
        match self {
            Self::H2(connection) => connection.is_retired(),
            Self::H3(connection) => connection.is_retired(),
        }
    }

    /// For how long no request has been under way.
    pub(crate) fn idle_for(&self, now: Tick) -> Duration {
        match self {
            Self::H2(connection) => connection.idle_for(now),
            Self::H3(connection) => connection.idle_for(now),
        }
    }

    /// The connection for one more request.
    pub(crate) fn ready(&self) -> Ready {
        match self {
            Self::H2(connection) => Ready::H2(connection.clone()),
            Self::H3(connection) => Ready::H3(connection.clone()),
        }
    }
}
