//! One worker's attempts to reach an endpoint over HTTP/3 because it says that it speaks it.
//!
//! Requests never wait for them: a connection is opened beside those that serve, and used from then
//! on. What fails is put aside for a while ([`super::alt_svc`]).

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use http::{HeaderMap, header};
use weir_config::model::Address;

use super::{
    alt_svc::{self, Advice, Alternative},
    h3::H3Connection,
};
use crate::clock::Tick;

/// See the module's page.
#[derive(Debug)]
pub(super) struct Trial {
    host: Box<str>,
    alternative: Cell<Alternative>,
    attempt: RefCell<Attempt>,
    rng: RefCell<fastrand::Rng>,
}

#[derive(Debug)]
enum Attempt {
    None,
    Opening,
    /// Since then.
    Open(Rc<H3Connection>, Tick),
}

impl Trial {
    /// For an endpoint at `address` of which nothing is known.
    pub(super) fn new(address: &Address, rng: &mut fastrand::Rng) -> Self {
        let host = match address {
            Address::Tcp(address) if address.is_ipv6() => format!("[{}]", address.ip()).into(),
            Address::Tcp(address) => address.ip().to_string().into(),
            Address::Name(host, _) => host.as_str().into(),
            Address::Unix(_) => "localhost".into(),
        };
        Self {
            host,
            alternative: Cell::default(),
            attempt: RefCell::new(Attempt::None),
            rng: RefCell::new(rng.fork()),
        }
    }

    /// Takes in what a response says.
    pub(super) fn hear(&self, headers: &HeaderMap, now: Tick) {
        let fields = headers.get_all(header::ALT_SVC);
        let Some(advice) = alt_svc::parse(fields, &self.host) else { return };
        let mut alternative = self.alternative.get();
        alternative.learn(advice, now);
        self.alternative.set(alternative);
        if let (Advice::Absent, Attempt::Open(connection, _)) = (advice, &*self.attempt.borrow()) {
            connection.retire();
        }
    }

    /// Whether to open a connection now, and to which port. Whoever does says how it went.
    pub(super) fn begin(&self, now: Tick) -> Option<u16> {
        self.look(now);
        if !matches!(*self.attempt.borrow(), Attempt::None) {
            return None;
        }
        self.alternative.get().port(now)
    }

    /// A connection is being opened.
    pub(super) fn opening(&self) {
        *self.attempt.borrow_mut() = Attempt::Opening;
    }

    /// The attempt failed.
    pub(super) fn failed(&self, now: Tick) {
        *self.attempt.borrow_mut() = Attempt::None;
        let mut alternative = self.alternative.get();
        alternative.fail(now, &mut self.rng.borrow_mut());
        self.alternative.set(alternative);
    }

    /// The attempt came to a connection.
    pub(super) fn opened(&self, connection: Rc<H3Connection>, now: Tick) {
        *self.attempt.borrow_mut() = Attempt::Open(connection, now);
    }

    /// Takes note of the end of a connection.
    pub(super) fn look(&self, now: Tick) {
        let mut attempt = self.attempt.borrow_mut();
        if let Attempt::Open(connection, since) = &*attempt
            && connection.is_retired()
        {
            let mut alternative = self.alternative.get();
            let rng = &mut self.rng.borrow_mut();
            alternative.part(connection.has_died(), now.since(*since), now, rng);
            self.alternative.set(alternative);
            *attempt = Attempt::None;
        }
    }
}
