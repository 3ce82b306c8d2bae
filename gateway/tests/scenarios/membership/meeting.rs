//! Who is there, and who is not any more.

use crate::support::eventually;

use super::{SECRET, address, meet, member, members, metric, of, reload, secret, state, until};

#[test]
fn gateways_find_each_other_and_tell_of_a_death() {
    let [at_a, at_b, at_c] = [(); 3].map(|()| address());
    let same = secret(SECRET);
    let a = member("a", at_a, at_b, &same);
    let b = member("b", at_b, at_a, &same);
    let c = member("c", at_c, at_a, &same);
    meet(&[&a, &b, &c], 3);
    for gateway in [&a, &b, &c] {
        for name in ["a", "b", "c"] {
            let one = of(gateway, name).unwrap();
            assert_eq!((&one["state"], &one["kind"]), (&"alive".into(), &"gateway".into()));
        }
        until(gateway, "gateways are counted", || {
            metric(gateway, "weir_member_gateways") == Some(3.0)
        });
        let status = gateway.admin("GET", "/status").json();
        assert_eq!(
            (&status["membership"]["state"], &status["membership"]["gateways"]),
            (&"up".into(), &3.into())
        );
    }
    until(&a, "round trips are known", || of(&a, "b").is_some_and(|b| b["rtt_ms"].is_number()));
    let first = of(&a, "c").unwrap()["generation"].as_u64().unwrap();

    c.kill();
    for gateway in [&a, &b] {
        let took = until(gateway, "the death is told", || state(gateway, "c") == "dead");
        println!("held for dead after {took:?}");
        until(gateway, "it is counted out", || {
            metric(gateway, "weir_member_gateways") == Some(2.0)
        });
        assert!(metric(gateway, "weir_member_suspicions_total").unwrap() >= 1.0);
        assert_eq!(metric(gateway, "weir_members{state=\"dead\"}"), Some(1.0));
        assert!(eventually(|| gateway.log().contains("a member is dead")), "{}", gateway.log());
    }

    let c = member("c", at_c, at_a, &same);
    for gateway in [&a, &b] {
        until(gateway, "it is back", || state(gateway, "c") == "alive");
        assert!(of(gateway, "c").unwrap()["generation"].as_u64().unwrap() > first);
    }
    // Stopped in peace it says so.
    drop(c);
    for gateway in [&a, &b] {
        until(gateway, "the departure is told", || state(gateway, "c") == "left");
        assert!(eventually(|| gateway.log().contains("a member has left")), "{}", gateway.log());
    }
}

#[test]
fn a_seed_may_be_a_name() {
    let [at_a, at_b] = [(); 2].map(|()| address());
    let nobody = "nobody.invalid:7946";
    let a = member("a", at_a, nobody, "");
    let b = member("b", at_b, format!("localhost:{}", at_a.port()), "");
    meet(&[&a, &b], 2);
    until(&a, "it says that nobody is found", || a.log().contains(nobody));
}

#[test]
fn who_has_another_secret_never_joins() {
    let [at_a, at_b] = [(); 2].map(|()| address());
    let a = member("a", at_a, at_b, &secret(SECRET));
    let b = member("b", at_b, at_a, &secret("another secret of that size"));
    let refused = |gateway| metric(gateway, "weir_member_packets_total{outcome=\"unsealed\"}");
    until(&a, "it is refused", || refused(&a) >= Some(3.0));
    until(&b, "it is refused", || refused(&b) >= Some(3.0));
    for gateway in [&a, &b] {
        assert_eq!(members(gateway)["membership"]["live"], 1);
        assert_eq!(members(gateway)["members"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn of_two_with_one_name_the_later_stays() {
    let [at_a, at_b, at_c] = [(); 3].map(|()| address());
    let a = member("same", at_a, at_b, "");
    let b = member("b", at_b, at_a, "");
    meet(&[&a, &b], 2);
    let later = member("same", at_c, at_b, "");
    until(&a, "the earlier falls silent", || members(&a)["membership"]["state"] == "superseded");
    until(&a, "it says so", || a.log().contains("another live process goes by"));
    assert_eq!(metric(&a, "weir_member_up"), Some(0.0));
    assert_eq!(a.admin("GET", "/status").json()["membership"]["state"], "superseded");
    assert_eq!(a.client().get("/").unwrap().status, 200);
    meet(&[&later, &b], 2);
    // The same again would only fight for the name; by another one it is back.
    assert_eq!(a.admin("POST", "/reload").status, 200);
    assert_eq!(metric(&a, "weir_member_up"), Some(0.0));
    assert_eq!(reload(&a, "name: same", "name: other").0, 200);
    meet(&[&a, &later, &b], 3);
    assert_eq!(metric(&a, "weir_member_up"), Some(1.0));
    until(&b, "the later one is known", || {
        of(&b, "same").is_some_and(|same| same["address"] == at_c.to_string())
    });
}
