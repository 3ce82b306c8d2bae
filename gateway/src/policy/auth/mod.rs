//! Who may use a route: clients say who they are by one of several ways, or are turned away.
//!
//! What can be told at once is told at once (tokens with keys that are there, keys out of a list,
//! certificates, passwords that were checked of late). What cannot is waited for: keys on their way
//! ([`jwks`]), passwords ([`basic`]), and other services that decide ([`forward`]).

use std::rc::Rc;

use http::{HeaderMap, HeaderName, HeaderValue, Response};
use smallvec::SmallVec;

mod api_key;
mod basic;
pub(crate) mod certificate;
mod compile;
mod credential;
mod forward;
mod identity;
pub(crate) mod jwks;
mod jwt;
pub mod keys;
mod memory;
mod password;
mod recent;
pub mod token;
mod turns;
mod verdict;

pub(crate) use compile::{Around, Wrong, files, read};
pub(crate) use identity::Identity;
pub(crate) use memory::{AuthTally, Memory};
pub(crate) use verdict::{Outcome, Refused};

use self::{
    api_key::KeyRing,
    basic::Basic,
    certificate::Certified,
    credential::Found,
    forward::Forward,
    jwt::Jwt,
    token::Flaw,
    verdict::{Verdict, Why},
};
use super::Asked;
use crate::{error::Error, http::body::Body, http::exchange::Exchange};

/// How clients of a route say who they are.
#[derive(Debug)]
pub(crate) struct Auth {
    pub(crate) ways: Box<[Way]>,
    /// Fields that only the gateway may fill.
    reserved: Box<[HeaderName]>,
}

/// One way.
#[derive(Debug)]
pub(crate) enum Way {
    Jwt(Box<Jwt>),
    ApiKey(Box<ApiKeys>),
    Basic(Box<Basic>),
    Mtls(Box<[weir_config::model::SubjectMatch]>),
    Forward(Box<Forward>),
}

/// Keys out of a list.
#[derive(Debug)]
pub(crate) struct ApiKeys {
    header: Option<HeaderName>,
    query: Option<String>,
    ring: KeyRing,
}

/// What becomes of a request.
pub(crate) enum Passage {
    /// It goes on, for this client, if that is known.
    On(Option<Rc<Identity>>),
    /// That takes a while to find out.
    Wait,
    /// It goes no further: this is what another service answers.
    Answer(Box<Response<Body>>),
    /// It is turned away.
    Refused(Error),
}

impl Way {
    /// As the file and metrics call it.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Jwt(_) => "jwt",
            Self::ApiKey(_) => "api_key",
            Self::Basic(_) => "basic",
            Self::Mtls(_) => "mtls",
            Self::Forward(_) => "forward",
        }
    }

    fn look(&self, exchange: &Exchange, asked: &Asked<'_>, memory: &Memory) -> Verdict {
        match self {
            Self::Jwt(jwt) => jwt.look(asked, memory),
            Self::ApiKey(keys) => keys.look(asked),
            Self::Basic(basic) => basic.look(asked, memory),
            Self::Mtls(wanted) => match exchange.connection.certified() {
                None => Verdict::Absent,
                Some(Certified { subject, identity }) if subject.is_one_of(wanted) => {
                    Verdict::Good(identity.clone())
                }
                Some(_) => Verdict::Forbidden(Why::Other("the certificate is for somebody else")),
            },
            Self::Forward(_) => Verdict::Later,
        }
    }

    async fn wait(&self, exchange: &Exchange, asked: &Asked<'_>, memory: &Memory) -> Verdict {
        match self {
            Self::Jwt(jwt) => jwt.wait(asked, memory).await,
            Self::Basic(basic) => basic.wait(exchange.client, asked, memory).await,
            Self::Forward(forward) => forward.ask(exchange, asked).await,
            Self::ApiKey(_) | Self::Mtls(_) => self.look(exchange, asked, memory),
        }
    }

    /// What it asks for in a 401, if there are words for that.
    fn challenge(&self, verdict: &Verdict) -> Option<HeaderValue> {
        match self {
            Self::Jwt(_) => Some(verdict::bearer(verdict)),
            Self::ApiKey(_) => Some(HeaderValue::from_static("ApiKey")),
            Self::Basic(basic) => Some(basic.challenge.clone()),
            Self::Mtls(_) | Self::Forward(_) => None,
        }
    }

    /// In words, for `weir route`.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Jwt(jwt) => {
                let names = jwt.rules.algorithms().iter().map(|one| format!("{one:?}"));
                let from = match &jwt.keys {
                    jwt::Keys::Fixed(keys) => format!("{} keys", keys.len()),
                    jwt::Keys::Remote(jwks) => format!("keys of {}", jwks.url),
                };
                format!("jwt ({}, {from})", names.collect::<Vec<_>>().join(", "))
            }
            Self::ApiKey(keys) => format!("api_key ({} keys)", keys.ring.len()),
            Self::Basic(basic) => format!("basic ({} users)", basic.users()),
            Self::Mtls(wanted) if wanted.is_empty() => "mtls (any certificate)".to_owned(),
            Self::Mtls(wanted) => format!("mtls ({} subjects)", wanted.len()),
            Self::Forward(_) => "forward".to_owned(),
        }
    }
}

