use std::net::SocketAddr;

use weir_discovery::udp::Member;

use super::*;

fn member(name: &str, generation: u64, kind: Kind, state: State) -> Member {
    let meta = Announcement { kind, offers: Vec::new() }.encode().unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], 7946));
    let record = Arc::new(Record::new(name, generation, address, &meta).unwrap());
    Member { record, state, incarnation: 0, phi: None, round_trip: None }
}

/// What `seen` tells of these.
fn told(seen: &mut Seen, members: &[Member]) -> Vec<(Change, String)> {
    let mut told = Vec::new();
    let view = View { members: members.to_vec(), ..View::default() };
    seen.take(&view, "b", |change, record| told.push((change, record.name.to_string())));
    told
}

#[test]
fn each_change_is_told_once() {
    use {
        Change::{Died, Joined, Returned, Suspected},
        State::{Alive, Dead, Suspect},
    };
    let mut seen = Seen::default();
    let mut expect = |members: &[(&str, u64, State)], expected: &[(Change, &str)]| {
        let members: Vec<Member> = members
            .iter()
            .map(|(name, generation, state)| member(name, *generation, Kind::Gateway, *state))
            .collect();
        let expected: Vec<_> =
            expected.iter().map(|(change, name)| (*change, (*name).to_owned())).collect();
        assert_eq!(told(&mut seen, &members), expected);
        assert_eq!(told(&mut seen, &members), []);
    };
    let own = ("b", 1, Alive);
    expect(&[own], &[]);
    expect(&[("a", 1, Alive), own, ("z", 1, Dead)], &[(Joined, "a")]);
    expect(&[("a", 1, Suspect), own, ("c", 1, Suspect)], &[(Suspected, "a"), (Joined, "c")]);
    expect(&[("a", 1, Alive), own, ("c", 1, Dead)], &[(Returned, "a"), (Died, "c")]);
    expect(&[("a", 2, Alive), own, ("c", 2, Alive)], &[(Returned, "a"), (Returned, "c")]);
    expect(&[("a", 2, State::Left), own], &[(Change::Left, "a")]);
    expect(&[own], &[]);
}

#[test]
fn gateways_that_live_are_counted() {
    let mut seen = Seen::default();
    let mut members = vec![
        member("a", 1, Kind::Gateway, State::Suspect),
        member("b", 1, Kind::Gateway, State::Alive),
        member("c", 1, Kind::Agent, State::Alive),
        member("d", 1, Kind::Gateway, State::Dead),
        member("e", 1, Kind::Gateway, State::Left),
    ];
    told(&mut seen, &members);
    assert_eq!(seen.gateways(), 2);
    // What it says of itself changes with its record.
    members[2] = member("c", 1, Kind::Gateway, State::Alive);
    told(&mut seen, &members);
    assert_eq!(seen.gateways(), 3);
}
