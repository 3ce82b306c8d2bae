//! What the sources have told so far: written by their tasks, read by whoever compiles a
//! configuration, by the admin API and by the scrape.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;
use weir_config::model::{self, Address, Config, Discovery, DiscoverySource};
use weir_discovery::view::{Answer, Refresh, Serving, View};

use super::change::Change;
use crate::clock::Tick;

/// A change is passed on when there was no other for so long.
const QUIET: Duration = Duration::from_millis(100);
/// While there are others all the time, after so long.
const UNREST: Duration = Duration::from_secs(1);
/// Greatest weight of an endpoint, as in a file.
const WEIGHT_MAX: u32 = 1_000;

/// Longest text of an error that is kept, in bytes.
const ERROR_MAX: usize = 2_000;

/// Whose endpoints come from where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Question {
    pub(super) upstream: Box<str>,
    pub(super) source: DiscoverySource,
    /// Who is asked, where that is DNS: another server may say something else.
    pub(super) resolver: Option<model::Resolver>,
}

/// What a source said.
#[derive(Debug)]
pub(super) enum Said {
    /// As DNS says it: for so long, and that nobody serves only if it is said again.
    For(Vec<Serving>, Duration),
    /// As somebody wrote it down.
    Surely(Vec<Serving>),
    /// Nothing, and why.
    Nothing(String),
}

/// See the module's page.
#[derive(Debug, Default)]
pub struct Found {
    inner: Mutex<Inner>,
    /// Something was heard.
    news: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    heard: BTreeMap<Question, Heard>,
    /// When the first and the latest change were that nobody was told of yet.
    changed: Option<(Tick, Tick)>,
}

#[derive(Debug, Default)]
struct Heard {
    refresh: Refresh,
    /// Whether anything was said at all.
    asked: bool,
    /// Whether the running configuration wants to know it.
    settled: bool,
    failures: u64,
    error: Option<Box<str>>,
    answered: Option<Tick>,
    changed: Option<Tick>,
}

/// How one source stands.
#[derive(Debug, Clone)]
pub struct SourceReport {
    /// The upstream's name.
    pub upstream: Box<str>,
    /// Who serves, as it was last told.
    pub view: Arc<View>,
    /// Failures so far.
    pub failures: u64,
    /// Failures since the last answer.
    pub run: u32,
    /// What the latest of them was, unless it has answered since.
    pub error: Option<Box<str>>,
    /// When it answered last.
    pub answered: Option<Tick>,
    /// When that differed from what was before.
    pub changed: Option<Tick>,
}

impl Found {
    /// Who serves an upstream; `None` when it names its endpoints itself, or nobody was asked yet.
    pub fn view(&self, config: &Config, upstream: &model::Upstream) -> Option<Arc<View>> {
        let question = Question::of(config, upstream)?;
        self.lock().heard.get(&question).map(|heard| heard.refresh.view().clone())
    }

    /// How the source of an upstream stands.
    pub fn report_of(&self, config: &Config, upstream: &model::Upstream) -> Option<SourceReport> {
        let question = Question::of(config, upstream)?;
        self.lock().heard.get(&question).map(|heard| heard.report(&question))
    }

    /// How all sources stand that the running configuration has: one for each upstream.
    pub fn report(&self) -> Vec<SourceReport> {
        let inner = self.lock();
        let settled = inner.heard.iter().filter(|(_, heard)| heard.settled);
        settled.map(|(question, heard)| heard.report(question)).collect()
    }

    /// What is asked.
    pub(super) fn questions(&self) -> Vec<Question> {
        self.lock().heard.keys().cloned().collect()
    }

    /// Somebody is about to ask this. What was told of it before is kept; until something is, what
    /// was told of the same source to another upstream, or by another server, is as good.
    pub(super) fn expect(&self, question: &Question) {
        let heard = &mut self.lock().heard;
        if !heard.contains_key(question) {
            let same = heard
                .iter()
                .find(|(other, heard)| other.source == question.source && heard.answered.is_some());
            let view = same.map(|(_, heard)| heard.refresh.view().clone()).unwrap_or_default();
            let refresh = Refresh::from_view(view);
            heard.insert(question.clone(), Heard { refresh, ..Heard::default() });
        }
    }

    /// Forgets all that was told of other questions.
    pub(super) fn keep(&self, wanted: impl Fn(&Question) -> bool) {
        self.lock().heard.retain(|question, heard| {
            heard.settled = wanted(question);
            heard.settled
        });
    }

