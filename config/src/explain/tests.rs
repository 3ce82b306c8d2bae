#![allow(clippy::unwrap_used, reason = "tests")]

use http::HeaderValue;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::{
    defaults::{self, Kind},
    load_str,
    model::{AuthWay, BasicAuth, JwtKeys, KeyMaterial, Secret, Users},
};

const FULL: &str = include_str!("../../tests/full.yaml");

fn read(text: &str) -> Config {
    load_str("f.yaml", text, &|_| None).unwrap_or_else(|wrong| panic!("{wrong}")).config
}

/// What explain cannot keep: the secrets, and that the admin listener was not written.
fn forget(mut config: Config) -> Config {
    if let Some(admin) = &mut config.admin {
        admin.written = true;
        admin.token = admin.token.as_ref().map(|_| Secret(String::new()));
    }
    if let Some(redis) = &mut config.redis {
        redis.password = redis.password.as_ref().map(|_| Secret(String::new()));
        redis.secret = redis.secret.as_ref().map(|_| Secret(String::new()));
    }
    if let Some(membership) = &mut config.membership {
        membership.secrets.iter_mut().for_each(|secret| secret.0.clear());
    }
    for way in config.routes.iter_mut().flat_map(|route| &mut route.auth) {
        match way {
            AuthWay::Jwt(jwt) => {
                let JwtKeys::Inline(keys) = &mut jwt.keys else { continue };
                for key in keys {
                    if let KeyMaterial::Secret(text) | KeyMaterial::Jwk(text) = &mut key.material {
                        text.0.clear();
                    }
                }
            }
            AuthWay::Basic(BasicAuth { users: Users::Listed(users), .. }) => {
                users.iter_mut().for_each(|(_, hash)| hash.0.clear());
            }
            _ => {}
        }
    }
    if let Some(tracing) = &mut config.tracing {
        tracing.headers.iter_mut().for_each(|(_, value)| *value = HeaderValue::from_static(""));
    }
    config
}

#[test]
fn what_is_explained_means_the_same() {
    let minimal = "listeners: [\":80\"]";
    let off = "admin: off\nlisteners: [{ bind: \":80\", tls: off }]";
    for text in [FULL, minimal, off] {
        let config = read(text);
        let explained = explain(&config);
        assert_eq!(forget(read(&explained)), forget(config), "{explained}");
        assert_eq!(explain(&read(&explained)), explained);
    }
}

#[test]
fn secrets_do_not_show() {
    let config = read(FULL);
    let secrets = ["s3cret", "s4cret", "s5cret", "s6cret", "s7cret", "$2y$05$abc"];
    for shown in [explain(&config), format!("{config:?}")] {
        assert!(secrets.iter().all(|secret| !shown.contains(secret)), "{shown}");
    }
    let again = load_str("f.yaml", &explain(&config), &|_| None).unwrap();
    assert!(again.warnings.render().contains("this secret was redacted"));
}

#[test]
fn every_key_of_the_table_is_explained() {
    let tree = effective::tree(&read(FULL), Secrets::Redacted);
    // A pair written as `cert` and `key` is shown among `certificates`, one server among several.
    let shown_elsewhere = [
        "listeners[].tls.cert",
        "listeners[].tls.key",
        "redis.url",
        "redis.cluster",
        "membership.secret",
    ];
    let shown = |key: &&defaults::Key| !shown_elsewhere.contains(&key.path);
    // One of several routes does each of these.
    for key in defaults::keys().filter(shown) {
        assert!(holds(&tree, key.path), "`{}` is not explained", key.path);
        assert!(!matches!(key.kind, Kind::Section) || holds(&tree, key.place()), "{}", key.path);
    }
}

/// Whether the tree has a key at a path of the table.
fn holds(tree: &Value, path: &str) -> bool {
    if path.is_empty() {
        return true;
    }
    let (step, rest) = path.split_once('.').unwrap_or((path, ""));
    match (step, step.strip_suffix("[]")) {
        ("*", _) => tree.as_object().is_some_and(|map| map.values().any(|one| holds(one, rest))),
        (_, Some(name)) => {
            let list = tree.get(name).and_then(Value::as_array);
            list.is_some_and(|list| list.iter().any(|one| holds(one, rest)))
        }
        (name, None) => tree.get(name).is_some_and(|one| holds(one, rest)),
    }
}

proptest! {
    /// Any text that a file can hold comes back as it was.
    #[test]
    fn texts_survive(body in "\\PC{0,16}|[ -~\\n\\t$${}:#'\"\\\\]{0,16}|[\\x00-\\x{a0}]{0,6}") {
        let mut config = read("listeners: [\":80\"]\nroutes: [{ respond: { body: x } }]");
        if let crate::model::Action::Respond(respond) = &mut config.routes[0].action {
            respond.body = body;
        }
        prop_assert_eq!(forget(read(&explain(&config))), forget(config));
    }

    #[test]
    fn words_survive(
        word in "[a-zA-Z0-9_./~-]{1,8}|true|off|null|NULL|~|1e3|0x1f|\\.inf|1_000|12:30",
    ) {
        let route = format!("{{ match: {{ query: {{ a: '{word}' }} }}, respond: 200 }}");
        let yaml = format!("listeners: [\":80\"]\nroutes: [{route}]");
        let config = read(&yaml);
        prop_assert_eq!(forget(read(&explain(&config))), forget(config));
    }
}
