//! What one way of saying who one is makes of a request, and what all of them together do.

use std::rc::Rc;

use http::{HeaderValue, Response};

use super::{identity::Identity, token::Flaw};
use crate::{error::Error, http::body::Body};

/// What a way makes of a request.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The client is this one.
    Good(Rc<Identity>),
    /// It may pass, whoever it is: who decides cannot be asked, and that is to do no harm.
    Skipped,
    /// There is no credential of this kind.
    Absent,
    /// The credential is not good.
    Bad(Why),
    /// It is good, and not for this.
    Forbidden(Why),
    /// Whether it is good cannot be found out at present.
    Down(&'static str),
    /// So many are being found out about that this one is not.
    Busy(&'static str),
    /// Another service has answered.
    Answer(Box<Response<Body>>),
    /// It takes a while to find out.
    Later,
}

/// Why a credential is not enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// A token, by its flaw.
    Token(Flaw),
    /// Something else.
    Other(&'static str),
}

impl Why {
    pub(crate) const fn describe(self) -> &'static str {
        match self {
            Self::Token(flaw) => flaw.describe(),
            Self::Other(what) => what,
        }
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Skipped,
    Absent,
    Invalid,
    Forbidden,
    Unavailable,
    Answered,
    Busy,
}

impl Outcome {
    /// Names in metrics, by place.
    pub(crate) const NAMES: [&str; 8] =
        ["passed", "skipped", "absent", "invalid", "forbidden", "unavailable", "answered", "busy"];
}

impl Verdict {
    pub(crate) const fn outcome(&self) -> Option<Outcome> {
        Some(match self {
            Self::Good(_) => Outcome::Passed,
            Self::Skipped => Outcome::Skipped,
            Self::Absent => Outcome::Absent,
            Self::Bad(_) => Outcome::Invalid,
            Self::Forbidden(_) => Outcome::Forbidden,
            Self::Down(_) => Outcome::Unavailable,
            Self::Busy(_) => Outcome::Busy,
            Self::Answer(_) => Outcome::Answered,
            Self::Later => return None,
        })
    }

    /// Which of two verdicts that let nobody pass says more: an answer says what the client is to
    /// do, what is down makes the others worth little, a good credential more than a bad one.
    const fn weight(&self) -> u8 {
        match self {
            Self::Absent | Self::Good(_) | Self::Skipped | Self::Later => 0,
            Self::Bad(_) => 1,
            Self::Forbidden(_) => 2,
            Self::Down(_) | Self::Busy(_) => 3,
            Self::Answer(_) => 4,
        }
    }

    /// Whether it says more than another that lets nobody pass.
    pub(crate) const fn outweighs(&self, other: &Self) -> bool {
        self.weight() > other.weight()
    }
}

/// Why a request was turned away, for the client and the log.
#[derive(Debug)]
pub(crate) struct Refused {
    /// Kind of the way that says so; empty where none had a credential.
    pub(crate) kind: &'static str,
    pub(crate) why: &'static str,
    /// Name of the claim that does not hold.
    pub(crate) claim: Option<Box<str>>,
    pub(crate) challenges: Vec<HeaderValue>,
}

impl Refused {
    /// As the access log has it.
    pub(crate) fn describe(&self) -> String {
        let kind = if self.kind.is_empty() { "" } else { ": " };
        let claim = self.claim.as_ref().map(|name| format!(" (`{name}`)")).unwrap_or_default();
        format!("{}{kind}{}{claim}", self.kind, self.why)
    }
}

/// What follows from a verdict that lets nobody pass. Where no way has a challenge to send, there
/// is nothing that a 401 could ask for (RFC 9110 section 15.5.2).
pub(crate) const fn error(verdict: &Verdict, challenges: bool) -> Error {
    match verdict {
        Verdict::Down(_) | Verdict::Busy(_) => Error::AuthUnavailable,
        Verdict::Forbidden(_) => Error::Denied,
        _ if challenges => Error::Unauthenticated,
        _ => Error::Denied,
    }
}

/// What a way tells a client that it does not let pass (RFC 6750 section 3, RFC 7617 section 2).
pub(crate) fn bearer(verdict: &Verdict) -> HeaderValue {
    let (code, what) = match verdict {
        Verdict::Bad(why) => ("invalid_token", why.describe()),
        Verdict::Forbidden(why) => ("insufficient_scope", why.describe()),
        _ => return HeaderValue::from_static("Bearer"),
    };
    let value = format!("Bearer error=\"{code}\", error_description=\"{what}\"");
    HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("Bearer"))
}
