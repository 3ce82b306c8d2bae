use std::time::Duration;

use http::HeaderName;
use weir_config::model::{
    self as config, AbsentKey, At, Cost, KeyPart, LuaValue, RateAlgorithm, RateLimit, RateStore,
};

use super::{fields as fields_of, key::Counted, *};
use crate::clock::Tick;

fn store() -> LimitStore {
    LimitStore::new(1_000, [7; 16])
}

fn stores(own: &LimitStore) -> Stores<'_> {
    Stores { own, shared: SharedStore::secret(None) }
}

/// So many a second of each client, as many at once.
fn limit(name: &str, count: u64) -> RateLimit {
    RateLimit {
        at: At::default(),
        name: name.into(),
        shared: false,
        key: vec![KeyPart::ClientIp],
        absent: AbsentKey::Share,
        count,
        per: Duration::from_secs(1),
        burst: count,
        algorithm: RateAlgorithm::TokenBucket,
        max_delay: Duration::from_secs(1),
        cost: Cost { fixed: 1, request_header: None, response_header: None, response_json: None },
        dry_run: false,
        store: RateStore::Local,
    }
}

fn fields(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

fn subject(headers: &HeaderMap) -> Subject<'_> {
    let client = Some("192.0.2.7".parse().unwrap());
    Subject { client, headers, path: "/a", query: None, route: "api", identity: None, lua: None }
}

/// Limits of a route, their counts, and a clock.
struct Rig {
    limits: RouteLimits,
    tallies: Vec<Arc<tally::Tally>>,
    now: Tick,
}

impl Rig {
    fn new(limits: &[RateLimit]) -> Self {
        Self::with(limits, &store())
    }

    fn with(limits: &[RateLimit], store: &LimitStore) -> Self {
        let tallies = limits.iter().map(|_| Arc::default()).collect();
        let limits = RouteLimits::new("api", limits, None, &stores(store)).unwrap().unwrap();
        Self { limits, tallies, now: Tick::from_nanos(1 << 40) }
    }

    fn ask(&self, subject: &Subject<'_>) -> Limited {
        let limited = self.limits.check(subject, self.now);
        self.limits.count(&limited, subject, &self.tallies);
        limited
    }

