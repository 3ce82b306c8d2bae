#![allow(clippy::unwrap_used, reason = "tests")]

use crate::{Diagnostics, Loaded, load_str, model::Fallback};

fn load(route: &str) -> Result<Loaded, Diagnostics> {
    let file = format!(
        "listeners: [\":80\"]\n\
         upstreams:\n  \
           api: {{ endpoints: [\"127.0.0.1:1\"] }}\n  \
           spare: {{ endpoints: [\"127.0.0.1:2\"] }}\n  \
           sealed: {{ endpoints: [\"127.0.0.1:3\"], tls: on }}\n\
         routes:\n  - {{ {route} }}\n  \
           - {{ match: /else, split: {{ api: 1, spare: 1, sealed: 1 }} }}\n"
    );
    load_str("weir.yaml", &file, &|_| None)
}

fn fallback(route: &str) -> Option<Fallback> {
    load(route).unwrap_or_else(|wrong| panic!("{route}: {wrong}")).config.routes.remove(0).fallback
}

fn refused(route: &str) -> String {
    load(route).unwrap_err().render()
}

#[test]
fn another_upstream_answers_or_the_route_does() {
    for off in ["to: api", "to: api, fallback: off"] {
        assert_eq!(fallback(off), None);
    }
    for spare in ["spare", "{ to: spare }"] {
        let route = format!("to: api, fallback: {spare}");
        assert_eq!(fallback(&route), Some(Fallback::Upstream(1)), "{route}");
    }
    for text in ["203", "{ status: 203 }"] {
        let Some(Fallback::Respond(respond)) =
            fallback(&format!("to: api, fallback: {{ respond: {text} }}"))
        else {
            panic!("{text}");
        };
        assert_eq!((respond.status.as_u16(), respond.body.as_str()), (203, ""));
    }
    // Requests that went to the other of the two have somewhere to go.
    let split = "split: { api: 9, spare: 1 }, fallback: api";
    assert_eq!(fallback(split), Some(Fallback::Upstream(0)));
}

#[test]
fn a_fallback_leads_elsewhere() {
    for own in ["to: api, fallback: api", "split: { api: 1, spare: 0 }, fallback: { to: api }"] {
        assert!(refused(own).contains("`api` is the upstream of the route itself"), "{own}");
    }
    assert!(refused("to: api, fallback: spar").contains("did you mean `spare`?"));
    let both = "to: api, fallback: { to: spare, respond: 200 }";
    assert!(refused(both).contains("`to` and `respond` exclude each other"));
    assert!(refused("to: api, fallback: {}").contains("`to` is missing in `routes[0].fallback`"));
    assert!(refused("to: api, fallback: [spare]").contains("expected a mapping"));
    assert!(refused("to: api, fallback: { respond: 99 }").contains("a status from 200 to 599"));
}

#[test]
fn a_tunnel_falls_back_to_plain_connections_only() {
    let connect =
        |fallback: &str| format!("match: {{ methods: [CONNECT] }}, to: api, fallback: {fallback}");
    assert_eq!(fallback(&connect("spare")), Some(Fallback::Upstream(1)));
    for sealed in ["sealed", "{ to: sealed }"] {
        assert!(refused(&connect(sealed)).contains("`sealed` takes no CONNECT"), "{sealed}");
    }
    assert!(refused(&connect("{ respond: 200 }")).contains("`respond` does not go with CONNECT"));
}

#[test]
fn an_upstream_that_only_falls_back_is_used() {
    let text = "listeners: [\":80\"]\n\
                upstreams: { a: { endpoints: [\"a:1\"] }, b: { endpoints: [\"b:1\"] } }\n\
                routes: [{ to: a, fallback: b }]";
    let loaded = load_str("weir.yaml", text, &|_| None).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
}
