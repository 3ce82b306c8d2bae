#![allow(clippy::unwrap_used, reason = "tests")]

use weir_config::model::Upstream;

use super::*;

/// The dice that change nothing.
const EVEN: u32 = u32::MAX / 2;

fn config(keys: &str) -> Config {
    let text = format!(
        "listeners: [\":80\"]\nupstreams:\n  a: {{ {keys} }}\nroutes: [{{ to: a }}]\n\
         membership: {{ bind: \"127.0.0.1:7946\", name: a }}\n"
    );
    let loaded = weir_config::load_str("weir.yaml", &text, &|_| None);
    loaded.unwrap_or_else(|wrong| panic!("{wrong}")).config
}

fn upstream(keys: &str) -> Upstream {
    config(keys).upstreams.remove(0)
}

/// What a configuration of one upstream wants to know.
fn question(config: &Config) -> Question {
    Question::of(config, &config.upstreams[0]).unwrap()
}

fn serving(name: &str, address: &str, weight: u32) -> Serving {
    Serving { name: name.into(), address: address.into(), weight, zone: None }
}

fn at(millis: u64) -> Tick {
    Tick::ZERO + Duration::from_millis(millis)
}

#[test]
fn what_was_found_is_what_a_file_could_have_said() {
    let written = upstream("discovery: { members: users }");
    let view = View {
        version: 1,
        serving: Box::new([
            serving("127.0.0.1:1", "127.0.0.1:1", 1),
            serving("a", "[::1]:2", 0),
            serving("b", "unix:/run/b.sock", 70_000),
            serving("c", "users.internal:80", 3),
            serving("d", "[::1]:2", 9),
            serving("e", "nonsense", 1),
        ]),
    };
    let filled = filled(&written, Some(&view));
    let told: Vec<_> = filled
        .endpoints
        .iter()
        .map(|one| (one.name.as_deref(), one.address.to_string(), one.weight))
        .collect();
    let expected = [
        (None, "127.0.0.1:1", 1),
        (Some("a"), "[::1]:2", 1),
        (Some("b"), "unix:/run/b.sock", 1_000),
        (Some("c"), "users.internal:80", 3),
    ];
    assert_eq!(told, expected.map(|(name, address, weight)| (name, address.to_owned(), weight)));
    assert!(super::filled(&written, None).endpoints.is_empty());
    let fixed = upstream("endpoints: [\"127.0.0.1:1\"]");
    assert_eq!(super::filled(&fixed, Some(&view)), fixed);
}

#[test]
fn a_certificate_must_bear_the_name_that_was_asked_for() {
    let name = |keys: &str| filled(&upstream(keys), None).tls.unwrap().server_name;
    let own = |name: &str| Some(name.to_owned());
    assert_eq!(name("discovery: { dns: \"a.test.:1\" }, tls: on"), own("a.test"));
    assert_eq!(name("discovery: { dns_srv: _http._tcp.b.test }, tls: on"), own("b.test"));
    assert_eq!(name("discovery: { file: a.yaml }, tls: on"), None);
    let written = "discovery: { dns: \"a.test:1\" }, tls: { server_name: c.test }";
    assert_eq!(name(written), own("c.test"));
}

#[test]
fn changes_are_passed_on_when_they_have_come_to_rest() {
    let found = Found::default();
    let question = question(&config("discovery: { dns: \"a.test:1\" }"));
    let says = |name: &str, now: Tick| {
        let said = Said::For(vec![serving(name, name, 1)], Duration::from_secs(5));
        found.hear(&question, said, EVEN, now)
    };
    assert_eq!(says("a", at(0)), None, "nobody asked");
    found.expect(&question);
    assert!(!found.is_complete() && found.due().is_none());
    says("a", at(0));
    assert!(found.is_complete());
    assert_eq!(found.due(), Some(at(100)));
    says("b", at(50));
    assert_eq!(found.due(), Some(at(150)));
    for n in 1..=20 {
        says(&n.to_string(), at(50 * n));
    }
    assert_eq!(found.due(), Some(at(1_000)), "not for ever");
    found.passed_on();
    assert_eq!(found.due(), None);
    says("20", at(1_200));
    assert_eq!(found.due(), None, "it is as before");
}

#[test]
fn failures_are_told_and_change_nothing() {
    let found = Found::default();
    let config = config("discovery: { dns: \"a.test:1\" }");
    let (question, written) = (question(&config), &config.upstreams[0]);
    found.expect(&question);
    let ttl = Duration::from_secs(5);
    found.hear(&question, Said::For(vec![serving("a", "a", 1)], ttl), EVEN, at(0));
    let long = "ä".repeat(ERROR_MAX);
    for _ in 0..3 {
        found.hear(&question, Said::Nothing(long.clone()), EVEN, at(10));
    }
    let report = found.report_of(&config, written).unwrap();
    assert_eq!((report.failures, report.run, report.view.serving.len()), (3, 3, 1));
    assert_eq!(report.error.unwrap().len(), ERROR_MAX);
    assert_eq!((report.answered, report.changed), (Some(at(0)), Some(at(0))));
    found.hear(&question, Said::Surely(Vec::new()), EVEN, at(20));
    let report = found.report_of(&config, written).unwrap();
    assert_eq!((report.failures, report.run, report.error), (3, 0, None));
    assert_eq!((report.view.serving.len(), report.changed), (0, Some(at(20))));
    found.keep(|_| false);
    assert!(found.report().is_empty() && found.view(&config, written).is_none());
}

#[test]
fn what_was_told_of_a_source_is_good_until_more_is() {
    let found = Found::default();
    let before = config("discovery: { dns: \"a.test:1\" }");
    let (mut renamed, mut elsewhere) = (before.clone(), before.clone());
    renamed.upstreams[0].name = "b".into();
    elsewhere.resolver.servers = vec!["127.0.0.1:53".parse().unwrap()];
    found.expect(&question(&before));
    let one = vec![serving("one", "127.0.0.1:1", 1)];
    found.hear(&question(&before), Said::Surely(one), EVEN, at(0));
    found.keep(|asked| *asked == question(&before));
    found.passed_on();
    let view = |config: &Config| found.view(config, &config.upstreams[0]).unwrap();
    for after in [&renamed, &elsewhere] {
        assert!(found.view(after, &after.upstreams[0]).is_none(), "nobody asks");
        found.expect(&question(after));
        assert!(Arc::ptr_eq(&view(after), &view(&before)));
        assert!(!found.is_complete(), "its own answer is waited for");
        found.hear(&question(after), Said::Nothing("no".into()), EVEN, at(10));
        assert!(Arc::ptr_eq(&view(after), &view(&before)) && found.due().is_none());
        assert_eq!(found.report().len(), 1, "what runs is reported");
    }
    // What other servers say is not what the ones in use say, should the change be refused.
    let two = vec![serving("two", "127.0.0.1:2", 1)];
    found.hear(&question(&elsewhere), Said::Surely(two), EVEN, at(20));
    assert_eq!(&*view(&before).serving[0].name, "one");
    assert_eq!(&*view(&elsewhere).serving[0].name, "two");
    found.keep(|asked| *asked == question(&renamed));
    assert_eq!(&*found.report()[0].upstream, "b");
}
