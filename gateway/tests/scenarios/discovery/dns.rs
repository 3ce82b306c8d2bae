//! DNS as a source.

use std::{net::Ipv4Addr, thread, time::Duration};

use super::{
    await_state, await_who,
    dns_server::{DnsServer, Record, Reply},
    metric, named, named_at, setup, source, who,
};
use crate::{
    operations::{load::Load, rewrite},
    support::{
        eventually,
        gateway::{Gateway, Setup},
    },
};

/// Waits for as long as a server that answers needs on a loaded machine.
fn resolver(server: &DnsServer) -> String {
    format!("resolver: {{ servers: [\"{}\"], timeout: 2s }}", server.address)
}

/// For a server that is to be silent.
fn hasty(server: &DnsServer) -> String {
    resolver(server).replace("2s", "300ms")
}

fn start(server: &DnsServer, port: u16) -> Gateway {
    let upstream = format!("discovery: {{ dns: \"users.test:{port}\" }}");
    setup(&resolver(server), &upstream).start()
}

#[test]
fn endpoints_are_what_the_name_says_now() {
    let server = DnsServer::start();
    let (port, origins) = named_at(["one", "two", "three"]);
    server.has("users.test", &[11, 12]);
    let gateway = start(&server, port);
    // Answered before the first request was taken.
    assert_eq!(who(&gateway), ["one", "two"].map(String::from).into());
    let found = source(&gateway);
    assert_eq!((&found["source"], &found["state"]), (&"dns".into(), &"ok".into()), "{found}");
    server.has("users.test", &[13, 12]);
    await_who(&gateway, &["three", "two"]);
    assert!(metric(&gateway, "weir_discovery_endpoints") == 2.0);
    let log = gateway.log();
    let line = log.lines().rfind(|line| line.contains("endpoints changed")).unwrap();
    let [one, three] = [&origins[0], &origins[2]].map(|origin| origin.address.to_string());
    assert!(line.contains(&one) && line.contains(&three) && !line.contains("more"), "{line}");
    assert!(server.asked()[1] == 0, "nothing needed TCP");
}

#[test]
fn what_was_found_outlives_a_server_that_fails() {
    let server = DnsServer::start();
    let (port, _origins) = named_at(["one", "two"]);
    server.has("users.test", &[11, 12]);
    let upstream = format!("discovery: {{ dns: \"users.test:{port}\" }}");
    let gateway = setup(&hasty(&server), &upstream).start();
    await_who(&gateway, &["one", "two"]);
    for trouble in [Reply::NoSuchName, Reply::Failure, Reply::Silence] {
        let before = metric(&gateway, "weir_discovery_failures_total");
        server.says("users.test", trouble.clone());
        await_state(&gateway, "failing");
        assert!(eventually(|| metric(&gateway, "weir_discovery_failures_total") >= before + 2.0));
        assert_eq!(who(&gateway), ["one", "two"].map(String::from).into(), "{trouble:?}");
        assert!(source(&gateway)["error"].as_str().unwrap().contains("users.test"));
        server.has("users.test", &[11, 12]);
        await_state(&gateway, "ok");
    }
    let told = || -> Vec<bool> {
        let says = |line: &str| match line {
            line if line.contains("source does not answer") => Some(false),
            line if line.contains("source answers again") => Some(true),
            _ => None,
        };
        gateway.log().lines().filter_map(says).collect()
    };
    // It is told after it is so.
    assert!(eventually(|| told().last() == Some(&true)), "{}", gateway.log());
    // Once for each run of failures, of which a loaded machine may bring about one more.
    let turns = told().windows(2).all(|two| two[0] != two[1]);
    assert!(turns && told().len() >= 6 && !told()[0], "{}", gateway.log());
}

#[test]
fn that_nobody_serves_is_believed_when_it_is_said_twice() {
    let server = DnsServer::start();
    let (port, _origins) = named_at(["one"]);
    server.has("users.test", &[11]);
    let gateway = start(&server, port);
    await_who(&gateway, &["one"]);
    server.says("users.test", Reply::Empty);
    await_who(&gateway, &["503"]);
    gateway.client().get("/nobody").unwrap();
    let line = gateway.access_line("/nobody");
    assert!(line.to_string().contains("UH"), "{line}");
    assert_eq!(metric(&gateway, "weir_discovery_endpoints"), 0.0);
    assert_eq!(metric(&gateway, "weir_discovery_failures_total"), 0.0);
    server.has("users.test", &[11]);
    await_who(&gateway, &["one"]);
}

