#![allow(clippy::unwrap_used, reason = "tests")]

use crate::{Diagnostics, diff, explain, load_str, model::Membership};

const SECRET: &str = "a secret of 16 or more";

fn file(membership: &str) -> String {
    format!("listeners: [\":80\"]\nroutes: [{{ respond: 200 }}]\nmembership: {membership}\n")
}

fn load(membership: &str) -> Result<Membership, Diagnostics> {
    let loaded = load_str("weir.yaml", &file(membership), &|_| None)?;
    Ok(loaded.config.membership.unwrap())
}

fn refused(membership: &str) -> String {
    load(membership).unwrap_err().render()
}

#[test]
fn what_is_written_and_what_follows() {
    let alone = load("{ bind: \"127.0.0.1:7946\" }").unwrap();
    assert_eq!((alone.bind.to_string(), alone.advertise), ("127.0.0.1:7946".to_owned(), None));
    assert_eq!((alone.name, &*alone.label, alone.seeds.len()), (None, "weir", 0));
    assert!(alone.secrets.is_empty());

    let every = |bind: &str, advertise: &str| {
        let text = format!("{{ bind: \"{bind}\", advertise: \"{advertise}\", secret: {SECRET} }}");
        let one = load(&text).unwrap_or_else(|wrong| panic!("{wrong}"));
        (one.bind.to_string(), one.advertise.unwrap().to_string())
    };
    let own = |bind: &str, advertise: &str| (bind.to_owned(), advertise.to_owned());
    assert_eq!(every(":7946", "192.0.2.1"), own("0.0.0.0:7946", "192.0.2.1:7946"));
    assert_eq!(every(":7946", "2001:db8::1"), own("[::]:7946", "[2001:db8::1]:7946"));
    assert_eq!(every("10.0.0.1:1", "192.0.2.1:2"), own("10.0.0.1:1", "192.0.2.1:2"));

    let text = "{ bind: \"10.0.0.1:7946\", name: edge-1, label: prod, seeds: [\"a.b:1\", \
                \"[::1]:2\"], secrets: [the first of the secrets, the second of the secrets] }";
    let whole = load(text).unwrap();
    let seeds: Vec<_> = whole.seeds.iter().map(ToString::to_string).collect();
    assert_eq!(seeds, ["a.b:1", "[::1]:2"]);
    assert_eq!((whole.name.as_deref(), &*whole.label), (Some("edge-1"), "prod"));
    assert_eq!(whole.secrets[1].0, "the second of the secrets");
    let off = load_str("weir.yaml", &file("off"), &|_| None).unwrap();
    assert_eq!(off.config.membership, None);
}

#[test]
fn off_loopback_there_must_be_a_secret() {
    for wrong in [
        "{ bind: \"10.0.0.1:7946\" }",
        "{ bind: \"10.0.0.1:7946\", secret: \"\" }",
        "{ bind: \"127.0.0.1:7946\", advertise: \"192.0.2.1\" }",
    ] {
        let said = refused(wrong);
        assert!(said.contains("needs a `secret`"), "{said}");
        assert!(said.contains("weir.yaml:3:") && said.contains("bind to 127.0.0.1"), "{said}");
    }
    let unread = refused("{ bind: \"10.0.0.1:7946\", secret: { file: none.txt } }");
    assert!(!unread.contains("needs a `secret`"), "{unread}");
}

#[test]
fn what_is_wrong_is_told_with_its_cure() {
    let bind = "bind: \"127.0.0.1:7946\"";
    for (wrong, why) in [
        ("{ name: a }".to_owned(), "`bind` is missing"),
        ("{ bind: 7946 }".to_owned(), "did you mean `:7946`"),
        ("{ bind: \"unix:/a\" }".to_owned(), "not over Unix sockets"),
        (format!("{{ bind: \":7946\", secret: {SECRET} }}"), "`advertise: 192.0.2.1`"),
        (format!("{{ {bind}, advertise: \"0.0.0.0\" }}"), "the one address"),
        (format!("{{ {bind}, advertise: \"127.0.0.1:0\" }}"), "no port to speak to"),
        (format!("{{ {bind}, advertise: edge-1 }}"), "expected an IP address"),
        ("{ bind: \"127.0.0.1:0\", advertise: \"127.0.0.1\" }".to_owned(), "without a port"),
        (format!("{{ {bind}, name: \"a b\" }}"), "expected a name"),
        (format!("{{ {bind}, name: {} }}", "n".repeat(129)), "at most 128"),
        (format!("{{ {bind}, label: {} }}", "n".repeat(129)), "at most 128"),
        (format!("{{ {bind}, seeds: [a] }}"), "the port is missing"),
        (format!("{{ {bind}, seeds: [\"a:1\", \"a:1\"] }}"), "stands there twice"),
        (format!("{{ {bind}, secret: short }}"), "16 are the fewest"),
        (format!("{{ {bind}, secrets: [] }}"), "`secrets` is empty"),
        (format!("{{ {bind}, secrets: text }}"), "expected a list"),
        (format!("{{ {bind}, secret: {SECRET}, secrets: [{SECRET}] }}"), "either `secret` or"),
        (format!("{{ {bind}, secrets: [{}] }}", "a, ".repeat(9)), "at most 8"),
        (format!("{{ {bind}, secert: a }}"), "did you mean `secret`"),
    ] {
        let said = refused(&wrong);
        assert!(said.contains(why), "{wrong}: {said}");
    }
}

#[test]
fn no_secret_shows() {
    let listed = |list: &str| file(&format!("{{ bind: \"127.0.0.1:7946\", secrets: {list} }}"));
    let (old, new) = ("[the first of the hunters]", "[another one of the hunters]");
    let [old, new] = [old, new].map(|list| load_str("f", &listed(list), &|_| None).unwrap());
    let changes = diff(&old.config, &new.config);
    assert_eq!(changes.len(), 1);
    let mut said = changes[0].to_string();
    said +=
        &diff(&load_str("f", &file("off"), &|_| None).unwrap().config, &new.config)[0].to_string();
    said += &explain(&new.config);
    said += &refused("{ bind: \"127.0.0.1:7946\", secrets: [hunter, \"hunters hunt hunters\"] }");
    said += &refused("\n  bind: \"127.0.0.1:7946\"\n  secrets:\n    - hunter\n    - hunters");
    let many = "    - hunters hunt hunters\n".repeat(9);
    said += &refused(&format!("\n  bind: \"127.0.0.1:7946\"\n  secrets:\n{many}"));
    said += &refused("{ bind: \"127.0.0.1:7946\", secret: hunter }");
    assert!(!said.contains("hunter"), "{said}");
}
