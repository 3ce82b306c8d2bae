//! What a reload makes of it.

use std::{net::UdpSocket, process::Output};

use super::{SECRET, address, meet, member, members, metric, reload, secret, state, until};
use crate::support::gateway::weir;

#[test]
fn secrets_are_changed_while_members_speak() {
    let [at_a, at_b] = [(); 2].map(|()| address());
    let (old, new) = (SECRET, "another secret of that size");
    let listed = |secrets: &[&str]| format!("secrets: [\"{}\"]", secrets.join("\", \""));
    let steps = [
        format!("secret: \"{old}\""),
        listed(&[old, new]),
        listed(&[new, old]),
        format!("secret: \"{new}\""),
    ];
    let a = member("a", at_a, at_b, &secret(old));
    let b = member("b", at_b, at_a, &secret(old));
    meet(&[&a, &b], 2);
    let received = |gateway| metric(gateway, "weir_member_packets_total{outcome=\"received\"}");
    for step in steps.windows(2) {
        for gateway in [&a, &b] {
            let (status, said) = reload(gateway, &step[0], &step[1]);
            assert_eq!(status, 200, "{said}");
            assert!(!said.contains("another secret"), "{said}");
            // With each combination of the two.
            for hearer in [&a, &b] {
                let before = received(hearer).unwrap();
                until(hearer, "they speak on", || received(hearer) > Some(before + 4.0));
                assert_eq!(members(hearer)["membership"]["live"], 2);
            }
        }
    }
    for gateway in [&a, &b] {
        let unsealed = metric(gateway, "weir_member_packets_total{outcome=\"unsealed\"}");
        assert_eq!(unsealed, Some(0.0));
        let shown = gateway.admin("GET", "/config").text();
        assert!(shown.contains("<redacted>") && !shown.contains("another secret"), "{shown}");
        assert!(!gateway.log().contains("another secret"));
    }
}

#[test]
fn what_cannot_change_is_refused_and_nothing_changes() {
    let [at_a, at_b] = [(); 2].map(|()| address());
    let a = member("a", at_a, at_b, "");
    for (from, to, why) in [
        ("name: a,", "name: z,", "membership.name"),
        ("name: a,", "name: a, label: z,", "membership.label"),
        ("name: a,", "name: a, secret: \"sixteen bytes or more\",", "takes a restart"),
        (&*format!("bind: \"{at_a}\""), &*format!("bind: \"{at_b}\""), "membership.bind"),
    ] {
        let (status, said) = reload(&a, from, to);
        assert_eq!(status, 422, "{said}");
        assert!(said.contains("weir.yaml:5:1") && said.contains(why), "{said}");
        assert_eq!(reload(&a, to, from).0, 200);
    }
    // With it goes what else the file changes.
    assert_eq!(reload(&a, "respond: 200", "respond: 204").0, 200);
    assert_eq!(a.client().get("/").unwrap().status, 204);
    assert_eq!(reload(&a, "name: a,", "name: z,").0, 422);
    assert_eq!(reload(&a, "respond: 204", "respond: 203").0, 422);
    assert_eq!(a.client().get("/").unwrap().status, 204);
}

#[test]
fn it_begins_and_ends_with_reloads() {
    let [at_a, at_b] = [(); 2].map(|()| address());
    let a = member("a", at_a, at_b, "");
    let b = member("b", at_b, at_a, "");
    meet(&[&a, &b], 2);
    assert_eq!(reload(&b, "membership:", "# membership:").0, 200);
    until(&a, "the departure is told", || state(&a, "b") == "left");
    assert!(members(&b)["membership"].is_null());
    assert_eq!(metric(&b, "weir_member_up"), None);
    assert_eq!(reload(&b, "# membership:", "membership:").0, 200);
    meet(&[&a, &b], 2);
    // At once, the farewell is waited for: the next part begins where that one ends.
    assert_eq!(reload(&b, "membership:", "# membership:").0, 200);
    let (status, text) = reload(&b, "# membership:", "membership:");
    assert_eq!(status, 200, "{text}");
    meet(&[&a, &b], 2);
    // Others are met through another seed.
    let at_c = address();
    let c = member("c", at_c, at_c, "");
    assert_eq!(reload(&a, &at_b.to_string(), &at_c.to_string()).0, 200);
    meet(&[&a, &b, &c], 3);
}

#[test]
fn an_address_in_use_is_told_of_at_the_start() {
    let at = address();
    let _other = UdpSocket::bind(at).unwrap();
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("weir.yaml");
    let text = format!(
        "listeners: [\"127.0.0.1:0\"]\nadmin: off\nmembership: {{ bind: \"{at}\", name: a }}\n"
    );
    std::fs::write(&file, text).unwrap();
    let Output { status, stderr, .. } =
        weir(&["run", "-c", file.to_str().unwrap()]).output().unwrap();
    let said = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(1), "{said}");
    let told = said.contains("weir.yaml:3:1") && said.contains("cannot listen on");
    assert!(told && said.contains("in use"), "{said}");
}
