use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    arguments: Arguments,
}

fn read(words: &str) -> Result<Settings, String> {
    let line = Line::try_parse_from(std::iter::once("agent").chain(words.split_whitespace()));
    line.map_err(|error| error.to_string())?.arguments.settings(None)
}

#[test]
fn the_line_of_the_documentation_is_read() {
    let settings =
        read("--service api --address 127.0.0.1:9001 --seed 127.0.0.1:7946 --seed b:1").unwrap();
    let address = Place::At("127.0.0.1:9001".parse().unwrap());
    let service = Service { name: "api".to_owned(), address, weight: 1 };
    assert_eq!(settings.services, [service]);
    assert_eq!(settings.seeds, ["127.0.0.1:7946", "b:1"]);
    let check = settings.check.expect("it is checked");
    assert_eq!(check.health.probe, Probe::Connect);
    assert_eq!(settings.linger, Duration::from_secs(1));
}

#[test]
fn services_pair_with_addresses_in_order() {
    let line = "--service a --service b=:2 --service c --address 10.0.0.1:1 --address h.x:3 \
                --weight 1 --weight 2 --weight 3 --seed s:1";
    let read = read(line).unwrap().services;
    let shown: Vec<_> = read.iter().map(|s| (&*s.name, &s.address, s.weight)).collect();
    let expected = [
        ("a", &Place::At("10.0.0.1:1".parse().unwrap()), 1),
        ("b", &Place::Here(2), 2),
        ("c", &Place::Named("h.x:3".to_owned()), 3),
    ];
    assert_eq!(shown, expected);
}

#[test]
fn a_command_stands_behind_two_dashes() {
    let settings =
        read("--service a=:1 --seed s:1 --check-path /ok --linger 0s -- ./api --service x")
            .unwrap();
    assert_eq!(settings.command, ["./api", "--service", "x"]);
    let probe = settings.check.expect("it is checked").health.probe;
    assert!(matches!(probe, Probe::Http { path, .. } if path == "/ok"));
}

#[test]
fn what_is_wrong_is_said_with_its_cure() {
    for (line, said) in [
        ("--service a --seed s:1", "add --address IP:PORT"),
        ("--service a=:1 --address :2 --seed s:1", "belongs to no --service"),
        ("--service a=x --seed s:1", "expected a host and a port"),
        ("--service a=::1:80 --seed s:1", "brackets"),
        ("--service a=:1 --seed s", "expected a host and a port"),
        ("--service a=:1 --seed s:0", "expected a host and a port"),
        ("--service a=:1 --seed :7946", "has no host"),
        ("--service b@d=:1 --seed s:1", "letters, digits"),
        ("--service a=:1 --service a=:2 --seed s:1", "each of them once"),
        ("--service a=10.0.0.1:0 --seed s:1", "a port are at least 1"),
        ("--service a=:1", "--seed"),
        ("--service a=:1 --seed s:1 --check http", "`tcp`"),
        ("--service a=:1 --seed s:1 --check /ok", "--check-path /ok"),
        ("--service a=:1 --seed s:1 --check-path ok", "begins with `/`"),
        ("--service a=:1 --seed s:1 --check-interval 5", "did you mean `5s`?"),
        ("--service a=:1 --seed s:1 --check-interval 0s", "at least 1ms"),
        ("--service a=:1 --seed s:1 --secret short", "openssl rand -hex 32"),
        ("--service a=:1 --seed s:1 --secret-file /no/such", "/no/such"),
        ("--service a=:1 --seed s:1 --advertise 0.0.0.0", "the one address"),
        ("--service a=:1 --seed s:1 --weight 0", "0 is not in 1.."),
        (
            "--service a=:1 --service b=:2 --service c=:3 --seed s:1 --weight 1 --weight 2",
            "one each",
        ),
    ] {
        let error = read(line).expect_err(line);
        assert!(error.contains(said), "{line}: {error}");
    }
}

#[test]
fn flags_come_before_the_environment() {
    let secret = |text: &str| vec![text.as_bytes().to_vec()];
    let (a, b) = ("a".repeat(16), "b".repeat(16));
    assert_eq!(secrets(vec![a.clone()], &[], Some(b.clone())), Ok(secret(&a)));
    assert_eq!(secrets(Vec::new(), &[], Some(b.clone())), Ok(secret(&b)));
    assert_eq!(secrets(Vec::new(), &[], Some(String::new())), Ok(Vec::new()));
}