#[test]
fn an_answer_that_is_too_long_comes_over_tcp() {
    let server = DnsServer::start();
    let (port, _origins) = named_at(["one"]);
    let many = (0..200).map(|_| Record::A(Ipv4Addr::new(127, 0, 0, 11))).collect();
    server.says("users.test", Reply::Records(many, 1));
    let gateway = start(&server, port);
    await_who(&gateway, &["one"]);
    assert!(server.asked()[1] > 0);
    assert_eq!(metric(&gateway, "weir_discovery_endpoints"), 1.0, "all the same");
}

#[test]
fn an_ipv6_address_counts_where_there_is_no_other() {
    let server = DnsServer::start();
    let (port, _origins) = named_at(["one"]);
    let both =
        vec![Record::A(Ipv4Addr::new(127, 0, 0, 11)), Record::Aaaa("2001:db8::1".parse().unwrap())];
    server.says("users.test", Reply::Records(both, 1));
    let gateway = start(&server, port);
    await_who(&gateway, &["one"]);
    let one = vec![Record::Aaaa("::1".parse().unwrap())];
    server.says("users.test", Reply::Records(one, 1));
    let address = || {
        let upstreams = gateway.admin("GET", "/upstreams").json();
        upstreams["upstreams"][0]["endpoints"][0]["address"].as_str().map(str::to_owned)
    };
    assert!(eventually(|| address() == Some(format!("[::1]:{port}"))), "{}", gateway.log());
}

#[test]
fn srv_records_say_ports_weights_and_who_stands_by() {
    let server = DnsServer::start();
    let [one, two, three] = ["one", "two", "three"].map(named);
    let srv = |priority, weight, origin: &crate::support::origin::Origin, target| {
        Record::Srv(priority, weight, origin.address.port(), target)
    };
    server.has("a.test", &[1]);
    server.has("b.test", &[1]);
    let name = "_http._tcp.users.test";
    let records =
        vec![srv(1, 30, &one, "a.test"), srv(1, 10, &two, "b.test"), srv(2, 0, &three, "b.test")];
    server.says(name, Reply::Records(records, 1));
    let upstream = "discovery: { dns_srv: _http._tcp.users.test }, balance: round_robin";
    let gateway = setup(&resolver(&server), upstream).start();
    await_who(&gateway, &["one", "two"]);
    let upstreams = gateway.admin("GET", "/upstreams").json();
    let endpoints = upstreams["upstreams"][0]["endpoints"].as_array().unwrap();
    let told: Vec<(String, u64)> = endpoints
        .iter()
        .map(|one| (one["name"].as_str().unwrap().to_owned(), one["weight"].as_u64().unwrap()))
        .collect();
    let named = |target: &str, origin: &crate::support::origin::Origin| {
        format!("{target}:{}", origin.address.port())
    };
    assert_eq!(told, [(named("a.test", &one), 3), (named("b.test", &two), 1)]);
    // A target that cannot be looked up changes nothing; with the first two gone the third serves.
    server.says("b.test", Reply::Failure);
    await_state(&gateway, "failing");
    await_who(&gateway, &["one", "two"]);
    server.has("b.test", &[1]);
    server.says(name, Reply::Records(vec![srv(2, 0, &three, "b.test")], 1));
    await_who(&gateway, &["three"]);
}

#[test]
fn a_gateway_starts_without_an_answer() {
    let server = DnsServer::start();
    let (port, _origins) = named_at(["one"]);
    server.says("users.test", Reply::Silence);
    let fixed = named("fixed");
    let gateway = Setup::yaml(&format!(
        "workers: 2\nadmin: {{ bind: \"$ADMIN\" }}\nlisteners: [\"$LISTEN\"]\n{}\nupstreams:\n  \
         users: {{ discovery: {{ dns: \"users.test:{port}\" }} }}\n  fixed: {{ endpoints: \
         [\"{}\"] }}\nroutes:\n  - {{ match: /fixed, to: fixed }}\n  \
         - {{ match: {{ path: \"/**\" }}, to: users }}\n",
        hasty(&server),
        fixed.address
    ))
    .start();
    assert_eq!(gateway.client().get("/fixed").unwrap().text(), "fixed");
    assert_eq!(gateway.client().get("/x").unwrap().status, 503);
    server.has("users.test", &[11]);
    await_who(&gateway, &["one"]);
}