    /// One request, and what is told of it.
    fn get(&self, pairs: &[(&'static str, &str)]) -> (bool, String) {
        let headers = fields(pairs);
        let limited = self.ask(&subject(&headers));
        (!limited.is_denied(), self.told(&limited))
    }

    fn told(&self, limited: &Limited) -> String {
        let mut headers = HeaderMap::new();
        fields_of::tell(&self.limits, limited, &mut headers);
        headers.get("ratelimit").map_or("", |value| value.to_str().unwrap()).into()
    }

    fn counts(&self) -> Vec<[u64; 4]> {
        self.tallies.iter().map(|tally| tally.totals().counts).collect()
    }
}

#[test]
fn parts_of_a_request_make_a_key() {
    let hasher = weir_ratelimit::KeyHasher::new(&weir_ratelimit::Secret::new([1; 16]), "limit");
    let headers = fields(&[
        ("x-key", "k"),
        ("x-twice", "a"),
        ("x-twice", "b"),
        ("cookie", "theme=dark;  session = \"s=1\" ; empty="),
        ("cookie", "late=yes; session=other"),
    ]);
    let with = |part: KeyPart, client: &str, query: &str| {
        let client = client.parse().ok();
        let subject = Subject { client, query: Some(query), ..subject(&headers) };
        match key::key(hasher, &[part], AbsentKey::Skip, &subject) {
            Counted::For(key) => Some(key),
            _ => None,
        }
    };
    let of = |value: &[u8]| Some(hasher.part(value).finish());
    let by = |part| with(part, "192.0.2.7", "a=1&b=%31&c&d=x+y&%65=z&a=2&=n");
    let header = |name| KeyPart::Header(HeaderName::from_static(name));
    let cookie = |name: &str| KeyPart::Cookie(name.into());
    let query = |name: &str| KeyPart::Query(name.into());
    let table = [
        (KeyPart::ClientIp, of(&[192, 0, 2, 7])),
        (KeyPart::Path, of(b"/a")),
        (KeyPart::Route, of(b"api")),
        (header("x-key"), of(b"k")),
        (header("x-twice"), of(b"a, b")),
        (header("x-none"), None),
        (cookie("theme"), of(b"dark")),
        (cookie("session"), of(b"\"s=1\"")),
        (cookie("empty"), of(b"")),
        (cookie("late"), of(b"yes")),
        (cookie("Theme"), None),
        (query("a"), of(b"1")),
        (query("b"), of(b"1")),
        (query("c"), of(b"")),
        (query("d"), of(b"x y")),
        (query("e"), of(b"z")),
        (query("f"), None),
    ];
    for (part, expected) in table {
        assert_eq!(by(part.clone()), expected, "{part:?}");
    }
    // There is nothing here that computes: what is nil or fails is absent, too.
    let value = LuaValue { at: At::default(), text: "req.path".to_owned() };
    assert_eq!(with(KeyPart::Lua(value), "192.0.2.7", ""), None);
    let address = |text| with(KeyPart::ClientIp, text, "");
    assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:0:0:2"), "one /64");
    assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
    assert_eq!(address("::ffff:192.0.2.7"), address("192.0.2.7"));
    assert_ne!(address("192.0.2.8"), address("192.0.2.7"));
    assert_eq!(address("none"), None, "a Unix socket");
}

#[test]
fn an_absent_part_is_shared_skipped_or_denied() {
    let part = vec![KeyPart::Header(HeaderName::from_static("x-key"))];
    let rule = |absent| RateLimit { key: part.clone(), absent, ..limit("key", 1) };
    let share = Rig::new(&[rule(AbsentKey::Share)]);
    assert_eq!([share.get(&[]).0, share.get(&[]).0], [true, false]);
    assert!(share.get(&[("x-key", "")]).0, "an empty one is not absent");
    let skip = Rig::new(&[rule(AbsentKey::Skip)]);
    assert_eq!(skip.get(&[]), (true, String::new()));
    assert!(skip.get(&[]).0);
    assert_eq!(skip.counts(), [[0; 4]]);
    let deny = Rig::new(&[limit("ip", 2), rule(AbsentKey::Deny)]);
    assert_eq!(deny.get(&[]), (false, "\"ip\";r=2;t=0, \"key\";r=0".into()));
    assert_eq!(deny.counts(), [[0; 4], [0, 1, 0, 0]]);
    assert_eq!(deny.tallies[1].totals().denied()[0].label.as_ref(), "no header:x-key");
    assert!(deny.get(&[("x-key", "k")]).0, "the other limit was not charged");
    let dry = Rig::new(&[RateLimit { dry_run: true, ..rule(AbsentKey::Deny) }]);
    assert_eq!((dry.get(&[]).0, dry.counts()), (true, vec![[0, 0, 1, 0]]));
}

#[test]
fn all_pass_or_none_is_charged() {
    let rig = Rig::new(&[limit("wide", 3), RateLimit { dry_run: true, ..limit("dry", 1) }, {
        let per = Duration::from_secs(60);
        RateLimit { per, ..limit("slow", 2) }
    }]);
    let policy = "\"wide\";q=3;w=1, \"slow\";q=2;w=60";
    assert_eq!(rig.limits.policy.as_ref().unwrap(), policy);
    assert_eq!(rig.get(&[]), (true, "\"wide\";r=2;t=1, \"slow\";r=1;t=30".into()));
    let headers = HeaderMap::new();
    let second = rig.ask(&subject(&headers));
    assert!(!second.is_denied());
    assert_eq!(second.would_be_denied_by(&rig.limits), Some("dry"));
    let third = rig.ask(&subject(&headers));
    assert_eq!(third.denied_by(&rig.limits), Some("slow"));
    assert_eq!(third.retry_after(), Some(30));
    assert_eq!(rig.told(&third), "\"wide\";r=1;t=1, \"slow\";r=0;t=30");
    assert!(rig.ask(&subject(&headers)).is_denied());
    assert_eq!(rig.told(&third), "\"wide\";r=1;t=1, \"slow\";r=0;t=30", "nothing was charged");
    assert_eq!(rig.counts(), [[2, 0, 0, 0], [1, 0, 3, 0], [2, 2, 0, 0]]);
    let listed = rig.tallies[2].totals().denied();
    assert_eq!((listed[0].label.as_ref(), listed[0].count), ("192.0.2.7", 2));
}

#[test]
fn a_cost_comes_from_a_header_and_is_settled_by_another() {
    let cost = Cost {
        fixed: 2,
        request_header: Some(HeaderName::from_static("x-cost")),
        response_header: Some(HeaderName::from_static("x-actual")),
        response_json: None,
    };
    let rule = RateLimit { cost, per: Duration::from_secs(60), ..limit("cost", 15) };
    let rig = Rig::new(&[rule]);
    assert_eq!(rig.get(&[("x-cost", "0")]).1, "\"cost\";r=13;t=8", "never less than fixed");
    assert_eq!(rig.get(&[("x-cost", "-5")]).1, "\"cost\";r=11;t=16", "the fixed cost");
    let headers = fields(&[("x-cost", "3")]);
    let settled = |actual: &str| {
        let mut limited = rig.ask(&subject(&headers));
        assert!(!limited.is_denied());
        let costs = rig.limits.named(&limited, &fields(&[("x-actual", actual)]));
        assert!(rig.limits.settle(&mut limited, &costs, rig.now).is_empty());
        rig.told(&limited)
    };
    assert_eq!(settled("3"), "\"cost\";r=8;t=28");
    assert_eq!(settled("1"), "\"cost\";r=7;t=32");
    assert_eq!(settled("none"), "\"cost\";r=4;t=44");
    assert!(!rig.get(&[("x-cost", "5")]).0);
    let free = fields(&[("x-cost", "0")]);
    let mut limited = rig.ask(&subject(&free));
    let costs = rig.limits.named(&limited, &fields(&[("x-actual", "900")]));
    rig.limits.settle(&mut limited, &costs, rig.now);
    assert_eq!(rig.told(&limited), "\"cost\";r=0;t=60", "in debt");
    let clamped = Rig::new(&[RateLimit {
        cost: Cost {
            fixed: 1,
            request_header: Some(HeaderName::from_static("x-cost")),
            response_header: None,
            response_json: None,
        },
        ..limit("cost", 10)
    }]);
    assert_eq!(clamped.get(&[("x-cost", "1000")]), (true, "\"cost\";r=0;t=1".into()));
}

#[test]
fn a_leaky_bucket_delays() {
    let leaky = RateAlgorithm::LeakyBucket;
    let max_delay = Duration::from_millis(250);
    let rig = Rig::new(&[RateLimit { algorithm: leaky, max_delay, ..limit("leaky", 10) }]);
    let headers = HeaderMap::new();
    let delays = [0, 100, 200].map(|millis| (Duration::from_millis(millis), false));
    for expected in delays {
        let limited = rig.ask(&subject(&headers));
        assert_eq!((limited.delay(), limited.is_denied()), expected);
    }
    assert!(rig.ask(&subject(&headers)).is_denied(), "it would wait for 300 ms");
    assert_eq!(rig.counts(), [[1, 1, 0, 2]]);
}

#[test]
fn counts_belong_to_name_scope_key_and_algorithm() {
    let store = store();
    let used = |limit: RateLimit, route: &str| {
        let limits = RouteLimits::new(route, &[limit], None, &stores(&store)).unwrap().unwrap();
        let headers = HeaderMap::new();
        let now = Tick::from_nanos(1 << 40);
        limits.check(&subject(&headers), now).is_denied()
    };
    let slow = |name| RateLimit { burst: 1, per: Duration::from_secs(600), ..limit(name, 1) };
    assert!(!used(slow("a"), "api"));
    assert!(used(slow("a"), "api"), "as by a reload");
    assert!(used(RateLimit { count: 2, ..slow("a") }, "api"), "another rate");
    assert!(!used(slow("b"), "api"));
    assert!(!used(slow("a"), "other"));
    let both = vec![KeyPart::ClientIp, KeyPart::Path];
    assert!(!used(RateLimit { key: both, ..slow("a") }, "api"));
    let leaky = RateAlgorithm::LeakyBucket;
    assert!(!used(RateLimit { algorithm: leaky, burst: 0, ..slow("a") }, "api"));
    let shared = |name| RateLimit { shared: true, ..slow(name) };
    assert!(!used(shared("a"), "api"), "not the route's own of that name");
    assert!(used(shared("a"), "other"), "all routes share it");
}

#[test]
fn what_is_impossible_is_said() {
    let wrong = RateLimit { burst: u64::MAX, ..limit("b", 1) };
    let (index, _) =
        RouteLimits::new("r", &[limit("a", 1), wrong], None, &stores(&store())).unwrap_err();
    assert_eq!(index, 1);
    assert!(RouteLimits::new("r", &[], None, &stores(&store())).unwrap().is_none());
    let none = Rig::new(&[limit("none", 0)]);
    assert_eq!(none.get(&[]), (false, "\"none\";r=0".into()));
    let limited = none.ask(&subject(&HeaderMap::new()));
    assert_eq!(limited.retry_after(), None, "it would be in vain");
}

#[test]
fn labels_tell_addresses_and_hide_values() {
    let hasher = weir_ratelimit::KeyHasher::new(&weir_ratelimit::Secret::new([1; 16]), "limit");
    let headers = fields(&[("authorization", "Bearer secret")]);
    let client = Some("2001:db8:1:2:3::4".parse().unwrap());
    let parts = [
        KeyPart::ClientIp,
        KeyPart::Header(HeaderName::from_static("authorization")),
        KeyPart::Query("token".into()),
        KeyPart::Path,
        KeyPart::Route,
    ];
    let label = key::label(hasher, &parts, &Subject { client, ..subject(&headers) });
    let (before, rest) = label.split_once("header:authorization#").unwrap();
    assert_eq!(before, "2001:db8:1:2::/64, ");
    assert_eq!(&rest[16..], ", no query:token, /a, api");
    assert!(!label.contains("secret"));
}

#[test]
fn names_are_strings_of_structured_fields() {
    let rig = Rig::new(&[RateLimit { key: vec![KeyPart::Route], ..limit("a \"b\\c\" é", 5) }]);
    let policy = rig.limits.policy.as_ref().unwrap();
    assert_eq!(policy, r#""a \"b\\c\" ?";q=5;w=1"#);
    assert_eq!(rig.get(&[]).1, r#""a \"b\\c\" ?";r=4;t=1"#);
    let huge = Rig::new(&[RateLimit { per: Duration::from_secs(1 << 20), ..limit("h", 1 << 60) }]);
    assert_eq!(huge.limits.policy.as_ref().unwrap(), "\"h\";q=999999999999999;w=1048576");
}

#[test]
fn a_problem_names_its_limit() {
    let text = fields_of::problem(&fields_of::document("per \"ip\""), Some(3));
    let document: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(document["violated-policies"][0], "per \"ip\"");
    assert_eq!((&document["status"], &document["type"]), (&429.into(), &PROBLEM.into()));
}

const PROBLEM: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

#[test]
fn clients_do_not_come_back_together() {
    let mut rng = fastrand::Rng::with_seed(1);
    for least in [0, 1] {
        assert_eq!(fields_of::jittered(least, &mut rng), least);
    }
    for (least, most) in [(2, 3), (10, 11), (100, 110)] {
        let some: Vec<u64> = (0..1_000).map(|_| fields_of::jittered(least, &mut rng)).collect();
        assert!(some.iter().all(|seconds| (least..=most).contains(seconds)), "{least}");
        assert!(some.contains(&least) && some.iter().any(|seconds| *seconds > least));
    }
}

#[test]
fn so_many_at_once_of_each_key() {
    let store = store();
    let bound =
        |key, absent| config::Concurrency { max: 2, key, absent, store: config::PlaceStore::Local };
    let stores = stores(&store);
    let per_ip =
        KeyedBulkhead::new("r", &bound(vec![KeyPart::ClientIp], AbsentKey::Share), &stores);
    let headers = HeaderMap::new();
    let one = subject(&headers);
    let other = Subject { client: Some("192.0.2.8".parse().unwrap()), ..one };
    let held = [per_ip.enter(&one), per_ip.enter(&one)];
    assert!(held.iter().all(|entry| matches!(entry, Entry::Counted(_))));
    assert!(matches!(per_ip.enter(&one), Entry::Busy));
    assert!(matches!(per_ip.enter(&other), Entry::Counted(_)));
    drop(held);
    assert!(matches!(per_ip.enter(&one), Entry::Counted(_)));
    let part = || vec![KeyPart::Header(HeaderName::from_static("x-key"))];
    let skip = KeyedBulkhead::new("r", &bound(part(), AbsentKey::Skip), &stores);
    assert!(matches!(skip.enter(&one), Entry::Free));
    let deny = KeyedBulkhead::new("r", &bound(part(), AbsentKey::Deny), &stores);
    assert!(matches!(deny.enter(&one), Entry::Busy));
}