    /// Takes in what a source said; when to ask it again, by `dice`, a random number.
    pub(super) fn hear(
        &self,
        question: &Question,
        said: Said,
        dice: u32,
        now: Tick,
    ) -> Option<Duration> {
        let mut inner = self.lock();
        let Inner { heard, changed } = &mut *inner;
        let heard = heard.get_mut(question)?;
        let before = heard.refresh.view().clone();
        heard.asked = true;
        let pause = match said {
            Said::For(serving, ttl) => heard.refresh.hear(Answer::Known(serving, ttl), dice),
            Said::Surely(serving) => {
                heard.refresh.settle(serving);
                Duration::MAX
            }
            Said::Nothing(why) => {
                let why = bounded(&why);
                // A source that is asked again and again says it once for each run of failures.
                let edited = matches!(question.source, DiscoverySource::File(_));
                if heard.error.as_deref().is_none_or(|before| edited && before != why) {
                    fails(question, why, &before);
                }
                heard.failures += 1;
                heard.error = Some(why.into());
                let pause = heard.refresh.hear(Answer::Failed, dice);
                drop(inner);
                self.news.notify_one();
                return Some(pause);
            }
        };
        if heard.error.take().is_some() {
            let upstream = &*question.upstream;
            tracing::info!(upstream, source = %question, "source answers again");
        }
        heard.answered = Some(now);
        let after = heard.refresh.view().clone();
        if !Arc::ptr_eq(&before, &after) {
            heard.changed = Some(now);
            *changed = Some((changed.map_or(now, |(first, _)| first), now));
            Change::between(&before, &after).log(question);
        }
        drop(inner);
        self.news.notify_one();
        Some(pause)
    }

    /// The source of an upstream says this.
    #[cfg(test)]
    pub(crate) fn tell(&self, config: &Config, upstream: &model::Upstream, serving: Vec<Serving>) {
        if let Some(question) = Question::of(config, upstream) {
            self.expect(&question);
            self.hear(&question, Said::Surely(serving), 0, Tick::ZERO);
        }
    }

    /// Whether every source has said something.
    pub(super) fn is_complete(&self) -> bool {
        self.lock().heard.values().all(|heard| heard.asked)
    }

    /// Waits until something was heard. For one caller at a time.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    /// When the changes so far are to be passed on, if there are some.
    pub(super) fn due(&self) -> Option<Tick> {
        let (first, latest) = self.lock().changed?;
        Some((latest + QUIET).min(first + UNREST))
    }

    /// The changes so far are passed on now.
    pub(super) fn passed_on(&self) {
        self.lock().changed = None;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heard {
    fn report(&self, question: &Question) -> SourceReport {
        SourceReport {
            upstream: question.upstream.clone(),
            view: self.refresh.view().clone(),
            failures: self.failures,
            run: self.refresh.failures(),
            error: self.error.clone(),
            answered: self.answered,
            changed: self.changed,
        }
    }
}

impl Question {
    pub(super) fn of(config: &Config, upstream: &model::Upstream) -> Option<Self> {
        let Discovery { source, .. } = upstream.discovery.as_ref()?;
        let dns = matches!(source, DiscoverySource::Dns(..) | DiscoverySource::DnsSrv(_));
        let resolver = dns.then(|| config.resolver.clone());
        Some(Self { upstream: upstream.name.as_str().into(), source: source.clone(), resolver })
    }

    /// All that a configuration wants to know.
    pub(super) fn all(config: &Config) -> BTreeSet<Self> {
        config.upstreams.iter().filter_map(|upstream| Self::of(config, upstream)).collect()
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.source.word(), self.source.subject())
    }
}

/// The beginning of what is wrong; a long file can be wrong in many places.
fn bounded(why: &str) -> &str {
    &why[..why.floor_char_boundary(ERROR_MAX)]
}

fn fails(question: &Question, why: &str, view: &View) {
    let (upstream, kept) = (&*question.upstream, view.serving.len());
    tracing::warn!(upstream, source = %question, error = why, kept, "source does not answer");
}

/// An upstream of a file with the endpoints that were found.
pub(crate) fn filled(upstream: &model::Upstream, view: Option<&View>) -> model::Upstream {
    let mut out = upstream.clone();
    let Some(Discovery { at, source }) = &upstream.discovery else { return out };
    let endpoint = |one: &Serving| {
        let address = address(&one.address)?;
        let name = Some(&one.name).filter(|name| **name != one.address);
        Some(model::Endpoint {
            at: *at,
            address,
            name: name.map(|name| name.to_string()),
            weight: one.weight.clamp(1, WEIGHT_MAX),
            zone: one.zone.as_deref().map(str::to_owned),
        })
    };
    out.endpoints = view.iter().flat_map(|view| &view.serving).filter_map(endpoint).collect();
    // Of two at one address, such as an instance and its successor, the first by name.
    let mut seen = HashSet::new();
    out.endpoints.retain(|endpoint| seen.insert(endpoint.address.clone()));
    if let Some(tls) = &mut out.tls {
        let name = || source.reference_name().map(str::to_owned);
        tls.server_name = tls.server_name.take().or_else(name);
    }
    out
}

/// An address as [`Address`] shows itself.
fn address(text: &str) -> Option<Address> {
    if let Some(path) = text.strip_prefix("unix:") {
        return Some(Address::Unix(path.into()));
    }
    if let Ok(address) = text.parse() {
        return Some(Address::Tcp(address));
    }
    let (host, port) = text.rsplit_once(':')?;
    Some(Address::Name(host.to_owned(), port.parse().ok()?))
}

#[cfg(test)]
mod tests;