#[test]
fn a_reload_keeps_what_was_found_and_asks_what_is_new() {
    let server = DnsServer::start();
    let (port, _origins) = named_at(["one", "two"]);
    server.has("users.test", &[11]);
    server.has("other.test", &[12]);
    let gateway = start(&server, port);
    await_who(&gateway, &["one"]);
    server.says("users.test", Reply::Failure);
    await_state(&gateway, "failing");
    rewrite(&gateway, "workers: 2", "workers: 2 # again");
    assert_eq!(gateway.admin("POST", "/reload").status, 200);
    await_who(&gateway, &["one"]);
    // Another name: it is known before the first request goes by it.
    let load = Load::start(gateway.listen, 2, Duration::from_millis(1));
    rewrite(&gateway, "users.test", "other.test");
    assert_eq!(gateway.admin("POST", "/reload").status, 200);
    assert_eq!(who(&gateway), ["two"].map(String::from).into());
    load.finish();
    // A file that is refused changes nothing.
    rewrite(&gateway, "other.test", "users.test:1:2");
    assert_eq!(gateway.admin("POST", "/reload").status, 422);
    assert_eq!(who(&gateway), ["two"].map(String::from).into());
}

#[test]
fn no_request_fails_while_endpoints_come_and_go() {
    let server = DnsServer::start();
    let (port, _origins) = named_at(["one", "two", "three", "four"]);
    server.has("users.test", &[11, 12]);
    let gateway = start(&server, port);
    let load = Load::start(gateway.listen, 4, Duration::from_millis(1));
    for last in [[12, 13], [13, 14], [14, 11], [11, 12]] {
        server.has("users.test", &last);
        let endpoints = last.map(|last| format!("127.0.0.{last}:{port}"));
        let there = eventually(|| {
            let upstreams = gateway.admin("GET", "/upstreams").json();
            let now = upstreams["upstreams"][0]["endpoints"].as_array().unwrap().clone();
            thread::sleep(Duration::from_millis(20));
            now.iter().all(|one| endpoints.contains(&one["address"].as_str().unwrap().to_owned()))
        });
        assert!(there, "{}", gateway.log());
    }
    assert!(load.finish() > 50);
}

#[test]
fn servers_of_a_refused_file_are_asked_and_not_believed() {
    let [server, other] = [(); 2].map(|()| DnsServer::start());
    let (port, _origins) = named_at(["one", "two"]);
    server.has("users.test", &[11]);
    other.has("users.test", &[12]);
    let gateway = start(&server, port);
    await_who(&gateway, &["one"]);
    // An address that is in use keeps it from being taken.
    rewrite(&gateway, "listeners: [", &format!("listeners: [\"127.0.0.11:{port}\", "));
    rewrite(&gateway, &server.address.to_string(), &other.address.to_string());
    assert_eq!(gateway.admin("POST", "/reload").status, 422);
    assert!(other.asked()[0] > 0, "they were asked");
    for _ in 0..10 {
        assert_eq!(who(&gateway), ["one"].map(String::from).into());
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(metric(&gateway, "weir_discovery_endpoints"), 1.0);
}

#[test]
fn an_upstream_of_another_name_knows_what_was_found() {
    let server = DnsServer::start();
    let (port, _origins) = named_at(["one"]);
    server.has("users.test", &[11]);
    let gateway = start(&server, port);
    await_who(&gateway, &["one"]);
    server.says("users.test", Reply::Failure);
    await_state(&gateway, "failing");
    rewrite(&gateway, "  users: {", "  people: {");
    rewrite(&gateway, "to: users", "to: people");
    assert_eq!(gateway.admin("POST", "/reload").status, 200);
    assert_eq!(who(&gateway), ["one"].map(String::from).into());
    // Its server has not answered this one yet.
    assert_eq!(source(&gateway)["state"], "failing");
}
