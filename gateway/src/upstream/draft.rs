//! A request as it goes upstream, ready to be sent as often as need be.

use http::{HeaderValue, Method, Version, request::Parts};

use super::{h1::Failed, pool::Pooled};
use crate::{
    clock,
    error::Error,
    http::{
        body::Body,
        deadline,
        guard::Framing,
        headers::{Outbound, Upgrade, prepare_upstream},
        upload::Upload,
    },
};

/// A request ready to be sent, as often as need be.
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
    /// Whether the client reads trailers.
    pub(crate) trailers: bool,
    /// Host that the route sets.
    pub(crate) host: Option<HeaderValue>,
}

impl Draft {
    /// Whether the request may be sent once more: when nothing of it was sent, or when an endpoint
    /// that did see it does no harm by seeing it again (RFC 9110 section 9.2.2) and most likely did
    /// not, its connection having been closed between two requests.
    pub(super) fn may_repeat(&self, failed: Failed) -> bool {
        if !failed.sent {
            return self.upload.is_untouched();
        }
        let method = &self.head.method;
        self.shape.framing == Framing::None
            && self.shape.upgrade.is_none()
            && (method.is_idempotent() || method.as_str() == "QUERY")
            && matches!(
                failed.error,
                Error::UpstreamReset { reused: true } | Error::UpstreamRefused
            )
    }

    /// Whether no request goes upstream but the bytes behind this one. What asks for an upgrade may
    /// be a CONNECT as well, an extended one, in an attempt's form.
    pub(super) fn is_connect(&self) -> bool {
        self.head.method == Method::CONNECT && self.shape.upgrade.is_none()
    }

    /// Brings the head into the form of one connection.
    pub(super) fn prepare(&mut self, pool: &Pooled, version: Version) -> Result<(), Failed> {
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
            trailers: shape.trailers,
        };
        prepare_upstream(&mut self.head, &outbound).map_err(Failed::unsent)?;
        self.shape.again = true;
        Ok(())
    }
}
