#![allow(clippy::unwrap_used, reason = "tests")]

use weir_discovery::{
    announce::{Kind, Offer},
    swim::{Record, State},
};

use super::*;

fn member(name: &str, state: State, offers: &[(&str, u16, bool)]) -> Member {
    let offer = |&(service, port, ready): &(&str, u16, bool)| Offer {
        service: service.into(),
        address: ([127, 0, 0, 1], port).into(),
        weight: 2,
        ready,
    };
    let offers = offers.iter().map(offer).collect();
    let meta = Announcement { kind: Kind::Agent, offers }.encode().unwrap();
    let record = Record::new(name, 1, ([127, 0, 0, 1], 7946).into(), &meta).unwrap();
    Member { record: Arc::new(record), state, incarnation: 0, phi: None, round_trip: None }
}

fn names(members: Vec<Member>) -> Result<Vec<String>, String> {
    match offers(&View { members, ..View::default() }, "users") {
        Said::For(serving, _) | Said::Surely(serving) => {
            Ok(serving.iter().map(|one| format!("{} {}", one.name, one.address)).collect())
        }
        Said::Nothing(why) => Err(why),
    }
}

#[test]
fn who_lives_and_is_ready_serves() {
    use State::{Alive, Dead, Left, Suspect};
    let members = vec![
        member("a", Alive, &[("users", 1, true), ("other", 2, true)]),
        member("b", Suspect, &[("users", 3, true)]),
        member("c", Alive, &[("users", 4, false)]),
        member("d", Alive, &[("other", 5, true)]),
        member("e", Dead, &[("users", 6, true)]),
        member("f", Left, &[("users", 7, true)]),
    ];
    let expected = ["a 127.0.0.1:1", "b 127.0.0.1:3"].map(str::to_owned);
    assert_eq!(names(members).unwrap(), expected);
}

#[test]
fn deaths_alone_never_leave_nobody() {
    use State::{Alive, Dead, Left};
    let users: &[(&str, u16, bool)] = &[("users", 1, true)];
    let edge = || member("edge", Alive, &[]);
    let stopped = member("a", Left, &[("users", 1, false)]);
    assert!(names(vec![edge(), stopped]).unwrap().is_empty());
    // Ready and gone by its own word: it stepped aside.
    assert!(names(vec![edge(), member("a", Left, users)]).is_err());
    assert!(names(vec![edge(), member("a", Dead, &[("users", 1, false)])]).unwrap().is_empty());
    let why = names(vec![edge(), member("a", Dead, users), member("b", Left, users)]).unwrap_err();
    assert_eq!(why, "all 2 that offered it fell silent or stepped aside");
    assert!(names(vec![edge()]).unwrap().is_empty());
}

#[test]
fn what_is_no_announcement_offers_nothing() {
    let record = Record::new("a", 1, ([127, 0, 0, 1], 7946).into(), b"\xff\x00").unwrap();
    let (record, state) = (Arc::new(record), State::Alive);
    let odd = Member { record, state, incarnation: 0, phi: None, round_trip: None };
    assert!(names(vec![odd]).unwrap().is_empty());
}

#[tokio::test]
async fn of_a_membership_that_is_over_nothing_is_believed() {
    let text = "listeners: [\":80\"]\nmembership: { bind: \"127.0.0.1:1\", name: a }\nupstreams: { \
                a: { discovery: { members: users } } }\n";
    let config = weir_config::load_str("weir.yaml", text, &|_| None).unwrap().config;
    let (question, found) =
        (Question::of(&config, &config.upstreams[0]).unwrap(), Arc::new(Found::default()));
    found.expect(&question);
    let members =
        vec![member("a", State::Alive, &[]), member("b", State::Alive, &[("users", 1, true)])];
    let (tell, views) = tokio::sync::watch::channel(Arc::new(View { members, ..View::default() }));
    drop(tell);
    for _ in 0..2 {
        listen(question.clone(), views.clone(), found.clone()).await;
    }
    let report = found.report_of(&config, &config.upstreams[0]).unwrap();
    assert!(report.answered.is_none() && report.error.is_some() && report.view.serving.is_empty());
}