impl ApiKeys {
    fn look(&self, asked: &Asked<'_>) -> Verdict {
        use weir_config::model::CredentialPlace::{Header, Query};
        let header = self.header.clone().map(Header);
        let query = self.query.clone().map(Query);
        let places: SmallVec<[_; 2]> = header.into_iter().chain(query).collect();
        match credential::find(&places, asked.headers, asked.query) {
            Found::Nothing => Verdict::Absent,
            Found::Several => Verdict::Bad(Why::Other("there are several keys")),
            Found::One(key) => match self.ring.find(&key) {
                Some(identity) => Verdict::Good(identity),
                None => Verdict::Bad(Why::Other("the key is unknown")),
            },
        }
    }
}

/// Verdicts of the ways of a route, in their order.
struct Judged {
    verdicts: SmallVec<[(usize, Verdict); 4]>,
}

impl Auth {
    /// What can be told of a request at once.
    pub(crate) fn judge(&self, exchange: &mut Exchange, asked: &Asked<'_>) -> Passage {
        let world = exchange.world.clone();
        let memories = world.memories(exchange.route);
        let mut judged = Judged { verdicts: SmallVec::new() };
        for (place, (way, memory)) in self.ways.iter().zip(memories).enumerate() {
            let verdict = way.look(exchange, asked, memory);
            let good = matches!(verdict, Verdict::Good(_));
            judged.verdicts.push((place, verdict));
            if good {
                break;
            }
        }
        let last = judged.verdicts.last().map(|(_, verdict)| verdict);
        let good = matches!(last, Some(Verdict::Good(_)));
        if !good && judged.verdicts.iter().any(|(_, one)| matches!(one, Verdict::Later)) {
            return Passage::Wait;
        }
        self.conclude(exchange, judged, memories)
    }

    /// What can be told of it in time: the ways that take a while, in their order, until one of
    /// them lets it pass.
    pub(crate) async fn judge_in_time(
        &self,
        exchange: &mut Exchange,
        asked: &Asked<'_>,
    ) -> Passage {
        let world = exchange.world.clone();
        let memories = world.memories(exchange.route);
        let mut judged = Judged { verdicts: SmallVec::new() };
        for (place, (way, memory)) in self.ways.iter().zip(memories).enumerate() {
            let verdict = match way.look(exchange, asked, memory) {
                Verdict::Later => way.wait(exchange, asked, memory).await,
                verdict => verdict,
            };
            let passes = matches!(verdict, Verdict::Good(_) | Verdict::Skipped);
            judged.verdicts.push((place, verdict));
            if passes {
                break;
            }
        }
        self.conclude(exchange, judged, memories)
    }

    fn conclude(&self, exchange: &mut Exchange, judged: Judged, memories: &[Memory]) -> Passage {
        for (place, verdict) in &judged.verdicts {
            if let (Some(memory), Some(outcome)) = (memories.get(*place), verdict.outcome()) {
                memory.tally.record(outcome);
            }
        }
        let challenges = || {
            let way =
                |(place, verdict): &(usize, Verdict)| self.ways.get(*place)?.challenge(verdict);
            judged.verdicts.iter().filter_map(way).collect::<Vec<_>>()
        };
        let passes = |verdict: &Verdict| matches!(verdict, Verdict::Good(_) | Verdict::Skipped);
        if judged.verdicts.iter().any(|(_, verdict)| passes(verdict)) {
            let good = judged.verdicts.into_iter().find_map(|(_, verdict)| match verdict {
                Verdict::Good(identity) => Some(identity),
                _ => None,
            });
            return Passage::On(good);
        }
        let challenges = challenges();
        let mut heaviest = (0, Verdict::Absent);
        for (place, verdict) in judged.verdicts {
            if verdict.outweighs(&heaviest.1) {
                heaviest = (place, verdict);
            }
        }
        let (place, verdict) = heaviest;
        let error = verdict::error(&verdict, !challenges.is_empty());
        let way = self.ways.get(place);
        let (kind, why) = match &verdict {
            Verdict::Bad(why) | Verdict::Forbidden(why) => (way.map(Way::kind), why.describe()),
            Verdict::Down(why) | Verdict::Busy(why) => (way.map(Way::kind), *why),
            Verdict::Answer(_) => (way.map(Way::kind), "the service that decides said no"),
            _ => (None, "no credential"),
        };
        let claim = match (way, &verdict) {
            (Some(Way::Jwt(jwt)), Verdict::Forbidden(Why::Token(Flaw::Claim(place)))) => {
                Some(jwt.rules.condition(*place).into())
            }
            _ => None,
        };
        let refused = Refused { kind: kind.unwrap_or_default(), why, claim, challenges };
        exchange.policy.get_or_insert_default().refused = Some(Box::new(refused));
        match verdict {
            Verdict::Answer(response) => Passage::Answer(response),
            _ => Passage::Refused(error),
        }
    }

    /// Says upstream who the client is, and nothing that it says of itself in these fields.
    pub(crate) fn tell(&self, headers: &mut HeaderMap, identity: Option<&Identity>) {
        identity::strip(headers, &self.reserved);
        for (name, value) in identity.iter().flat_map(|identity| &identity.told) {
            headers.append(name, value.clone());
        }
    }
}

/// What a request that was turned away is told beside its status.
pub(crate) fn challenge(error: Error, refused: &Refused, headers: &mut HeaderMap) {
    let bearer = |value: &&HeaderValue| value.as_bytes().starts_with(b"Bearer error=");
    match error {
        Error::Unauthenticated => {
            for value in &refused.challenges {
                headers.append(http::header::WWW_AUTHENTICATE, value.clone());
            }
        }
        // That a token is good and its claims are not enough (RFC 6750 section 3.1).
        Error::Denied => {
            if let Some(value) = refused.challenges.iter().find(bearer) {
                headers.append(http::header::WWW_AUTHENTICATE, value.clone());
            }
        }
        _ => {}
    }
}
