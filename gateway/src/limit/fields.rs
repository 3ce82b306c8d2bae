//! What clients are told: `RateLimit-Policy` and `RateLimit`
//! (draft-ietf-httpapi-ratelimit-headers-11), `Retry-After`, and a problem document (RFC 9457).

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::json;
use weir_ratelimit::Decision;

use super::{
    route::{RouteLimits, Rule},
    verdict::Limited,
};
use crate::http::problem::Problem;

static RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
static RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The largest integer of a structured field (RFC 9651 section 3.3.1).
const INTEGER_MAX: u64 = 999_999_999_999_999;

/// The problem type that the draft registers.
const PROBLEM_TYPE: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// What begins the item of a limit: its name, and the parameter that its remainder follows.
pub(super) fn item(name: &str) -> String {
    format!("{};r=", string(name))
}

/// The value of `RateLimit-Policy`, the same on every response of the route.
pub(super) fn policy(rules: &[Rule]) -> Option<HeaderValue> {
    let enforced = rules.iter().filter(|rule| !rule.limit.dry_run());
    let item = |rule: &Rule| {
        let (name, policy) = (string(rule.limit.name()), rule.limit.policy());
        let quota = policy.quota.min(INTEGER_MAX);
        let window = policy.window_seconds.min(INTEGER_MAX);
        format!("{name};q={quota};w={window}")
    };
    let items: Vec<String> = enforced.map(item).collect();
    (!items.is_empty()).then(|| HeaderValue::try_from(items.join(", ")).ok()).flatten()
}

/// A string of a structured field (RFC 9651 section 3.3.3), which is ASCII.
fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            ' '..='~' => out.push(character),
            _ => out.push('?'),
        }
    }
    out.push('"');
    out
}

/// Adds both fields. Those of the upstream stay: what a client may do is the least of all, and no
/// one on the way may take a restriction back (section 8 of the draft).
pub(super) fn tell(limits: &RouteLimits, limited: &Limited, headers: &mut HeaderMap) {
    let Some(policy) = &limits.policy else { return };
    headers.append(&RATELIMIT_POLICY, policy.clone());
    let mut value = Vec::with_capacity(64);
    let mut number = itoa::Buffer::new();
    for asked in limited.asked.iter().filter(|asked| !asked.is_open()) {
        let Some(rule) = limits.rules.get(asked.rule).filter(|rule| !rule.limit.dry_run()) else {
            continue;
        };
        if !value.is_empty() {
            value.extend_from_slice(b", ");
        }
        value.extend_from_slice(rule.item.as_bytes());
        let remaining = asked.decision.as_ref().map_or(0, |decision| decision.remaining);
        value.extend_from_slice(number.format(remaining.min(INTEGER_MAX)).as_bytes());
        // Where nothing is ever earned there is no time to wait for.
        let earns = rule.limit.policy().quota > 0;
        if let Some(decision) = asked.decision.as_ref().filter(|_| earns) {
            // Retry-After is not to be earlier than any end of `t`.
            let most = limited.retry_after.unwrap_or(INTEGER_MAX);
            value.extend_from_slice(b";t=");
            value.extend_from_slice(number.format(decision.reset_seconds().min(most)).as_bytes());
        }
    }
    if let Some(value) = (!value.is_empty()).then(|| HeaderValue::from_bytes(&value).ok()).flatten()
    {
        headers.append(&RATELIMIT, value);
    }
}

/// What a limit would say by now, had the request cost `actual`: it is told before the store is.
pub(super) fn adjusted(decision: Decision, charged: u64, actual: u64) -> Decision {
    let mut adjusted = decision;
    let remaining = decision.remaining.saturating_add(charged).saturating_sub(actual);
    adjusted.remaining = remaining.min(decision.limit);
    adjusted
}

/// Seconds for `Retry-After`: some more than `least`, by chance, so that clients who were denied
/// together do not come back together.
pub(super) fn jittered(least: u64, rng: &mut fastrand::Rng) -> u64 {
    if least <= 1 {
        return least;
    }
    least.saturating_add(rng.u64(0..=(least / 10).max(1))).min(INTEGER_MAX)
}

/// The document that says which limit denies, before and after the words that say when to come
/// again: all that differs from one denial to the next.
pub(super) fn document(limit: &str) -> [Box<str>; 2] {
    const WHEN: char = '\u{1}';
    let problem = Problem {
        kind: PROBLEM_TYPE,
        title: "Too Many Requests",
        status: StatusCode::TOO_MANY_REQUESTS,
        detail: &format!("The limit {limit:?} denies this request: {WHEN}."),
    };
    let policies = ("violated-policies".to_owned(), json!([limit]));
    let text = problem.text([policies].into_iter().collect());
    // As JSON writes it; names hold no control characters.
    let (before, after) = text.split_once("\\u0001").unwrap_or((&text, ""));
    [before.into(), after.into()]
}

/// The document: which limit, and when to come again.
pub(super) fn problem([before, after]: &[Box<str>; 2], retry_after: Option<u64>) -> Bytes {
    let mut number = itoa::Buffer::new();
    let when = match retry_after {
        Some(1) => ["it may come again in ", "1", " second"],
        Some(seconds) => ["it may come again in ", number.format(seconds), " seconds"],
        None => ["the same request will not pass", "", ""],
    };
    [before, when[0], when[1], when[2], after].concat().into()
}
