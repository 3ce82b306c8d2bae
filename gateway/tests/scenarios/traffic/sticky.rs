//! Who stays with which upstream of a split.

use std::fs;

use super::{gateway, get, named};
use crate::support::{
    answer::Answer, client::Client, eventually, gateway::Gateway, origin::Origin,
};

fn split(origins: &(Origin, Origin), shares: &str, sticky: &str) -> Gateway {
    gateway(
        &[("blue", origins.0.address), ("green", origins.1.address)],
        &format!("routes:\n  - {{ split: {{ {shares} }}, sticky: {{ {sticky} }} }}"),
    )
}

fn origins() -> (Origin, Origin) {
    (named("blue"), named("green"))
}

fn owner(client: &mut Client, user: u32) -> String {
    get(client, "/", &format!("x-user: user-{user}\r\n")).text().trim().to_owned()
}

fn cookie(answer: &Answer) -> Option<String> {
    answer.field("set-cookie").map(str::to_owned)
}

#[test]
fn a_key_stays_and_a_change_of_shares_moves_few() {
    let origins = origins();
    let gateway = split(&origins, "blue: 80, green: 20", "key: \"header:x-user\"");
    let client = &mut gateway.client();
    let before: Vec<_> = (0..200).map(|user| owner(client, user)).collect();
    let green = before.iter().filter(|owner| *owner == "green").count();
    assert!((20..=65).contains(&green), "{green} of 200 where 40 are expected");
    let again: Vec<_> = (0..200).map(|user| owner(client, user)).collect();
    assert_eq!(before, again);
    let text = fs::read_to_string(&gateway.file).unwrap();
    fs::write(&gateway.file, text.replace("blue: 80, green: 20", "blue: 60, green: 40")).unwrap();
    assert_eq!(gateway.admin("POST", "/reload").status, 200);
    let client = &mut gateway.client();
    let after: Vec<_> = (0..200).map(|user| owner(client, user)).collect();
    assert!(after.iter().filter(|owner| *owner == "green").count() > green);
    let back = before.iter().zip(&after).filter(|(b, a)| *b == "green" && *a == "blue").count();
    assert_eq!(back, 0, "nobody leaves who got more");
}

#[test]
fn who_lacks_the_key_goes_by_the_shares() {
    let origins = origins();
    let gateway = split(&origins, "blue: 1, green: 1", "key: \"header:x-user\"");
    let client = &mut gateway.client();
    let seen: Vec<_> = (0..60).map(|_| get(client, "/", "").text()).collect();
    assert!(seen.iter().any(|one| one.contains("blue")));
    assert!(seen.iter().any(|one| one.contains("green")));
}

#[test]
fn a_client_keeps_its_cookie() {
    let origins = origins();
    let gateway = split(&origins, "blue: 1, green: 1", "cookie: side, age: 1h");
    let mut owners = Vec::new();
    for _ in 0..12 {
        let client = &mut gateway.client();
        let first = get(client, "/", "");
        let set = cookie(&first).expect("a cookie");
        assert!(set.ends_with("; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"), "{set}");
        let pair = set.split(';').next().unwrap();
        for _ in 0..4 {
            let next = get(client, "/", &format!("cookie: a=b; {pair}\r\n"));
            assert_eq!((next.text(), cookie(&next)), (first.text(), None));
        }
        owners.push(first.text());
    }
    owners.sort();
    owners.dedup();
    assert_eq!(owners.len(), 2, "twelve clients are with both");
    // What is not one of ours, however long, is replaced.
    let odd = get(&mut gateway.client(), "/", &format!("cookie: side={}\r\n", "x".repeat(4000)));
    assert!(cookie(&odd).is_some());
}

#[test]
fn the_cookie_comes_with_errors_too() {
    let origins = origins();
    let gateway = split(&origins, "blue: 1, green: 1", "cookie: side");
    drop(origins);
    let failed = |answer: &Answer| answer.status == 502 && cookie(answer).is_some();
    assert!(eventually(|| failed(&get(&mut gateway.client(), "/", ""))));
}
