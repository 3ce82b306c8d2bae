//! A request as it goes upstream, ready to be sent as often as need be.

use std::{cell::Cell, rc::Rc};

use http::{HeaderValue, Method, Version, request::Parts};

use super::{h1::Failed, pool::Pooled, retry::policy::Case};
use crate::{
    clock::{self, Tick},
    error::Error,
    http::{
        body::Body,
        deadline,
        guard::Framing,
        headers::{Outbound, Upgrade, prepare_upstream},
        upload::Upload,
    },
};

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Draft {
    /// Its head.
    pub(crate) head: Parts,
    /// Its body.
    pub(crate) upload: Upload,
    /// The client's half of the tunnel that it asks for on its own stream.
    pub(crate) client: Option<Box<Body>>,
    /// How it is to be sent.
    pub(crate) shape: Shape,
    /// Whether an endpoint may have seen it.
    pub(crate) seen: bool,
    /// Whether it was copied for a mirror, or is a copy itself.
    pub(crate) mirrored: bool,
    /// How often it may run.
    pub(crate) runs: Runs,
    /// Until when it may be sent, where that is by a claim: whoever holds one changes it.
    pub(crate) claimed: Option<Rc<Cell<Tick>>>,
}

/// How often a request may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runs {
    /// As its method says.
    ByMethod,
    /// As its method says, but never twice at a time.
    OneAtATime,
    /// Once.
    Once,
    /// Once, beside another request: no policy of the route's is for it.
    Aside,
}

/// How a request is to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// How long the body is.
    pub(crate) framing: Framing,
    /// What the client wants its connection or stream to become.
    pub(crate) upgrade: Option<Upgrade>,
    /// Whether an attempt was made with it.
    pub(crate) again: bool,
    /// Which attempt it is for, from 1; one for a kept connection that had died does not count.
    pub(crate) attempt: u32,
    /// Whether the client reads trailers.
    pub(crate) trailers: bool,
    /// Host that the route sets.
    pub(crate) host: Option<HeaderValue>,
}

impl Shape {
    /// Nothing but a body, or none.
    pub(crate) const fn new(framing: Framing) -> Self {
        Self { framing, upgrade: None, again: false, attempt: 0, trailers: false, host: None }
    }
}

impl Draft {
    /// A request that nobody has seen.
    pub(crate) const fn new(head: Parts, upload: Upload, shape: Shape) -> Self {
        let (client, seen, runs, claimed) = (None, false, Runs::ByMethod, None);
        Self { head, upload, client, shape, seen, mirrored: false, runs, claimed }
    }

    /// Whether an endpoint that has seen it does no harm by seeing it again: what is idempotent
    /// (RFC 9110 section 9.2.2) and asks for nothing but an answer.
    pub(super) fn is_harmless(&self) -> bool {
        let method = &self.head.method;
        !matches!(self.runs, Runs::Once | Runs::Aside)
            && self.shape.upgrade.is_none()
            && (method.is_idempotent() || method.as_str() == "QUERY")
    }

    /// What a retry policy wants to know, after so many attempts.
    pub(super) fn case(&self, tries: u32) -> Case {
        Case { tries, harmless: self.is_harmless(), repeatable: self.upload.is_repeatable() }
    }

    /// Whether it may go to another upstream after all that was tried.
    pub(crate) fn may_move(&mut self) -> bool {
        (!self.seen || self.is_harmless()) && self.upload.again()
    }

    /// Whether it may be sent to two endpoints at once.
    pub(super) fn may_hedge(&self) -> bool {
        self.runs == Runs::ByMethod && self.shape.framing == Framing::None && self.is_harmless()
    }

    /// A second one, for an attempt beside the first: of a request without a body.
    pub(super) fn twin(&self) -> Self {
        Self::new(self.head.clone(), Upload::empty(), self.shape.clone())
    }

    /// Whether no request goes upstream but the bytes behind this one. What asks for an upgrade may
    /// be a CONNECT as well, an extended one, in an attempt's form.
    pub(super) fn is_connect(&self) -> bool {
        self.head.method == Method::CONNECT && self.shape.upgrade.is_none()
    }

    /// To be called before anything is sent, once there is nothing left to wait for: a claim that
    /// was lost meanwhile may be somebody else's by now.
    pub(super) fn check_claim(&self) -> Result<(), Failed> {
        let over = self.claimed.as_ref().is_some_and(|until| clock::now() >= until.get());
        if over { Err(Failed::unsent(Error::IdempotencyKeyStoreDown)) } else { Ok(()) }
    }

    /// Brings the head into the form of one connection.
    pub(super) fn prepare(&mut self, pool: &Pooled, version: Version) -> Result<(), Failed> {
        self.check_claim()?;
        deadline::tell(&mut self.head, clock::now).map_err(Failed::unsent)?;
        let shape = &self.shape;
        let outbound = Outbound {
            version,
            tls: pool.0.is_tls(),
            host: shape.host.as_ref(),
            fallback_host: &pool.0.shared.host,
            framing: shape.framing,
            upgrade: shape.upgrade.as_ref(),
            again: shape.again,
            attempt: shape.attempt,
            trailers: shape.trailers,
        };
        prepare_upstream(&mut self.head, &outbound).map_err(Failed::unsent)?;
        self.shape.again = true;
        Ok(())
    }
}
